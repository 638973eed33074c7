// Package lane keeps count of what a group has settled of one lane: a partition, say. Deliveries
// are settled in any order; the position is one number, before which everything is, and beside it
// the few that are not before the place up to which the lane was read:
//
//	settled        Low                      Until
//	...............h..s..s..h..s..s..s..h...|  not delivered yet
//
// A broker keeps the number as the group's offset, and the rest as the text beside it, so that
// after a crash only what was not settled comes again.
package lane

import "slices"

// Lane is one lane of a group. It is not safe for use by many goroutines. The memory it takes is
// bounded by what is held, however far that lies apart.
type Lane struct {
	next int64 // nothing before it is delivered any more
	// until is up to where all is settled but what is held and open: what is open, ascending, is
	// at least next and was not delivered since the Position that the lane began with.
	until int64
	open  []int64
	// held is what was delivered, ascending; what is settled is ^offset. The first is not.
	held []int64
	dead int // settled ones in held
}

// At begins a lane at a position, whose Held it takes over.
func At(p Position) *Lane {
	return &Lane{next: p.Low, until: max(p.Low, p.Until), open: p.Held}
}

// Next is the offset to read from: that of the first record that may be delivered.
func (l *Lane) Next() int64 {
	if len(l.open) > 0 {
		return l.open[0]
	}
	return max(l.next, l.until)
}

// Take says whether the record at an offset is to be delivered, and holds it if so. Offsets are
// asked for in ascending order; one that is passed over is as good as settled.
func (l *Lane) Take(off int64) bool {
	if off < l.Next() {
		return false
	}
	l.Pass(off)
	if off < l.until && (len(l.open) == 0 || l.open[0] != off) {
		return false
	}
	l.Pass(off + 1)
	l.held = append(l.held, off)
	return true
}

// Pass says that no record before an offset will be delivered any more: they are gone, or are not
// for readers.
func (l *Lane) Pass(to int64) {
	l.next = max(l.next, to)
	for len(l.open) > 0 && l.open[0] < to {
		l.open = l.open[1:]
	}
}

// Settle ends a delivery; false: it is not held.
func (l *Lane) Settle(off int64) bool {
	at, ok := slices.BinarySearchFunc(l.held, off, func(h, off int64) int {
		return int(max(min(max(h, ^h)-off, 1), -1))
	})
	if !ok || l.held[at] != off {
		return false
	}
	l.held[at] = ^off
	l.dead++
	l.tidy()
	return true
}

// tidy takes settled ones out: those in front always, those between when they are most of it.
func (l *Lane) tidy() {
	first := 0
	for first < len(l.held) && l.held[first] < 0 {
		first++
	}
	l.held, l.dead = l.held[first:], l.dead-first
	if l.dead > len(l.held)/2 {
		l.held = slices.DeleteFunc(l.held, func(h int64) bool { return h < 0 })
		l.dead = 0
	}
}

// Held is how many deliveries are not settled.
func (l *Lane) Held() int { return len(l.held) - l.dead }

// Low is the offset before which everything is settled.
func (l *Lane) Low() int64 {
	if len(l.held) > 0 {
		return l.held[0]
	}
	return l.Next()
}

// Position is how far the group has come.
func (l *Lane) Position() Position {
	p := Position{Low: l.Low(), Until: max(l.next, l.until)}
	if n := l.Held() + len(l.open); n > 0 {
		p.Held = make([]int64, 0, n)
	}
	for _, h := range l.held {
		if h >= 0 {
			p.Held = append(p.Held, h)
		}
	}
	p.Held = append(p.Held, l.open...)
	return p
}

// Rewind gives back all that is held: it is delivered again.
func (l *Lane) Rewind() { *l = *At(l.Position()) }
