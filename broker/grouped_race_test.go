package broker

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestReceiversOfGroupsTakeThemInOrder, while others publish, and much more waits than the
// window has room for: nobody has a record of a group while another has an older one, and
// each comes once.
func TestReceiversOfGroupsTakeThemInOrder(t *testing.T) {
	const groups, each, workers = 7, 300, 4
	for name, spec := range bothKinds {
		t.Run(name, func(t *testing.T) {
			p := newPool(t, QueueSpec{})
			if err := p.b.Close(); err != nil {
				t.Fatal(err)
			}
			p.b = openOn(t, p.fs, func(c *Config) { c.Limits.GroupWindow = 50 })
			spec.Settings = QueueSettings{Groups: OrderedGroups}
			p.declare(spec)
			o := &orders{t: t, next: map[string]int{}, left: groups * each}
			life, end := context.WithTimeout(ctx, 30*time.Second)
			defer end()
			o.done = end
			var work sync.WaitGroup
			work.Go(func() {
				for i := range each {
					tx := p.b.Begin()
					for g := range groups {
						p.addGrouped(tx, fmt.Sprint(string(rune('A'+g)), i))
					}
					if _, err := tx.Commit(ctx); err != nil {
						t.Error(err)
					}
				}
			})
			for range workers {
				work.Go(func() {
					for life.Err() == nil {
						ds, err := p.q.Receive(life, ReceiveOptions{Max: 5, Lease: time.Minute, Wait: time.Minute})
						if err != nil && life.Err() == nil {
							t.Errorf("receive: %v", err)
							return
						}
						o.took(p, ds)
					}
				})
			}
			work.Wait()
			if o.left != 0 {
				t.Errorf("%d never came", o.left)
			}
			p.wantStats("nothing is left", 0, 0, 0)
			if err := p.b.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// orders is which record of each group is to come next.
type orders struct {
	t    *testing.T
	mu   sync.Mutex
	next map[string]int
	left int
	done func()
}

// took looks at what somebody has received, and discards it: only then others may have more
// of its groups.
func (o *orders) took(p *pool, ds []Delivery) {
	o.mu.Lock()
	for i := range ds {
		group, body := ds[i].Record.Group, string(ds[i].Record.Body)
		if n, err := strconv.Atoi(body[1:]); err != nil || n != o.next[group] {
			o.t.Errorf("received %s, want %s%d", body, group, o.next[group])
		}
		o.next[group]++
	}
	if o.left -= len(ds); o.left == 0 {
		o.done()
	}
	o.mu.Unlock()
	tx := p.b.Begin()
	for i := range ds {
		tx.Discard(p.q, ds[i].ID)
	}
	if _, err := tx.Commit(ctx); err != nil {
		o.t.Errorf("discard: %v", err)
	}
}

// TestALongPollWaitsWhileOthersSort what a restart left, and take all that there is.
func TestALongPollWaitsWhileOthersSort(t *testing.T) {
	const queues, receivers = 300, 8
	p := newPool(t, QueueSpec{})
	for i := range queues {
		p.declare(QueueSpec{Name: fmt.Sprint("g", i), Durable: true, Settings: QueueSettings{Groups: OrderedGroups}})
		tx := p.b.Begin()
		p.addGrouped(tx, "A1")
		mustCommit(t, tx)
	}
	if err := p.b.Close(); err != nil {
		t.Fatal(err)
	}
	p.b = openOn(t, p.fs)
	for i := range queues {
		q, err := p.b.Queue("", fmt.Sprint("g", i))
		if err != nil {
			t.Fatal(err)
		}
		oneGetsIt(t, q, receivers)
	}
}

// oneGetsIt has as many receivers wait for one record.
func oneGetsIt(t *testing.T, q *Queue, receivers int) {
	life, end := context.WithCancel(ctx)
	defer end()
	var all sync.WaitGroup
	var back atomic.Int64
	for range receivers {
		all.Go(func() {
			defer back.Add(1)
			ds, err := q.Receive(life, ReceiveOptions{Max: 1, Lease: time.Hour, Wait: time.Hour})
			if len(ds) == 0 && err == nil {
				t.Errorf("%s: a receive gave nothing before its time", q)
			}
		})
	}
	for waiting := 0; waiting+int(back.Load()) < receivers || back.Load() == 0; runtime.Gosched() {
		q.mu.Lock()
		waiting = len(q.line)
		q.mu.Unlock()
	}
	end()
	all.Wait()
}
