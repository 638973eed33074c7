package storage

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/tidings-io/tidings/storage/vfs"
)

// Report says what a data directory holds and what is damaged in it.
type Report struct {
	FormatVersion int
	// Logs, Segments and Keys are what an Open would find; Frames are those of
	// the journal after the last checkpoint.
	Logs, Segments, Frames, Keys int
	Bytes                        int64 // of segments and journal files: what was read
	Damage                       []*Damage
	// What Repair did, a sentence each; which records nobody can read any more;
	// and the directory with the damaged bytes, relative to the data directory.
	Actions    []string
	Lost       []Lost
	Quarantine string
}

// Lost is a range of offsets of a log whose records Repair gave up. It is empty
// (From == To) where the log itself is not known.
type Lost struct {
	Log      LogID
	From, To Offset
}

// Inspect reads and checks everything in a data directory that no store holds:
// manifest, journal and every entry of every segment. It changes nothing but the
// owner's name in LOCK. Errors: vfs.ErrLocked, ErrFormat, fs.ErrNotExist where
// there is no data, and those of the disk; damage is in the report.
func Inspect(fsys vfs.FS) (*Report, error) {
	lock, err := fsys.Lock(lockName, "tidings inspect")
	if err != nil {
		return nil, err
	}
	in, err := inspect(fsys)
	return in.reportOf(err), errors.Join(err, lock.Close())
}

// inspection is a store that is read and never opened.
type inspection struct {
	report   Report
	fs       vfs.FS
	store    *Store
	manifest *salvage
}

func inspect(fsys vfs.FS) (*inspection, error) {
	in := &inspection{fs: fsys}
	in.report.FormatVersion = formatVersion
	var err error
	if in.manifest, err = readManifest(fsys); err != nil {
		return in, err
	}
	for _, d := range in.manifest.damaged {
		in.found(d)
	}
	if !in.manifest.usable() {
		return in, nil
	}
	in.store = newStore(fsys, Config{TailBytes: minTailBytes, manual: true}.withDefaults())
	in.store.manifest = in.manifest.manifest
	defer in.store.files.closeAll()
	return in, in.read()
}

// reportOf is nil where an error says all there is to say.
func (in *inspection) reportOf(err error) *Report {
	if err != nil {
		return nil
	}
	slices.SortStableFunc(in.report.Damage, func(a, b *Damage) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Pos, b.Pos))
	})
	return &in.report
}

func (in *inspection) found(d *Damage) { in.report.Damage = append(in.report.Damage, d) }

// read replays the journal in memory and checks what is in files.
func (in *inspection) read() error {
	s := in.store
	c, err := s.restore(in.manifest.state)
	if err != nil {
		return err
	}
	r := newReplay(s, c.seq+1)
	r.epoch, r.accept = c.epoch, in.found
	defer r.close()
	if err := r.openFiles(in.fs); err != nil {
		return err
	}
	for _, rf := range r.files {
		in.report.Bytes += rf.size
	}
	if err := r.run(); err != nil {
		return err
	}
	logs := s.durableLogs()
	if err := s.sortItems(r, logs); err != nil {
		return err
	}
	in.report.Frames, in.report.Logs, in.report.Keys = r.frames, len(logs), len(s.keys)
	for _, l := range logs {
		if err := in.log(l, r.items[l.id]); err != nil {
			return fmt.Errorf("log %d: %w", l.id, err)
		}
	}
	return nil
}

// log checks a log's segments, and the extents that the journal names.
func (in *inspection) log(l *Log, items []item) error {
	for _, g := range l.segmentsNow() {
		if err := in.segment(&g.segment); err != nil {
			return err
		}
	}
	for _, it := range items {
		if it.ext == nil {
			continue
		}
		g := it.ext.file(l.id, it.end)
		damaged, _, err := g.checkEntries(in.fs, it.base)
		if err != nil {
			return err
		}
		in.report.Bytes += it.ext.bytes
		for _, d := range damaged {
			in.found(d)
		}
	}
	return nil
}

func (in *inspection) segment(g *segment) error {
	damaged, _, err := g.check(in.fs, noPace)
	if err != nil {
		return err
	}
	in.report.Segments++
	in.report.Bytes += g.length
	for _, d := range damaged {
		in.found(d)
	}
	return nil
}

func noPace(int) error { return nil }

// file is the stretch of a segment file that an extent stands in.
func (x *extentRef) file(id LogID, end Offset) *segment {
	return &segment{log: id, base: x.segBase, name: segmentName(false, id, x.segBase),
		begin: x.pos, length: x.pos + x.bytes, end: end}
}

// checkEntries is check for a stretch that begins with a known offset, without
// the file's header.
func (g *segment) checkEntries(fsys vfs.FS, from Offset) (damaged []*Damage, intact []stretch, err error) {
	f, err := fsys.Open(g.name, vfs.OpenOptions{})
	if errors.Is(err, fs.ErrNotExist) {
		return []*Damage{g.missingFile(from)}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	c := &checker{log: g.log, file: g.name, r: f, pace: noPace}
	err = c.run(g.begin, g.length, from, g.end)
	return c.damaged, c.intact, err
}
