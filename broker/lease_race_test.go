package broker

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// TestReceiversAndConsumersShareAQueue, all at the same time: no record has two holders while
// its lease holds, and none is lost.
func TestReceiversAndConsumersShareAQueue(t *testing.T) {
	const publishers, receivers, consumers, each = 3, 5, 2, 300
	for name, spec := range bothKinds {
		p := newPool(t, spec)
		m := newMarket(t, p.b)
		life, end := context.WithCancel(ctx)
		var sellers, buyers sync.WaitGroup
		for i := range publishers {
			sellers.Go(func() { m.publish(p.q, i, each) })
		}
		for i := range receivers {
			buyers.Go(func() { m.receive(life, p.q, i+1) })
		}
		for i := range consumers {
			buyers.Go(func() { m.consume(life, p.q, receivers+i+1) })
		}
		sellers.Wait()
		m.await(publishers * each)
		end()
		buyers.Wait()
		m.judge(name, p.q, publishers*each)
		p.wantNothingLeft(name)
	}
}

// wantNothingLeft says that nothing in memory is of leases.
func (p *pool) wantNothingLeft(what string) {
	p.t.Helper()
	p.q.mu.Lock()
	defer p.q.mu.Unlock()
	if q, l := p.q, p.q.lanes[0]; q.leases != nil || q.line != nil || q.receiving != 0 || l.received != nil {
		p.t.Errorf("%s: left are %d leases, %d waits, %d on their way, %d received", what, len(q.leases),
			len(q.line), q.receiving, len(l.received))
	}
}

// receive takes with leases that do not end, and waits with a context that often does.
func (m *market) receive(life context.Context, q *Queue, who int) {
	rng := seeded(uint64(who))
	for life.Err() == nil {
		wait, done := context.WithTimeout(life, time.Duration(rng.IntN(4000))*time.Microsecond)
		o := ReceiveOptions{Max: 1 + rng.IntN(20), Lease: time.Hour, Wait: time.Duration(rng.IntN(3)) * time.Millisecond}
		ds, err := q.Receive(wait, o)
		done()
		if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			m.t.Errorf("receive: %v", err)
		}
		m.hold(ds, who)
		m.release(q, ds, rng)
	}
}

// release discards most of them and gives the others back.
func (m *market) release(q *Queue, ds []Delivery, rng *rand.Rand) {
	tx := m.b.Begin()
	for i := range ds {
		id, back := ds[i].Record.Key, rng.IntN(4) == 0
		m.mu.Lock()
		if !back {
			m.accepted[id]++
			ring(m.done)
		}
		delete(m.holder, id)
		m.mu.Unlock()
		if !back {
			tx.Discard(q, ds[i].ID)
		} else if err := q.Extend(ds[i].ID, 0); err != nil {
			m.t.Errorf("extend: %v", err)
		}
	}
	if _, err := tx.Commit(ctx); err != nil {
		m.t.Errorf("discard: %v", err)
	}
}

// TestLeasesThatEndAtOnceLoseNothing: while receivers discard what others have by now, and
// consumers hold it, each record goes in the end.
func TestLeasesThatEndAtOnceLoseNothing(t *testing.T) {
	const n = 2000
	for name, spec := range bothKinds {
		p := newPool(t, spec)
		p.publish(numbered(n)...)
		gone := map[string]bool{}
		var mu sync.Mutex
		life, end := context.WithCancel(ctx)
		var work sync.WaitGroup
		for who := range 4 {
			work.Go(func() {
				rng := seeded(uint64(who))
				for life.Err() == nil {
					if who == 0 {
						p.getAndSettle(rng, &mu, gone)
						continue
					}
					ds, err := p.q.Receive(life, ReceiveOptions{Max: 10, Lease: time.Duration(rng.IntN(3)) * time.Millisecond})
					if err != nil && life.Err() == nil {
						t.Errorf("receive: %v", err)
					}
					tx := p.b.Begin()
					for i := range ds {
						if rng.IntN(3) == 0 {
							tx.Discard(p.q, ds[i].ID)
						}
					}
					mu.Lock()
					for _, s := range tx.settles {
						for i := range ds {
							if ds[i].ID == s.id {
								gone[string(ds[i].Record.Body)] = true
							}
						}
					}
					all := len(gone) == n
					mu.Unlock()
					if _, err := tx.Commit(ctx); err != nil {
						t.Errorf("discard: %v", err)
					}
					if all {
						end()
					}
				}
			})
		}
		time.AfterFunc(20*time.Second, end)
		work.Wait()
		p.b.drain() // keys show what is on disk
		if len(gone) != n {
			t.Errorf("%s: %d are gone, want %d", name, len(gone), n)
		}
		if s := p.q.Stats(); s.Ready != 0 || s.Leased != 0 {
			t.Errorf("%s: left are %+v", name, s)
		}
		p.wantNothingLeft(name)
		for key := range p.b.store.Scan([]byte{familyDeliveries}) {
			t.Errorf("%s: key %x is left over", name, key)
		}
		end()
	}
}

// getAndSettle takes one record as a consumer does.
func (p *pool) getAndSettle(rng *rand.Rand, mu *sync.Mutex, gone map[string]bool) {
	d, ok, err := p.q.Get(ctx, nil)
	if err != nil {
		p.t.Errorf("get: %v", err)
	}
	if !ok {
		return
	}
	o := Outcome(1 + rng.IntN(2))
	if o == Accept {
		mu.Lock()
		gone[string(d.Record.Body)] = true
		mu.Unlock()
	}
	tx := p.b.Begin()
	tx.Settle(p.q, nil, d.ID, o)
	if _, err := tx.Commit(ctx); err != nil {
		p.t.Errorf("settle: %v", err)
	}
}
