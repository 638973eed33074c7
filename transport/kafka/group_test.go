package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/transport/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
)

var mail = tidings.Subscription{Group: "mail", Topics: []string{"orders"}}

// TestAfterACrashOnlyWhatWasNotSettledComesAgain settles every second delivery.
func TestAfterACrashOnlyWhatWasNotSettledComesAgain(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	c := subscribe(t, tr, mail)
	publish(t, tr, events("orders", 0, 100)...)
	var left []string
	for i, d := range receive(t, c, 100) {
		if i%2 == 0 {
			ack(t, d)
		} else {
			left = append(left, d.ID)
		}
	}
	commit(t, c)
	r.kill()
	closed(t, c)
	got := idsOf(receive(t, subscribe(t, r.transport(), mail), 50))
	slices.Sort(left)
	if !slices.Equal(got, left) {
		t.Errorf("got %v, want %v", got, left)
	}
}

// TestTheOffsetOfAPartitionIsItsLowWatermark: other consumers of Kafka see where the group is.
func TestTheOffsetOfAPartitionIsItsLowWatermark(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport(func(c *kafka.Config) { c.Partitions = 1 })
	c := subscribe(t, tr, mail)
	publish(t, tr, events("orders", 0, 5)...)
	got := receive(t, c, 5)
	for _, step := range []struct{ settle, want int64 }{{2, 0}, {0, 1}, {1, 3}, {4, 3}, {3, 5}} {
		ack(t, got[step.settle])
		commit(t, c)
		offsets, err := r.admin().FetchOffsets(bounded(t), "mail")
		if err != nil {
			t.Fatal(err)
		}
		if at, _ := offsets.Lookup("orders", 0); at.At != step.want {
			t.Errorf("after %d: offset %d, want %d", step.settle, at.At, step.want)
		}
	}
}

// TestALostDeliveryIsErrLost takes the partitions of a member away while it handles.
func TestALostDeliveryIsErrLost(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	first := subscribe(t, tr, mail)
	publish(t, tr, events("orders", 0, 40)...)
	held := receive(t, first, 40)
	second := subscribe(t, r.transport(), mail)
	again := receive(t, second, 1) // the partition has moved
	for len(again) < 40 && again[0].Lane != "" {
		more, err := second.Receive(brief(t), 40)
		if err != nil {
			break
		}
		again = append(again, more...)
	}
	moved := again[0].Lane
	for _, d := range held {
		var want error
		if d.Lane == moved {
			want = tidings.ErrLost
		}
		if err := d.Extend(t.Context(), time.Minute); !errors.Is(err, want) {
			t.Fatalf("extend %s: got %v, want %v", d.Lane, err, want)
		}
		if err := d.Nack(t.Context(), time.Minute); want != nil && !errors.Is(err, want) {
			t.Fatalf("nack %s: got %v, want %v", d.Lane, err, want)
		}
		if err := d.Ack(t.Context()); want != nil && !errors.Is(err, want) {
			t.Fatalf("ack %s: got %v, want %v", d.Lane, err, want)
		}
	}
	ack(t, again...)
	commit(t, second)
}

func brief(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// TestWhatIsSettledIsCommittedWhenAPartitionIsRevoked: nothing of it comes to the other member.
func TestWhatIsSettledIsCommittedWhenAPartitionIsRevoked(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport(func(c *kafka.Config) { c.CommitEvery = time.Hour })
	first := subscribe(t, tr, mail)
	publish(t, tr, events("orders", 0, 40)...)
	ack(t, receive(t, first, 40)...)
	second := subscribe(t, r.transport(), mail)
	nothing(t, second)
	closed(t, first) // and so when a member leaves
	nothing(t, second)
	publish(t, tr, event("orders", "new", "k"))
	if d := receive(t, second, 1)[0]; d.ID != "new" {
		t.Errorf("got %s", d.ID)
	}
}

// TestCloseHandsOver: what the member had not settled comes to another.
func TestCloseHandsOver(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	first := subscribe(t, tr, mail)
	publish(t, tr, events("orders", 0, 20)...)
	receive(t, first, 20)
	second := subscribe(t, r.transport(), mail)
	lane := receive(t, second, 1)[0].Lane // it has one of the two partitions
	closed(t, first)
	for _, d := range receive(t, second, 10) {
		if d.Lane != lane {
			return
		}
	}
	t.Errorf("all that came is of %s", lane)
}

// TestADelayedRetryComesAsTheSameEvent when it is due, once, by the address of its group alone.
func TestADelayedRetryComesAsTheSameEvent(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	c := subscribe(t, tr, mail)
	other := subscribe(t, tr, tidings.Subscription{Group: "audit", Topics: []string{"orders"}})
	sent := event("orders", "1", "k")
	sent.Extensions = map[string]string{"tenant": "a"}
	publish(t, tr, sent)
	delay := 300 * time.Millisecond
	d := receive(t, c, 1)[0]
	began := time.Now()
	if err := d.Nack(bounded(t), delay); err != nil {
		t.Fatal(err)
	}
	if err := d.Ack(t.Context()); err == nil {
		t.Error("a delivery was settled twice")
	}
	publish(t, tr, event("orders", "2", "k"))
	if got := receive(t, c, 1)[0]; got.ID != "2" {
		t.Errorf("event %s came before another that was due", got.ID)
	}
	again := receive(t, c, 1)[0]
	if took := time.Since(began); took < delay-time.Millisecond {
		t.Errorf("it came after %v", took)
	}
	if again.ID != "1" || again.Topic != "orders" || again.Kind != tidings.KindEvent || again.Key != "k" ||
		len(again.Extensions) != 1 || again.Attempt != 2 {
		t.Errorf("attempt %d of %+v", again.Attempt, again.Event)
	}
	if again.Lane == d.Lane {
		t.Errorf("it came in lane %s, whose order it left", again.Lane)
	}
	wantIDs(t, receive(t, other, 2), 1, 3)
	nothing(t, other)
}

// TestADelayedRetrySurvivesACrash of the broker and of the consumer, with its attempts.
func TestADelayedRetrySurvivesACrash(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	c := subscribe(t, tr, mail)
	publish(t, tr, events("orders", 0, 10)...)
	for _, d := range receive(t, c, 10) {
		if err := d.Nack(bounded(t), 200*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	commit(t, c)
	r.kill()
	closed(t, c)
	got := receive(t, subscribe(t, r.transport(), mail), 10)
	wantIDs(t, got, 0, 10)
	if got[0].Attempt != 2 {
		t.Errorf("attempt %d", got[0].Attempt)
	}
}

// TestNackWithoutADelayComesAgainAtOnce with a higher attempt.
func TestNackWithoutADelayComesAgainAtOnce(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	c := subscribe(t, tr, mail)
	publish(t, tr, event("orders", "1", "k"))
	d := receive(t, c, 1)[0]
	for _, want := range []int{2, 3} {
		if err := d.Nack(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if d = receive(t, c, 1)[0]; d.Attempt != want {
			t.Errorf("attempt %d, want %d", d.Attempt, want)
		}
	}
	ack(t, d)
	commit(t, c)
}

// TestRetriesThatAreNotDueAreReadAheadToABound: commands at the same address wait then, and only
// then; events of the topics never do.
func TestRetriesThatAreNotDueAreReadAheadToABound(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport(func(c *kafka.Config) { c.ReadAhead, c.Partitions = 4, 1 })
	c := subscribe(t, tr, mail)
	publish(t, tr, events("orders", 0, 8)...)
	command := event("mail", "command", "")
	command.Kind = tidings.KindCommand
	for i, d := range receive(t, c, 8) {
		if i == 3 {
			publish(t, tr, command)
			if got := receive(t, c, 1)[0]; got.ID != "command" {
				t.Fatalf("got %s", got.ID)
			}
		}
		if err := d.Nack(bounded(t), 700*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	nothing(t, c) // reads ahead
	publish(t, tr, command)
	publish(t, tr, event("orders", "passes", "k"))
	if got := receive(t, c, 1)[0]; got.ID != "passes" {
		t.Fatalf("got %s", got.ID)
	}
	got := idsOf(receive(t, c, 9))
	if !slices.Equal(got, []string{"0", "1", "2", "3", "4", "5", "6", "7", "command"}) {
		t.Errorf("got %v", got)
	}
}

// TestOrderPerKeyWhileMembersComeAndGo: nothing is missed, and what of a key is seen for the first
// time is seen in its order.
func TestOrderPerKeyWhileMembersComeAndGo(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport(func(c *kafka.Config) { c.Partitions = 6 })
	const keys, visits = 20, 4
	seen := &seen{ids: map[string]bool{}, last: map[string]string{}, more: make(chan struct{}, 1)}
	ctx, end := context.WithCancel(bounded(t))
	defer end()
	var members sync.WaitGroup
	defer members.Wait()
	stay := subscribe(t, tr, mail)
	members.Go(func() { seen.read(ctx, stay, nil) })
	over := make(chan struct{})
	go func() {
		defer close(over)
		for range visits {
			guest, err := tr.Subscribe(ctx, mail)
			if err != nil {
				t.Error(err)
				return
			}
			seen.read(ctx, guest, func(n int) bool { return n < 200 })
			if err := guest.Close(ctx); err != nil {
				t.Error(err)
			}
		}
	}()
	published := 0
	for running := true; running; {
		var batch []tidings.Event
		for k := range keys {
			batch = append(batch, event("orders", fmt.Sprintf("%d/%06d", k, published), fmt.Sprint(k)))
			published++
		}
		publish(t, tr, batch...)
		select {
		case <-over:
			running = false
		default:
		}
	}
	seen.await(ctx, published)
	end()
	members.Wait()
	t.Logf("%d events, %d of them came more than once", published, seen.again)
	if len(seen.ids) != published {
		t.Errorf("%d of %d events came", len(seen.ids), published)
	}
	for _, complaint := range seen.disorder {
		t.Error(complaint)
	}
}

// seen is what members of a group have seen together.
type seen struct {
	mu       sync.Mutex
	ids      map[string]bool
	last     map[string]string // of a key
	again    int
	disorder []string
	more     chan struct{} // holds one where ids were added
}

// await waits until so many ids have been seen.
func (s *seen) await(ctx context.Context, n int) {
	for {
		s.mu.Lock()
		enough := len(s.ids) >= n
		s.mu.Unlock()
		if enough || ctx.Err() != nil {
			return
		}
		select {
		case <-s.more:
		case <-ctx.Done():
		}
	}
}

// read handles deliveries until ctx ends, or so many that more says no.
func (s *seen) read(ctx context.Context, c tidings.Consumer, more func(n int) bool) {
	for n := 0; more == nil || more(n); {
		ds, err := c.Receive(ctx, 10)
		if err != nil {
			return
		}
		for _, d := range ds {
			s.note(d)
			_ = d.Ack(ctx) // one that is lost comes again elsewhere
		}
		n += len(ds)
	}
}

func (s *seen) note(d *tidings.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids[d.ID] {
		s.again++
		return
	}
	if s.ids[d.ID] = true; d.ID < s.last[d.Key] {
		s.disorder = append(s.disorder, fmt.Sprintf("%s came after %s", d.ID, s.last[d.Key]))
	}
	s.last[d.Key] = d.ID
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// TestAPartitionThatIsAddedIsReadFromItsStart, also by a group from the latest.
func TestAPartitionThatIsAddedIsReadFromItsStart(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport(func(c *kafka.Config) { c.Partitions = 1 })
	if err := tr.Declare(bounded(t), mail); err != nil {
		t.Fatal(err)
	}
	if _, err := r.admin().UpdatePartitions(bounded(t), 2, "orders"); err != nil {
		t.Fatal(err)
	}
	record := &kgo.Record{Topic: "orders", Partition: 1, Value: []byte("x")}
	if err := r.client(kgo.RecordPartitioner(kgo.ManualPartitioner())).ProduceSync(bounded(t), record).FirstErr(); err != nil {
		t.Fatal(err)
	}
	d := receive(t, subscribe(t, tr, mail), 1)[0]
	if d.ID != "orders/1/0" || d.Source != "kafka:orders" || string(d.Payload) != "x" {
		t.Errorf("got %+v", d.Event)
	}
}

// A commit waits for the broker, and not for what else is in hand, however much that is.
func TestACommitDoesNotWaitForAFullWindow(t *testing.T) {
	r := serve(t)
	tr := r.transport(func(c *kafka.Config) { c.Partitions = 1 })
	c := subscribe(t, tr, tidings.Subscription{Group: "billing", Topics: []string{"orders"}, Window: 5000})
	var events []tidings.Event
	for i := range 4000 {
		events = append(events, tidings.Event{Topic: "orders", ID: fmt.Sprint(i), Source: "test", Type: "t"})
	}
	if err := tr.Publish(bounded(t), events...); err != nil {
		t.Fatal(err)
	}
	held := receive(t, c, len(events))
	if err := held[len(held)-1].Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := c.Commit(ctx); err != nil {
		t.Error(err)
	}
	if err := c.Close(bounded(t)); err != nil {
		t.Error(err)
	}
}
