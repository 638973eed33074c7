package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"sort"
	"sync"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// consumption is one client that takes records of a queue: a stream of deliveries in
// one request, settled by others. It owns what it has delivered: with the end of the
// stream what is not settled goes back to the queue.
type consumption struct {
	s    *Server
	q    *broker.Queue
	want Consume
	sub  *broker.Subscription // nil: by Get, which knows when there is no more
	wake chan struct{}        // capacity 1: there is something to take, or room for it

	mu   sync.Mutex
	last int64      // number of the newest delivery
	held []delivery // not settled, by number
}

// delivery is a record in the hands of a consumption's client.
type delivery struct {
	number int64
	id     broker.DeliveryID
}

// consumers finds consumptions by the names that their clients were told.
type consumers struct {
	mu     sync.Mutex
	byName map[string]*consumption
}

// Bounds of Consume.Prefetch: what fits into one commit.
const (
	prefetchDefault = 100
	prefetchMost    = 5000
)

// consume delivers records of a queue until its client goes, the limit is reached or,
// unless following, nothing is ready; then it waits until all of them are settled.
func (s *Server) consume(w http.ResponseWriter, r *http.Request) {
	c, err := s.openConsume(w, r)
	if err != nil {
		writeProblem(w, asProblem(err))
		return
	}
	s.streaming(w, r, func(ctx context.Context, out *lineWriter) error {
		if err := c.begin(); err != nil {
			return err
		}
		name := s.consumers.add(c)
		defer c.end(name)
		out.write(ConsumeLine{Consumer: name})
		out.flush()
		return c.run(ctx, out)
	})
}

func (s *Server) openConsume(w http.ResponseWriter, r *http.Request) (*consumption, error) {
	free, err := s.takeBody(w, r)
	if err != nil {
		return nil, err
	}
	defer free()
	c := &consumption{s: s, wake: make(chan struct{}, 1)}
	if err := decode(r, &c.want); err != nil {
		return nil, err
	}
	c.want.Prefetch = cmp.Or(c.want.Prefetch, prefetchDefault)
	switch {
	case c.want.Prefetch < 1 || c.want.Prefetch > prefetchMost:
		return nil, invalid("prefetch is %d, want 1 to %d", c.want.Prefetch, prefetchMost)
	case c.want.Limit < 0:
		return nil, invalid("limit must not be negative")
	}
	c.q, err = s.queue(r.PathValue("queue"))
	if err == nil && c.q.Spec().Owner != nil {
		err = &broker.Error{Kind: broker.Denied, Op: "consume", Name: c.q.String(), Err: errExclusive}
	}
	return c, err
}

func (c *consumption) begin() (err error) {
	if !c.want.Follow {
		return nil
	}
	var credit broker.Credit
	credit.SetLimit(c.room())
	c.sub, err = c.q.Subscribe(broker.SubscribeOptions{Wake: c.wake, Credits: []*broker.Credit{&credit}})
	return err
}

// room is how many more may be delivered now.
func (c *consumption) room() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.want.Prefetch - len(c.held)
	if c.want.Limit > 0 {
		n = min(n, int(min(c.want.Limit-c.last, prefetchMost)))
	}
	return n
}

func (c *consumption) run(ctx context.Context, out *lineWriter) error {
	for more := true; more; {
		took, err := c.deliver(ctx, out)
		if err != nil {
			return err
		}
		full := c.room() <= 0
		more = !c.finished() && (took || full || c.want.Follow)
		if took && !full {
			continue
		}
		if out.flush(); out.err != nil {
			return out.err
		}
		if more && !c.wait(ctx) {
			return nil
		}
	}
	out.flush()
	for c.holds() && out.err == nil && c.wait(ctx) {
	}
	return out.err
}

func (c *consumption) finished() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.want.Limit > 0 && c.last >= c.want.Limit
}

func (c *consumption) holds() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.held) > 0
}

// wait is false where the client has gone or the server closes.
func (c *consumption) wait(ctx context.Context) bool {
	select {
	case <-c.wake:
		return true
	case <-ctx.Done():
		return false
	}
}

// deliver takes what there is and has room, and says whether there was any. A record is
// held before its line is written: whatever happens then, it is settled or goes back.
func (c *consumption) deliver(ctx context.Context, out *lineWriter) (took bool, err error) {
	room := c.room()
	if room <= 0 {
		return false, nil
	}
	var ds []broker.Delivery
	if c.sub != nil {
		ds, err = c.sub.Take(nil, room)
	} else if d, ok, gerr := c.q.Get(ctx, nil); ok {
		ds, err = []broker.Delivery{d}, gerr
	} else {
		err = gerr
	}
	for i := range ds {
		doc := c.s.queueRecord(c.q, &ds[i])
		doc.Delivery = c.hold(ds[i].ID)
		out.write(ConsumeLine{QueueRecord: doc})
	}
	return len(ds) > 0, err
}

func (c *consumption) hold(id broker.DeliveryID) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	c.held = append(c.held, delivery{c.last, id})
	return c.last
}

// release gives what is held up to a number to who settles it.
func (c *consumption) release(upTo int64) []delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := sort.Search(len(c.held), func(i int) bool { return c.held[i].number > upTo })
	gone := c.held[:n:n]
	c.held = c.held[n:]
	return gone
}

// returnTime bounds giving back, where the store is about to fail.
const returnTime = 10 * time.Second

// end gives back what is not settled: by the client's leave nobody else has it.
func (c *consumption) end(name string) {
	c.s.consumers.remove(name)
	ctx, cancel := context.WithTimeout(context.Background(), returnTime)
	defer cancel()
	if err := c.settle(ctx, c.release(c.last), broker.Requeue); err != nil {
		c.s.c.Logger.Warn("deliveries of a client that has gone stay leased", "queue", c.q, "err", err)
	}
	if c.sub == nil || !c.sub.Close() {
		return
	}
	_, err := c.s.b.DeleteQueue(ctx, c.q, broker.DeleteOptions{IfUnused: true})
	if k := broker.KindOf(err); err != nil && k != broker.NotFound && k != broker.Conflict {
		c.s.c.Logger.Warn("delete a queue with its last consumer", "queue", c.q, "err", err)
	}
}

func (c *consumption) settle(ctx context.Context, ds []delivery, o broker.Outcome) error {
	if len(ds) == 0 {
		return nil
	}
	tx := c.s.b.Begin()
	for _, d := range ds {
		tx.Settle(c.q, c.sub, d.id, o)
	}
	confirm, err := tx.Commit(ctx)
	if err == nil {
		err = confirm.Wait(ctx)
	}
	return err
}

func (cs *consumers) add(c *consumption) (name string) {
	var id [16]byte
	rand.Read(id[:]) // never fails: crypto/rand ends the program instead
	name = hex.EncodeToString(id[:])
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.byName == nil {
		cs.byName = map[string]*consumption{}
	}
	cs.byName[name] = c
	return name
}

func (cs *consumers) remove(name string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.byName, name)
}

func (cs *consumers) find(name string) *consumption {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.byName[name]
}

// outcomes are the words of Settle.Outcome.
var outcomes = map[string]broker.Outcome{
	"accept": broker.Accept, "requeue": broker.Requeue, "reject": broker.Reject,
}

// settle settles deliveries of a consumption, durably on return.
func (s *Server) settle(r *http.Request) (any, error) {
	var doc Settle
	if err := decode(r, &doc); err != nil {
		return nil, err
	}
	outcome, ok := outcomes[doc.Outcome]
	if !ok {
		return nil, invalid("outcome %s is none of accept, requeue, reject", quote(doc.Outcome))
	}
	c := s.consumers.find(r.PathValue("consumer"))
	if c == nil {
		return nil, &problem{status: http.StatusNotFound, Problem: Problem{Code: "not_found",
			Message: "no such consumer: what it had not settled when its stream ended is in the queue again"}}
	}
	ds := c.release(doc.UpTo)
	// Not the request's context: once released they must be settled, whether its client
	// waits or not.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), returnTime)
	defer cancel()
	err := c.settle(ctx, ds, outcome)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return Settled{Settled: len(ds)}, err
}
