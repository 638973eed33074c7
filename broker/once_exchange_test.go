package broker

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings/storage"
	"github.com/tidings-io/tidings/storage/vfs"
)

// newOnceExchange makes a fanout exchange that remembers, with a queue and a topic behind it.
func newOnceExchange(t *testing.T, n *notary) (*Exchange, *Topic) {
	t.Helper()
	x, _, err := n.b.DeclareExchange(ctx, ExchangeSpec{Name: "news", Type: "fanout", Durable: true,
		Once: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	topic := mustTopic(t, n.b, TopicSpec{Name: "t"})
	if n.q, _, err = n.b.DeclareQueue(ctx, QueueSpec{Name: "once", Durable: true}); err != nil {
		t.Fatal(err)
	}
	for _, to := range []Name{n.q.Name(), topicNamed("t")} {
		if err := n.b.Bind(ctx, Binding{Source: "news", Destination: to}); err != nil {
			t.Fatal(err)
		}
	}
	return x, topic
}

func publishTo(t *testing.T, b *Broker, x *Exchange, all ...QueueRecord) (routed []Routed) {
	t.Helper()
	tx := b.Begin()
	for _, r := range all {
		tx.Publish(x, r)
	}
	mustCommit(t, tx)
	for i := range all {
		routed = append(routed, tx.Routed(i))
	}
	return routed
}

// TestADuplicateForAnExchangeReachesNobody: neither queues nor topics, also after a restart.
func TestADuplicateForAnExchangeReachesNobody(t *testing.T) {
	n := &notary{t: t, fs: vfs.NewMem(), clock: clockAt(1000)}
	n.open()
	x, _ := newOnceExchange(t, n)
	duplicate := func(what string, r Routed, number Offset, body string) {
		t.Helper()
		if r.Queues != 0 || r.Original == nil || r.Offset != number ||
			*r.Original != (Original{number, timeOf(1_000_000), key(body)}) {
			t.Errorf("%s: got %+v of %+v", what, r, r.Original)
		}
	}
	all := publishTo(t, n.b, x, onceRecord("a", "1"), onceRecord("a", "2"), onceRecord("b", "3"),
		QueueRecord{Body: []byte("4")})
	if all[0].Queues != 2 || all[0].Offset != 0 || all[2].Offset != 1 || all[3].Queues != 2 {
		t.Errorf("routed %+v", all)
	}
	duplicate("in the same Tx", all[1], 0, "1")
	n.restart(n.fs.Kill())
	x, err := n.b.Exchange("", "news")
	if err != nil || x.Spec().Once != 5*time.Minute {
		t.Fatal(x, err)
	}
	topic, err := n.b.Topic("", "t")
	if err != nil {
		t.Fatal(err)
	}
	n.clock.advance(time.Minute)
	duplicate("after a restart", publishTo(t, n.b, x, onceRecord("b", "5"))[0], 1, "3")
	n.wantReady("once", 3)
	if got := values(t, topic.Partition(0), 0); fmt.Sprint(got) != "[1 3 4]" {
		t.Errorf("the topic has %v", got)
	}
	n.clock.advance(4 * time.Minute)
	if err := n.b.retain(ctx); err != nil {
		t.Fatal(err)
	}
	if r := publishTo(t, n.b, x, onceRecord("b", "6"))[0]; r.Queues != 2 || r.Offset != 2 {
		t.Errorf("at the end of the time: %+v", r)
	}
	if err := n.b.DeleteExchange(ctx, x, false); err != nil {
		t.Fatal(err)
	}
	if !x.ledger.log.Dropped() {
		t.Error("a deleted exchange has its ledger")
	}
	all = publishTo(t, n.b, x, onceRecord("c", "7"), onceRecord("c", "8"))
	if all[0].Queues+all[1].Queues != 0 {
		t.Errorf("a deleted exchange leads to %+v", all)
	}
}

// TestOnlyOneOfManyPublishersReachesAnyone where all publish the same at the same time.
func TestOnlyOneOfManyPublishersReachesAnyone(t *testing.T) {
	n := &notary{t: t, fs: vfs.NewMem(), clock: clockAt(1000)}
	n.open()
	x, topic := newOnceExchange(t, n)
	const rounds, publishers = 50, 4
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for i := range rounds {
				tx := n.b.Begin()
				tx.Publish(x, onceRecord(fmt.Sprint("k", i), fmt.Sprint(p)))
				tx.Publish(x, onceRecord(fmt.Sprint(p, "own", i), fmt.Sprint(p)))
				if _, err := tx.Commit(ctx); err != nil {
					t.Error(err)
				}
				if r := tx.Routed(0); (r.Original == nil) != (r.Queues == 2) {
					t.Errorf("routed %+v", r)
				}
			}
		})
	}
	all.Wait()
	n.b.drain()
	n.wantReady("once each", rounds*(publishers+1))
	if got := len(values(t, topic.Partition(0), 0)); got != rounds*(publishers+1) {
		t.Errorf("the topic has %d", got)
	}
}

// TestAnExchangeThatRemembersIsDurable.
func TestAnExchangeThatRemembersIsDurable(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	_, _, err := b.DeclareExchange(ctx, ExchangeSpec{Name: "x", Type: "fanout", Once: time.Minute})
	wantKind(t, "in memory", err, Invalid)
	negative := ExchangeSpec{Name: "x", Type: "fanout", Durable: true, Once: -1}
	_, _, err = b.DeclareExchange(ctx, negative)
	wantKind(t, "negative", err, Invalid)
}

// TestWhatBecomesADuplicateIsRoutedAgain, to nowhere; what is beside it goes where it did.
func TestWhatBecomesADuplicateIsRoutedAgain(t *testing.T) {
	n := &notary{t: t, fs: vfs.NewMem(), clock: clockAt(1000)}
	n.open()
	x, topic := newOnceExchange(t, n)
	tx := n.b.Begin()
	tx.Publish(x, onceRecord("a", "late"))
	tx.Publish(x, onceRecord("b", "beside"))
	if err := tx.prepare(); err != nil {
		t.Fatal(err)
	}
	publishTo(t, n.b, x, onceRecord("a", "first"))
	confirm, err := tx.run()
	if err == nil {
		err = confirm.Wait(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r := tx.Routed(0); r.Queues != 0 || r.Original == nil || r.Original.Note != key("first") {
		t.Errorf("the late one is %+v", r)
	}
	if r := tx.Routed(1); r.Queues != 2 || r.Original != nil {
		t.Errorf("the one beside it is %+v", r)
	}
	n.wantReady("two", 2)
	if got := values(t, topic.Partition(0), 0); fmt.Sprint(got) != "[first beside]" {
		t.Errorf("the topic has %v", got)
	}
}

// TestARelayIsAskedOnce, also where a record becomes a duplicate after it was asked.
func TestARelayIsAskedOnce(t *testing.T) {
	p := relayPool(t)
	x, _, err := p.b.DeclareExchange(ctx, ExchangeSpec{Name: "news", Type: copierType, Durable: true,
		Once: time.Minute, Args: Args{{"to", "a b"}}})
	if err != nil {
		t.Fatal(err)
	}
	tx := p.b.Begin()
	tx.Publish(x, onceRecord("k", "late"))
	tx.Publish(x, onceRecord("l", "beside"))
	if err := tx.prepare(); err != nil {
		t.Fatal(err)
	}
	all := publishTo(t, p.b, x, onceRecord("k", "first"), onceRecord("k", "again"))
	if all[0].Queues != 2 || all[0].Offset != 0 || all[1].Queues != 0 || all[1].Original == nil {
		t.Errorf("routed %+v", all)
	}
	confirm, err := tx.run()
	if err == nil {
		err = confirm.Wait(ctx)
	}
	if err != nil || tx.Routed(0).Original == nil || tx.Routed(1).Queues != 2 || tx.Routed(1).Offset != 1 {
		t.Errorf("routed %+v, %+v, %v", tx.Routed(0), tx.Routed(1), err)
	}
	p.wantIn("a", "news(first) news(beside)")
	p.wantIn("b", "news(first) news(beside)")
}

// TestWhatIsHeldBackIsRoutedAgainToo: an exchange holds it back, and a topic has it at once.
func TestWhatIsHeldBackIsRoutedAgainToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &planner{t: t, fs: vfs.NewMem(), durable: true}
		p.open()
		x, _, err := p.b.DeclareExchange(ctx, ExchangeSpec{Name: "news", Type: "fanout", Durable: true, Once: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		topic := mustTopic(t, p.b, TopicSpec{Name: "t"})
		p.bind(x, p.x)
		p.bind(x, topic)
		once := func(k string) QueueRecord {
			rec := delayed(k, 1000)
			rec.Once = &Once{Key: key(k)}
			return rec
		}
		tx := p.b.Begin()
		tx.Publish(x, once("a"))
		tx.Publish(x, once("b"))
		tx.PublishAt(x, delayed("c", 0), time.Now().Add(time.Second))
		if err := tx.prepare(); err != nil {
			t.Fatal(err)
		}
		publishTo(t, p.b, x, once("a"))
		confirm, err := tx.run()
		if err == nil {
			err = confirm.Wait(ctx)
		}
		if r := tx.Routed(1); err != nil || r.Queues != 1 || !r.Delayed {
			t.Errorf("routed %+v, %v, want the topic now and the queue later", r, err)
		}
		if got := values(t, topic.Partition(0), 0); fmt.Sprint(got) != "[a b]" {
			t.Errorf("the topic has %v", got)
		}
		p.pass(time.Second)
		if got := browsed(t, p.q); got != "a b c" {
			t.Errorf("the queue has %q", got)
		}
		if got := values(t, topic.Partition(0), 0); fmt.Sprint(got) != "[a b c]" {
			t.Errorf("the topic has %v", got)
		}
		if err := p.b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestWhatIsRoutedAgainMayBeTooLarge, where more queues have come: then nothing has changed.
func TestWhatIsRoutedAgainMayBeTooLarge(t *testing.T) {
	n := &notary{t: t, fs: vfs.NewMem(), clock: clockAt(1000)}
	n.open()
	x, _, err := n.b.DeclareExchange(ctx, ExchangeSpec{Name: "news", Type: "fanout", Durable: true, Once: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	bind := func(name string) {
		if err := n.b.Bind(ctx, Binding{Source: "news", Destination: mustQueue(t, n.b, name).Name()}); err != nil {
			t.Fatal(err)
		}
	}
	bind("once")
	tx := n.b.Begin()
	tx.Publish(x, onceRecord("a", "late"))
	tx.Publish(x, QueueRecord{Body: make([]byte, storage.MaxBatchBytes/5)})
	if err := tx.prepare(); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		bind(fmt.Sprint("q", i))
	}
	publishTo(t, n.b, x, onceRecord("a", "first"))
	_, err = tx.run()
	wantKind(t, "what is too large", err, TooLarge)
	publishTo(t, n.b, x, onceRecord("b", "next"))
	n.q, _ = n.b.Queue("", "once")
	n.wantReady("two are there", 2)
}
