package storage

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

// history is a run whose outcome is known at every step: what the store holds
// after each batch. Tests then damage what it left on disk and compare.
type history struct {
	mem *vfs.Mem
	cfg Config
	// models[i] is the store after the i-th batch, seqs[i] the frame of it.
	models []simModel
	seqs   []Seq
	acked  Seq
}

// script drives a simulated run by words instead of by chance; what each batch
// holds is still random, and the same for the same seed.
type script struct {
	*sim
	h     *history
	model simModel
}

// testConfig makes everything small, so that a short run uses every part.
func testConfig() Config {
	return Config{manual: true, TailBytes: 64 << 10, SegmentBytes: 8 << 10, JournalBytes: 256 << 10,
		firstJournal: 32 << 10, CarryBytes: 2 << 10, extentBytes: 6 << 10, OpenFiles: 8}
}

func newScript(seed uint64, wrap func(vfs.FS) vfs.FS) *script {
	if wrap == nil {
		wrap = func(fs vfs.FS) vfs.FS { return fs }
	}
	s := &script{sim: newSim(seed, wrap), model: newModel()}
	s.cfg = testConfig()
	s.h = &history{cfg: s.cfg, models: []simModel{newModel()}, seqs: []Seq{0}}
	return s
}

// do runs words: batch, commit, flush, checkpoint, carry, marker, reopen.
func (s *script) do(words ...string) error {
	for _, w := range words {
		if err := s.word(w); err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
	}
	return nil
}

func (s *script) word(w string) error {
	switch w {
	case "open":
		return s.open()
	case "batch":
		return s.batch()
	case "commit":
		return s.store.commitAll()
	case "flush":
		return s.background(s.store.flushOldest(0))
	case "checkpoint":
		return s.background(s.store.checkpoint(false))
	case "carry":
		return s.background(s.store.checkpoint(true))
	case "rewrite": // makes the next checkpoint begin a new manifest
		s.store.manifest.base = -s.store.manifest.off - 1<<20
		return nil
	case "wide":
		return s.custom(s.wide)
	case "drop":
		return s.custom(s.drop)
	case "marker":
		return s.store.writeMarker()
	case "close":
		return s.store.Close()
	}
	return errors.New("no such word")
}

// background does with an error what the flusher and the checkpointer do.
func (s *script) background(err error) error {
	if err := s.store.tolerate(err); err != nil {
		return s.store.poison(err)
	}
	return nil
}

// batch submits a random batch and notes what the store holds with it.
func (s *script) batch() error {
	if err := s.submit(); err != nil {
		return err
	}
	return s.submittedLast()
}

// custom submits a batch that fill makes.
func (s *script) custom(fill func(b *Batch, rec *simBatch)) error {
	var b Batch
	s.submitted++
	rec := simBatch{number: fmt.Sprintf("%06d", s.submitted)}
	b.Put([]byte("#"), []byte(rec.number))
	rec.add(func(m *simModel) { m.keys["#"] = rec.number })
	fill(&b, &rec)
	q, err := s.store.Submit(&b)
	if err != nil {
		return err
	}
	rec.seq = q
	s.batches = append(s.batches, rec)
	return s.submittedLast()
}

// wide makes many logs with an entry each.
func (s *script) wide(b *Batch, rec *simBatch) {
	for range syncAllFrom + 2 {
		l := s.store.NewLog(b, LogOptions{})
		rec.add(func(m *simModel) { m.logs[l.id] = &simLog{} })
		s.appendTo(b, rec, l)
	}
}

// drop drops all sets, and all but two logs.
func (s *script) drop(b *Batch, rec *simBatch) {
	for _, id := range slices.Sorted(maps.Keys(s.base.sets)) {
		b.DropSet(s.store.Set(id))
		rec.add(func(m *simModel) { delete(m.sets, id) })
	}
	for i, id := range slices.Sorted(maps.Keys(s.base.logs)) {
		if l := s.store.Log(id); i > 1 && l != nil && !l.gone {
			b.Drop(l)
			rec.add(func(m *simModel) { delete(m.logs, id) })
		}
	}
}

func (s *script) submittedLast() error {
	b := s.batches[len(s.batches)-1]
	for _, op := range b.ops {
		op(&s.model)
		op(&s.base) // so that later batches know the logs that there are
	}
	s.h.models = append(s.h.models, s.model.clone())
	s.h.seqs = append(s.h.seqs, b.seq)
	return nil
}

// history ends the run: what is durable by now was acknowledged.
func (s *script) history() *history {
	s.h.mem, s.h.acked = s.mem, s.store.Durable()
	return s.h
}

// record runs words on an empty file system and stops as a killed process does.
func record(t testing.TB, seed uint64, words ...string) *history {
	t.Helper()
	s := newScript(seed, nil)
	if err := s.do(append([]string{"open"}, words...)...); err != nil {
		t.Fatal(err)
	}
	h := s.history()
	h.mem = h.mem.Kill()
	return h
}

// times repeats words.
func times(n int, words ...string) []string { return slices.Repeat(words, n) }

// busy is a run that uses every part: tails, extents, carried tails, several
// segments and journal files, a reopened store, and frames after the last checkpoint.
func busy() []string {
	return slices.Concat(
		times(12, "batch", "batch", "commit"), []string{"carry"},
		times(12, "batch", "commit"), []string{"flush", "checkpoint"},
		times(8, "batch", "commit"), []string{"close", "open"},
		times(10, "batch", "commit"), []string{"carry"},
		times(10, "batch", "commit"))
}

// verify compares an open store with the history: everything acknowledged must
// be there, and what is there must be the state after some batch.
func (h *history) verify(s *Store) error {
	k := h.found(s)
	if k+1 < len(h.seqs) && h.seqs[k+1] <= h.acked {
		return fmt.Errorf("frame %d was acknowledged; the store ends with batch %d of %d (frame %d)",
			h.seqs[k+1], k, len(h.seqs)-1, h.seqs[k])
	}
	return h.models[k].compare(s)
}

// found is the number of the last batch that the store holds.
func (h *history) found(s *Store) (k int) {
	last, ok := s.Get([]byte("#"))
	if !ok {
		return 0
	}
	_, _ = fmt.Sscanf(string(last), "%d", &k) // else 0, which will not compare equal
	return k
}

// reopen opens what is left of the run and verifies it.
func (h *history) reopen(fs vfs.FS) error {
	s, err := Open(fs, h.cfg)
	if err != nil {
		return err
	}
	defer s.closeFiles()
	return h.verify(s)
}

func (m *simModel) clone() simModel {
	c := simModel{logs: map[LogID]*simLog{}, keys: maps.Clone(m.keys), sets: map[SetID]*simSet{}}
	for id, l := range m.logs {
		c.logs[id] = &simLog{start: l.start, end: l.end, entries: slices.Clone(l.entries)}
	}
	for id, x := range m.sets {
		same := *x
		c.sets[id] = &same
	}
	return c
}

func TestScriptedRunSurvivesAKill(t *testing.T) {
	for seed := range uint64(20) {
		h := record(t, seed, busy()...)
		if err := h.reopen(h.mem); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}
