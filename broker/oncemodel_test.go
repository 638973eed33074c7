package broker

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"
)

// onceSeeds is how many histories TestOnceIsItsModel plays; TIDINGS_ONCE_SEEDS="first count"
// plays others.
const onceSeeds = 150

// TestOnceIsItsModel plays random histories of records that are published once: several in a Tx,
// time that passes, settles, purges, what is forgotten, restarts, killed processes and power cuts.
//
// While the power stays on, each publish is new, or a duplicate of what the model has. After a
// power cut the queue and its ledger are together what they were after some Tx: at least the last
// one that was confirmed.
func TestOnceIsItsModel(t *testing.T) {
	for seed := range seeds(t, "TIDINGS_ONCE_SEEDS", onceSeeds) {
		w := &onceWorld{notary: newNotary(t, QueueSpec{Durable: true}), d: seeded(seed)}
		w.states = []onceState{{}}
		if w.play(); t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, w.story)
		}
		w.b.Close()
	}
}

// onceState is what a queue and its ledger must be.
type onceState struct {
	known   map[string]onceSeen
	end     Offset // of the queue's log
	confirm Confirm
}

type onceSeen struct {
	body string
	off  Offset
	at   time.Time
}

func (s *onceSeen) original() Original {
	return Original{s.off, timeOf(s.at.UnixMilli()), key(s.body)}
}

type onceWorld struct {
	*notary
	d      *rand.Rand
	serial int
	states []onceState // after each change since the last one that is known to be on disk
	story  string
}

func (w *onceWorld) note(format string, args ...any) {
	w.story += fmt.Sprintf(format+"\n", args...)
}

func (w *onceWorld) play() {
	for range 4 {
		for range 5 + w.d.IntN(30) {
			w.roll()
			if w.check(); w.t.Failed() {
				return
			}
		}
		switch w.d.IntN(4) {
		case 0:
			w.note("close")
			w.b.Close()
			w.restart(w.fs)
		case 1:
			w.note("kill")
			w.settle()
			w.restart(w.fs.Kill())
		default:
			w.powerCut()
		}
	}
}

func (w *onceWorld) now() onceState { return w.states[len(w.states)-1] }

// settle has all on disk.
func (w *onceWorld) settle() {
	if err := w.now().confirm.Wait(ctx); err != nil {
		w.t.Error(err)
	}
	w.states = w.states[len(w.states)-1:]
}

func (w *onceWorld) roll() {
	switch w.d.IntN(12) {
	case 0, 1, 2:
		d := time.Duration(w.d.IntN(200_000)) * time.Millisecond
		w.note("%v pass", d)
		w.clock.advance(d)
	case 3:
		w.note("all is settled")
		w.discardAll()
	case 4:
		w.note("the retention loop")
		if err := w.b.retain(ctx); err != nil {
			w.t.Error(err)
		}
	case 5:
		w.forget()
	default:
		w.publishSome()
	}
}

func (w *onceWorld) discardAll() {
	ds, err := w.q.Receive(ctx, ReceiveOptions{Max: 256, Lease: time.Minute})
	if err != nil {
		w.t.Error(err)
	}
	tx := w.b.Begin()
	for i := range ds {
		tx.Discard(w.q, ds[i].ID)
	}
	mustCommit(w.t, tx)
	w.settle()
}

func (w *onceWorld) forget() {
	if w.d.IntN(3) > 0 {
		return
	}
	w.note("forget")
	if _, err := w.q.PurgeAll(ctx, nil); err != nil {
		w.t.Error(err)
	}
	w.states = []onceState{{end: w.now().end}}
}

func (w *onceWorld) publishSome() {
	s := w.now()
	s.known = maps.Clone(s.known)
	if s.known == nil {
		s.known = map[string]onceSeen{}
	}
	now := w.clock.now()
	var all []string
	var want []*onceSeen
	for range 1 + w.d.IntN(4) {
		k, body := fmt.Sprintf("k%d", w.d.IntN(6)), fmt.Sprint(w.serial)
		w.serial++
		all = append(all, k+" "+body)
		if seen, ok := s.known[k]; ok && now.Sub(seen.at) < 5*time.Minute {
			want = append(want, &seen)
			continue
		}
		want = append(want, nil)
		s.known[k] = onceSeen{body, s.end, now}
		s.end++
	}
	w.note("at %v publish %v", now.UnixMilli(), all)
	tx := w.begin(all...)
	confirm, err := tx.Commit(ctx)
	if err == nil && w.d.IntN(2) == 0 {
		err = confirm.Wait(ctx)
	}
	if err != nil {
		w.t.Error(err)
		return
	}
	s.confirm = confirm
	w.states = append(w.states, s)
	for i, seen := range want {
		got := tx.Routed(i).Original
		switch {
		case seen == nil && got != nil:
			w.t.Errorf("%s is new, and a duplicate of %+v", all[i], got)
		case seen != nil && (got == nil || *got != seen.original()):
			w.t.Errorf("%s: the original is %+v, want %+v", all[i], got, seen)
		}
	}
}

// check compares the ledger with its log.
func (w *onceWorld) check() {
	g := w.q.ledger
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, _, end := g.log.Bounds(); g.loaded && g.first+Offset(len(g.kept)) != end {
		w.t.Errorf("%d entries from %d on, and the log ends at %d", len(g.kept), g.first, end)
	}
}

// powerCut goes on with what the disk kept.
func (w *onceWorld) powerCut() {
	w.note("power cut")
	least := 0
	for i := range w.states {
		if w.states[i].confirm.Done() {
			least = i
		}
	}
	w.restart(w.fs.Crash(w.d))
	if err := w.q.ledger.load(); err != nil {
		w.t.Error(err)
		return
	}
	for i := len(w.states) - 1; i >= least; i-- {
		if w.is(&w.states[i]) {
			w.states = []onceState{w.states[i]}
			w.states[0].confirm = Confirm{}
			return
		}
	}
	w.t.Errorf("after a power cut it is none of the states from %+v", w.states[least:])
}

// is compares what counts still.
func (w *onceWorld) is(s *onceState) bool {
	g, now := w.q.ledger, w.clock.now().UnixMilli()
	_, end, _ := w.q.lanes[0].log.Bounds()
	g.mu.Lock()
	defer g.mu.Unlock()
	live := 0
	for k, seen := range s.known {
		at := seen.at.UnixMilli()
		if !g.within(at, now) {
			continue
		}
		live++
		e := g.findLocked(key(k), now)
		if e == nil || e.Note != key(seen.body) || e.off != seen.off || e.at != at {
			return false
		}
	}
	for k := range g.places {
		if g.findLocked(k, now) != nil {
			live--
		}
	}
	return live == 0 && end == s.end
}
