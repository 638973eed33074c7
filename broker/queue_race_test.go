package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// market is publishers and consumers of one queue that all do as they like, and what
// each record has been through.
type market struct {
	t  *testing.T
	b  *Broker
	mu sync.Mutex
	// holder is who has a record in hand; accepted is who was done with it.
	holder, accepted map[string]int
	done, published  chan struct{} // capacity 1: some more were
}

func newMarket(t *testing.T, b *Broker) *market {
	return &market{t: t, b: b, holder: map[string]int{}, accepted: map[string]int{},
		done: make(chan struct{}, 1), published: make(chan struct{}, 1)}
}

// TestNoRecordHasTwoHoldersAndNoneIsLost, whoever takes, settles, gives back and
// leaves at the same time as others.
func TestNoRecordHasTwoHoldersAndNoneIsLost(t *testing.T) {
	const publishers, consumers, each = 4, 6, 300
	for name, spec := range bothKinds {
		p := newPool(t, spec)
		m := newMarket(t, p.b)
		life, end := context.WithCancel(ctx)
		var sellers, buyers sync.WaitGroup
		for i := range publishers {
			sellers.Go(func() { m.publish(p.q, i, each) })
		}
		for i := range consumers {
			buyers.Go(func() { m.consume(life, p.q, i+1) })
		}
		sellers.Wait()
		m.await(publishers * each)
		end()
		buyers.Wait()
		m.judge(name, p.q, publishers*each)
	}
}

// judge says whether every record of the queue was accepted once.
func (m *market) judge(what string, q *Queue, records int) {
	for id, n := range m.accepted {
		if n != 1 {
			m.t.Errorf("%s: %s was accepted %d times", what, id, n)
		}
	}
	if s := q.Stats(); s.Ready != 0 || s.Leased != 0 || len(m.accepted) != records {
		m.t.Errorf("%s: %d accepted, and %+v", what, len(m.accepted), s)
	}
}

// await waits until so many records are done with.
func (m *market) await(n int) {
	limit := time.After(20 * time.Second)
	for {
		m.mu.Lock()
		done := len(m.accepted)
		m.mu.Unlock()
		if done == n {
			return
		}
		select {
		case <-m.done:
		case <-limit:
			m.t.Error("it takes too long")
			return
		}
	}
}

func (m *market) publish(q *Queue, who, n int) {
	x, err := m.b.Exchange("", "")
	if err != nil {
		m.t.Error(err)
		return
	}
	for i := 0; i < n; {
		tx := m.b.Begin()
		for range 10 {
			tx.Publish(x, QueueRecord{Key: q.name.Name, Body: fmt.Appendf(nil, "%d/%d", who, i)})
			i++
		}
		if _, err := tx.Commit(ctx); err != nil {
			m.t.Error(err)
			return
		}
		ring(m.published)
	}
}

// consume begins one subscription after another until the context ends.
func (m *market) consume(life context.Context, q *Queue, who int) {
	rng := seeded(uint64(who))
	for life.Err() == nil {
		var credit Credit
		credit.SetLimit(rng.IntN(40))
		wake := make(chan struct{}, 1)
		s, err := q.Subscribe(SubscribeOptions{Wake: wake, Credits: []*Credit{&credit}})
		if err != nil {
			m.t.Errorf("subscribe: %v", err)
			return
		}
		m.visit(life, s, wake, who, rng)
		s.Close()
	}
}

// visit takes and settles for a while, and leaves with some deliveries in hand that it
// settles afterwards.
func (m *market) visit(
	life context.Context, s *Subscription, wake chan struct{}, who int, rng *rand.Rand,
) {
	var held []Delivery
	for range 1 + rng.IntN(30) {
		ds, err := s.Take(nil, 1+rng.IntN(20))
		if err != nil && !errors.Is(err, NotFound) {
			m.t.Errorf("take: %v", err)
		}
		m.hold(ds, who)
		held = append(held, ds...)
		if n := rng.IntN(len(held) + 1); n > 0 {
			m.settle(s, held[:n], who, rng)
			held = held[n:]
		}
		if len(ds) == 0 {
			select {
			case <-wake:
			case <-life.Done():
			case <-time.After(time.Millisecond):
			}
		}
	}
	s.Close()
	m.settle(s, held, who, rng)
}

func (m *market) hold(ds []Delivery, who int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range ds {
		id := string(ds[i].Record.Body)
		ds[i].Record.Key, ds[i].Record.Body = id, nil // the bytes are valid until the next Take
		if had := m.holder[id]; had != 0 {
			m.t.Errorf("%s is with %d and %d", id, had, who)
		}
		m.holder[id] = who
	}
}

// settle accepts most of them and gives the others back.
func (m *market) settle(s *Subscription, ds []Delivery, who int, rng *rand.Rand) {
	tx := m.b.Begin()
	m.mu.Lock()
	for i := range ds {
		id, outcome := ds[i].Record.Key, Accept
		if rng.IntN(4) == 0 {
			outcome = Requeue
		} else {
			m.accepted[id]++
		}
		delete(m.holder, id) // from the commit on somebody else may have it
		tx.Settle(s.q, s, ds[i].ID, outcome)
	}
	m.mu.Unlock()
	ring(m.done)
	if _, err := tx.Commit(ctx); err != nil {
		m.t.Errorf("settle by %d: %v", who, err)
	}
}

// TestQueueIsDeletedUnderLoad, again and again, while others publish to it, consume
// from it and bind it: nothing hangs, and its records are dead letters or gone.
func TestQueueIsDeletedUnderLoad(t *testing.T) {
	settings := QueueSettings{DeadLetters: true, DeadLetterTo: "dlx", MaxLength: ptr[int64](50)}
	for _, spec := range []QueueSpec{{Durable: true, Settings: settings}, {Settings: settings}} {
		p := newPool(t, spec)
		p.deadEnd()
		spec.Name = "jobs"
		m := newMarket(t, p.b)
		life, end := context.WithCancel(ctx)
		var work sync.WaitGroup
		for i := range 2 {
			work.Go(func() {
				for j := i; life.Err() == nil; j += 2 {
					m.publish(p.q, j, 20)
				}
			})
			work.Go(func() { m.deletedUnder(life, i+1) })
		}
		for range 20 {
			q, _, err := p.b.DeclareQueue(ctx, spec)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 { // so that something is under way
				<-m.published
			}
			if _, err := p.b.DeleteQueue(ctx, q, DeleteOptions{}); err != nil {
				t.Error(err)
			}
		}
		end()
		work.Wait()
		if err := p.b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// deletedUnder consumes from whatever queue has the name now.
func (m *market) deletedUnder(life context.Context, who int) {
	rng := seeded(uint64(who))
	var credit Credit // of a channel: it outlives the queues
	credit.SetLimit(20)
	for life.Err() == nil {
		q, err := m.b.Queue("", "jobs")
		if err != nil {
			continue
		}
		s, err := q.Subscribe(SubscribeOptions{Wake: make(chan struct{}, 1), Credits: []*Credit{&credit}})
		if err != nil {
			continue
		}
		for !s.Ended() && life.Err() == nil {
			ds, err := s.Take(nil, 10)
			if k := KindOf(err); err != nil && k != NotFound && k != Closed {
				m.t.Errorf("take: %v", err)
			}
			tx := m.b.Begin()
			for i := range ds {
				tx.Settle(q, s, ds[i].ID, Outcome(1+rng.IntN(3)))
			}
			if _, err := tx.Commit(ctx); err != nil {
				m.t.Errorf("settle: %v", err)
			}
		}
		s.Close()
	}
	if n := credit.used.Load(); n != 0 {
		m.t.Errorf("of a channel's credit %d are lost", n)
	}
}
