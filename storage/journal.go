package storage

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tidings-io/tidings/storage/vfs"
)

// The journal is a few preallocated files, written one after the other and
// used again once a checkpoint no longer needs them. Each begins with a block
// that names its place in the chain:
//
//	0 magic 4   4 version 4   8 epoch 8   16 epoch before 8   24 first sequence 8
//	32 file bytes 8   40 zero 20   60 CRC 4   4096 frames
//
// Frames of an older use are told apart by their epoch.
const (
	journalMagic   = 0x4e524a54 // "TJRN"
	journalPrepare = 2          // a free file is prepared when 1/2 of the current one is used
)

type journal struct {
	fs     vfs.FS
	limit  int64 // of all files together
	first  int64 // size of the first file
	policy SyncPolicy
	direct bool

	// Owned by the committer.
	cur   *journalFile
	epoch uint64
	off   int64

	last    atomic.Uint64 // sequence of the newest frame written
	synced  atomic.Uint64 // sequence of the newest frame on the device
	curUsed atomic.Int64  // off, for the flusher
	time    atomic.Int64  // of the newest frame, ms

	noSpace atomic.Bool // the last try to make a file found a full disk

	mu    sync.Mutex
	files []*journalFile
}

// journalFile is one slot. Fields but f and name are guarded by journal.mu.
type journalFile struct {
	f     vfs.File
	name  string
	size  int64
	epoch uint64
	last  Seq // newest frame in it, once it is full
	state journalState
}

type journalState uint8

const (
	journalFree journalState = iota
	journalCurrent
	journalFull
)

type journalHead struct {
	epoch, before uint64
	first         Seq
	size          int64
}

func (h *journalHead) encode(block []byte) {
	clear(block)
	le.PutUint32(block, journalMagic)
	le.PutUint32(block[4:], formatVersion)
	le.PutUint64(block[8:], h.epoch)
	le.PutUint64(block[16:], h.before)
	le.PutUint64(block[24:], uint64(h.first))
	le.PutUint64(block[32:], uint64(h.size))
	le.PutUint32(block[60:], checksum(block[:60]))
}

// parseJournalHead returns ErrFormat for a newer version; ok is false where no
// header was ever written, or where it is damaged.
func parseJournalHead(p []byte) (h journalHead, ok bool, err error) {
	if len(p) < 64 || le.Uint32(p) != journalMagic || le.Uint32(p[60:]) != checksum(p[:60]) {
		return h, false, nil
	}
	if v := le.Uint32(p[4:]); v != formatVersion {
		return h, false, fmt.Errorf("%w: journal of version %d, this program knows %d", ErrFormat, v, formatVersion)
	}
	return journalHead{epoch: le.Uint64(p[8:]), before: le.Uint64(p[16:]),
		first: Seq(le.Uint64(p[24:])), size: int64(le.Uint64(p[32:]))}, true, nil
}

// create makes a free slot of a size, filled with zeros: overwriting what is
// allocated is faster than appending, and fallocate alone does not help.
func (j *journal) create(size int64) (*journalFile, error) {
	name := j.unusedName()
	f, err := j.fs.Open(name, vfs.OpenOptions{Write: true, Create: true, Truncate: true})
	if err != nil {
		return nil, err
	}
	err = fillZero(f, size)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, j.fs.Remove(name))
	}
	if err := j.fs.SyncDir(journalDir); err != nil {
		return nil, synced(err)
	}
	jf := &journalFile{name: name, size: size}
	if err := j.open(jf); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.files = append(j.files, jf)
	return jf, nil
}

func (j *journal) unusedName() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s/j-%04d.wal", journalDir, n)
		if !slices.ContainsFunc(j.files, func(jf *journalFile) bool { return jf.name == name }) {
			return name
		}
	}
}

func fillZero(f vfs.File, size int64) error {
	zeros := make([]byte, min(size, 1<<20))
	for at := int64(0); at < size; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at); err != nil {
			return err
		}
	}
	return f.Sync()
}

// begin makes a free file the current one.
func (j *journal) begin(jf *journalFile, first Seq) error {
	h := journalHead{epoch: j.epoch + 1, before: j.epoch, first: first, size: jf.size}
	block := vfs.AlignedBuffer(blockSize)
	h.encode(block)
	if err := j.put(jf, block, 0); err != nil {
		return err
	}
	if j.policy != SyncAlways { // frames that survive must say whose they are
		if err := jf.f.Sync(); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
	j.mu.Lock()
	if j.cur != nil {
		j.cur.state, j.cur.last = journalFull, first-1
	}
	jf.state, jf.epoch = journalCurrent, h.epoch
	j.mu.Unlock()
	j.cur, j.epoch, j.off = jf, h.epoch, blockSize
	j.curUsed.Store(j.off)
	return nil
}

// probe finds out whether direct writes work here, by a write that is read back.
func (j *journal) probe(jf *journalFile) error {
	block := vfs.AlignedBuffer(blockSize)
	for i := range block {
		block[i] = byte(i*7 + 1)
	}
	back := vfs.AlignedBuffer(blockSize)
	_, err := jf.f.WriteAt(block, 0)
	if err == nil {
		_, err = jf.f.ReadAt(back, 0)
	}
	if err == nil && bytes.Equal(block, back) {
		return nil
	}
	if err != nil && !errors.Is(err, vfs.ErrUnsupported) {
		return err
	}
	j.direct = false
	return j.reopen(jf)
}

func (j *journal) reopen(jf *journalFile) error {
	if err := jf.f.Close(); err != nil {
		return err
	}
	return j.open(jf)
}

// open opens a slot for writing, directly where that is possible.
func (j *journal) open(jf *journalFile) (err error) {
	o := vfs.OpenOptions{Write: true, Direct: j.direct}
	if jf.f, err = j.fs.Open(jf.name, o); errors.Is(err, vfs.ErrUnsupported) {
		j.direct, o.Direct = false, false
		jf.f, err = j.fs.Open(jf.name, o)
	}
	return err
}

// put writes bytes and, where the policy says so, has them on the device.
func (j *journal) put(jf *journalFile, p []byte, at int64) error {
	if _, err := jf.f.WriteAt(p, at); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if j.direct || j.policy != SyncAlways {
		return nil
	}
	if err := jf.f.Sync(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// ready makes sure that a frame of total bytes fits into the current file,
// going on to the next if not. A block is kept for the seal.
func (j *journal) ready(s *Store, total int) error {
	if j.off+int64(total)+blockSize <= j.cur.size {
		return nil
	}
	var next *journalFile
	err := s.awaitRoom(func() bool {
		next = j.takeFree(int64(total) + 2*blockSize)
		return next != nil
	})
	if err != nil {
		return err
	}
	return j.goOn(next)
}

// goOn begins the next file and then seals the old one: a seal says that there
// is a next file, so that it cannot get lost unnoticed.
func (j *journal) goOn(next *journalFile) error {
	if j.policy != SyncAlways {
		if err := j.sync(); err != nil {
			return err // the next file must not be on the device without this one
		}
	}
	old, at := j.cur, j.off
	if err := j.begin(next, Seq(j.last.Load())+1); err != nil {
		return err
	}
	return j.seal(old, at)
}

func (j *journal) takeFree(atLeast int64) *journalFile {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, jf := range j.files {
		if jf.state == journalFree && jf.size >= atLeast {
			return jf
		}
	}
	return nil
}

// seal writes the last frame of a file that is full. It repeats the sequence of
// the frame before it.
func (j *journal) seal(old *journalFile, at int64) error {
	block := vfs.AlignedBuffer(blockSize)
	info := frameInfo{kind: frameSeal, epoch: old.epoch, seq: Seq(j.last.Load()), time: j.time.Load(),
		durable: j.vouched()}
	putFrame(block, &info)
	return j.put(old, block, at)
}

// vouched is what a frame written now can say is on the device.
func (j *journal) vouched() Seq { return Seq(j.synced.Load()) }

// write completes and writes a frame whose body stands in buf.
func (j *journal) write(s *Store, buf []byte, info *frameInfo) error {
	j.time.Store(s.now(j.time.Load()))
	info.epoch, info.time, info.durable = j.epoch, j.time.Load(), j.vouched()
	putFrame(buf, info)
	if err := j.put(j.cur, buf, j.off); err != nil {
		return err
	}
	j.off += int64(len(buf))
	j.curUsed.Store(j.off)
	j.last.Store(uint64(info.seq))
	if j.policy == SyncAlways {
		j.synced.Store(uint64(info.seq))
		s.counts.syncs.Add(1)
	}
	s.counts.journalBytes.Add(uint64(len(buf)))
	return nil
}

// sync puts what was written on the device (policies other than SyncAlways).
func (j *journal) sync() error {
	last := j.last.Load()
	j.mu.Lock()
	cur := j.current()
	j.mu.Unlock()
	if cur == nil || j.synced.Load() >= last {
		return nil
	}
	if err := cur.f.Sync(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.synced.Store(max(j.synced.Load(), last))
	return nil
}

func (j *journal) current() *journalFile {
	for _, jf := range j.files {
		if jf.state == journalCurrent {
			return jf
		}
	}
	return nil
}

// currentEpoch is what a checkpoint notes: a file of this epoch must be there
// until the next one.
func (j *journal) currentEpoch() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return int64(j.current().epoch)
}

// release frees the files that hold nothing after a checkpoint's sequence.
func (j *journal) release(upTo Seq) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, jf := range j.files {
		if jf.state == journalFull && jf.last <= upTo {
			jf.state = journalFree
		}
	}
}

// usage returns the bytes in full files, those in all files, and the number of
// free ones.
func (j *journal) usage() (full, all int64, free int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, jf := range j.files {
		all += jf.size
		switch jf.state {
		case journalFull:
			full += jf.size
		case journalFree:
			free++
		}
	}
	return full, all, free
}

// room is what can be written without waiting for the flusher.
func (j *journal) room() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	room := -j.curUsed.Load()
	for _, jf := range j.files {
		if jf.state != journalFull {
			room += jf.size
		}
	}
	return room
}

// wantsCheckpoint says that the journal is half full, or cannot go on.
func (j *journal) wantsCheckpoint() bool {
	full, all, free := j.usage()
	grows := all+j.nextSize(all) <= j.limit && !j.noSpace.Load()
	return full > j.limit/2 || full > 0 && free == 0 && !grows
}

// nextSize doubles what there is, up to a quarter of the limit.
func (j *journal) nextSize(all int64) int64 {
	return min(max(all, j.first), max(j.limit/4, j.first)) &^ (blockSize - 1)
}

// prepare makes a free file ahead of need. Called by the flusher. The second is made
// at once: with it, what is on disk can always be let go of and written over, also
// where later there is room for nothing. A third leaves the reserve alone.
func (s *Store) prepare() error {
	j := s.journal
	_, all, free := j.usage()
	size := j.nextSize(all)
	if free > 0 || all+size > j.limit {
		return nil
	}
	err := vfs.ErrNoSpace
	if j.alone() || s.spare() > size {
		s.space.spend(size)
		_, err = j.create(size)
	}
	j.noSpace.Store(errors.Is(err, vfs.ErrNoSpace))
	if err == nil {
		send(s.roomMade)
	}
	return err
}

// alone says that there is one file only.
func (j *journal) alone() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.files) < 2
}

func (j *journal) wantsFile() bool {
	_, all, free := j.usage()
	j.mu.Lock()
	half := int64(0)
	if c := j.current(); c != nil {
		half = c.size / journalPrepare
	}
	j.mu.Unlock()
	return free == 0 && (j.curUsed.Load() > half || j.alone()) && all+j.nextSize(all) <= j.limit
}

func (j *journal) close() {
	for _, jf := range j.files {
		if jf.f != nil {
			_ = jf.f.Close() // what matters of it is synced
		}
	}
}
