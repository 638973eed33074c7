package lane

import (
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// model is a lane as a map: what is not there was not delivered yet.
type model struct {
	next    int64
	held    map[int64]bool
	settled map[int64]bool
	gone    map[int64]bool
}

func (m *model) take(off int64) bool {
	if off < m.next {
		return false
	}
	for ; m.next < off; m.next++ {
		m.gone[m.next] = true
	}
	m.next = off + 1
	if m.settled[off] || m.gone[off] {
		return false
	}
	m.held[off] = true
	return true
}

func (m *model) end() (end int64) {
	end = m.next
	for off := range m.settled {
		end = max(end, off+1)
	}
	for off := range m.gone {
		end = max(end, off+1)
	}
	return end
}

func (m *model) position(until int64) Position {
	p := Position{Low: until, Until: until}
	for off := until - 1; off >= 0; off-- {
		if m.held[off] || off >= m.next && !m.settled[off] && !m.gone[off] {
			p.Held, p.Low = append(p.Held, off), off
		}
	}
	slices.Reverse(p.Held)
	return p
}

// TestALaneIsItsModel takes, settles, passes, rewinds and reopens at random.
func TestALaneIsItsModel(t *testing.T) {
	for seed := range uint64(300) {
		dice := rand.New(rand.NewPCG(seed, 1))
		l := At(Position{})
		m := &model{held: map[int64]bool{}, settled: map[int64]bool{}, gone: map[int64]bool{}}
		until := int64(0)
		for range 200 {
			switch dice.IntN(12) {
			default:
				off := l.Next() + int64(max(dice.IntN(8)-5, 0))
				if got, want := l.Take(off), m.take(off); got != want {
					t.Fatalf("seed %d: take %d: got %v, want %v", seed, off, got, want)
				}
			case 0, 1, 2, 3, 4, 5:
				off := dice.Int64N(l.Next() + 1)
				if got, want := l.Settle(off), m.held[off]; got != want {
					t.Fatalf("seed %d: settle %d: got %v, want %v", seed, off, got, want)
				}
				if m.held[off] {
					delete(m.held, off)
					m.settled[off] = true
				}
			case 6:
				to := l.Next() + dice.Int64N(3)
				l.Pass(to)
				for ; m.next < to; m.next++ {
					m.gone[m.next] = !m.held[m.next] && !m.settled[m.next]
				}
			case 7:
				if dice.IntN(3) == 0 {
					p := l.Position()
					l = At(Parse(p.Low, p.Text(4096)))
					clear(m.held)
					m.next = p.Low
				}
			}
			until = max(until, m.end())
			got, want := l.Position(), m.position(until)
			if got.Low != want.Low || got.Until != want.Until || !slices.Equal(got.Held, want.Held) {
				t.Fatalf("seed %d: position: got %+v, want %+v", seed, got, want)
			}
			if l.Held() != len(m.held) || l.Low() != want.Low {
				t.Fatalf("seed %d: %d held from %d, want %d from %d", seed, l.Held(), l.Low(), len(m.held), want.Low)
			}
		}
	}
}

func TestRewindDeliversAgainWhatIsHeld(t *testing.T) {
	l := At(Position{Low: 10, Until: 10})
	for off := int64(10); off < 15; off++ {
		l.Take(off)
	}
	l.Settle(11)
	l.Settle(13)
	l.Rewind()
	var again []int64
	for off := l.Next(); off < 17; off++ {
		if l.Take(off) {
			again = append(again, off)
		}
	}
	if want := []int64{10, 12, 14, 15, 16}; !slices.Equal(again, want) {
		t.Errorf("got %v, want %v", again, want)
	}
}

// TestMemoryIsBoundedByWhatIsHeld settles a million behind one that is not.
func TestMemoryIsBoundedByWhatIsHeld(t *testing.T) {
	l := At(Position{})
	l.Take(0)
	for off := int64(1); off < 1_000_000; off++ {
		l.Take(off)
		l.Settle(off)
	}
	if cap(l.held) > 64 || l.Low() != 0 || l.Held() != 1 {
		t.Errorf("room for %d, low %d, %d held", cap(l.held), l.Low(), l.Held())
	}
}

func TestAPositionWithoutMoreIsThatOfALaneThatSettledIt(t *testing.T) {
	for bits := range 64 {
		l := At(Position{Low: 3, Until: 3})
		for off := int64(3); off < 9; off++ {
			l.Take(off)
		}
		before, settled := l.Position(), []int64(nil)
		for i := range int64(6) {
			if bits>>i&1 == 1 {
				settled = append(settled, 3+i)
				l.Settle(3 + i)
			}
		}
		got, want := before.Without(settled), l.Position()
		if got.Low != want.Low || got.Until != want.Until || !slices.Equal(got.Held, want.Held) {
			t.Errorf("without %v: got %+v, want %+v", settled, got, want)
		}
	}
}

func TestTextSaysLessWhereThereIsNoRoom(t *testing.T) {
	p := Position{Low: 1000, Until: 900_000}
	for off := p.Low; off < 800_000; off += 300 {
		p.Held = append(p.Held, off)
	}
	for limit := range 3000 {
		text := p.Text(limit)
		got := Parse(p.Low, text)
		n := len(got.Held)
		if len(text) > limit || got.Low != p.Low || !slices.Equal(got.Held, p.Held[:n]) {
			t.Fatalf("limit %d: %d bytes, low %d", limit, len(text), got.Low)
		}
		if want := p.Held[n]; n > 0 && got.Until != want {
			t.Fatalf("limit %d: until %d, want %d", limit, got.Until, want)
		}
	}
}

// A reader with a large window may hold thousands that lie side by side, and settle some behind them.
func TestTextHasRoomForThousandsSideBySide(t *testing.T) {
	p := Position{Low: 1 << 40, Until: 1<<40 + 100_000}
	for off := p.Low; off < p.Until-10; off++ {
		if off%1000 != 7 {
			p.Held = append(p.Held, off)
		}
	}
	got := Parse(p.Low, p.Text(1000))
	if got.Until != p.Until || !slices.Equal(got.Held, p.Held) {
		t.Errorf("%d until %d, want %d until %d", len(got.Held), got.Until, len(p.Held), p.Until)
	}
	for limit := range 700 {
		text := p.Text(limit)
		got := Parse(p.Low, text)
		n := len(got.Held)
		if len(text) > limit || !slices.Equal(got.Held, p.Held[:n]) || n > 0 && n < len(p.Held) && got.Until != p.Held[n] {
			t.Fatalf("limit %d: %d bytes, %d held until %d", limit, len(text), n, got.Until)
		}
	}
}

func TestATextCannotMakeAPositionOfAnySize(t *testing.T) {
	raw := binary.AppendUvarint(nil, 1<<60)
	raw = binary.AppendUvarint(append(raw, 0), 1<<59)
	if p := Parse(5, prefix+base64.RawURLEncoding.EncodeToString(raw)); p.Until != 5 || len(p.Held) > 1 {
		t.Errorf("got %d held until %d", len(p.Held), p.Until)
	}
}

// FuzzParse: whatever stands beside an offset, the position is one.
func FuzzParse(f *testing.F) {
	f.Add("", int64(3))
	f.Add("settled:BQEB", int64(9))
	f.Add("settled:____", int64(0))
	f.Fuzz(func(t *testing.T, text string, low int64) {
		if low < 0 || low > 1<<61 {
			return
		}
		p := Parse(low, text)
		if p.Low != low || p.Until < low || !slices.IsSorted(p.Held) {
			t.Errorf("%q: %+v", text, p)
		}
		if l := At(p); l.Next() != low || l.Low() != low {
			t.Errorf("%q: next %d, low %d", text, l.Next(), l.Low())
		}
	})
}

func BenchmarkTakeAndSettle(b *testing.B) {
	l := At(Position{})
	for off := range int64(1024) {
		l.Take(off)
	}
	for off := int64(1024); b.Loop(); off++ {
		l.Take(off)
		l.Settle(off - 1024)
	}
}
