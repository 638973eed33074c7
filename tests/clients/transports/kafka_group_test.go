package transports

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tests/clients/engines"
	"github.com/tidings-io/tidings/transport/kafka"
)

// kafkaRig is a transport to the shared Apache Kafka, with names of its own.
type kafkaRig struct {
	*testing.T
	transport *kafka.Transport
	run       string
}

func newKafkaRig(t *testing.T, change ...func(*kafka.Config)) *kafkaRig {
	t.Helper()
	addr := engines.SharedKafka(t).Addr
	tr := kafkaTransport(t, addr, change...)
	r := &kafkaRig{T: t, transport: tr, run: tidings.NewID()[24:]}
	t.Cleanup(func() {
		if err := tr.Close(r.bounded()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// bounded is a context for one wait, which outlives the test's own in its cleanups.
func (r *kafkaRig) bounded() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	r.Cleanup(cancel)
	return ctx
}

func (r *kafkaRig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *kafkaRig) subscribe(topics ...string) tidings.Consumer {
	r.Helper()
	s := tidings.Subscription{Group: r.run + "-mail"}
	for _, topic := range topics {
		s.Topics = append(s.Topics, r.run+"-"+topic)
	}
	c, err := r.transport.Subscribe(r.bounded(), s)
	r.must(err)
	r.Cleanup(func() { c.Close(r.bounded()) })
	return c
}

func (r *kafkaRig) publish(topic string, from, to int) {
	r.Helper()
	var events []tidings.Event
	for i := from; i < to; i++ {
		events = append(events, tidings.Event{Topic: r.run + "-" + topic, ID: fmt.Sprintf("%06d", i),
			Source: "test", Type: "tested.v1", Key: fmt.Sprint("key-", i%20)})
	}
	r.must(r.transport.Publish(r.bounded(), events...))
}

func (r *kafkaRig) receive(c tidings.Consumer, n int) (got []*tidings.Delivery) {
	r.Helper()
	ctx := r.bounded()
	for len(got) < n {
		more, err := c.Receive(ctx, n-len(got))
		if err != nil {
			r.Fatalf("after %d of %d: %v", len(got), n, err)
		}
		got = append(got, more...)
	}
	return got
}

func (r *kafkaRig) wantIDs(ds []*tidings.Delivery, want ...int) {
	r.Helper()
	var got []int
	for _, d := range ds {
		n, err := strconv.Atoi(d.ID)
		r.must(err)
		got = append(got, n)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		r.Errorf("got %v, want %v", got, want)
	}
}

// TestKafkaTopicThatIsNewToAGroupWithMembers: Apache Kafka takes offsets of members only.
func TestKafkaTopicThatIsNewToAGroupWithMembers(t *testing.T) {
	r := newKafkaRig(t)
	r.publish("refunds", 0, 10)
	first := r.subscribe("orders")
	r.publish("orders", 0, 1)
	r.receive(first, 1) // it is a member
	both := r.subscribe("orders", "refunds")
	r.publish("refunds", 10, 13)
	r.wantIDs(r.receive(both, 3), 10, 11, 12)
}

// TestKafkaKeepsWhatIsSettledInAnyOrder in the metadata of offsets.
func TestKafkaKeepsWhatIsSettledInAnyOrder(t *testing.T) {
	r := newKafkaRig(t)
	c := r.subscribe("orders")
	r.publish("orders", 0, 10)
	var left []int
	for _, d := range r.receive(c, 10) {
		n, err := strconv.Atoi(d.ID)
		r.must(err)
		if n%3 == 0 {
			left = append(left, n)
			continue
		}
		r.must(d.Ack(t.Context()))
	}
	r.must(c.Commit(r.bounded()))
	r.must(c.Close(r.bounded()))
	r.wantIDs(r.receive(r.subscribe("orders"), len(left)), left...)
}

// TestKafkaLostDeliveries are those of partitions that another member has.
func TestKafkaLostDeliveries(t *testing.T) {
	r := newKafkaRig(t)
	first := r.subscribe("orders")
	r.publish("orders", 0, 40)
	held := r.receive(first, 40)
	moved := r.receive(r.subscribe("orders"), 1)[0].Lane
	for _, d := range held {
		err := d.Ack(t.Context())
		if lost := errors.Is(err, tidings.ErrLost); lost != (d.Lane == moved) {
			t.Errorf("ack of %s while %s has moved: %v", d.Lane, moved, err)
		}
	}
}

// TestKafkaDelays a retry, past others that come behind it.
func TestKafkaDelays(t *testing.T) {
	r := newKafkaRig(t)
	c := r.subscribe("orders")
	r.publish("orders", 1, 2)
	began := time.Now()
	r.must(r.receive(c, 1)[0].Nack(r.bounded(), time.Second))
	r.publish("orders", 2, 3)
	r.wantIDs(r.receive(c, 1), 2)
	again := r.receive(c, 1)[0]
	if took := time.Since(began); again.ID != "000001" || again.Attempt != 2 || took < time.Second-time.Millisecond {
		t.Errorf("%s came after %v, attempt %d", again.ID, took, again.Attempt)
	}
	r.must(again.Ack(t.Context()))
}

// TestKafkaOrderPerKeyWhileMembersComeAndGo: nothing is missed, and what of a key is seen for the
// first time is seen in its order.
func TestKafkaOrderPerKeyWhileMembersComeAndGo(t *testing.T) {
	r := newKafkaRig(t, func(c *kafka.Config) { c.Partitions = 6 })
	ctx, end := context.WithCancel(r.bounded())
	s := &sighting{ids: map[string]bool{}, last: map[string]string{}, more: make(chan struct{}, 1)}
	stay := r.subscribe("orders")
	var members sync.WaitGroup
	members.Go(func() { s.read(ctx, stay, 1<<30) })
	over := make(chan struct{})
	go func() {
		defer close(over)
		for range 3 {
			guest, err := r.transport.Subscribe(ctx, tidings.Subscription{
				Group: r.run + "-mail", Topics: []string{r.run + "-orders"}})
			if err != nil {
				t.Error(err)
				return
			}
			s.read(ctx, guest, 200)
			if err := guest.Close(ctx); err != nil {
				t.Error(err)
			}
		}
	}()
	published := 0
	for running := true; running; published += 20 {
		r.publish("orders", published, published+20)
		select {
		case <-over:
			running = false
		default:
		}
	}
	s.await(ctx, published)
	end()
	members.Wait()
	t.Logf("%d events, %d of them came more than once", published, s.again)
	if len(s.ids) != published || len(s.disorder) > 0 {
		t.Errorf("%d of %d events came; out of order: %v", len(s.ids), published, s.disorder)
	}
}

// sighting is what members of a group have seen together.
type sighting struct {
	mu       sync.Mutex
	ids      map[string]bool
	last     map[string]string // of a key
	again    int
	disorder []string
	more     chan struct{} // holds one where ids were added
}

func (s *sighting) await(ctx context.Context, n int) {
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

// read handles deliveries until ctx ends or there were enough.
func (s *sighting) read(ctx context.Context, c tidings.Consumer, enough int) {
	for n := 0; n < enough; {
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

func (s *sighting) note(d *tidings.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids[d.ID] {
		s.again++
		return
	}
	if s.ids[d.ID] = true; d.ID < s.last[d.Key] {
		s.disorder = append(s.disorder, d.ID+" after "+s.last[d.Key])
	}
	s.last[d.Key] = d.ID
	select {
	case s.more <- struct{}{}:
	default:
	}
}
