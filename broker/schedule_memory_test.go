package broker

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestDelayedRecordsTakeLittleMemory: what cannot be due yet takes none, what could be
// due takes 24 bytes a run: 12 bytes a record where delays are random, and none where
// they are the same. Also after a restart; and all of them come.
func TestDelayedRecordsTakeLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 400,000 records")
	}
	const n = 400_000
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		rng := seeded(1)
		m := &memoryOfDelays{t: t, dir: dir}
		m.open()
		m.before = heapNow()
		m.publish(n/2, func() int { return 54_000_000 + rng.IntN(10_000_000) }) // 15 to 18 h: class 25
		m.publish(n/2, func() int { return 57_600_000 })                        // 16 h
		const constant, slack = 4 << 20, 2
		m.wantHeap("asleep", constant)
		m.pass(12 * time.Hour)
		m.wantHeap("could be due", constant+n/2*(12+slack))
		m.close()
		m.open()
		synctest.Wait()
		m.wantHeap("after a restart", constant+n/2*(12+slack))
		if got := m.x.Delayed(); got != n {
			t.Errorf("%d wait", got)
		}
		m.pass(4*time.Hour + time.Second)
		if got := m.x.Delayed() + m.q.Stats().Ready; got != n || m.q.Stats().Ready < n/2 {
			t.Errorf("after 16 h %d are in the queue, %d with those that wait", m.q.Stats().Ready, got)
		}
		m.pass(3 * time.Hour)
		if got := m.q.Stats().Ready; got != n {
			t.Errorf("%d came", got)
		}
		m.wantHeap("when all have come", constant)
		m.close()
	})
}

type memoryOfDelays struct {
	t      *testing.T
	dir    string
	b      *Broker
	x      *Exchange
	q      *Queue
	before int64
	ahead  atomic.Int64 // of the real clock
}

func (m *memoryOfDelays) open() {
	c := Config{Now: func() time.Time { return time.Now().Add(time.Duration(m.ahead.Load())) }}
	withDelays(&c)
	b, err := Open(m.dir, c)
	if err != nil {
		m.t.Fatal(err)
	}
	p := &planner{t: m.t, b: b, durable: true}
	m.b, m.x, m.q = b, p.exchange("later"), p.queue("jobs")
	p.bind(m.x, m.q)
}

func (m *memoryOfDelays) close() {
	if err := m.b.Close(); err != nil {
		m.t.Fatal(err)
	}
}

func (m *memoryOfDelays) publish(n int, delay func() int) {
	var last Confirm
	for i := 0; i < n; {
		tx := m.b.Begin()
		for end := min(i+1000, n); i < end; i++ {
			r := delayed("", delay())
			r.Body = make([]byte, 100)
			tx.Publish(m.x, r)
		}
		var err error
		if last, err = tx.Commit(ctx); err != nil {
			m.t.Fatal(err)
		}
	}
	if err := last.Wait(ctx); err != nil {
		m.t.Fatal(err)
	}
	if err := m.b.store.Checkpoint(ctx); err != nil {
		m.t.Fatal(err)
	}
}

// pass sets the clock, so that not each of many thousand times is waited for.
func (m *memoryOfDelays) pass(d time.Duration) {
	m.ahead.Add(int64(d))
	ring(m.b.schedules.wake)
	synctest.Wait()
}

func (m *memoryOfDelays) wantHeap(when string, most int64) {
	m.t.Helper()
	grown := heapNow() - m.before
	m.t.Logf("%s: %d bytes of heap more", when, grown)
	if grown > most {
		m.t.Errorf("%s: they take %d bytes of memory, want at most %d", when, grown, most)
	}
}
