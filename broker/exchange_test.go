package broker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

// reach returns the queues that a record gets to, by name.
func (p *pool) reach(exchange string, rec QueueRecord) string {
	p.t.Helper()
	x, err := p.b.Exchange("", exchange)
	if err != nil {
		p.t.Fatal(err)
	}
	p.b.cat.mu.RLock()
	defer p.b.cat.mu.RUnlock()
	var names []string
	for _, q := range p.b.newRouting().queuesLocked(nil, x, &rec) {
		names = append(names, q.name.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func (p *pool) exchange(spec ExchangeSpec) {
	p.t.Helper()
	if _, _, err := p.b.DeclareExchange(context.Background(), spec); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pool) bind(source, key string, kind Kind, to string) {
	p.t.Helper()
	bd := Binding{Source: source, Key: key, Destination: Name{Kind: kind, Name: to}}
	if err := p.b.Bind(context.Background(), bd); err != nil {
		p.t.Fatal(err)
	}
}

// maze is exchanges that lead to each other, also in a circle.
func maze(t *testing.T) *pool {
	p := newPool(t, QueueSpec{Durable: true, Name: "a"})
	p.declare(QueueSpec{Durable: true, Name: "b"})
	p.declare(QueueSpec{Durable: true, Name: "lost"})
	p.exchange(ExchangeSpec{Name: "in", Type: "topic", Durable: true, Alternate: "unrouted"})
	p.exchange(ExchangeSpec{Name: "round", Type: "fanout", Durable: true})
	p.exchange(ExchangeSpec{Name: "unrouted", Type: "fanout", Durable: true})
	p.bind("in", "order.*", KindQueue, "a")
	p.bind("in", "#.paid", KindQueue, "a")
	p.bind("in", "order.#", KindExchange, "round")
	p.bind("round", "", KindQueue, "b")
	p.bind("round", "", KindExchange, "in")
	p.bind("unrouted", "", KindQueue, "lost")
	return p
}

func TestRecordsReachEachQueueOnceHoweverManyWaysThereAre(t *testing.T) {
	p := maze(t)
	for range 2 {
		for _, c := range []struct{ exchange, key, want string }{
			{"in", "order.paid", "a b"},
			{"in", "order.paid.twice", "b"},
			{"in", "invoice.paid", "a"},
			{"in", "nothing", "lost"},
			{"", "b", "b"},
			{"", "nobody", ""},
		} {
			if got := p.reach(c.exchange, QueueRecord{Key: c.key}); got != c.want {
				t.Errorf("%q to %q: reached %q, want %q", c.key, c.exchange, got, c.want)
			}
		}
		if got := p.reach("", QueueRecord{Key: "a", CC: []string{"b"}, BCC: []string{"lost", "a"}}); got != "a b lost" {
			t.Errorf("with further keys: %q", got)
		}
		p.restart() // bindings that are durable at both ends are there again
	}
}

func TestBindingsEndWithWhatTheyBind(t *testing.T) {
	p, ctx := maze(t), context.Background()
	q, _ := p.b.Queue("", "b")
	if _, err := p.b.DeleteQueue(ctx, q, DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	x, _ := p.b.Exchange("", "unrouted")
	if err := p.b.DeleteExchange(ctx, x, true); !errors.Is(err, ErrInUse) {
		t.Errorf("deleted though it is used: %v", err)
	}
	if err := p.b.DeleteExchange(ctx, x, false); err != nil {
		t.Fatal(err)
	}
	bd := Binding{Source: "in", Key: "order.*", Destination: Name{Kind: KindQueue, Name: "a"}}
	for range 2 { // the second finds nothing to do
		if err := p.b.Unbind(ctx, bd); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		for key, want := range map[string]string{"order.x": "", "order.paid": "a", "nothing": ""} {
			if got := p.reach("in", QueueRecord{Key: key}); got != want {
				t.Errorf("%q: reached %q, want %q", key, got, want)
			}
		}
		p.declare(QueueSpec{Durable: true, Name: "b"}) // a new one has no bindings
		p.restart()
	}
}

func TestAutoDeleteExchangeGoesWithItsLastBinding(t *testing.T) {
	p := newPool(t, QueueSpec{Name: "a"})
	p.exchange(ExchangeSpec{Name: "first", Type: "fanout", AutoDelete: true})
	p.exchange(ExchangeSpec{Name: "second", Type: "fanout", AutoDelete: true})
	p.bind("first", "", KindExchange, "second")
	p.bind("second", "", KindQueue, "a")
	if _, err := p.b.DeleteQueue(context.Background(), p.q, DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"first", "second"} {
		if _, err := p.b.Exchange("", name); !errors.Is(err, NotFound) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
}

func TestExchangesOfOneTypeTheOtherAndNone(t *testing.T) {
	p := newPool(t, QueueSpec{})
	_, _, err := p.b.DeclareExchange(context.Background(), ExchangeSpec{Name: "x", Type: "x-no-such"})
	if !errors.Is(err, Unsupported) {
		t.Errorf("got %v, want %v", err, Unsupported)
	}
	if n := len(p.b.Exchanges("")); n != len(builtIn) {
		t.Errorf("%d exchanges, want the %d that are always there", n, len(builtIn))
	}
	err = p.b.Bind(context.Background(), Binding{Source: "amq.topic", Destination: Name{Kind: KindQueue, Name: "no"}})
	if !errors.Is(err, NotFound) {
		t.Errorf("got %v, want %v", err, NotFound)
	}
}

// TestABindingToABuiltInExchangeSurvivesARestart, also where nothing leads on from there.
func TestABindingToABuiltInExchangeSurvivesARestart(t *testing.T) {
	p := newPool(t, QueueSpec{Durable: true, Name: "a"})
	p.exchange(ExchangeSpec{Name: "in", Type: "fanout", Durable: true})
	p.bind("in", "", KindExchange, "amq.fanout") // nobody has asked for that before
	p.restart()
	p.bind("amq.fanout", "", KindQueue, "a")
	p.restart()
	if got := p.reach("in", QueueRecord{}); got != "a" {
		t.Errorf("after a restart: reached %q, want a", got)
	}
}

// TestABindingStaysInItsNamespace: on disk it has only one.
func TestABindingStaysInItsNamespace(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	mustNamespace(t, b, "n")
	q := mustQueue(t, b, "q")
	if _, err := b.Exchange("n", "amq.fanout"); err != nil {
		t.Fatal(err)
	}
	err := b.Bind(ctx, Binding{Namespace: "n", Source: "amq.fanout", Destination: q.Name()})
	wantKind(t, "from another namespace", err, Invalid)
}

// TestAnAlternateExchangeMayBeOneThatIsAlwaysThere, also where nobody has asked for it: it
// may have an alternate of its own.
func TestAnAlternateExchangeMayBeOneThatIsAlwaysThere(t *testing.T) {
	p := newPool(t, QueueSpec{Durable: true, Name: "lost"})
	p.exchange(ExchangeSpec{Name: "end", Type: "fanout", Durable: true})
	p.bind("end", "", KindQueue, "lost")
	p.setPolicy(Policy{Name: "built in", Pattern: "^amq.fanout$", ApplyTo: Exchanges, Alternate: "end"})
	p.exchange(ExchangeSpec{Name: "in", Type: "direct", Durable: true, Alternate: "amq.fanout"})
	p.exchange(ExchangeSpec{Name: "by policy", Type: "direct", Durable: true})
	p.setPolicy(Policy{Name: "others", Pattern: "^by|amq.direct", ApplyTo: Exchanges, Alternate: "amq.direct"})
	p.setPolicy(Policy{Name: "next", Pattern: "^amq.direct$", ApplyTo: Exchanges, Alternate: "amq.fanout", Priority: 1})
	for range 2 {
		for _, x := range []string{"in", "by policy"} {
			if got := p.reach(x, QueueRecord{}); got != "lost" {
				t.Errorf("%s: reached %q, want lost", x, got)
			}
		}
		p.restart()
	}
}

// TestAnExchangeThatWasDeletedLeadsNowhere, whoever still has it in hands.
func TestAnExchangeThatWasDeletedLeadsNowhere(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	mustNamespace(t, b, "n")
	mustQueue(t, b, "q")
	mustFanout(t, b, "other", queueNamed("q"))
	x, _, err := b.DeclareExchange(ctx, ExchangeSpec{Name: "x", Type: "direct", Alternate: "other"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteExchange(ctx, x, false); err != nil {
		t.Fatal(err)
	}
	if to := published(t, b, x, body("a")); to[0].Queues != 0 {
		t.Errorf("it leads to its alternate: %+v", to)
	}
	old, err := b.Exchange("n", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteNamespace(ctx, "n"); err != nil {
		t.Fatal(err)
	}
	mustNamespace(t, b, "n")
	if _, _, err := b.DeclareQueue(ctx, QueueSpec{Namespace: "n", Name: "q"}); err != nil {
		t.Fatal(err)
	}
	if to := published(t, b, old, QueueRecord{Key: "q"}); to[0].Queues != 0 {
		t.Errorf("the default exchange of a namespace that is gone leads into the new one: %+v", to)
	}
}
