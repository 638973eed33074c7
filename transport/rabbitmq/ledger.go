package rabbitmq

import "slices"

// ledger knows which deliveries of a channel are settled, and makes few methods of many acks. Tags
// count from 1. It is not safe for use by several goroutines.
type ledger struct {
	base   uint64  // the tag of states[0]; all below it are settled and written
	states []state // by tag
	dirty  []uint64
}

type state uint8

const (
	open     state = iota
	acked          // not written yet
	returned       // not written yet
	written
)

// settlement is what is written to the broker.
type settlement struct {
	tag      uint64
	multiple bool // and all below it
	requeue  bool
}

func newLedger() *ledger { return &ledger{base: 1} }

// add enters a delivery. Tags come in their order, without gaps.
func (l *ledger) add(tag uint64) {
	for l.base+uint64(len(l.states)) <= tag {
		l.states = append(l.states, open)
	}
}

// settle says whether the delivery was open.
func (l *ledger) settle(tag uint64, s state) bool {
	if tag < l.base || tag-l.base >= uint64(len(l.states)) || l.states[tag-l.base] != open {
		return false
	}
	l.states[tag-l.base] = s
	l.dirty = append(l.dirty, tag)
	return true
}

// flush is what has been settled since the last time, in the order in which it is to be written:
// returns first, so that one ack of all deliveries below a tag means no other than acked ones.
func (l *ledger) flush() (out []settlement) {
	slices.Sort(l.dirty)
	for _, tag := range l.dirty {
		if at := tag - l.base; l.states[at] == returned {
			out = append(out, settlement{tag: tag, requeue: true})
			l.states[at] = written
		}
	}
	done := 0
	last := uint64(0) // the newest ack below which nothing is open
	for done < len(l.states) && l.states[done] != open {
		if l.states[done] == acked {
			last = l.base + uint64(done)
		}
		done++
	}
	if last > 0 {
		out = append(out, settlement{tag: last, multiple: true})
	}
	for _, tag := range l.dirty {
		if at := tag - l.base; l.states[at] == acked && tag > last {
			out = append(out, settlement{tag: tag})
			l.states[at] = written
		}
	}
	l.dirty = l.dirty[:0]
	l.states = l.states[:copy(l.states, l.states[done:])]
	l.base += uint64(done)
	return out
}
