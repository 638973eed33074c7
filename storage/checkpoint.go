package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/tidings-io/tidings/storage/vfs"
)

// A checkpoint lets go of old journal files:
//
//  1. cut: under the state lock, take the durable sequence C and what changed in
//     keys and sets up to C
//  2. write the tails up to C to segments, or carry small ones forward into the
//     journal
//  3. note every changed log's segments and their lengths, then sync those files
//  4. commit the edit to the manifest: replay begins at C+1 from now on
//  5. delete segments the manifest has forgotten, free journal files up to C
//
// Lengths are noted before the sync: the manifest vouches only for bytes that
// are on the device. What became durable after C may be in the edit already;
// replaying it again changes nothing.

// syncAllFrom is how many dirty files are worth one syncfs. Fewer are synced
// one by one: syncfs also flushes what other programs wrote.
const syncAllFrom = 64

type cut struct {
	seq  Seq
	head uint64 // ring position: what is older must leave the tail
	full bool   // everything is written, to a new manifest
	edit edit

	// What was dirty, to be put back if the disk has no room for the edit.
	keys map[string]struct{}
	sets map[SetID]struct{}
	logs map[LogID]struct{}
	gone []*segment

	goneSets map[SetID][]int64
}

// Checkpoint writes a checkpoint now. One is made by itself when the journal
// is half full, and at Close.
func (s *Store) Checkpoint(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	err = s.checkpoint(true)
	if err != nil && !errors.Is(err, vfs.ErrNoSpace) {
		return s.poison(err)
	}
	return err
}

// wantsCheckpoint: the journal fills, or the disk is full and there are files
// that only a checkpoint may delete.
func (s *Store) wantsCheckpoint() bool {
	return s.journal.wantsCheckpoint() || s.space.isFull() && s.dirty.hasGone()
}

func (s *Store) checkpoint(carry bool) error {
	s.ckpt.Lock()
	defer s.ckpt.Unlock()
	if err := s.Err(); err != nil {
		return err
	}
	c := s.cut()
	if err := s.settleTails(c.head, carry); err != nil {
		return s.uncut(c, err)
	}
	segs, dirs := s.noteLogs(c)
	if err := s.syncSegments(segs, dirs); err != nil {
		return synced(err)
	}
	if s.cfg.Sync != SyncAlways { // what was carried forward leaves its old place
		if err := s.journal.sync(); err != nil {
			return synced(err)
		}
	}
	if err := s.commitEdit(c); err != nil {
		return s.uncut(c, err)
	}
	s.counts.checkpoints.Add(1)
	s.journal.release(c.seq)
	send(s.roomMade)
	if !s.dirty.keep(c.gone) {
		s.deleteSegments(c.gone)
	}
	return nil
}

// cut takes the durable sequence and what changed up to it.
func (s *Store) cut() *cut {
	s.state.Lock()
	defer s.state.Unlock()
	c := &cut{seq: s.Durable(), head: s.ring.shown.Load(), full: s.manifest.grown(),
		keys: s.dirty.keys, sets: s.dirty.sets, goneSets: s.goneSets}
	s.dirty.keys, s.dirty.sets = map[string]struct{}{}, map[SetID]struct{}{}
	s.goneSets = map[SetID][]int64{}
	if c.full {
		s.cutAll(c)
	} else {
		s.cutDirty(c)
	}
	return c
}

func (s *Store) cutAll(c *cut) {
	for k, v := range s.keys {
		c.edit.put(userKey(k), v)
	}
	for _, x := range s.sets {
		x.encodeAll(&c.edit)
	}
}

func (s *Store) cutDirty(c *cut) {
	for k := range c.keys {
		if v, ok := s.keys[k]; ok {
			c.edit.put(userKey(k), v)
		} else {
			c.edit.delete(userKey(k))
		}
	}
	for id := range c.sets {
		if x := s.sets[id]; x != nil {
			x.encodeDirty(&c.edit)
		} else {
			c.edit.deleteSet(id, c.goneSets[id])
		}
	}
}

func userKey(k string) []byte { return append([]byte{'K'}, k...) }

func manifestKey(kind byte, ids ...uint64) []byte {
	k := []byte{kind}
	for _, id := range ids {
		k = binary.BigEndian.AppendUint64(k, id)
	}
	return k
}

func numbers(ns ...int64) []byte {
	var v []byte
	for _, n := range ns {
		v = le.AppendUint64(v, uint64(n))
	}
	return v
}

// noteLogs puts every changed log and its segments into the edit, and returns
// what must be synced before the edit may say so. A segment is marked dirty
// before anyone sees it grow, so what is taken after the lengths covers them.
func (s *Store) noteLogs(c *cut) (segs map[*segment]struct{}, dirs map[string]struct{}) {
	c.logs, c.gone = s.dirty.takeLogs()
	logs := s.durableLogs() // after: what is dirty is either here or dropped
	alive := map[LogID]bool{}
	for _, l := range logs {
		alive[l.id] = true
		if _, changed := c.logs[l.id]; (changed || c.full) && !l.volatile {
			l.note(&c.edit)
		}
	}
	for id := range c.logs {
		if !alive[id] {
			c.edit.delete(manifestKey('L', uint64(id)))
		}
	}
	for _, g := range c.gone {
		c.edit.delete(manifestKey('S', uint64(g.log), uint64(g.base)))
	}
	return s.dirty.takeFiles()
}

func (d *dirtyState) takeLogs() (logs map[LogID]struct{}, gone []*segment) {
	d.mu.Lock()
	defer d.mu.Unlock()
	logs, gone = d.logs, d.gone
	d.logs, d.gone = map[LogID]struct{}{}, nil
	return logs, gone
}

func (d *dirtyState) takeFiles() (segs map[*segment]struct{}, dirs map[string]struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	segs, dirs = d.segs, d.dirs
	d.segs, d.dirs = map[*segment]struct{}{}, map[string]struct{}{}
	return segs, dirs
}

// note writes the log's place in the manifest.
func (l *Log) note(e *edit) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.dropped {
		return // its segments are in the next checkpoint's gone list
	}
	e.put(manifestKey('L', uint64(l.id)), numbers(l.start.Load(), l.durable.Load(), l.segBytes))
	for _, h := range l.holes {
		if key := manifestKey('H', uint64(l.id), uint64(h.from)); h.to > Offset(l.start.Load()) {
			e.put(key, numbers(int64(h.to)))
		} else {
			e.delete(key)
		}
	}
	for _, g := range l.segs {
		if g.length > g.begin {
			e.put(manifestKey('S', uint64(l.id), uint64(g.base)), g.item())
		}
	}
}

// item is the segment's value in the manifest.
func (g *segment) item() []byte {
	v := append(numbers(int64(g.end), g.length, g.maxTime, g.begin), 0)
	if g.sealed {
		v[len(v)-1] = 1
	}
	return v
}

func (s *Store) syncSegments(segs map[*segment]struct{}, dirs map[string]struct{}) error {
	if err := s.syncFiles(segs); err != nil {
		return err
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		if err := s.fs.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) syncFiles(segs map[*segment]struct{}) error {
	if len(segs) >= syncAllFrom {
		s.counts.syncs.Add(1)
		if err := s.fs.SyncAll(); !errors.Is(err, vfs.ErrUnsupported) {
			return err
		}
	}
	for _, g := range slices.SortedFunc(maps.Keys(segs), compareSegments) {
		if err := s.syncFile(g.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err // a missing one was trimmed while it was being sealed
		}
	}
	return nil
}

func compareSegments(a, b *segment) int { return strings.Compare(a.name, b.name) }

// commitEdit ends the edit with what the checkpoint says of itself. The journal
// file it names may be newer than the cut, so that all before can be released.
func (s *Store) commitEdit(c *cut) error {
	c.edit.put([]byte{'C'}, numbers(int64(c.seq), int64(s.nextLog.Load()), int64(s.nextSet.Load()),
		s.journal.time.Load(), s.journal.currentEpoch()))
	if c.full {
		return s.manifest.rewrite(&c.edit)
	}
	return s.manifest.commit(&c.edit)
}

// uncut puts back what a checkpoint took that the disk had no room for.
func (s *Store) uncut(c *cut, err error) error {
	s.state.Lock()
	defer s.state.Unlock()
	for k := range c.keys {
		s.dirty.keys[k] = struct{}{}
	}
	maps.Copy(s.dirty.sets, c.sets)
	maps.Copy(s.goneSets, c.goneSets)
	for id, x := range s.sets {
		if _, was := c.sets[id]; was || c.full {
			s.dirty.sets[id] = struct{}{}
			x.dirtyAll()
		}
	}
	d := &s.dirty
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range c.logs {
		d.logs[id] = struct{}{}
	}
	d.gone = append(d.gone, c.gone...)
	return err
}

// deleteSegments deletes files that nothing refers to. One that cannot be
// deleted now, because a reader has it open on a system where that matters, is
// swept away by the next Open.
func (s *Store) deleteSegments(gone []*segment) {
	for _, g := range gone {
		err := errors.Join(s.files.remove(g.indexName()), s.files.remove(g.name))
		if err != nil {
			s.cfg.Logger.Warn("a segment file stays until the next start", "err", err)
		}
	}
}
