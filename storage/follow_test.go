package storage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidings-io/tidings/storage/vfs"
)

// crowd is many users of one store: writers that each number their records,
// followers that read every log to its end, and whoever trims, checkpoints,
// scrubs and copies meanwhile.
type crowd struct {
	t        *testing.T
	store    *Store
	logs     []*Log
	writers  int
	each     int            // records of each writer
	followed []atomic.Int64 // by log: how far its follower has read
	done     chan struct{}
}

// TestEveryFollowerSeesEveryRecordOnceInOrder, on both file systems, whatever else
// goes on; and a restart finds what the followers saw.
func TestEveryFollowerSeesEveryRecordOnceInOrder(t *testing.T) {
	defer goleak.VerifyNone(t)
	for name, fs := range map[string]vfs.FS{"mem": vfs.NewMem(), "os": vfs.OS(t.TempDir())} {
		cfg := Config{TailBytes: 128 << 10, JournalBytes: 1 << 20, SegmentBytes: 32 << 10, CarryBytes: 2 << 10,
			extentBytes: 16 << 10, OpenFiles: 4}
		s, err := Open(fs, cfg)
		if err != nil {
			t.Fatal(err)
		}
		c := &crowd{t: t, store: s, logs: makeLogs(t, s, 5), writers: 6, each: 150, done: make(chan struct{})}
		c.followed = make([]atomic.Int64, len(c.logs))
		c.run()
		ends := c.ends()
		if err := s.Close(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s, err = Open(fs, cfg); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i, l := range c.logs {
			if _, durable, end := s.Log(l.id).Bounds(); durable != ends[i] || end != ends[i] {
				t.Errorf("%s: log %d ends at %d after a restart, the follower saw %d", name, l.id, durable, ends[i])
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *crowd) ends() (ends []Offset) {
	for i := range c.followed {
		ends = append(ends, Offset(c.followed[i].Load()))
	}
	return ends
}

func (c *crowd) run() {
	var writers, others sync.WaitGroup
	for w := range c.writers {
		writers.Go(func() { c.write(w) })
	}
	for i := range c.logs {
		others.Go(func() { c.follow(i) })
	}
	others.Go(c.trim)
	others.Go(c.maintain)
	writers.Wait()
	close(c.done)
	others.Wait()
}

// write appends numbered records to one log after the other, a few in flight.
func (c *crowd) write(w int) {
	ctx := context.Background()
	var b Batch
	var last []Seq
	for n := range c.each {
		size := 20 + (n*137)%3000
		if n%40 == 39 {
			size = 20 << 10 // an extent
		}
		if err := c.store.Admit(ctx, size); err != nil {
			c.t.Error(err)
			return
		}
		record := make([]byte, size)
		copy(record, fmt.Sprintf("%d %d ", w, n))
		b.Append(c.logs[(w+n)%len(c.logs)], Entry{Count: 1, Time: int64(n), Bytes: record})
		q, err := c.store.Submit(&b)
		if err != nil {
			c.t.Error(err)
			return
		}
		b.Reset()
		if last = append(last, q); len(last) > 8 {
			if err := c.store.Await(ctx, last[0]); err != nil {
				c.t.Error(err)
				return
			}
			last = last[1:]
		}
	}
	if err := c.store.Await(ctx, last[len(last)-1]); err != nil {
		c.t.Error(err)
	}
}

// follow reads a log until the writers are done and nothing is left, as a long
// poll does.
func (c *crowd) follow(i int) {
	l := c.logs[i]
	w := &Waiter{C: make(chan struct{}, 1), MinBytes: 1}
	l.Watch(w)
	defer l.Unwatch(w)
	seen := make([]int, c.writers) // the next record of each writer that may come
	var buf Buffer
	defer buf.Release()
	done := c.done
	for off := Offset(0); ; {
		w.Reset()
		if err := l.Read(&buf, off, 8<<10); err != nil {
			c.t.Errorf("follow log %d at %d: %v", l.id, off, err)
			return
		}
		for _, v := range buf.Entries {
			c.take(seen, off, v)
			off = v.Base + 1
		}
		c.followed[i].Store(int64(off))
		if len(buf.Entries) > 0 {
			continue
		}
		if done == nil {
			return
		}
		select {
		case <-w.C:
		case <-done:
			done = nil // what is durable by now is all there will be
		}
	}
}

func (c *crowd) take(seen []int, off Offset, v View) {
	var w, n int
	if _, err := fmt.Sscanf(string(v.Bytes[:min(20, len(v.Bytes))]), "%d %d ", &w, &n); err != nil || v.Base != off {
		c.t.Errorf("at %d: %.20q at %d: %v", off, v.Bytes, v.Base, err)
		return
	}
	if n < seen[w] {
		c.t.Errorf("at %d: record %d of writer %d, after %d", off, n, w, seen[w]-1)
	}
	seen[w] = n + 1
}

// trim gives up what the followers have read, and no more.
func (c *crowd) trim() {
	var b Batch
	for i := 0; ; i = (i + 1) % len(c.logs) {
		select {
		case <-c.done:
			return
		default:
		}
		b.Trim(c.logs[i], Offset(c.followed[i].Load()))
		q, err := c.store.Submit(&b)
		if err == nil {
			err = c.store.Await(context.Background(), q)
		}
		if err != nil {
			c.t.Error(err)
			return
		}
		b.Reset()
	}
}

// maintain checkpoints, scrubs and copies, one after the other.
func (c *crowd) maintain() {
	ctx := context.Background()
	for {
		found, err := c.store.Scrub(ctx)
		if err = errors.Join(err, c.store.Checkpoint(ctx), c.store.Backup(ctx, vfs.NewMem())); err != nil || len(found) > 0 {
			c.t.Errorf("%v, %v", found, err)
			return
		}
		c.store.Stats()
		select {
		case <-c.done:
			return
		default:
		}
	}
}
