package broker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// queueEar hears what happens in queues, as text, and wants it or not.
type queueEar struct {
	ear
	wants bool
}

func (e *queueEar) WantsQueues() bool { return e.wants }

func (e *queueEar) Observe(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, describeQueueEvent(ev))
}

func describeQueueEvent(ev Event) string {
	names := func(e *QueuePublished) (all []string) {
		for _, q := range e.Queues {
			all = append(all, q.String())
		}
		for _, t := range e.Topics {
			all = append(all, "topic "+t.Name().Name)
		}
		if e.Delayed {
			all = append(all, "later")
		}
		return all
	}
	switch ev := ev.(type) {
	case *QueuePublished:
		return fmt.Sprintf("%d+%d published to %s -> %v%s", ev.Count, ev.Bytes, ev.Exchange.Name().Name,
			names(ev), map[bool]string{true: " refused"}[ev.Refused])
	case *DeadLettered:
		return fmt.Sprintf("%d dead %s of %s -> %s -> %v", ev.Count, ev.Reason, ev.From,
			ev.Exchange.Name().Name, names(&ev.QueuePublished))
	case *QueueDelivered:
		return fmt.Sprintf("%d+%d delivered by %s, %d again", ev.Count, ev.Bytes, ev.Queue, ev.Redelivered)
	case *QueueSettled:
		return fmt.Sprintf("%s settled %d/%d/%d/%d/%d", ev.Queue, ev.Accepted, ev.Requeued, ev.Rejected,
			ev.Expired, ev.Dropped)
	case *QueuePurged:
		return fmt.Sprintf("%d purged of %s", ev.Records, ev.Queue)
	case *QueueDeclared:
		return "declared " + ev.Queue.String()
	case *QueueDeleted:
		return fmt.Sprintf("deleted %s with %d", ev.Queue, ev.Records)
	}
	return describeEvent(ev)
}

// heardPool is a queue "jobs" whose dead letters go to "dead", by a fanout "ends".
func heardPool(t *testing.T, e Observer, change ...func(*QueueSpec)) *pool {
	t.Helper()
	b := openOn(t, vfs.NewMem(), func(c *Config) { c.Observer = e })
	p := &pool{t: t, b: b}
	if _, _, err := b.DeclareExchange(ctx, ExchangeSpec{Name: "ends", Type: "fanout"}); err != nil {
		t.Fatal(err)
	}
	p.declare(QueueSpec{Name: "dead"})
	if err := b.Bind(ctx, Binding{Source: "ends", Destination: Name{Kind: KindQueue, Name: "dead"}}); err != nil {
		t.Fatal(err)
	}
	spec := QueueSpec{Name: "jobs", Durable: true, Settings: QueueSettings{DeadLetters: true, DeadLetterTo: "ends"}}
	for _, f := range change {
		f(&spec)
	}
	p.declare(spec)
	return p
}

func wantHeard(t *testing.T, p *pool, e *queueEar, want ...string) {
	t.Helper()
	if err := p.b.Close(); err != nil { // tells the rest
		t.Fatal(err)
	}
	if got := e.all(); !slices.Equal(got, want) {
		t.Errorf("heard\n%q, want\n%q", got, want)
	}
}

func TestObserverHearsWhatRecordsDoInQueues(t *testing.T) {
	e := &queueEar{wants: true}
	p := heardPool(t, e)
	p.publish("a", "bb", "c")
	c := p.subscribe(SubscribeOptions{})
	ds := c.take(3)
	c.settle(Requeue, ds[1])
	again := c.take(1)
	c.settle(Accept, ds[0])
	c.settle(Reject, ds[2], again[0])
	p.publish("d")
	c.take(1)
	p.q.b.Begin() // an empty one tells nothing
	p.publish("e")
	c.s.Close()
	if _, err := p.q.Purge(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := p.b.DeleteQueue(ctx, p.q, DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	wantHeard(t, p, e, "declared dead", "declared jobs",
		"3+4 published to  -> [jobs]", "3+4 delivered by jobs, 0 again",
		"jobs settled 0/1/0/0/0", "1+2 delivered by jobs, 1 again", "jobs settled 1/0/0/0/0",
		"2 dead rejected of jobs -> ends -> [dead]", "jobs settled 0/0/2/0/0",
		"1+1 published to  -> [jobs]", "1+1 delivered by jobs, 0 again",
		"1+1 published to  -> [jobs]", "1 purged of jobs", "deleted jobs with 0")
}

// TestObserverHearsOfTopicsAndDelays: a record that only a topic takes, or that comes later,
// did not go nowhere. What a topic got is told of by itself.
func TestObserverHearsOfTopicsAndDelays(t *testing.T) {
	e := &queueEar{wants: true}
	p := heardPool(t, e)
	mustTopic(t, p.b, TopicSpec{Name: "t"})
	x := mustFanout(t, p.b, "x", topicNamed("t"))
	tx := p.b.Begin()
	tx.Publish(x, body("a"))
	tx.Publish(x, body("b"))
	tx.PublishAt(x, body("c"), time.Now().Add(time.Hour))
	mustCommit(t, tx)
	if err := p.b.DeleteTopic(ctx, "", "t"); err != nil {
		t.Fatal(err)
	}
	published(t, p.b, x, body("d"))
	wantHeard(t, p, e, "declared dead", "declared jobs", "created t", "published t/0@0+2 nothing",
		"2+2 published to x -> [topic t]", "1+1 published to x -> [later]", "deleted t",
		"1+1 published to x -> []")
}

// TestObserverHearsOfADuplicateThatATopicTakes: it is one for a queue alone.
func TestObserverHearsOfADuplicateThatATopicTakes(t *testing.T) {
	e := &queueEar{wants: true}
	p := heardPool(t, e, func(s *QueueSpec) { s.Settings.Once = time.Minute })
	mustTopic(t, p.b, TopicSpec{Name: "t"})
	x := mustFanout(t, p.b, "x", topicNamed("t"), p.q.Name())
	direct, err := p.b.Exchange("", "")
	if err != nil {
		t.Fatal(err)
	}
	once := QueueRecord{Key: "jobs", Body: []byte("a"), Once: &Once{}}
	published(t, p.b, x, once)
	published(t, p.b, direct, once)
	published(t, p.b, x, once)
	wantHeard(t, p, e, "declared dead", "declared jobs", "created t",
		"published t/0@0+1 nothing", "1+1 published to x -> [jobs topic t]",
		"published t/0@1+1 nothing", "1+1 published to x -> [topic t]")
}

// TestObserverHearsOfWhatIsPutBack: who counts what is in hands comes to the same number.
func TestObserverHearsOfWhatIsPutBack(t *testing.T) {
	e := &queueEar{wants: true}
	p := heardPool(t, e)
	p.publish("a")
	d, _, err := p.q.Get(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.q.PutBack(d.ID)
	wantHeard(t, p, e, "declared dead", "declared jobs", "1+1 published to  -> [jobs]",
		"1+1 delivered by jobs, 0 again", "jobs settled 0/1/0/0/0")
}

func TestObserverHearsOfExpiredAndDroppedAndRefused(t *testing.T) {
	e := &queueEar{wants: true}
	ttl, one := time.Duration(0), int64(1)
	p := heardPool(t, e, func(s *QueueSpec) { s.Settings.TTL = &ttl })
	p.publish("x") // expires at once, having found nobody
	dead, _ := p.b.Queue("", "dead")
	awaitReady(t, dead, 1)
	p.declare(QueueSpec{Name: "last", Durable: true, Settings: QueueSettings{MaxLength: &one,
		Overflow: RejectDeadLetter, DeadLetters: true, DeadLetterTo: "ends"}})
	p.publish("y", "z")
	wantHeard(t, p, e, "declared dead", "declared jobs", "1+1 published to  -> [jobs]",
		"1 dead expired of jobs -> ends -> [dead]", "jobs settled 0/0/0/1/0", "declared last",
		"1+1 published to  -> [last]", "1+1 published to  -> [] refused",
		"1 dead maxlen of last -> ends -> [dead]")
}

// awaitReady takes, which waits, until the queue has so many records; they stay leased.
func awaitReady(t *testing.T, q *Queue, n int) {
	t.Helper()
	wake := make(chan struct{}, 1)
	s, err := q.Subscribe(SubscribeOptions{Wake: wake})
	if err != nil {
		t.Fatal(err)
	}
	for got := 0; got < n; {
		<-wake
		q.mu.Lock()
		got = s.assigned.len()
		q.mu.Unlock()
	}
	s.Close()
}

func TestObserverThatWantsNoQueuesHearsOnlyWhichThereAre(t *testing.T) {
	e := &queueEar{}
	p := heardPool(t, e)
	p.publish("a")
	c := p.subscribe(SubscribeOptions{})
	c.settle(Reject, c.take(1)...)
	if _, err := p.b.DeleteQueue(ctx, p.q, DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	wantHeard(t, p, e, "declared dead", "declared jobs", "deleted jobs with 0")
}

// TestDeliveriesAreLeftOutWhileTheObserverIsBehind: a consumer goes on, memory stays
// bounded, and the observer is told how much it has not heard.
func TestDeliveriesAreLeftOutWhileTheObserverIsBehind(t *testing.T) {
	f := &feed{filling: new(feedSet), wake: make(chan struct{}, 1)}
	for range feedEvents + 3 {
		f.pushDelivered(&QueueDelivered{Count: 1})
	}
	if got := len(f.filling.events); got != feedEvents {
		t.Errorf("%d events wait, want at most %d", got, feedEvents)
	}
	f.swap(new(feedSet))
	f.pushDelivered(&QueueDelivered{Count: 1})
	if got := f.filling.events[0].event.(*QueueDelivered).Missed; got != 3 {
		t.Errorf("missed %d, want 3", got)
	}
}

// TestQueueEventsCostNothingWithoutAListener counts allocations: with no observer, and
// with one that does not listen, they are the same but for what other goroutines allocate now and
// then, which is less than an event.
func TestQueueEventsCostNothingWithoutAListener(t *testing.T) {
	allocs := func(o Observer) float64 {
		b := openOn(t, vfs.NewMem(), func(c *Config) { c.Observer = o })
		p := &pool{t: t, b: b}
		p.declare(QueueSpec{})
		x, _ := b.Exchange("", "")
		return testing.AllocsPerRun(200, func() {
			tx := b.Begin()
			tx.Publish(x, QueueRecord{Key: "jobs", Body: []byte("x")})
			if _, err := tx.Commit(ctx); err != nil {
				t.Fatal(err)
			}
			d, _, err := p.q.Get(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			tx = b.Begin()
			tx.Settle(p.q, nil, d.ID, Accept)
			if _, err := tx.Commit(ctx); err != nil {
				t.Fatal(err)
			}
		})
	}
	const others = 1
	none, deaf, all := allocs(nil), allocs(&queueEar{}), allocs(&queueEar{wants: true})
	if deaf > none+others {
		t.Errorf("%v allocations for a listener that does not want it, %v without one", deaf, none)
	}
	if all < none+3*others {
		t.Errorf("%v allocations for a listener, want more than %v: it heard nothing", all, none)
	}
}

// BenchmarkQueueNews is what one record costs beside the rest: nothing, where nobody listens.
func BenchmarkQueueNews(b *testing.B) {
	for name, o := range map[string]Observer{
		"none": nil, "deaf": &queueEar{}, "all": observerFunc(func(Event) {}),
	} {
		b.Run(name, func(b *testing.B) {
			br, err := Open("", Config{FS: vfs.NewMem(), Observer: o})
			if err != nil {
				b.Fatal(err)
			}
			defer br.Close()
			q := benchQueue(b, br, false)
			b.ReportAllocs()
			b.ResetTimer()
			done := make(chan struct{})
			go func() { defer close(done); publishWindow(b, br, b.N) }()
			consumeAll(b, q, b.N)
			<-done
		})
	}
}
