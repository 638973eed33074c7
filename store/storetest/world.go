package storetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/outbox"
)

// World is writers that change aggregates and publish what they did, each transaction held open for a
// while; one in ten is rolled back.
type World struct {
	Writers      int           // 0 is 4
	Transactions int           // of each writer; 0 is 50
	Keys         int           // aggregates; 0 is 4
	HoldOpen     time.Duration // at most; 0 is not at all
	// BeforeLock publishes before the aggregate is locked, which is what not to do.
	BeforeLock bool
}

func (w World) withDefaults() World {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	set(&w.Writers, 4)
	set(&w.Transactions, 50)
	set(&w.Keys, 4)
	return w
}

// History is what a world has committed: the version of its aggregate, by the id of the event.
type History struct {
	mu       sync.Mutex
	versions map[string]int64
	keys     map[string]string
}

// Committed is how many events there are.
func (h *History) Committed() int { return len(h.versions) }

// Run writes until all writers are done.
func Run[Tx any](t testing.TB, w World, db Database[Tx], table outbox.Table[Tx]) *History {
	t.Helper()
	w = w.withDefaults()
	h := &History{versions: map[string]int64{}, keys: map[string]string{}}
	var writers sync.WaitGroup
	for writer := range w.Writers {
		writers.Go(func() {
			for n := range w.Transactions {
				id := fmt.Sprintf("%d-%d", writer, n)
				key := fmt.Sprintf("key-%d", rand.IntN(w.Keys))
				if err := write(t.Context(), w, db, table, h, eventOf(id, key)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	return h
}

// write is one transaction.
func write[Tx any](ctx context.Context, w World, db Database[Tx], table outbox.Table[Tx], h *History,
	e tidings.Event) error {
	rolledBack := rand.IntN(10) == 0
	var version int64
	err := db.Do(ctx, func(tx Tx) (err error) {
		if w.BeforeLock {
			if err := table.In(tx).Publish(ctx, e); err != nil {
				return err
			}
			hold(w)
		}
		if version, err = db.Count(ctx, tx, e.Key); err != nil {
			return err
		}
		if !w.BeforeLock {
			if err := table.In(tx).Publish(ctx, e); err != nil {
				return err
			}
		}
		hold(w)
		if rolledBack {
			return errFault
		}
		return nil
	})
	if rolledBack && errors.Is(err, errFault) {
		return nil
	}
	if err != nil {
		return err
	}
	table.Committed()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.versions[e.ID], h.keys[e.ID] = version, e.Key
	return nil
}

// hold keeps a transaction open: the time is the fault that the world is about.
func hold(w World) {
	if w.HoldOpen > 0 {
		time.Sleep(rand.N(w.HoldOpen))
	}
}

// Verdict is what was published of a history.
type Verdict struct {
	Lost       int // committed, and not published
	Ghosts     int // published, and not committed
	Copies     int // published again
	OutOfOrder int // first published before one with a lower version of its key
}

// Judge compares a history with what was published, in order.
func (h *History) Judge(published []tidings.Event) (v Verdict) {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := map[string]bool{}
	last := map[string]int64{}
	for _, e := range published {
		version, committed := h.versions[e.ID]
		switch {
		case !committed:
			v.Ghosts++
		case seen[e.ID]:
			v.Copies++
		case version < last[e.Key]:
			v.OutOfOrder++
		default:
			last[e.Key] = version
		}
		seen[e.ID] = true
	}
	for id := range h.versions {
		if !seen[id] {
			v.Lost++
		}
	}
	return v
}

// relays are relays of a table, of which those that work are killed now and then.
type relays struct {
	running sync.WaitGroup
	stop    context.CancelFunc
	killed  atomic.Int64
}

// startRelays starts two relays, of which one works. It dies after a while, as a process dies, and is
// started again; whoever comes next has to wait until the lease has run out.
func startRelays(t testing.TB, source outbox.Source, to tidings.Publisher) *relays {
	ctx, stop := context.WithCancel(t.Context())
	r := &relays{stop: stop}
	for range 2 {
		r.running.Go(func() {
			for ctx.Err() == nil {
				r.liveAndDie(ctx, source, to)
			}
		})
	}
	return r
}

func relayOf(source outbox.Source, to tidings.Publisher) *outbox.Relay {
	return outbox.NewRelay(source, to, outbox.WithLease(150*time.Millisecond), outbox.WithBatch(16),
		outbox.WithPauses(time.Millisecond, 10*time.Millisecond), outbox.WithDrain(time.Second),
		outbox.WithLook(20*time.Millisecond), outbox.WithLogger(slog.New(slog.DiscardHandler)))
}

// deaths bounds how many relays die: each costs the time of a lease.
const deaths = 20

// liveAndDie runs a relay that dies before it marks one of its first batches.
func (r *relays) liveAndDie(ctx context.Context, source outbox.Source, to tidings.Publisher) {
	life, die := context.WithCancel(ctx)
	defer die()
	batches := 1 + rand.IntN(5)
	d := &dying{Source: source, dead: make(chan struct{})}
	d.kill = func() {
		if batches--; batches == 0 && r.killed.Add(1) <= deaths {
			close(d.dead)
			die()
		}
	}
	_ = relayOf(d, to).Run(life)
}

func (r *relays) end() {
	r.stop()
	r.running.Wait()
}

// losesNothing is the promise of an outbox in one test.
func losesNothing[Tx any](t *testing.T, h OutboxHarness[Tx]) {
	table := h.Open(0)
	broker := newLog(5)
	relays := startRelays(t, table, broker)
	history := Run(t, h.World, h.Database, table)
	eventually(t, "everything is published", func() bool {
		status, err := table.Status(t.Context())
		check(t, "status", err)
		return status.Waiting == 0
	})
	relays.end()
	published := broker.all()
	verdict := history.Judge(published)
	t.Logf("%d events committed, %d published, %d relays killed: %+v",
		history.Committed(), len(published), min(deaths, relays.killed.Load()), verdict)
	if verdict.Lost+verdict.Ghosts+verdict.OutOfOrder > 0 {
		t.Errorf("lost, ghosts or out of order: %+v", verdict)
	}
	if relays.killed.Load() == 0 || verdict.Copies == 0 {
		t.Error("no relay died before it marked: the test shows nothing")
	}
}

// publishesAgain kills one relay between publishing and marking.
func publishesAgain[Tx any](t *testing.T, h OutboxHarness[Tx]) {
	table := h.Open(0)
	publish(t, h, table, eventOf("a", "k"))
	broker := newLog(0)
	ctx, die := context.WithCancel(t.Context())
	d := &dying{Source: table, dead: make(chan struct{})}
	d.kill = func() { close(d.dead); die() }
	check(t, "run", relayOf(d, broker).Run(ctx))
	wantIDs(t, claimed(t, table), "a")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var second sync.WaitGroup
	second.Go(func() { _ = relayOf(table, broker).Run(ctx) })
	eventually(t, "it is marked", func() bool { return claimed(t, table) == "" })
	stop()
	second.Wait()
	if all := broker.all(); len(all) != 2 || all[0].ID != "a" || all[1].ID != "a" {
		t.Errorf("published %+v, want the same event twice", all)
	}
}
