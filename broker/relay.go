package broker

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/tidings-io/tidings/storage"
)

// Relay is a type of exchange that a protocol face brings: no bindings lead from it. What
// reaches such an exchange, by a publish, another exchange or a schedule, is given to the
// relay, and what that makes of it is published instead, in the same Tx: all of it or
// nothing, with all else that the Tx does.
type Relay interface {
	// Relay returns what to publish of a record that reached x. It is called for every
	// commit, by many at a time and under no lock; the record must not be changed, and
	// what the returned ones point to neither until the commit. Where too much comes for
	// one commit it is not asked to go on.
	Relay(x *Exchange, rec *QueueRecord) iter.Seq[Relayed]
}

// Relayed is a record and where it goes: exactly one of Queue, Topic and Exchange. One that
// is gone takes nothing.
type Relayed struct {
	Queue    *Queue
	Topic    *Topic
	Exchange *Exchange
	Record   QueueRecord
}

// maxRelays is how many relays a record can pass, one after another, and what was made of
// it. It passes none of them twice, which ends loops; this ends the rest.
const maxRelays = 16

// maxAsked is how often relays are asked for one record that is published: among relays that
// all lead to each other there are as many ways as orders of them.
const maxAsked = 1024

// Relays says whether exchanges of a type are ones of Config.Relays: a face brings them, and
// says what they are for and how they go.
func (b *Broker) Relays(kind string) bool { return b.config.Relays[kind] != nil }

// relayWays has no bindings.
type relayWays struct{}

func (relayWays) put(*entry) error {
	return fail(Unsupported, "bind", "", "from an exchange of a type that takes no bindings")
}
func (relayWays) drop(*entry)                      {}
func (relayWays) route(*routed, func(destination)) {}

// routerOf makes the router of an exchange, which has no ways where a relay is in its place.
func (b *Broker) routerOf(spec *ExchangeSpec) (*router, error) {
	if b.Relays(spec.Type) {
		return &router{ways: relayWays{}, all: map[bindingID]*entry{}}, nil
	}
	kind, err := spec.routing()
	if err != nil {
		return nil, err
	}
	return newRouter(kind, spec.Args)
}

// relayRounds knows which Tx have asked relays and are not at the end of their Commit.
type relayRounds struct {
	mu   sync.Mutex // a leaf
	now  *relayRound
	past []*relayRound // those that are not over
}

// relayRound is the Tx that asked between two calls of AwaitRelays.
type relayRound struct {
	open int
	over chan struct{} // closed when it is past, and none is open
}

func (r *relayRounds) enter() *relayRound {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now == nil {
		r.now = &relayRound{over: make(chan struct{})}
	}
	r.now.open++
	return r.now
}

func (r *relayRounds) leave(x *relayRound) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if x.open--; x.open > 0 || x == r.now {
		return
	}
	close(x.over)
	r.past = slices.DeleteFunc(r.past, func(y *relayRound) bool { return x == y })
}

// end begins a new round, and returns those that are not over.
func (r *relayRounds) end() []*relayRound {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now != nil && r.now.open > 0 {
		r.past = append(r.past, r.now)
		r.now = nil
	}
	return slices.Clone(r.past)
}

func (t *Tx) leaveRelays() {
	if t.round != nil {
		t.b.rounds.leave(t.round)
		t.round = nil
	}
}

// AwaitRelays waits until each Tx that has asked a relay before is committed, or refused: what
// relays said until now has then happened, and is before what is committed next. The error is
// ctx's.
func (b *Broker) AwaitRelays(ctx context.Context) error {
	for _, r := range b.rounds.end() {
		select {
		case <-r.over:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// relaying is the publishes of a Tx while relays make more of them.
type relaying struct {
	t      *Tx
	now    int64
	r      *routing
	out    []txPublish // each followed by what was made of it
	bytes  int
	asked  int // relays, for the record whose turn it is
	topics bool
}

// relay asks the relays that records have reached, and says whether there are topics among
// what they lead to. Called without a lock, when everything is routed.
func (t *Tx) relay(now int64) (topics bool, err error) {
	if !slices.ContainsFunc(t.publishes, func(p txPublish) bool { return len(p.relays) > 0 }) {
		return false, nil
	}
	if t.round == nil {
		t.round = t.b.rounds.enter()
	}
	// A new list: that of a publish of one queue points into its own place.
	g := relaying{t: t, now: now, r: t.b.newRouting(), out: make([]txPublish, 0, 2*len(t.publishes))}
	for i := range t.publishes {
		p := t.publishes[i]
		g.out, g.asked = append(g.out, p), 0
		if err := g.pass(&p, nil); err != nil {
			return false, err
		}
	}
	t.publishes = g.out
	return g.topics, nil
}

// pass gives a record to the relays that it has reached, but for those that it, or what it
// was made of, has passed.
func (g *relaying) pass(p *txPublish, passed []*Exchange) error {
	for _, x := range p.relays {
		if slices.Contains(passed, x) || len(passed) == maxRelays {
			g.t.b.config.Logger.Debug("a record goes round among relays", "exchange", x.name.String())
			continue
		}
		if g.asked++; g.asked > maxAsked {
			return fail(TooLarge, "relay", x.name.String(), "more than %d relays are on its way", maxAsked)
		}
		relay := g.t.b.relays[x.spec.Type]
		for made := range relay.Relay(x, &p.rec) {
			if err := g.add(x, p, &made, append(slices.Clip(passed), x)); err != nil {
				return err
			}
		}
	}
	return nil
}

// add publishes one record that was made of another.
func (g *relaying) add(x *Exchange, of *txPublish, made *Relayed, passed []*Exchange) error {
	p := txPublish{x: x, rec: made.Record, result: -1, relayed: true,
		from: of.from, reason: of.reason, due: of.due, whole: of.whole}
	if p.rec.Time.IsZero() {
		p.rec.Time = of.rec.Time
	}
	if of.from != nil {
		p.rec.Deaths = of.rec.Deaths // or it could go round for ever
	}
	g.route(&p, made)
	g.topics = g.topics || len(p.topics) > 0
	g.bytes += p.bytes()
	if g.bytes > storage.MaxBatchBytes {
		return storeError("relay", x.name.String(), storage.ErrTooLarge)
	}
	g.out = append(g.out, p)
	return g.pass(&p, passed)
}

// route finds where a record goes that was made of another.
func (g *relaying) route(p *txPublish, made *Relayed) {
	switch {
	case made.Exchange != nil:
		g.t.b.cat.mu.RLock()
		defer g.t.b.cat.mu.RUnlock()
		p.x = made.Exchange
		g.t.routeLocked(g.r, p, g.now)
	case made.Topic != nil:
		p.topics = []*Topic{made.Topic}
	default:
		p.to = []*Queue{made.Queue}
		p.breakCycle()
		p.delay(g.now)
	}
}
