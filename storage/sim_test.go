package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

var (
	simSeeds = flag.Int("sim.seeds", 150, "simulated crash histories to run")
	simFrom  = flag.Uint64("sim.from", 1, "first seed")
)

// TestWhatWasAcknowledgedSurvivesEveryCrash runs random histories on a file
// system whose power is cut at random moments, also in the middle of a write,
// and compares what recovery finds with a model: everything up to some
// sequence at or after the last acknowledged one, and nothing else.
func TestWhatWasAcknowledgedSurvivesEveryCrash(t *testing.T) {
	if seed, err := runSeeds(*simFrom, *simSeeds, plainSim); err != nil {
		t.Fatalf("seed %d (rerun with -sim.from=%d -sim.seeds=1): %v", seed, seed, err)
	}
}

// TestSimulationNoticesMissingSyncs is the sabotage that shows the simulation
// can fail: on a file system that only pretends to sync it must.
func TestSimulationNoticesMissingSyncs(t *testing.T) {
	lying := func(seed uint64) *sim {
		return newSim(seed, func(fs vfs.FS) vfs.FS { return noSync{fs} })
	}
	if _, err := runSeeds(1, 50, lying); err == nil {
		t.Fatal("50 histories without a single real sync, and no loss was noticed")
	}
}

// noSync says that everything is synced and syncs nothing.
type noSync struct{ vfs.FS }

type noSyncFile struct{ vfs.File }

func (n noSync) Open(name string, o vfs.OpenOptions) (vfs.File, error) {
	o.Direct = false
	f, err := n.FS.Open(name, o)
	return noSyncFile{f}, err
}
func (noSync) SyncAll() error  { return nil }
func (noSyncFile) Sync() error { return nil }

func plainSim(seed uint64) *sim {
	return newSim(seed, func(fs vfs.FS) vfs.FS { return fs })
}

// runSeeds runs histories on all processors and returns the first that fails.
func runSeeds(from uint64, n int, begin func(seed uint64) *sim) (seed uint64, err error) {
	var next atomic.Uint64
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				s := from + next.Add(1) - 1
				if s >= from+uint64(n) {
					return
				}
				if e := begin(s).run(); e != nil {
					mu.Lock()
					if err == nil || s < seed {
						seed, err = s, e
					}
					mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	return seed, err
}

// sim is one random history.
type sim struct {
	rng   *rand.Rand
	mem   *vfs.Mem
	wrap  func(vfs.FS) vfs.FS
	store *Store
	cfg   Config
	acked Seq
	// batches not yet folded into base, in order of submission.
	batches   []simBatch
	base      simModel
	submitted int
	trace     []string
}

type simBatch struct {
	seq    Seq
	number string
	ops    []func(*simModel)
}

// simModel is what a store holds, simply.
type simModel struct {
	logs map[LogID]*simLog
	keys map[string]string
	sets map[SetID]*simSet
}

// simSet covers a few pages of a set.
type simSet [15000]bool

type simLog struct {
	start, end Offset
	entries    []simEntry
}

type simEntry struct {
	base  Offset
	count int32
	time  int64
	data  []byte
}

func newSim(seed uint64, wrap func(vfs.FS) vfs.FS) *sim {
	rng := rand.New(rand.NewPCG(seed, seed*7+1))
	s := &sim{rng: rng, mem: vfs.NewMem(), wrap: wrap, base: newModel()}
	s.cfg = Config{
		manual: true, TailBytes: 64 << 10, SegmentBytes: int64(4096 << rng.IntN(3)),
		JournalBytes: 256 << 10, firstJournal: 32 << 10, CarryBytes: 1 + rng.IntN(4<<10),
		extentBytes: 1024 << rng.IntN(4), OpenFiles: 1 + rng.IntN(8),
	}
	return s
}

func newModel() simModel {
	return simModel{logs: map[LogID]*simLog{}, keys: map[string]string{}, sets: map[SetID]*simSet{}}
}

func (s *sim) note(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf(format, args...))
}

func (s *sim) run() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s\n%s", p, debug.Stack(), s.tail())
		}
	}()
	if err := s.open(); err != nil {
		return s.fail("first open", err)
	}
	for range 3 + s.rng.IntN(3) {
		if s.rng.IntN(2) == 0 {
			s.mem.CutAfter(1 + s.rng.IntN(120))
			s.note("cut planned")
		}
		for range s.rng.IntN(40) {
			if err := s.step(); errors.Is(err, vfs.ErrPowerCut) {
				break
			} else if err != nil {
				return s.fail("step", err)
			}
		}
		if err := s.crash(); err != nil {
			return s.fail("crash", err)
		}
	}
	return nil
}

func (s *sim) fail(what string, err error) error {
	return fmt.Errorf("%s: %w\n%s", what, err, s.tail())
}

func (s *sim) tail() (out string) {
	for _, l := range s.trace[max(0, len(s.trace)-60):] {
		out += "  " + l + "\n"
	}
	return out
}

func (s *sim) open() error {
	st, err := Open(s.wrap(s.mem), s.cfg)
	if err == nil {
		s.store = st
	}
	return err
}

func (s *sim) step() error {
	st := s.store
	switch n := s.rng.IntN(20); {
	case n < 12:
		return s.submit()
	case n < 15:
		s.note("commit all")
		err := st.commitAll()
		s.acked = max(s.acked, s.promised())
		return err
	case n < 16:
		if f := st.nextFrame(); f != nil {
			s.note("commit %d", f.seq)
			err := st.commit(f)
			s.acked = max(s.acked, s.promised())
			return err
		}
		return nil
	case n < 17:
		s.note("flush round")
		return st.flushOldest(0)
	case n < 18:
		carry := s.rng.IntN(3) > 0
		s.note("checkpoint carry=%v", carry)
		err := st.checkpoint(carry)
		s.acked = max(s.acked, s.promised())
		return err
	case n < 19:
		return st.writeMarker()
	default:
		s.note("close and open")
		if err := st.Close(); err != nil {
			return err
		}
		s.acked = s.store.lastSeq
		if err := s.open(); err != nil {
			return err
		}
		return s.verify()
	}
}

// crash takes what a power cut or a kill leaves, opens it and compares.
func (s *sim) crash() error {
	s.acked = max(s.acked, s.promised())
	onDevice := s.acked
	if s.rng.IntN(4) == 0 {
		s.acked = max(s.acked, s.store.Durable())
		s.note("kill, acked %d", s.acked)
		s.mem = s.mem.Kill()
	} else {
		s.note("power cut, acked %d", s.acked)
		s.mem = s.mem.Crash(s.rng)
	}
	for s.rng.IntN(4) == 0 { // a second crash, while recovering from the first
		n := 1 + s.rng.IntN(60)
		s.mem.CutAfter(n)
		if err := s.open(); err == nil {
			break
		} else if !errors.Is(err, vfs.ErrPowerCut) {
			return err
		}
		s.note("power cut %d calls into recovery", n)
		s.acked = onDevice
		s.mem = s.mem.Crash(s.rng)
	}
	s.mem = s.mem.Kill() // cancels a planned cut
	if err := s.open(); err != nil {
		return err
	}
	return s.verify()
}

// promised is the last sequence that a power cut may not take back.
func (s *sim) promised() Seq {
	if s.cfg.Sync == SyncAlways {
		return s.store.Durable()
	}
	return Seq(s.store.journal.synced.Load())
}

// verify folds the batches that recovery kept into the model and compares.
// Every batch puts its number under one key: that says how many were kept.
func (s *sim) verify() error {
	last, _ := s.store.Get([]byte("#"))
	for _, b := range s.batches {
		if b.number > string(last) {
			if b.seq <= s.acked {
				return fmt.Errorf("frame %d was acknowledged; batches up to %q are there, not %q", b.seq, last, b.number)
			}
			continue
		}
		for _, op := range b.ops {
			op(&s.base)
		}
	}
	s.batches, s.acked = nil, s.store.Durable()
	return s.base.compare(s.store)
}

func (s *sim) submit() error {
	var b Batch
	s.submitted++
	rec := simBatch{number: fmt.Sprintf("%06d", s.submitted)}
	b.Put([]byte("#"), []byte(rec.number))
	rec.add(func(m *simModel) { m.keys["#"] = rec.number })
	n := 1 + s.rng.IntN(4)
	for range n {
		s.addOp(&b, &rec)
	}
	q, err := s.store.Submit(&b)
	if err != nil {
		return err
	}
	rec.seq = q
	s.batches = append(s.batches, rec)
	s.note("submit %d ops seq %d", len(rec.ops), q)
	return nil
}

// addOp adds one random operation to the batch and to the model's record.
func (s *sim) addOp(b *Batch, rec *simBatch) {
	st := s.store
	logs := slices.Sorted(maps.Keys(s.base.logs))
	if len(logs) == 0 || s.rng.IntN(12) == 0 && len(logs) < 6 {
		l := st.NewLog(b, LogOptions{})
		rec.add(func(m *simModel) { m.logs[l.id] = &simLog{} })
		s.appendTo(b, rec, l)
		return
	}
	l := st.Log(logs[s.rng.IntN(len(logs))])
	if l == nil || l.gone {
		return
	}
	switch n := s.rng.IntN(20); {
	case n < 11:
		s.appendTo(b, rec, l)
	case n < 13:
		_, _, end := l.Bounds()
		to := Offset(s.rng.Int64N(int64(end) + 1))
		b.Trim(l, to)
		rec.add(func(m *simModel) { m.logs[l.id].trim(to) })
	case n == 13 && s.rng.IntN(4) == 0:
		s.note("drop log %d", l.id)
		b.Drop(l)
		rec.add(func(m *simModel) { delete(m.logs, l.id) })
	case n < 17:
		k, v := fmt.Sprintf("k%d", s.rng.IntN(8)), fmt.Sprint(s.rng.Uint64())
		b.Put([]byte(k), []byte(v))
		rec.add(func(m *simModel) { m.keys[k] = v })
	case n == 17:
		k := fmt.Sprintf("k%d", s.rng.IntN(8))
		b.Delete([]byte(k))
		rec.add(func(m *simModel) { delete(m.keys, k) })
	default:
		s.setOp(b, rec)
	}
}

func (s *sim) setOp(b *Batch, rec *simBatch) {
	sets := slices.Sorted(maps.Keys(s.base.sets))
	if len(sets) < 2 {
		x := s.store.NewSet(b)
		rec.add(func(m *simModel) { m.sets[x.id] = new(simSet) })
		return
	}
	x := s.store.Set(sets[s.rng.IntN(len(sets))])
	if x == nil {
		return
	}
	if s.rng.IntN(20) == 0 {
		b.DropSet(x)
		rec.add(func(m *simModel) { delete(m.sets, x.id) })
		return
	}
	from := Offset(s.rng.IntN(9000))
	if s.rng.IntN(3) == 0 {
		from = x.Floor()
	}
	from = min(from, Offset(len(simSet{})))
	to := min(from+Offset(s.rng.IntN(5000)), Offset(len(simSet{})))
	b.Mark(x, from, to)
	rec.add(func(m *simModel) {
		for o := from; o < to && m.sets[x.id] != nil; o++ {
			m.sets[x.id][o] = true
		}
	})
}

func (r *simBatch) add(op func(*simModel)) { r.ops = append(r.ops, op) }

func (s *sim) appendTo(b *Batch, rec *simBatch, l *Log) {
	size := 8 + s.rng.IntN(200)
	if s.rng.IntN(6) == 0 {
		size = s.rng.IntN(12<<10) + 8
	}
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(s.rng.Uint32())
	}
	e := simEntry{count: 1 + int32(s.rng.IntN(3)), time: int64(s.rng.IntN(1000)), data: data}
	patch := Patch(0)
	if s.rng.IntN(2) == 0 {
		patch = At(s.rng.IntN(size - 7))
	}
	b.Append(l, Entry{Count: e.count, Time: e.time, Patch: patch, Bytes: data})
	rec.add(func(m *simModel) {
		x := m.logs[l.id]
		if x == nil {
			return
		}
		e.base = x.end
		if patch != 0 {
			binary.BigEndian.PutUint64(e.data[patch-1:], uint64(e.base))
		}
		x.entries = append(x.entries, e)
		x.end += Offset(e.count)
	})
}

func (l *simLog) trim(to Offset) {
	if l == nil {
		return // dropped by the same batch
	}
	l.start = max(l.start, min(to, l.end))
	for len(l.entries) > 0 && l.entries[0].base+Offset(l.entries[0].count) <= l.start {
		l.entries = l.entries[1:]
	}
}

func (m *simModel) compare(s *Store) error {
	keys := map[string]string{}
	for k, v := range s.Scan(nil) {
		keys[string(k)] = string(v)
	}
	if !maps.Equal(keys, m.keys) {
		return fmt.Errorf("keys are %v, want %v", keys, m.keys)
	}
	if got, want := len(s.durableLogs()), len(m.logs); got != want {
		return fmt.Errorf("%d logs, want %d", got, want)
	}
	for id, want := range m.logs {
		if err := want.compare(s.Log(id)); err != nil {
			return fmt.Errorf("log %d: %w", id, err)
		}
	}
	if got, want := len(s.sets), len(m.sets); got != want {
		return fmt.Errorf("%d sets, want %d", got, want)
	}
	for id, want := range m.sets {
		x := s.Set(id)
		if x == nil {
			return fmt.Errorf("set %d is missing", id)
		}
		if err := want.compare(x); err != nil {
			return fmt.Errorf("set %d: %w", id, err)
		}
	}
	return nil
}

func (want *simSet) compare(x *Set) error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for o, in := range want {
		if x.hasLocked(Offset(o)) != in {
			return fmt.Errorf("it has %d: %v, want %v", o, !in, in)
		}
	}
	return nil
}

func (l *simLog) compare(got *Log) error {
	if got == nil {
		return errors.New("missing")
	}
	start, durable, end := got.Bounds()
	if start != l.start || durable != l.end || end != l.end {
		return fmt.Errorf("bounds %d %d %d, want %d %d", start, durable, end, l.start, l.end)
	}
	var buf Buffer
	defer buf.Release()
	i := 0
	for off := start; off < end; {
		if err := got.Read(&buf, off, 3000); err != nil {
			return fmt.Errorf("read %d: %w", off, err)
		}
		if len(buf.Entries) == 0 {
			return fmt.Errorf("nothing at %d before the end %d", off, end)
		}
		for _, v := range buf.Entries {
			w := l.entries[i]
			if v.Base != w.base || v.Count != w.count || v.Time != w.time || !bytes.Equal(v.Bytes, w.data) {
				return fmt.Errorf("entry %d: %d+%d at time %d (%d bytes), want %d+%d at %d (%d bytes)",
					i, v.Base, v.Count, v.Time, len(v.Bytes), w.base, w.count, w.time, len(w.data))
			}
			off, i = v.Base+Offset(v.Count), i+1
		}
	}
	return l.compareTimes(got)
}

func (l *simLog) compareTimes(got *Log) error {
	for _, t := range []int64{0, 250, 999} {
		i := slices.IndexFunc(l.entries, func(e simEntry) bool { return e.time >= t })
		base, ok, err := got.Find(t)
		if err != nil || ok != (i >= 0) || ok && base != l.entries[i].base {
			return fmt.Errorf("find time %d: %d %v %v, want entry %d", t, base, ok, err, i)
		}
	}
	return nil
}
