package broker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings/storage"
	"github.com/tidings-io/tidings/storage/vfs"
)

// copier is a relay that copies records to what an argument of the exchange names, each with
// the name of the exchange around its body.
type copier struct{ b *Broker }

const copierType = "test-copier"

func withCopier(c *Config) {
	c.Relays = map[string]func(*Broker) Relay{copierType: func(b *Broker) Relay { return copier{b} }}
}

func (r copier) Relay(x *Exchange, rec *QueueRecord) iter.Seq[Relayed] {
	to, _, _ := x.Spec().Args.Text("to")
	return func(yield func(Relayed) bool) {
		for name := range strings.FieldsSeq(to) {
			made := Relayed{Record: QueueRecord{Exchange: x.Name().Name, Key: rec.Key,
				Body: slices.Concat([]byte(x.Name().Name+"("), rec.Body, []byte(")"))}}
			if q, err := r.b.Queue("", name); err == nil {
				made.Queue = q
			} else if t, err := r.b.Topic("", name); err == nil {
				made.Topic = t
			} else if made.Exchange, err = r.b.Exchange("", name); err != nil {
				continue
			}
			if !yield(made) {
				return
			}
		}
	}
}

// relayPool is a broker with queues a, b and c.
func relayPool(t *testing.T, change ...func(*Config)) *pool {
	t.Helper()
	fs := vfs.NewMem()
	p := &pool{t: t, fs: fs, b: openOn(t, fs, append(change, withCopier)...)}
	for _, name := range []string{"c", "b", "a"} {
		p.declare(QueueSpec{Name: name, Durable: true})
	}
	return p
}

func (p *pool) copier(name, to string) *Exchange {
	p.t.Helper()
	x, _, err := p.b.DeclareExchange(ctx, ExchangeSpec{Name: name, Type: copierType, Durable: true,
		Args: Args{{"to", to}}})
	if err != nil {
		p.t.Fatal(err)
	}
	return x
}

// send publishes to an exchange and returns what became of the last record.
func (p *pool) send(x *Exchange, bodies ...string) Routed {
	p.t.Helper()
	tx := p.b.Begin()
	for _, body := range bodies {
		tx.Publish(x, QueueRecord{Key: "key", Body: []byte(body)})
	}
	mustCommit(p.t, tx)
	return tx.Routed(len(bodies) - 1)
}

// wantIn compares what waits in a queue.
func (p *pool) wantIn(queue, bodies string) {
	p.t.Helper()
	q, err := p.b.Queue("", queue)
	if err != nil {
		p.t.Fatal(err)
	}
	if got := browsed(p.t, q); got != bodies {
		p.t.Errorf("%s has %q, want %q", queue, got, bodies)
	}
}

func TestARelayPublishesInThePlaceOfARecord(t *testing.T) {
	p := relayPool(t)
	topic := mustTopic(t, p.b, TopicSpec{Name: "t"})
	p.exchange(ExchangeSpec{Name: "fan", Type: "fanout"})
	p.bind("fan", "", KindQueue, "b")
	p.bind("fan", "", KindQueue, "c")
	x := p.copier("x", "a t fan missing")
	if r := p.send(x, "1", "2"); r.Queues != 4 || r.Refused || r.Delayed {
		t.Errorf("routed %+v, want 3 queues and a topic", r)
	}
	for _, q := range []string{"a", "b", "c"} {
		p.wantIn(q, "x(1) x(2)")
	}
	if got := values(t, topic.Partition(0), 0); !slices.Equal(got, []string{"x(1)", "x(2)"}) {
		t.Errorf("the topic has %q", got)
	}
	if r := p.send(p.copier("none", ""), "1"); r.Queues != 0 {
		t.Errorf("routed %+v, want nowhere", r)
	}
}

func TestRecordsKeepTheirOrderThroughARelay(t *testing.T) {
	p := relayPool(t)
	x := p.copier("x", "a")
	direct, err := p.b.Exchange("", "")
	if err != nil {
		t.Fatal(err)
	}
	tx := p.b.Begin()
	tx.Publish(direct, QueueRecord{Key: "a", Body: []byte("1")})
	tx.Publish(x, QueueRecord{Body: []byte("2")})
	tx.Publish(direct, QueueRecord{Key: "a", Body: []byte("3")})
	mustCommit(t, tx)
	p.wantIn("a", "1 x(2) 3")
}

func TestExchangesLeadToARelayAndSchedulesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := relayPool(t)
		x := p.copier("x", "a")
		p.exchange(ExchangeSpec{Name: "in", Type: "topic"})
		p.bind("in", "#", KindExchange, "x")
		p.bind("in", "key", KindQueue, "b")
		in, err := p.b.Exchange("", "in")
		if err != nil {
			t.Fatal(err)
		}
		p.send(in, "1")
		tx := p.b.Begin()
		tx.PublishAt(x, QueueRecord{Body: []byte("2")}, time.Now().Add(time.Second))
		mustCommit(t, tx)
		p.wantIn("a", "x(1)")
		p.wantIn("b", "1")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		p.wantIn("a", "x(1) x(2)")
		if err := p.b.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestARecordPassesARelayOnce(t *testing.T) {
	p := relayPool(t)
	x := p.copier("x", "y a")
	p.copier("y", "x z b")
	p.copier("z", "z c x")
	p.send(x, "1")
	p.wantIn("a", "x(1)")
	p.wantIn("b", "y(x(1))")
	p.wantIn("c", "z(y(x(1)))")
}

func TestADeadLetterGoesRoundNoFurtherThroughARelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := relayPool(t)
		ttl := time.Second
		p.declare(QueueSpec{Name: "short", Durable: true, Settings: QueueSettings{TTL: &ttl,
			DeadLetters: true, DeadLetterTo: "x"}})
		p.copier("x", "short a")
		p.publish("1")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		p.wantIn("a", "x(1)")
		p.wantIn("short", "")
		if err := p.b.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestNoBindingLeadsFromARelay(t *testing.T) {
	p := relayPool(t)
	p.copier("x", "a")
	err := p.b.Bind(ctx, Binding{Source: "x", Destination: Name{Kind: KindQueue, Name: "b"}})
	wantKind(t, "bind", err, Unsupported)
	x, _, err := p.b.DeclareExchange(ctx, ExchangeSpec{Name: "y", Type: delayedType, Args: Args{{delayedRouting, copierType}}})
	if err == nil {
		t.Errorf("a delayed exchange of a relay's type is %v", x.Spec())
	}
	if !p.b.Relays(copierType) || p.b.Relays("fanout") {
		t.Error("the broker does not know its relays")
	}
}

func TestAStoreWithARelayNeedsIt(t *testing.T) {
	p := relayPool(t)
	p.copier("x", "a")
	if err := p.b.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open("", Config{FS: p.fs})
	wantKind(t, "open without", err, Unsupported)
	p.b = openOn(t, p.fs, withCopier)
	x, err := p.b.Exchange("", "x")
	if err != nil {
		t.Fatal(err)
	}
	p.send(x, "1")
	p.wantIn("a", "x(1)")
}

func TestAnExchangeIsToldOtherArguments(t *testing.T) {
	p := relayPool(t)
	x := p.copier("x", "a")
	if err := p.b.ChangeExchange(ctx, x, Args{{"to", "b"}}); err != nil {
		t.Fatal(err)
	}
	p.send(x, "1")
	p.b = openOn(t, p.fs.Kill(), withCopier)
	x, err := p.b.Exchange("", "x")
	if err != nil {
		t.Fatal(err)
	}
	p.send(x, "2")
	p.wantIn("a", "")
	p.wantIn("b", "x(1) x(2)")
	if err := p.b.DeleteExchange(ctx, x, false); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "change", p.b.ChangeExchange(ctx, x, nil), NotFound)
	wantKind(t, "wrong", p.b.ChangeExchange(ctx, x, Args{{"to", 1}}), Invalid)
}

func TestTheObserverHearsOfARelayAsOfOnePublish(t *testing.T) {
	e := &queueEar{wants: true}
	p := relayPool(t, func(c *Config) { c.Observer = e })
	x := p.copier("x", "a b")
	p.send(x, "1", "2")
	p.send(p.copier("none", ""), "1")
	if err := p.b.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{"declared c", "declared b", "declared a", "2+2 published to x -> [a b]",
		"1+1 published to none -> []"}
	if got := e.all(); !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

func TestWhatARelayMakesOfARecordFitsIntoOneCommit(t *testing.T) {
	p := relayPool(t)
	x := p.copier("x", strings.Repeat("a ", 300))
	tx := p.b.Begin()
	tx.Publish(x, QueueRecord{Body: make([]byte, 1<<20)})
	_, err := tx.Commit(ctx)
	wantKind(t, "commit", err, TooLarge)
	p.wantIn("a", "")
}

// TestAPublishThroughARelayIsInAllQueuesOrNone cuts the power at a random moment while
// records go through a relay, each with a fact and with the settle of the one before.
func TestAPublishThroughARelayIsInAllQueuesOrNone(t *testing.T) {
	for seed := range uint64(60) {
		d := rand.New(rand.NewPCG(seed, 1))
		p := relayPool(t, func(c *Config) { c.Storage = storage.Config{} })
		x := p.copier("x", "a b c")
		p.fs.CutAfter(1 + d.IntN(40))
		confirmed := 0
		for i := range 30 {
			tx := p.b.Begin()
			body := string(rune('A' + i))
			tx.Publish(x, QueueRecord{Body: []byte(body)})
			tx.PutFact("test", body, []byte(body))
			c, err := tx.Commit(ctx)
			if err != nil || c.Wait(ctx) != nil {
				break
			}
			confirmed++
		}
		p.b.Close()
		p.b = openOn(t, p.fs.Crash(d), withCopier)
		n := 0
		for key := range p.b.Facts("test").All("") {
			if key != string(rune('A'+n)) {
				t.Fatalf("seed %d: fact %s, want %c", seed, key, 'A'+n)
			}
			n++
		}
		if n < confirmed {
			t.Errorf("seed %d: %d facts of %d confirmed", seed, n, confirmed)
		}
		var want []string
		for i := range n {
			want = append(want, "x("+string(rune('A'+i))+")")
		}
		for _, q := range []string{"a", "b", "c"} {
			p.wantIn(q, strings.Join(want, " "))
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		p.b.Close()
	}
}

// TestRelaysThatLeadToEachOtherAreAskedSoOften: among n of them there are n! ways to pass each
// once, which is for ever where n is 20.
func TestRelaysThatLeadToEachOtherAreAskedSoOften(t *testing.T) {
	p := relayPool(t)
	var all []string
	for i := range 8 {
		all = append(all, fmt.Sprint("x", i))
	}
	var first *Exchange
	for _, name := range all {
		first = p.copier(name, strings.Join(all, " "))
	}
	tx := p.b.Begin()
	tx.Publish(first, QueueRecord{Body: []byte("1")})
	_, err := tx.Commit(ctx)
	wantKind(t, "a record that goes round", err, TooLarge)
	for i := range 40 {
		p.copier(fmt.Sprint("y", i), "a")
		all = append(all, fmt.Sprint("y", i))
	}
	if r := p.send(p.copier("wide", strings.Join(all[8:], " ")), "2"); r.Queues != 40 {
		t.Errorf("routed %+v, want 40 ways to a queue", r)
	}
}

func TestPublishRelayedLeadsWhereARelayWouldHave(t *testing.T) {
	p := relayPool(t)
	topic := mustTopic(t, p.b, TopicSpec{Name: "t"})
	p.exchange(ExchangeSpec{Name: "fan", Type: "fanout"})
	p.bind("fan", "", KindQueue, "b")
	fan, err := p.b.Exchange("", "fan")
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.b.Queue("", "a")
	if err != nil {
		t.Fatal(err)
	}
	all := func(body string) *Tx {
		tx := p.b.Begin()
		for _, made := range []Relayed{{Queue: a}, {Topic: topic}, {Exchange: fan}} {
			made.Record = QueueRecord{Key: "k", Body: []byte(body)}
			tx.PublishRelayed(made)
		}
		return tx
	}
	mustCommit(t, all("1"))
	p.wantIn("a", "1")
	p.wantIn("b", "1")
	if got := values(t, topic.Partition(0), 0); !slices.Equal(got, []string{"1"}) {
		t.Errorf("the topic has %q", got)
	}
	if _, err := p.b.DeleteQueue(ctx, a, DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = all("2").Commit(ctx)
	wantKind(t, "into a queue that is gone", err, NotFound)
	p.wantIn("b", "1")
	if got := values(t, topic.Partition(0), 0); len(got) != 1 {
		t.Errorf("the topic has %q", got)
	}
}

// slow is a relay that waits before it says that nothing is to be published.
type slow struct{ wait chan struct{} }

func (r slow) Relay(*Exchange, *QueueRecord) iter.Seq[Relayed] {
	return func(func(Relayed) bool) { <-r.wait }
}

func TestAwaitRelaysWaitsForEachTxThatHasAskedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := make(chan struct{})
		p := &pool{t: t, fs: vfs.NewMem()}
		p.b = openOn(t, p.fs, func(c *Config) {
			c.Relays = map[string]func(*Broker) Relay{"slow": func(*Broker) Relay { return slow{wait} }}
		})
		x, _, err := p.b.DeclareExchange(ctx, ExchangeSpec{Name: "x", Type: "slow", Durable: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.b.AwaitRelays(ctx); err != nil {
			t.Error(err)
		}
		var ended atomic.Int32
		await := func() {
			if err := p.b.AwaitRelays(ctx); err != nil {
				t.Error(err)
			}
			ended.Add(1)
		}
		go p.send(x, "1")
		synctest.Wait()
		go await()
		synctest.Wait()
		go p.send(x, "2")
		synctest.Wait()
		go await()
		synctest.Wait()
		if n := ended.Load(); n != 0 {
			t.Errorf("%d have not waited", n)
		}
		cut, stop := context.WithCancel(ctx)
		stop()
		if err := p.b.AwaitRelays(cut); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		close(wait)
		synctest.Wait()
		if n := ended.Load(); n != 2 {
			t.Errorf("%d of 2 have ended", n)
		}
		if err := p.b.Close(); err != nil {
			t.Error(err)
		}
	})
}
