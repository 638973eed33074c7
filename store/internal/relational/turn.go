package relational

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/eventstore"
)

// Appends of one process that wait for each other share a transaction: the row with the last
// position is locked until the disk has a commit, so that a transaction for each would be one
// append for each write of the disk. Whoever has the lead takes all that wait, its own among them,
// and runs them one after the other.
//
// They do not fail for each other. A conflict leaves the transaction usable. After another error
// before the commit, each that shared it goes on alone. The end of the context of who leads does
// not cut off the commit, which takes commitWithin at most.

// maxGroup bounds the appends of one transaction.
const maxGroup = 64

// commitWithin bounds the commit of a group.
const commitWithin = 10 * time.Second

// turn is one append that waits.
type turn struct {
	stream string
	at     eventstore.Expect
	events []tidings.Event // stamped

	// What became of it, when done is closed.
	done    chan struct{}
	version int64
	err     error
}

func newTurn(stream string, at eventstore.Expect, events []tidings.Event) *turn {
	return &turn{stream: stream, at: at, events: events, done: make(chan struct{})}
}

// errAlone: the transaction was rolled back, perhaps because of another append or transaction.
var errAlone = errors.New("append alone")

// turns are the appends that wait, each with a caller that does.
type turns struct {
	lead    chan struct{} // held by who runs appends: a channel, as it waits for the database
	mu      sync.Mutex
	waiting []*turn
}

func newTurns() *turns { return &turns{lead: make(chan struct{}, 1)} }

func (q *turns) join(t *turn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, t)
}

// take is who waits, longest first, up to maxGroup.
func (q *turns) take() []*turn {
	q.mu.Lock()
	defer q.mu.Unlock()
	group := slices.Clone(q.waiting[:min(len(q.waiting), maxGroup)])
	q.waiting = slices.Delete(q.waiting, 0, len(group))
	return group
}

// leave takes an append back. Where it has been taken already it may happen, and nobody hears of
// it.
func (q *turns) leave(t *turn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = slices.DeleteFunc(q.waiting, func(w *turn) bool { return w == t })
}

// share appends in a transaction with others.
func (e *Events[Tx]) share(ctx context.Context, t *turn) (version int64, err error) {
	q := e.core.turns
	q.join(t)
	select {
	case q.lead <- struct{}{}:
		e.lead(ctx, t)
	case <-t.done:
	case <-ctx.Done():
		q.leave(t)
		return 0, ctx.Err()
	}
	for errors.Is(t.err, errAlone) && ctx.Err() == nil {
		e.group(ctx, []*turn{t})
	}
	return t.version, t.err
}

// lead runs what waits until t has been among it, perhaps before.
func (e *Events[Tx]) lead(ctx context.Context, t *turn) {
	defer func() { <-e.core.turns.lead }()
	for {
		select {
		case <-t.done:
			return
		default:
		}
		group := e.core.turns.take()
		e.group(ctx, group)
		for _, member := range group {
			close(member.done)
		}
	}
}

// group runs appends in one transaction, and says of each what became of it.
func (e *Events[Tx]) group(ctx context.Context, group []*turn) {
	together, release, cancel := until(ctx)
	defer cancel()
	ready := false
	err := e.core.transact(together, func(tx Tx) error {
		in := e.in(tx)
		for _, t := range group {
			t.version, t.err = in.append(together, t.stream, t.at, t.events)
			if t.err != nil && !errors.Is(t.err, eventstore.ErrConflict) {
				return t.err
			}
		}
		if ready = release(); !ready {
			return ctx.Err()
		}
		return nil // what ends from here on ends nothing
	})
	if err != nil && (!ready && len(group) > 1 || isSerialization(err)) {
		err = fmt.Errorf("%w: %w", errAlone, err)
	}
	for _, t := range group {
		if err != nil { // also after a conflict, which may have been with one of these
			t.version, t.err = 0, ended(ctx, err)
		}
	}
}

// isSerialization says whether PostgreSQL has rolled a transaction back because of another, which
// it does where Config.Tx asks for more isolation than its default: then it is to be tried again.
func isSerialization(err error) bool {
	e, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err)
	return ok && (e.SQLState() == "40001" || e.SQLState() == "40P01")
}

// until is a context that ends with ctx until it is released, and commitWithin after that. release
// is false where it has ended before.
func until(ctx context.Context) (
	_ context.Context, release func() bool, cancel context.CancelFunc) {
	together, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	late := time.AfterFunc(commitWithin, end)
	late.Stop()
	release = func() bool {
		late.Reset(commitWithin)
		return stop()
	}
	return together, release, func() {
		late.Stop()
		stop()
		end()
	}
}
