package storage

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// modelSet is a set as one would write it.
type modelSet map[Offset]bool

func (m modelSet) next(o Offset) Offset {
	for m[o] {
		o++
	}
	return o
}

// compareSet looks at every offset, and at what follows from them.
func compareSet(x *Set, want modelSet, upTo Offset) error {
	if got := x.Floor(); got != want.next(0) {
		return fmt.Errorf("floor %d, want %d", got, want.next(0))
	}
	next, missing := want.next(upTo), int64(0)
	for o := upTo; o >= 0; o-- {
		if x.Has(o) != want[o] {
			return fmt.Errorf("has %d: %v, want %v", o, x.Has(o), want[o])
		}
		if !want[o] {
			next = o
		}
		if o < upTo && !want[o] {
			missing++
		}
		if o%97 == 0 && x.Next(o) != next {
			return fmt.Errorf("next from %d: %d, want %d", o, x.Next(o), next)
		}
		if got := x.Missing(o, upTo); o%101 == 0 && got != missing {
			return fmt.Errorf("missing from %d: %d, want %d", o, got, missing)
		}
	}
	return nil
}

// TestSetAgreesWithAMap marks random ranges, also whole pages and from the floor,
// with checkpoints, crashes and restarts in between.
func TestSetAgreesWithAMap(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 4))
		s, _, mem := openFaulty(t, Config{manual: true})
		var b Batch
		x := s.NewSet(&b)
		submit(t, s, &b)
		want := modelSet{}
		const upTo = 5 * pageBits
		for step := range 60 {
			from := Offset(rng.IntN(upTo))
			to := min(from+Offset(rng.IntN(3*pageBits)), upTo)
			if rng.IntN(3) > 0 {
				to = min(from+Offset(rng.IntN(20)), upTo)
			}
			if rng.IntN(5) == 0 {
				from = x.Floor()
				to = max(from, to)
			}
			b.Mark(x, from, to)
			submit(t, s, &b)
			must(t, s.commitAll())
			for o := from; o < to; o++ {
				want[o] = true
			}
			switch rng.IntN(8) {
			case 0:
				must(t, s.checkpoint(true))
			case 1:
				mem = mem.Crash(rng)
				var err error
				if s, err = Open(mem, Config{manual: true}); err != nil {
					t.Fatal(err)
				}
				x = s.Set(x.id)
			}
			if err := compareSet(x, want, upTo); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
		}
		s.closeFiles()
	}
}

// TestDroppedSetIsGone, also in what a checkpoint had written of it.
func TestDroppedSetIsGone(t *testing.T) {
	s, _, mem := openFaulty(t, Config{manual: true})
	var b Batch
	x, y := s.NewSet(&b), s.NewSet(&b)
	b.Mark(x, 10, 9000)
	b.Mark(y, 5, 6)
	submit(t, s, &b)
	must(t, s.commitAll(), s.checkpoint(true))
	b.DropSet(x)
	submit(t, s, &b)
	must(t, s.commitAll(), s.checkpoint(true))
	s, err := Open(mem.Kill(), Config{manual: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.closeFiles()
	if s.Set(x.id) != nil || s.Set(y.id) == nil || !s.Set(y.id).Has(5) {
		t.Errorf("sets %v and %v", s.Set(x.id), s.Set(y.id))
	}
	if z := s.NewSet(&b); z.id <= y.id {
		t.Errorf("the next set has the number %d, used before", z.id)
	}
}

// TestMarkedRangesCostMemoryByTheirEdges: ten million settled records that are
// all in cost nothing, alternating ones a bit each.
func TestMarkedRangesCostMemoryByTheirEdges(t *testing.T) {
	x := newSet(1)
	x.mark(1, 10_000_000)
	held := 0
	for _, p := range x.pages {
		if p != nil {
			held++
		}
	}
	if held > 2 {
		t.Errorf("a range of ten million holds %d bitmaps, want its two edges", held)
	}
	x.mark(0, 1)
	if len(x.pages) > 1 || x.Floor() != 10_000_000 {
		t.Errorf("%d pages, floor %d; want all below the floor gone", len(x.pages), x.Floor())
	}
}
