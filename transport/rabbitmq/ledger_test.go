package rabbitmq

import (
	"math/rand/v2"
	"testing"
)

// What the broker understands of what is written is what was settled, whatever the order.
func TestTheLedgerSettlesWhatWasSettledAndNothingElse(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		l, b := newLedger(), modelBroker{}
		var openTags []uint64
		next := uint64(0)
		want := map[uint64]state{}
		for range 300 {
			switch random.IntN(4) {
			case 0:
				next++
				l.add(next)
				b[next] = open
				openTags = append(openTags, next)
			case 3:
				b.apply(t, l.flush())
				for tag, s := range want {
					if b[tag] != s {
						t.Fatalf("seed %d: tag %d is %v for the broker, want %v", seed, tag, b[tag], s)
					}
				}
			default:
				if len(openTags) == 0 {
					continue
				}
				at := random.IntN(min(len(openTags), 4))
				tag, s := openTags[at], acked
				openTags = append(openTags[:at], openTags[at+1:]...)
				if random.IntN(5) == 0 {
					s = returned
				}
				want[tag] = s
				if !l.settle(tag, s) || l.settle(tag, acked) {
					t.Fatalf("seed %d: tag %d can be settled, once", seed, tag)
				}
			}
		}
		for _, tag := range openTags {
			if b[tag] != open {
				t.Fatalf("seed %d: tag %d was settled by nobody", seed, tag)
			}
		}
		if len(l.states) > 300 || l.base == 1 && next > 100 {
			t.Fatalf("seed %d: the ledger keeps %d of %d deliveries from %d on", seed,
				len(l.states), next, l.base)
		}
	}
}

// modelBroker is the deliveries of a channel by tag.
type modelBroker map[uint64]state

func (b modelBroker) apply(t *testing.T, all []settlement) {
	for _, s := range all {
		if b[s.tag] != open {
			t.Fatalf("tag %d is settled twice: the broker would close the channel", s.tag)
		}
		for tag := range b {
			if tag == s.tag || s.multiple && tag < s.tag && b[tag] == open {
				if b[tag] = acked; s.requeue {
					b[tag] = returned
				}
			}
		}
	}
}

func TestAcksInOrderAreOneMethod(t *testing.T) {
	l := newLedger()
	for tag := uint64(1); tag <= 100; tag++ {
		l.add(tag)
	}
	for tag := uint64(1); tag <= 60; tag++ {
		l.settle(tag, acked)
	}
	equal(t, "written", l.flush(), []settlement{{tag: 60, multiple: true}})
	l.settle(62, acked)
	l.settle(61, returned)
	equal(t, "written", l.flush(), []settlement{{tag: 61, requeue: true}, {tag: 62, multiple: true}})
	equal(t, "written", l.flush(), []settlement(nil))
}
