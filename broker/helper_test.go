package broker

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tidings-io/tidings/storage"
	"github.com/tidings-io/tidings/storage/vfs"
)

// TestMain fails if a test leaves a goroutine behind: every one has an owner whose
// Close waits for it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

// smallStore is a store that is cheap to open a hundred times.
var smallStore = storage.Config{TailBytes: 256 << 10, JournalBytes: 1 << 20, CarryBytes: 8 << 10}

// openOn opens a broker on a file system; the test closes it.
func openOn(t testing.TB, fs vfs.FS, change ...func(*Config)) *Broker {
	t.Helper()
	c := Config{FS: fs, Storage: smallStore}
	for _, f := range change {
		f(&c)
	}
	b, err := Open("test", c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// reopen closes a broker and opens its data again.
func reopen(t testing.TB, b *Broker, fs vfs.FS, change ...func(*Config)) *Broker {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return openOn(t, fs, change...)
}

func mustTopic(t testing.TB, b *Broker, spec TopicSpec) *Topic {
	t.Helper()
	topic, err := b.CreateTopic(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

// mustWrite writes records durably, in one batch.
func mustWrite(t testing.TB, p *Partition, recs ...Record) Appended {
	t.Helper()
	a, err := p.Write(ctx, recs...)
	if err == nil {
		err = a.Confirm.Wait(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// mustCommit commits durably.
func mustCommit(t testing.TB, tx *Tx) {
	t.Helper()
	c, err := tx.Commit(ctx)
	if err == nil {
		err = c.Wait(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// values reads all values of a partition from an offset on.
func values(t testing.TB, p *Partition, from Offset) []string {
	t.Helper()
	recs, err := readAll(p, from)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, r := range recs {
		got = append(got, string(r.Value))
	}
	return got
}

func readAll(p *Partition, from Offset) ([]Record, error) {
	var all []Record
	var buf Buffer
	defer buf.Release()
	for {
		if err := p.Read(&buf, from, 4096); err != nil || len(buf.Entries) == 0 {
			return all, err
		}
		for _, e := range buf.Entries {
			for rec, err := range Records(e.Bytes) {
				if err != nil {
					return all, err
				}
				if rec.Offset >= from {
					all = append(all, cloneRecord(rec))
				}
			}
			from = e.Base + Offset(e.Count)
		}
	}
}

// cloneRecord copies what a record points to.
func cloneRecord(r Record) Record {
	raw, err := EncodeBatch(nil, None, r)
	if err != nil {
		panic(err)
	}
	for c := range Records(raw) {
		c.Offset, c.Time = r.Offset, r.Time
		return c
	}
	return r
}

// rec makes a record from its value.
func rec(value string) Record { return Record{Value: []byte(value)} }

// clock is a wall clock that a test sets.
type clock struct{ ms atomic.Int64 }

// clockAt is a clock that stands at a time in seconds.
func clockAt(sec int64) *clock {
	c := new(clock)
	c.ms.Store(sec * 1000)
	return c
}

func (c *clock) now() time.Time          { return timeOf(c.ms.Load()) }
func (c *clock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }
func (c *clock) use(config *Config)      { config.Now = c.now }

func wantKind(t testing.TB, what string, err error, want ErrorKind) {
	t.Helper()
	if KindOf(err) != want || err == nil && want != 0 {
		t.Errorf("%s: got %v, want kind %v", what, err, want)
	}
}

type observerFunc func(Event)

func (f observerFunc) Observe(e Event) { f(e) }

// gate is a disk that can be stopped: while it is closed, writes to the journal
// wait, so nothing becomes durable.
type gate struct {
	*vfs.Faulty
	closed chan chan struct{} // holds the channel that ends the stop
}

func newGate(under vfs.FS) *gate {
	g := &gate{Faulty: vfs.NewFaulty(under), closed: make(chan chan struct{}, 1)}
	open := make(chan struct{})
	close(open)
	g.closed <- open
	g.FailIf(func(c vfs.Call) error {
		if c.Op == vfs.OpWrite || c.Op == vfs.OpSync {
			wait := <-g.closed
			g.closed <- wait
			<-wait
		}
		return nil
	})
	return g
}

// stop holds every write back until the function it returns is called.
func (g *gate) stop() (resume func()) {
	<-g.closed
	wait := make(chan struct{})
	g.closed <- wait
	return func() { close(wait) }
}

func seeded(n uint64) *rand.Rand { return rand.New(rand.NewPCG(n, n)) }

// seeds are 0 to count, or those that variable="first count" in the environment names.
func seeds(t *testing.T, variable string, count uint64) iter.Seq[uint64] {
	t.Helper()
	first := uint64(0)
	if v := os.Getenv(variable); v != "" {
		if _, err := fmt.Sscan(v, &first, &count); err != nil {
			t.Fatalf("%s=%q: %v", variable, v, err)
		}
	}
	return func(yield func(uint64) bool) {
		for seed := first; seed < first+count && yield(seed); seed++ {
		}
	}
}

// playHistories plays random histories, each in a bubble of its own. play returns what was done, to
// be shown where it failed.
func playHistories(t *testing.T, all iter.Seq[uint64], play func(*testing.T, uint64) (done []string)) {
	t.Helper()
	for seed := range all {
		synctest.Test(t, func(t *testing.T) {
			if done := play(t, seed); t.Failed() {
				t.Fatalf("seed %d:\n  %s", seed, strings.Join(done, "\n  "))
			}
		})
	}
}
