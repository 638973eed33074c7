package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/tidings-io/tidings/storage/vfs"
)

// Backup copies everything durable at one moment into dst, which must be empty,
// while the store goes on:
//
//  1. hold back the deletion of segment files
//  2. write tails to segments, so that little is left to copy
//  3. under the state lock, take the sequence, keys, sets, each log's bounds and
//     segment lengths, and copy the rest of the tails
//  4. copy the segments up to those lengths, verifying every entry
//  5. write manifest and journal, and CURRENT last
//
// Segments only grow, so what step 3 measured stays as it was. The result opens
// as a store; until CURRENT is there it is none. Errors: a *Damage where the
// store is damaged, fs.ErrExist, ctx's, ErrClosed, and those of either disk.
func (s *Store) Backup(ctx context.Context, dst vfs.FS) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	if err := beginBackup(dst); err != nil {
		return err
	}
	s.hold()
	defer s.unhold()
	if err := s.tolerate(s.flushAll()); err != nil {
		return s.poison(err)
	}
	b := &backup{store: s, dst: dst, stop: s.stopper(ctx), dirs: map[string]bool{}}
	b.take()
	return b.write()
}

// flushAll writes the tails of all durable logs to segments.
func (s *Store) flushAll() error {
	for _, l := range s.durableLogs() {
		if l.volatile {
			continue
		}
		if err := l.flush(); err != nil {
			return err
		}
	}
	return nil
}

func beginBackup(dst vfs.FS) error {
	if err := dst.MkdirAll("."); err != nil {
		return err
	}
	names, err := dst.List(".")
	if err == nil && len(names) > 0 {
		err = fmt.Errorf("%s is not empty: %w", dst.Path("."), fs.ErrExist)
	}
	return err
}

// hold keeps checkpoints from deleting segment files, until unhold.
func (s *Store) hold() {
	d := &s.dirty
	d.mu.Lock()
	defer d.mu.Unlock()
	d.holders++
}

func (s *Store) unhold() {
	d := &s.dirty
	d.mu.Lock()
	d.holders--
	var kept []*segment
	if d.holders == 0 {
		kept, d.kept = d.kept, nil
	}
	d.mu.Unlock()
	s.deleteSegments(kept)
}

// keep takes segments that may not be deleted yet.
func (d *dirtyState) keep(gone []*segment) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.holders > 0 {
		d.kept = append(d.kept, gone...)
	}
	return d.holders > 0
}

// stopper returns the error that ends a long copy, if any.
func (s *Store) stopper(ctx context.Context) func(int) error {
	return func(int) error {
		select {
		case <-s.quit:
			return ErrClosed
		default:
			return ctx.Err()
		}
	}
}

// backup is the state at one moment, and where it goes.
type backup struct {
	store *Store
	dst   vfs.FS
	stop  func(int) error
	edit  edit
	seq   Seq
	segs  []snapshot
	tails []tailCopy
	dirs  map[string]bool // made in dst
}

// tailCopy is entries of a log that were in no segment, and will be one.
type tailCopy struct {
	segment
	bytes []byte
}

// take notes the state. The committer waits meanwhile: it only copies memory.
func (b *backup) take() {
	s := b.store
	s.state.RLock()
	defer s.state.RUnlock()
	b.seq = s.Durable()
	for k, v := range s.keys {
		b.edit.put(userKey(k), v)
	}
	for _, x := range s.sets {
		x.encodeNow(&b.edit)
	}
	for _, l := range s.logs {
		if !l.volatile {
			b.takeLog(l)
		}
	}
	b.edit.put([]byte{'C'}, numbers(int64(b.seq), int64(s.nextLog.Load()), int64(s.nextSet.Load()),
		s.journal.time.Load(), 1))
}

func (b *backup) takeLog(l *Log) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	b.edit.put(manifestKey('L', uint64(l.id)), numbers(l.start.Load(), l.durable.Load(), l.segBytes))
	for _, h := range l.holes {
		b.edit.put(manifestKey('H', uint64(l.id), uint64(h.from)), numbers(int64(h.to)))
	}
	for _, g := range l.segs {
		if g.length > g.begin {
			b.segs = append(b.segs, g.snapshot())
			b.edit.put(manifestKey('S', uint64(l.id), uint64(g.base)), g.item())
		}
	}
	for _, t := range l.copyTails() {
		b.tails = append(b.tails, t)
		b.edit.put(manifestKey('S', uint64(l.id), uint64(t.base)), t.item())
	}
}

// copyTails copies the tail, as one segment for each run without a hole. Called
// with mu held.
func (l *Log) copyTails() (out []tailCopy) {
	for i := range l.tail {
		r := &l.tail[i]
		if n := len(out); n == 0 || out[n-1].end != r.base {
			out = append(out, tailCopy{segment: segment{log: l.id, base: r.base, end: r.base, sealed: true,
				begin: segmentHeader, length: segmentHeader, name: segmentName(false, l.id, r.base)}})
		}
		t := &out[len(out)-1]
		t.bytes = append(t.bytes, l.tailBytes(i)...)
		t.end, t.length, t.maxTime = r.end(), t.length+int64(r.size), max(t.maxTime, r.time)
	}
	return out
}

func (b *backup) write() error {
	for _, g := range b.segs {
		if err := b.copySegment(&g.segment); err != nil {
			return err
		}
	}
	for _, t := range b.tails {
		if err := b.writeTail(&t); err != nil {
			return err
		}
	}
	for dir := range b.dirs {
		if err := b.dst.SyncDir(dir); err != nil {
			return err
		}
	}
	for _, dir := range []string{segmentDir, journalDir} {
		if err := errors.Join(b.dst.MkdirAll(dir), b.dst.SyncDir(dir)); err != nil {
			return err
		}
	}
	if err := b.beginJournal(); err != nil {
		return err
	}
	m := &manifest{fs: b.dst}
	defer m.close()
	return m.rewrite(&b.edit)
}

func (b *backup) copySegment(g *segment) error {
	src, err := b.store.fs.Open(g.name, vfs.OpenOptions{})
	if errors.Is(err, fs.ErrNotExist) {
		return g.missingFile(g.base)
	}
	if err != nil {
		return err
	}
	defer src.Close()
	err = b.writeFile(g, func(f vfs.File) error {
		if _, err := f.WriteAt(segmentHead(g.log, g.base), 0); err != nil {
			return err
		}
		return b.copyBytes(f, src, g)
	})
	if err != nil {
		return err
	}
	damaged, _, err := g.check(b.dst, b.stop)
	if err == nil && len(damaged) > 0 {
		return damaged[0]
	}
	return err
}

func (b *backup) copyBytes(dst vfs.File, src io.ReaderAt, g *segment) error {
	buf := make([]byte, 1<<20)
	for at := g.begin; at < g.length; at += int64(len(buf)) {
		if err := b.stop(len(buf)); err != nil {
			return err
		}
		p := buf[:min(int64(len(buf)), g.length-at)]
		if n, err := src.ReadAt(p, at); n < len(p) {
			return &Damage{File: g.name, Pos: at + int64(n), Log: g.log, From: g.base, To: g.end,
				Why: fmt.Sprintf("it cannot be read: %v", err)}
		}
		if _, err := dst.WriteAt(p, at); err != nil {
			return err
		}
	}
	return nil
}

func (b *backup) writeTail(t *tailCopy) error {
	return b.writeFile(&t.segment, func(f vfs.File) error {
		_, err := f.WriteAt(append(segmentHead(t.log, t.base), t.bytes...), 0)
		return err
	})
}

// writeFile makes a segment file in dst, and has it on the device.
func (b *backup) writeFile(g *segment, fill func(vfs.File) error) error {
	if !b.dirs[g.dir()] {
		if err := b.dst.MkdirAll(g.dir()); err != nil {
			return err
		}
		b.dirs[g.dir()] = true
	}
	f, err := b.dst.Open(g.name, vfs.OpenOptions{Write: true, Create: true, Truncate: true})
	if err != nil {
		return err
	}
	if err = fill(f); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// beginJournal makes a journal file that goes on where the copy ends.
func (b *backup) beginJournal() error {
	j := &journal{fs: b.dst, first: b.store.cfg.firstJournal, policy: SyncNever}
	defer j.close()
	jf, err := j.create(j.first)
	if err != nil {
		return err
	}
	return j.begin(jf, b.seq+1)
}
