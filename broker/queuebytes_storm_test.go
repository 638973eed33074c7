package broker

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
)

// TestTheCountOfBytesSurvivesAStorm of publishes, moves, deliveries, purges and policies
// that begin and end the count: what counts in the end is what waits.
func TestTheCountOfBytesSurvivesAStorm(t *testing.T) {
	for name, spec := range bothKinds {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spec.Settings.MaxPriority = 2
				p := newPool(t, spec)
				p.storm()
				p.policy("p", 0, QueueSettings{MaxLengthBytes: ptr(int64(1 << 40))})
				synctest.Wait() // what was too much before is gone
				p.wantCounted()
				if err := p.b.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// storm stirs the queue, four at a time, while its policy changes.
func (p *pool) storm() {
	end := make(chan struct{})
	var workers sync.WaitGroup
	defer workers.Wait()
	defer close(end)
	for i := range 4 {
		workers.Go(func() {
			rng := seeded(uint64(i))
			for {
				select {
				case <-end:
					return
				default:
					p.stir(rng)
				}
			}
		})
	}
	rng := seeded(9)
	for range 60 {
		s := QueueSettings{MaxLengthBytes: ptr(int64(rng.IntN(2000)))}
		if rng.IntN(2) > 0 {
			s.Overflow = RejectPublish
		}
		if rng.IntN(3) > 0 {
			s.MaxLength = ptr(int64(rng.IntN(30)))
		}
		p.policy("p", 0, s)
		for range rng.IntN(30) {
			p.stir(rng)
		}
		if rng.IntN(2) > 0 {
			p.deletePolicy("p")
		}
	}
}

// stir does one thing, and lets go of what it takes.
func (p *pool) stir(rng *rand.Rand) {
	q := p.q
	switch rng.IntN(9) {
	case 0, 1, 2:
		x, _ := p.b.Exchange("", "")
		tx := p.b.Begin()
		for range 1 + rng.IntN(4) {
			tx.Publish(x, QueueRecord{Key: "jobs", Priority: uint8(rng.IntN(3)), Body: make([]byte, rng.IntN(100))})
		}
		p.committed(tx)
	case 3:
		tx := p.b.Begin()
		tx.Move(q, QueueRecord{Body: make([]byte, rng.IntN(100))})
		if _, err := tx.Commit(ctx); err != nil && KindOf(err) != Full {
			p.t.Error(err)
		}
	case 4, 5:
		d, ok, err := q.Get(ctx, nil)
		switch {
		case err != nil:
			p.t.Error(err)
		case ok && rng.IntN(2) > 0:
			q.PutBack(d.ID)
		case ok:
			p.settleOne(q, nil, d, rng)
		}
	case 6, 7:
		p.subscribeAWhile(rng)
	default:
		if rng.IntN(20) == 0 {
			if _, err := q.Purge(ctx, nil); err != nil {
				p.t.Error(err)
			}
		}
	}
}

func (p *pool) subscribeAWhile(rng *rand.Rand) {
	var c Credit
	c.SetLimit(8)
	s, err := p.q.Subscribe(SubscribeOptions{Wake: make(chan struct{}, 1), Credits: []*Credit{&c}})
	if err != nil {
		p.t.Error(err)
		return
	}
	defer s.Close()
	for range rng.IntN(4) {
		ds, err := s.Take(nil, 1+rng.IntN(4))
		if err != nil {
			p.t.Error(err)
		}
		for _, d := range ds {
			p.settleOne(p.q, s, d, rng)
		}
	}
}

func (p *pool) settleOne(q *Queue, s *Subscription, d Delivery, rng *rand.Rand) {
	tx := p.b.Begin()
	tx.Settle(q, s, d.ID, []Outcome{Accept, Requeue, Requeue, Reject}[rng.IntN(4)])
	p.committed(tx)
}

func (p *pool) committed(tx *Tx) {
	if _, err := tx.Commit(ctx); err != nil {
		p.t.Error(err)
	}
	tx.Release()
}

// wantCounted compares the count with what waits. Nothing is in anybody's hands.
func (p *pool) wantCounted() {
	p.t.Helper()
	q := p.q
	q.measure()
	all, err := q.Browse(1 << 20)
	if err != nil {
		p.t.Fatal(err)
	}
	bytes := int64(0)
	for i := range all {
		bytes += int64(len(all[i].Record.Body))
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.lanes {
		q.landedLocked(l)
	}
	if q.sizes.ready != bytes || q.sizes.coming != 0 || q.leased != 0 || int64(len(all)) != q.readyLocked() {
		p.t.Errorf("%d bytes of %d records wait; %d count, %d are coming, %d leased, %d ready", bytes,
			len(all), q.sizes.ready, q.sizes.coming, q.leased, q.readyLocked())
	}
}
