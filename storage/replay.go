package storage

import (
	"errors"
	"fmt"
	"io"

	"github.com/tidings-io/tidings/storage/vfs"
)

// replay reads the journal after a checkpoint. It applies frames as long as
// their sequence goes on without a gap. What comes behind a gap decides what
// the gap is: if any later frame says that the missing one was durable, or a
// later file begins after it, acknowledged data is damaged; otherwise it is a
// torn tail, which nobody was told about, and ends the journal.
type replay struct {
	store *Store
	next  Seq // the frame that must come
	time  int64
	epoch uint64 // of the journal file in use at the checkpoint
	files []*replayFile
	// needed are the files that may hold frames after the checkpoint.
	needed []*replayFile
	items  map[LogID][]item
	// orphans are logs with entries that nothing made: legal only if dropped,
	// which says why the checkpoint no longer knows them.
	orphans, dropped map[LogID]bool
	gap              *Damage     // behind the first missing frame
	sealed           *replayFile // the last one that says that another follows

	// settle syncs the files first: a process that was killed may have left a
	// frame that we can read and the device does not have. What is built on it
	// must not outlive it.
	settle bool
	// accept, when not nil, is told of damage that would otherwise end Open.
	accept func(*Damage)
	frames int
	// repair is set where records are taken from wherever they are intact.
	repair  *repairer
	sources map[string]*replayFile // segment files that it reads
}

type replayFile struct {
	name string
	f    vfs.File
	head journalHead
	size int64
}

// item is a run of records found in the journal.
type item struct {
	base, end Offset
	time      int64
	count     int32
	size      int32 // inline: header and payload
	file      *replayFile
	pos       int64
	ext       *extentRef
}

// extentRef says where an extent stands.
type extentRef struct {
	segBase    Offset
	pos, bytes int64
}

func newReplay(s *Store, from Seq) *replay {
	return &replay{store: s, next: from, items: map[LogID][]item{},
		orphans: map[LogID]bool{}, dropped: map[LogID]bool{}}
}

// openFiles opens every journal file that has a header, by epoch.
func (r *replay) openFiles(fs vfs.FS) error {
	names, err := fs.List(journalDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		name = journalDir + "/" + name
		f, err := fs.Open(name, vfs.OpenOptions{Write: r.settle})
		if err != nil {
			return err
		}
		rf := &replayFile{name: name, f: f}
		r.files = append(r.files, rf)
		if r.settle {
			if err := f.Sync(); err != nil {
				return err
			}
		}
		if err := rf.readHead(); err != nil {
			return err
		}
	}
	return r.findLostHeads()
}

func (rf *replayFile) readHead() (err error) {
	if rf.size, err = rf.f.Size(); err != nil {
		return err
	}
	block := make([]byte, blockSize)
	if _, err := rf.f.ReadAt(block, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	rf.head, _, err = parseJournalHead(block) // no header: epoch 0, never in use
	return err
}

func (r *replay) close() {
	for _, rf := range r.files {
		_ = rf.f.Close() // opened for reading
	}
	for _, rf := range r.sources {
		_ = rf.f.Close()
	}
}

// run replays all files.
func (r *replay) run() error {
	used := r.used()
	r.needed = used
	if len(used) == 0 {
		if r.next > 1 {
			return r.damaged(&Damage{File: journalDir, Why: fmt.Sprintf("no file holds frame %d or what came before", r.next)})
		}
		return nil
	}
	if used[0].head.first > r.next {
		err := r.damaged(&Damage{File: used[0].name, Why: fmt.Sprintf(
			"the journal begins with frame %d, the checkpoint needs %d", used[0].head.first, r.next)})
		if err != nil {
			return err
		}
		r.next = used[0].head.first
	}
	for i, rf := range used {
		if i > 0 {
			if err := r.enter(rf); err != nil {
				return err
			}
		}
		if err := r.scan(rf); err != nil {
			return err
		}
	}
	if last := used[len(used)-1]; r.sealed == last {
		if err := r.damaged(r.noFile(fmt.Sprintf("the file that follows %s is missing", last.name))); err != nil {
			return err
		}
	}
	return r.explainOrphans()
}

// used returns the files that may hold frames from next on.
func (r *replay) used() []*replayFile {
	files := r.files
	for len(files) > 0 && files[0].head.epoch == 0 {
		files = files[1:]
	}
	for len(files) > 1 && files[1].head.first <= r.next {
		files = files[1:]
	}
	return files
}

// enter goes on to the next file. Its header says which frame it begins with:
// all before that were written.
func (r *replay) enter(rf *replayFile) error {
	if rf.head.first > r.next {
		d := r.gap
		if d == nil {
			d = &Damage{File: rf.name}
		}
		d.Why = fmt.Sprintf("frames %d to %d are missing: a later file begins with %d",
			r.next, rf.head.first-1, rf.head.first)
		if err := r.damaged(d); err != nil {
			return err
		}
		r.next = rf.head.first
	}
	r.gap = nil
	return nil
}

// scan visits every valid frame of a file.
func (r *replay) scan(rf *replayFile) error {
	var buf []byte
	const window = 4 << 20
	for pos := int64(blockSize); pos < rf.size; {
		n := int(min(window, rf.size-pos))
		if cap(buf) < n {
			buf = make([]byte, n)
		}
		buf = buf[:n]
		if err := r.read(rf, buf, pos); err != nil {
			return err
		}
		used, want, err := r.scanWindow(rf, pos, buf)
		if err != nil {
			return err
		}
		pos += int64(used)
		if used == 0 { // a frame longer than the window
			buf = make([]byte, want)
			if err := r.scanLong(rf, &pos, buf); err != nil {
				return err
			}
		}
	}
	return nil
}

// read fills p. Where damage is accepted, blocks that the device cannot read are
// zeros, and so damage.
func (r *replay) read(rf *replayFile, p []byte, pos int64) error {
	_, err := rf.f.ReadAt(p, pos)
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	if r.accept == nil {
		return err
	}
	for at := 0; at < len(p); at += blockSize {
		block := p[at:min(at+blockSize, len(p))]
		if _, err := rf.f.ReadAt(block, pos+int64(at)); err != nil && !errors.Is(err, io.EOF) {
			clear(block)
		}
	}
	return nil
}

// scanWindow visits the frames that lie whole in p and returns how far it got;
// where that is nowhere, want is the length of the frame that begins here.
func (r *replay) scanWindow(rf *replayFile, pos int64, p []byte) (used, want int, err error) {
	for used < len(p) {
		why := ""
		f, ok := parseFrame(p[used:])
		if ok = ok && f.epoch == rf.head.epoch && pos+int64(used+f.total()) <= rf.size; ok {
			if used+f.total() > len(p) {
				return used, f.total(), nil
			}
			body := p[used+frameHeader : used+frameHeader+f.body]
			if ok = checksum(body) == f.crc; ok {
				if err := r.frame(rf, pos+int64(used), &f, body); err != nil {
					return 0, 0, err
				}
				used += f.total()
				continue
			}
			why = fmt.Sprintf("frame %d does not carry its checksum", f.seq)
		}
		r.bad(rf, pos+int64(used), why)
		used += blockSize
	}
	return used, 0, nil
}

func (r *replay) scanLong(rf *replayFile, pos *int64, buf []byte) error {
	if err := r.read(rf, buf, *pos); err != nil {
		return err
	}
	f, _ := parseFrame(buf)
	body := buf[frameHeader : frameHeader+f.body]
	if checksum(body) != f.crc {
		r.bad(rf, *pos, fmt.Sprintf("frame %d does not carry its checksum", f.seq))
		*pos += blockSize
		return nil
	}
	err := r.frame(rf, *pos, &f, body)
	*pos += int64(f.total())
	return err
}

// bad notes the first block that is no frame; it may be damage, or the end. why is
// set where a frame of this use of the file begins.
func (r *replay) bad(rf *replayFile, pos int64, why string) {
	if r.gap == nil {
		r.gap = &Damage{File: rf.name, Pos: pos, Why: why}
	}
}

// tellTorn lets the operator know of a torn tail.
func (r *replay) tellTorn() {
	if r.gap != nil && r.gap.Why != "" {
		r.store.cfg.Logger.Warn("the journal ends in a frame that is not whole: it was left out, since nothing "+
			"says that it was acknowledged", "file", r.gap.File, "position", r.gap.Pos, "why", r.gap.Why)
	}
}

// frame takes a valid frame.
func (r *replay) frame(rf *replayFile, pos int64, f *frameInfo, body []byte) error {
	expected := f.seq == r.next
	if f.kind == frameSeal {
		expected = f.seq < r.next
		r.sealed = rf
	}
	if f.seq < r.next && f.kind != frameSeal {
		r.gap = nil // from before the checkpoint, as was what is missing
		return nil
	}
	if expected {
		r.gap = nil
		return r.take(rf, pos, f, body)
	}
	return r.behindGap(rf, pos, f, body)
}

// behindGap decides what a gap is once a later frame is known.
func (r *replay) behindGap(rf *replayFile, pos int64, f *frameInfo, body []byte) error {
	if f.durable < r.next {
		r.bad(rf, pos, "")
		return nil // not vouched for: written after a sync that never came
	}
	d := r.gap
	if d == nil {
		d = &Damage{File: rf.name, Pos: pos}
	}
	d.Len = pos - d.Pos
	d.Why = fmt.Sprintf("frame %d is missing and frame %d says that it was durable", r.next, f.seq)
	if err := r.damaged(d); err != nil {
		return err
	}
	r.gap, r.next = nil, f.seq
	if f.kind == frameSeal {
		r.next++
	}
	return r.take(rf, pos, f, body)
}

func (r *replay) damaged(d *Damage) error {
	if r.accept == nil {
		return d
	}
	r.accept(d)
	return nil
}

// take applies a frame.
func (r *replay) take(rf *replayFile, pos int64, f *frameInfo, body []byte) error {
	r.time = max(r.time, f.time)
	if f.kind == frameSeal {
		return nil
	}
	r.next = f.seq + 1
	r.frames++
	for rest := body; len(rest) > 0; {
		at := pos + frameHeader + int64(len(body)-len(rest))
		o, tail, err := decodeOp(rest)
		if err != nil {
			return r.damaged(&Damage{File: rf.name, Pos: at, Len: int64(len(rest)), Why: err.Error()})
		}
		if err := r.operation(&o, rf, at); err != nil {
			return err
		}
		rest = tail
	}
	return nil
}

func (r *replay) operation(o *op, rf *replayFile, at int64) error {
	switch o.kind {
	case opAppend:
		e := &o.entry
		r.found(e.log, item{base: e.base, end: e.end(), time: e.time, count: e.count,
			size: int32(e.total()), file: rf, pos: at})
	case opExtent:
		w := o.words
		if r.repair != nil {
			return r.explode(o)
		}
		r.found(o.log(), item{base: Offset(w[4]), end: Offset(w[5]), time: w[6],
			ext: &extentRef{segBase: Offset(w[1]), pos: w[2], bytes: w[3]}})
	case opDropLog:
		r.dropped[o.log()] = true
		delete(r.items, o.log())
		r.store.apply(o)
	default:
		r.store.apply(o)
	}
	return nil
}

func (r *replay) found(id LogID, it item) {
	if r.store.logs[id] == nil {
		r.orphans[id] = true
		return
	}
	r.items[id] = append(r.items[id], it)
}

func (r *replay) explainOrphans() error {
	for id := range r.orphans {
		if r.dropped[id] {
			continue
		}
		if err := r.damaged(&Damage{File: journalDir, Log: id, Why: "entries of a log that was never made"}); err != nil {
			return err
		}
		r.store.nextLog.Store(max(r.store.nextLog.Load(), uint64(id))) // it must not be made again
	}
	return nil
}
