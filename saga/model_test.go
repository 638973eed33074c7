package saga_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/saga"
)

// random is a saga of some steps, each with some of what a step can have.
type random struct {
	d       *saga.Definition[checkout]
	undo    []bool // which steps have a compensation
	answers []tidings.Event
	pivot   int // the first step that is one, or the number of steps
}

func randomSaga(r *rand.Rand) random {
	n := 1 + r.IntN(5)
	s := random{d: saga.New[checkout]("checkout", 1), pivot: n}
	for i := range n {
		name := fmt.Sprintf("s%d", i)
		done, fail, undone := event(name+".done"), event(name+".fail"), event(name+".undone")
		st := s.d.Step(name, sends(command(name+".do"))).Retries(2)
		if r.IntN(4) > 0 {
			st.Done(done).Fails(fail)
			s.answers = append(s.answers, done.New(order{"o"}), done.New(order{"o"}),
				fail.New(order{"o"}), fail.New(order{"o"}))
		}
		if r.IntN(3) == 0 {
			st.Within(time.Duration(1+r.IntN(100)) * time.Second)
		}
		s.undo = append(s.undo, r.IntN(3) > 0)
		if s.undo[i] && r.IntN(2) == 0 {
			st.Undo(sends(command(name+".undo")), undone)
			s.answers = append(s.answers, undone.New(order{"o"}))
		} else if s.undo[i] {
			st.Undo(sends(command(name + ".undo")))
		}
		if r.IntN(6) == 0 {
			st.Pivot()
			s.pivot = min(s.pivot, i)
		}
	}
	return s
}

// Answers in any order, repeated and late, and time that passes: whatever comes, what was done runs
// in order and is undone in reverse, nothing is compensated after the pivot, and the record tells
// what was sent.
func TestRandomAnswersNeverBreakTheOrderOfSteps(t *testing.T) {
	ends := map[saga.Status]int{}
	for seed := range uint64(400) {
		bubble(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			s := randomSaga(r)
			w := newWorld(t, s.d)
			if _, err := s.d.Start(t.Context(), w, "o", checkout{Order: "o"}); err != nil {
				t.Fatal(err)
			}
			for range 40 {
				if len(s.answers) == 0 || r.IntN(4) == 0 {
					w.wait(time.Duration(r.IntN(60)) * time.Second)
				} else {
					w.deliver(s.answers[r.IntN(len(s.answers))])
				}
			}
			ends[w.rec("o").Status]++
			s.check(t, w)
			if t.Failed() {
				t.Fatalf("seed %d: %+v", seed, w.rec("o"))
			}
		})
	}
	for _, status := range []saga.Status{saga.Running, saga.Compensating, saga.Completed,
		saga.Compensated, saga.Stuck} {
		if ends[status] == 0 {
			t.Errorf("no history ended %s: %v", status, ends)
		}
	}
}

func (s random) check(t *testing.T, w *world) {
	rec := w.rec("o")
	var did, undid []int
	ids := map[string][]string{}
	for _, e := range w.sent {
		var i int
		name := strings.TrimPrefix(e.Type, "shop.")
		again := len(ids[name]) > 0
		if !slices.Contains(ids[name], e.ID) {
			ids[name] = append(ids[name], e.ID)
		}
		if again {
			continue
		}
		if n, _ := fmt.Sscanf(name, "s%d.do", &i); n == 1 && strings.HasSuffix(name, ".do") {
			did = append(did, i)
		} else if fmt.Sscanf(name, "s%d.undo", &i); true {
			undid = append(undid, i)
		}
	}
	for name, all := range ids {
		if most := 1 + failures(rec, name); len(all) > most {
			t.Errorf("%s was sent under %d ids, want %d at most", name, len(all), most)
		}
	}
	for i, step := range did {
		equal(t, "commands in the order of steps", step, i)
	}
	if !slices.IsSortedFunc(undid, func(a, b int) int { return b - a }) {
		t.Errorf("compensations not in reverse: %v", undid)
	}
	s.checkUndo(t, rec, undid)
}

// failures is how often a command failed, and was not the last.
func failures(rec saga.Record, name string) (n int) {
	for _, h := range rec.History {
		if h.Step+".do" == name && h.What == "failed" {
			n++
		}
	}
	return n
}

func (s random) checkUndo(t *testing.T, rec saga.Record, undid []int) {
	if len(rec.Done) > s.pivot && len(undid) > 0 {
		t.Errorf("compensated after the pivot: %v", undid)
	}
	if rec.Status == saga.Completed {
		equal(t, "done", len(rec.Done), len(s.undo))
		equal(t, "undone", len(undid), 0)
	}
	if rec.Status != saga.Compensated {
		return
	}
	for i := range rec.Done {
		if s.undo[i] && !slices.Contains(undid, i) {
			t.Errorf("step %d was done and not compensated", i)
		}
	}
}
