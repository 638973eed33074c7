package rabbitmq

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/storage/vfs"
)

// Those that were not confirmed before their connection was lost end in a *tidings.PublishError;
// whoever publishes them again loses none.
func TestNothingIsLostWhenTheBrokerIsKilledUnderLoad(t *testing.T) {
	r := serve(t)
	tr := r.open()
	sub := tidings.Subscription{Group: "a", Topics: []string{"orders"}}
	if err := tr.Declare(soon(t), sub); err != nil {
		t.Fatal(err)
	}
	const writers, each = 4, 300
	published := make(chan string, writers*each)
	var loops sync.WaitGroup
	for w := range writers {
		loops.Go(func() {
			events, _ := numbered(each)
			for i := range events {
				events[i].ID = strings.Repeat("w", w+1) + events[i].ID
			}
			for len(events) > 0 {
				n := min(10, len(events))
				publishAgain(t, tr, events[:n])
				for _, e := range events[:n] {
					published <- e.ID
				}
				events = events[n:]
			}
		})
	}
	want := map[string]bool{}
	for i := range writers * each {
		want[<-published] = true
		if i == 200 || i == 600 || i == 1000 {
			r.kill()
		}
	}
	loops.Wait()
	got := map[string]bool{}
	c := subscribe(t, tr, tidings.Subscription{Group: "a"})
	for len(got) < len(want) {
		for _, d := range receive(t, c, 1) {
			got[d.ID] = true
			if err := d.Ack(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %d events, want %d", len(got), len(want))
	}
	closed(t, c)
}

// publishAgain publishes until all is confirmed.
func publishAgain(t *testing.T, tr *Transport, events []tidings.Event) {
	for len(events) > 0 {
		err := tr.Publish(soon(t), events...)
		if err == nil {
			return
		}
		failed, ok := errors.AsType[*tidings.PublishError](err)
		if !ok {
			t.Error(err)
			return
		}
		var left []tidings.Event
		for _, i := range failed.Failed {
			left = append(left, events[i])
		}
		events = left
	}
}

// Publishers beyond the limit of what may wait for a confirm wait.
func TestALimitBoundsWhatIsInFlight(t *testing.T) {
	disk := vfs.NewMem()
	slow := newGate(disk)
	tr := serveOn(t, disk, slow).open(func(c *Config) { c.Limits.InFlight = 3 })
	publish(t, tr, command("a", "first"))
	open := slow.shut()
	done := make(chan error, 10)
	for range cap(done) {
		go func() { done <- tr.Publish(soon(t), command("a", "c")) }()
	}
	p := tr.publish.current().ownPublisher()
	for full := soon(t); len(p.room) < 3; {
		if runtime.Gosched(); full.Err() != nil {
			t.Fatalf("%d are in flight, want 3", len(p.room))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := tr.Publish(ctx, command("a", "late")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that it waits", err)
	}
	if n := p.ch.GetNextPublishSeqNo() - 1; n != 4 {
		t.Errorf("%d have been sent, want the first and 3", n)
	}
	open()
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// never is a confirm that does not come, until a test ends it.
type never chan struct{}

func (n never) Done() <-chan struct{} { return n }
func (n never) Acked() bool           { return false }

// A quorum queue without a leader confirms nothing. Others do.
func TestAQueueThatConfirmsNothingHoldsUpNoOther(t *testing.T) {
	tr := serve(t).open()
	publish(t, tr, command("a", "first"))
	p := tr.publish.current().ownPublisher()
	lost := make(never)
	defer close(lost)
	p.room <- struct{}{}
	p.written <- &pending{confirm: lost, done: make(chan error, 1)}
	publish(t, tr, command("a", "second"))
}

// When everything in flight waits for queues that confirm nothing, it is given up.
func TestABrokerThatConfirmsNothingIsNotWaitedForWithoutEnd(t *testing.T) {
	tr := serve(t).open(func(c *Config) { c.Limits.InFlight, c.Limits.Silence = 2, 20*time.Millisecond })
	publish(t, tr, command("a", "first"))
	p := tr.publish.current().ownPublisher()
	lost := make(never)
	defer close(lost)
	for range cap(p.room) {
		p.room <- struct{}{}
		p.written <- &pending{confirm: lost, done: make(chan error, 1)}
	}
	if err := tr.Publish(soon(t), command("a", "second")); !errors.Is(err, errSilence) {
		t.Errorf("got %v, want %v", err, errSilence)
	}
	publish(t, tr, command("a", "third"))
}

// A context that ends while the broker is silent ends Publish.
func TestPublishEndsWithItsContext(t *testing.T) {
	disk := vfs.NewMem()
	slow := newGate(disk)
	tr := serveOn(t, disk, slow).open()
	publish(t, tr, command("a", "first"))
	open := slow.shut()
	defer open()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-slow.met; cancel() }()
	err := tr.Publish(ctx, command("a", "c1"), command("a", "c2"))
	failed, ok := errors.AsType[*tidings.PublishError](err)
	if !ok || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want a PublishError of the context", err)
	}
	equal(t, "failed", failed.Failed, []int{0, 1})
}

// While the broker blocks publishers Publish waits until its context ends, and consumers go on.
func TestABrokerThatHoldsPublishersBackIsWaitedFor(t *testing.T) {
	r := serve(t)
	var log logged
	tr := r.open(log.to)
	c := subscribe(t, tr, tidings.Subscription{Group: "a", Topics: []string{"orders"}})
	publish(t, tr, event("e1"))
	r.server.SetMemoryLimit(1)
	waiting := make(chan error, 1)
	go func() { waiting <- tr.Publish(soon(t), event("e2")) }()
	log.until(t, "holds publishers back")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := tr.Publish(ctx, event("e3")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that it waits", err)
	}
	ack(t, c, receive(t, c, 1)...)
	r.server.SetMemoryLimit(0)
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	log.until(t, "lets publishers go on")
	equal(t, "ids", ids(receive(t, c, 1)), []string{"e2"})
	closed(t, c)
}

// A queue or exchange that was declared and is deleted is declared again.
func TestWhatHasBeenDeletedIsMadeAgain(t *testing.T) {
	r := serve(t)
	tr := r.open()
	publish(t, tr, command("billing", "c1"), event("e1"))
	s, err := tr.consume.session(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	remove := func() {
		t.Helper()
		err := s.onControl(soon(t), func(ch *amqp.Channel) error {
			if _, err := ch.QueueDelete("billing", false, false, false); err != nil {
				return err
			}
			return ch.ExchangeDelete("orders", false, false)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	remove()
	if err := tr.Publish(soon(t), event("e2")); err == nil {
		t.Error("an exchange that is gone took an event")
	}
	publish(t, tr, event("e2"), command("billing", "c3")) // again, as told
	remove()
	publish(t, tr, command("billing", "c4"))
	c := subscribe(t, tr, tidings.Subscription{Group: "billing"})
	equal(t, "ids", ids(receive(t, c, 1)), []string{"c4"})
	closed(t, c)
	publish(t, tr, event("e3"))
	remove()
	at := time.Now().Add(100 * time.Millisecond)
	if err := tr.PublishAt(soon(t), at, command("billing", "c5"), event("e4")); err != nil {
		t.Error("publish at:", err)
	}
	c = subscribe(t, tr, tidings.Subscription{Group: "billing", Topics: []string{"orders"}})
	equal(t, "ids", ids(receive(t, c, 2)), []string{"c5", "e4"})
	closed(t, c)
}

// A login that is refused fails at once, and no log or error has the password.
func TestARefusedLoginFailsAtOnceAndThePasswordIsNotLogged(t *testing.T) {
	r := serve(t)
	var log logged
	url := "amqp://guest:s3cret@" + r.addr + "/"
	c := Config{URL: url}
	log.to(&c)
	_, err := Open(soon(t), c)
	if e, ok := errors.AsType[*amqp.Error](err); !ok || e.Code != amqp.AccessRefused {
		t.Errorf("got %v, want access refused", err)
	}
	_, bad := Open(soon(t), Config{URL: "amqp://guest:s3cret@a:b:c/%zz"})
	_, scheme := Open(soon(t), Config{URL: "http://guest:s3cret@host/"})
	for _, text := range []string{log.String(), err.Error(), bad.Error(), scheme.Error()} {
		if strings.Contains(text, "s3cret") {
			t.Errorf("%q has the password", text)
		}
	}
	if !strings.Contains(log.String(), "no connection") {
		t.Errorf("the log does not tell: %s", &log)
	}
}

// Where the broker cannot be reached Open tries until its context ends.
func TestOpenWaitsForABroker(t *testing.T) {
	r := serve(t)
	r.stop()
	var log logged
	c := Config{URL: r.url()}
	log.to(&c)
	opened := make(chan error, 1)
	go func() {
		tr, err := Open(soon(t), c)
		if err == nil {
			err = errors.Join(tr.Publish(soon(t), event("e1")), tr.Close(soon(t)))
		}
		opened <- err
	}()
	log.until(t, "no connection")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, Config{URL: r.url()}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that it waits", err)
	}
	r.start(r.disk)
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	disk := vfs.NewMem()
	slow := newGate(disk)
	tr := serveOn(t, disk, slow).open()
	c := subscribe(t, tr, tidings.Subscription{Group: "a"})
	publish(t, tr, command("a", "c1"))
	d := receive(t, c, 1)[0]
	open := slow.shut()
	defer open()
	waiting := make(chan error, 1)
	go func() { waiting <- tr.Publish(soon(t), command("a", "c2")) }()
	<-slow.met
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := tr.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := <-waiting; !errors.Is(err, tidings.ErrClosed) {
		t.Errorf("publish in flight: got %v, want closed", err)
	}
	if err := tr.Publish(soon(t), event("e")); !errors.Is(err, tidings.ErrClosed) {
		t.Errorf("publish: got %v, want closed", err)
	}
	if _, err := c.Receive(soon(t), 1); !errors.Is(err, tidings.ErrClosed) {
		t.Errorf("receive: got %v, want closed", err)
	}
	if err := d.Ack(t.Context()); !errors.Is(err, tidings.ErrLost) {
		t.Errorf("ack: got %v, want lost", err)
	}
	_, err := tr.Subscribe(soon(t), tidings.Subscription{Group: "a"})
	if !errors.Is(err, tidings.ErrClosed) {
		t.Errorf("subscribe: got %v, want closed", err)
	}
	closed(t, c)
}

func TestWhatIsNotSupportedIsRefused(t *testing.T) {
	tr := serve(t).open()
	for name, sub := range map[string]tidings.Subscription{
		"the past": {Group: "a", From: tidings.Earliest},
		"window":   {Group: "a", Window: 1 << 16},
	} {
		if _, err := tr.Subscribe(soon(t), sub); !errors.Is(err, tidings.ErrUnsupported) {
			t.Errorf("%s: got %v, want unsupported", name, err)
		}
	}
	for _, group := range []string{"", "amq.x", delayPrefix + "x", strings.Repeat("x", 201)} {
		if _, err := tr.Subscribe(soon(t), tidings.Subscription{Group: group}); err == nil {
			t.Errorf("group %q: got no error", group)
		}
	}
	c := subscribe(t, tr,
		tidings.Subscription{Group: "t", Temporary: true, Topics: []string{"orders"}})
	publish(t, tr, event("e1"))
	d := receive(t, c, 1)[0]
	if err := d.Nack(soon(t), time.Second); !errors.Is(err, tidings.ErrUnsupported) {
		t.Errorf("a delay in a temporary group: got %v, want unsupported", err)
	}
	ack(t, c, d)
	closed(t, c)
	reply := command("t", "r")
	reply.Kind = tidings.KindReply
	err := tr.PublishAt(soon(t), time.Now().Add(time.Hour), reply)
	if !errors.Is(err, tidings.ErrUnsupported) {
		t.Errorf("a reply later: got %v, want unsupported", err)
	}
}

func TestAQueueOfAnotherTypeIsAnErrorThatSaysSo(t *testing.T) {
	r := serve(t)
	publish(t, r.open(), command("a", "c1"))
	err := r.open(func(c *Config) { c.QueueType = Classic }).Publish(soon(t), command("a", "c2"))
	if err == nil || !strings.Contains(err.Error(), "QueueType") {
		t.Errorf("got %v, want that the queue has other arguments", err)
	}
}

// Behind Commit nothing brings a delivery back, so what is handled behind it is handled at most
// once, also when the broker is killed. What was not committed comes again, all of it.
func TestKillsBringBackWhatWasNotCommittedAndNothingElse(t *testing.T) {
	r := serve(t)
	tr := r.open()
	sub := tidings.Subscription{Group: "a", Topics: []string{"orders"}}
	if err := tr.Declare(soon(t), sub); err != nil {
		t.Fatal(err)
	}
	events, _ := numbered(500)
	publish(t, tr, events...)
	received, committed := map[string]int{}, map[string]int{}
	kills := make(chan struct{}, 1)
	var killer sync.WaitGroup
	killer.Go(func() {
		for range kills {
			r.kill()
		}
	})
	for batches := 0; len(received) < len(events); {
		c := subscribe(t, tr, tidings.Subscription{Group: "a", Window: 20})
		for ds, err := c.Receive(soon(t), 10); err == nil; ds, err = c.Receive(soon(t), 10) {
			if batches++; batches%20 == 19 {
				kills <- struct{}{} // it meets the acks, or the commit, or the next batch
			}
			if ackAll(soon(t), c, ds) == nil {
				count(committed, ds)
			}
			if count(received, ds); len(received) == len(events) {
				break
			}
		}
		_ = c.Close(soon(t)) // fails where the connection is lost
	}
	close(kills)
	killer.Wait()
	for id, n := range committed {
		if n > 1 {
			t.Errorf("%s was committed %d times", id, n)
		}
	}
	if len(committed) < len(events)/2 {
		t.Errorf("only %d of %d events were committed", len(committed), len(events))
	}
}

func count(in map[string]int, ds []*tidings.Delivery) {
	for _, d := range ds {
		in[d.ID]++
	}
}

func ackAll(ctx context.Context, c tidings.Consumer, ds []*tidings.Delivery) error {
	for _, d := range ds {
		if err := d.Ack(ctx); err != nil {
			return err
		}
	}
	return c.Commit(ctx)
}

// A Subscribe that gives up leaves no consumer behind that would take what nobody reads.
func TestASubscribeThatGivesUpLeavesNoConsumer(t *testing.T) {
	tr := serve(t).open()
	sub := tidings.Subscription{Group: "a", Topics: []string{"orders"}}
	closed(t, subscribe(t, tr, sub))
	events, names := numbered(50)
	publish(t, tr, events...)
	for i := range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*10*time.Microsecond)
		if c, err := tr.Subscribe(ctx, sub); err == nil {
			closed(t, c)
		}
		cancel()
	}
	c := subscribe(t, tr, sub)
	got := ids(receive(t, c, len(names)))
	slices.Sort(got)
	equal(t, "ids", got, names)
	closed(t, c)
}
