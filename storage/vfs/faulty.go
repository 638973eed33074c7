package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"
)

// ErrInjected is the error of a fault that was planned without one.
var ErrInjected = errors.New("injected fault")

// maxCalls bounds what Faulty.Calls remembers; later calls are counted only.
const maxCalls = 1 << 20

// Op is a kind of call on an FS or a File.
type Op uint8

// The kinds of calls. OpAny stands for all of them where a fault is planned.
const (
	OpAny Op = iota
	OpOpen
	OpRemove
	OpRemoveAll
	OpRename
	OpMkdirAll
	OpList
	OpSyncDir
	OpSyncAll
	OpSpace
	OpLock
	OpRead
	OpWrite
	OpClose
	OpSize
	OpTruncate
	OpSync
	OpFlush
	OpAllocate
	OpPunchHole
	opCount
)

var opNames = [opCount]string{"any", "open", "remove", "removeall", "rename", "mkdirall",
	"list", "syncdir", "syncall", "space", "lock", "read", "write", "close", "size",
	"truncate", "sync", "flush", "allocate", "punchhole"}

// String returns the name of the call, in lower case.
func (op Op) String() string {
	if op < opCount {
		return opNames[op]
	}
	return fmt.Sprintf("op %d", uint8(op))
}

// Mutates tells whether such calls can change what is stored or durable; an open
// may, if it creates or truncates.
func (op Op) Mutates() bool {
	switch op {
	case OpList, OpSpace, OpRead, OpClose, OpSize, OpFlush:
		return false
	}
	return true
}

// Call describes one call.
type Call struct {
	Op   Op
	Nth  int    // among the calls of the same Op since NewFaulty, from 1
	Name string // the file; for a rename the old name
	// Off and Len are the range in bytes, where the call has one; for a truncation
	// Off is the new size.
	Off, Len int64
	Open     OpenOptions // of the file that was, or is being, opened
}

// Faulty passes calls on to another FS, counts them, and lets chosen ones fail or
// wait. A call that fails by a fault does not reach the other FS, except for the
// first part of a short write. A sync that fails by a fault makes a Mem give up
// what was unsynced, as Linux does: a second sync succeeds and writes nothing.
//
// Faults can be planned at any time, and several for one call: the first one
// planned decides. Safe for concurrent use.
type Faulty struct {
	under FS

	mu     sync.Mutex
	counts [opCount]int
	calls  []Call
	rules  []*rule
}

// rule plans a fault for the calls of a kind, from first to last of those that
// come after the rule.
type rule struct {
	op          Op
	first, last int
	seen        int // guarded by Faulty.mu
	judge       func(Call) error
	part        int // bytes that a short write writes
	delay       time.Duration
}

const forever = int(^uint(0) >> 1)

// NewFaulty wraps a file system; without planned faults it changes nothing.
func NewFaulty(under FS) *Faulty { return &Faulty{under: under} }

// FailNth lets the n-th call of a kind from now fail with err, once; n is at least
// 1. A nil err stands for ErrInjected.
func (f *Faulty) FailNth(op Op, n int, err error) {
	f.plan(rule{op: op, first: n, last: n, judge: always(err)})
}

// FailFrom lets the n-th call of a kind from now and all later ones fail with err.
func (f *Faulty) FailFrom(op Op, n int, err error) {
	f.plan(rule{op: op, first: n, last: forever, judge: always(err)})
}

// FailIf lets each call fail for which judge returns an error, with that error.
// judge is called without a lock, by several goroutines at once.
func (f *Faulty) FailIf(judge func(Call) error) {
	f.plan(rule{op: OpAny, first: 1, last: forever, judge: judge})
}

// ShortWrite lets the n-th write from now write only its first part bytes (for a
// Direct file, whole blocks of them), and then fail with err.
func (f *Faulty) ShortWrite(n, part int, err error) {
	f.plan(rule{op: OpWrite, first: n, last: n, judge: always(err), part: part})
}

// Delay lets every call of a kind wait for d before it starts.
func (f *Faulty) Delay(op Op, d time.Duration) {
	f.plan(rule{op: op, first: 1, last: forever, delay: d})
}

// Heal drops all planned faults and delays; the counts stay.
func (f *Faulty) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = nil
}

// Calls returns the calls so far, in their order, whether they failed or not; of
// more than a million the first million. A sweep runs a script once to learn its
// calls, and then once for each call with FailNth(call.Op, call.Nth, err) before.
func (f *Faulty) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Call(nil), f.calls...)
}

// Count returns the number of calls of a kind so far; OpAny counts all.
func (f *Faulty) Count(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[op]
}

func (f *Faulty) plan(r rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, &r)
}

func always(err error) func(Call) error {
	if err == nil {
		err = ErrInjected
	}
	return func(Call) error { return err }
}

// enter counts a call, waits, and returns the fault that was planned for it.
func (f *Faulty) enter(c Call) (part int, err error) {
	for _, r := range f.count(&c) {
		time.Sleep(r.delay)
		if r.judge == nil {
			continue
		}
		if err = r.judge(c); err != nil {
			return r.part, &fs.PathError{Op: c.Op.String(), Path: f.Path(c.Name), Err: err}
		}
	}
	return 0, nil
}

// count returns the rules that are for this call.
func (f *Faulty) count(c *Call) (due []*rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[OpAny]++
	f.counts[c.Op]++
	c.Nth = f.counts[c.Op]
	if len(f.calls) < maxCalls {
		f.calls = append(f.calls, *c)
	}
	for _, r := range f.rules {
		if r.op != OpAny && r.op != c.Op {
			continue
		}
		if r.seen++; r.first <= r.seen && r.seen <= r.last {
			due = append(due, r)
		}
	}
	return due
}

// Open implements FS.
func (f *Faulty) Open(name string, o OpenOptions) (File, error) {
	if _, err := f.enter(Call{Op: OpOpen, Name: name, Open: o}); err != nil {
		return nil, err
	}
	file, err := f.under.Open(name, o)
	if err != nil {
		return nil, err
	}
	return &faultyFile{f, file, name, o}, nil
}

// Remove implements FS.
func (f *Faulty) Remove(name string) error {
	if _, err := f.enter(Call{Op: OpRemove, Name: name}); err != nil {
		return err
	}
	return f.under.Remove(name)
}

// RemoveAll implements FS.
func (f *Faulty) RemoveAll(name string) error {
	if _, err := f.enter(Call{Op: OpRemoveAll, Name: name}); err != nil {
		return err
	}
	return f.under.RemoveAll(name)
}

// Rename implements FS.
func (f *Faulty) Rename(oldName, newName string) error {
	if _, err := f.enter(Call{Op: OpRename, Name: oldName}); err != nil {
		return err
	}
	return f.under.Rename(oldName, newName)
}

// MkdirAll implements FS.
func (f *Faulty) MkdirAll(name string) error {
	if _, err := f.enter(Call{Op: OpMkdirAll, Name: name}); err != nil {
		return err
	}
	return f.under.MkdirAll(name)
}

// List implements FS.
func (f *Faulty) List(name string) ([]string, error) {
	if _, err := f.enter(Call{Op: OpList, Name: name}); err != nil {
		return nil, err
	}
	return f.under.List(name)
}

// SyncDir implements FS.
func (f *Faulty) SyncDir(name string) error {
	if _, err := f.enter(Call{Op: OpSyncDir, Name: name}); err != nil {
		return err
	}
	return f.under.SyncDir(name)
}

// SyncAll implements FS.
func (f *Faulty) SyncAll() error {
	if _, err := f.enter(Call{Op: OpSyncAll, Name: "."}); err != nil {
		return giveUp(f.under, err)
	}
	return f.under.SyncAll()
}

// Space implements FS.
func (f *Faulty) Space() (free, total int64, err error) {
	if _, err := f.enter(Call{Op: OpSpace, Name: "."}); err != nil {
		return 0, 0, err
	}
	return f.under.Space()
}

// Lock implements FS.
func (f *Faulty) Lock(name, owner string) (io.Closer, error) {
	if _, err := f.enter(Call{Op: OpLock, Name: name}); err != nil {
		return nil, err
	}
	return f.under.Lock(name, owner)
}

// Path implements FS.
func (f *Faulty) Path(name string) string { return f.under.Path(name) }

// giveUp does to a Mem or one of its files what a failed sync does, and returns the
// sync's error. A call that the system does not have does nothing.
func giveUp(synced any, err error) error {
	m, ok := synced.(interface{ loseUnsynced() })
	if ok && !errors.Is(err, ErrUnsupported) {
		m.loseUnsynced()
	}
	return err
}

type faultyFile struct {
	f    *Faulty
	file File
	name string
	o    OpenOptions
}

func (f *faultyFile) enter(op Op, off, n int64) (part int, err error) {
	return f.f.enter(Call{Op: op, Name: f.name, Off: off, Len: n, Open: f.o})
}

func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if _, err := f.enter(OpRead, off, int64(len(p))); err != nil {
		return 0, err
	}
	return f.file.ReadAt(p, off)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	part, fault := f.enter(OpWrite, off, int64(len(p)))
	if fault == nil {
		return f.file.WriteAt(p, off)
	}
	if part = min(part, len(p)); f.o.Direct {
		part -= part % BlockSize
	}
	if part <= 0 {
		return 0, fault
	}
	n, err := f.file.WriteAt(p[:part], off)
	if err != nil {
		return n, err
	}
	return n, fault
}

func (f *faultyFile) Close() error {
	if _, err := f.enter(OpClose, 0, 0); err != nil {
		// The system closes a file even if it then reports an error.
		return errors.Join(err, f.file.Close())
	}
	return f.file.Close()
}

func (f *faultyFile) Size() (int64, error) {
	if _, err := f.enter(OpSize, 0, 0); err != nil {
		return 0, err
	}
	return f.file.Size()
}

func (f *faultyFile) Truncate(size int64) error {
	if _, err := f.enter(OpTruncate, size, 0); err != nil {
		return err
	}
	return f.file.Truncate(size)
}

func (f *faultyFile) Sync() error {
	if _, err := f.enter(OpSync, 0, 0); err != nil {
		return giveUp(f.file, err)
	}
	return f.file.Sync()
}

func (f *faultyFile) Flush(off, n int64) error {
	if _, err := f.enter(OpFlush, off, n); err != nil {
		return err
	}
	return f.file.Flush(off, n)
}

func (f *faultyFile) Allocate(off, n int64) error {
	if _, err := f.enter(OpAllocate, off, n); err != nil {
		return err
	}
	return f.file.Allocate(off, n)
}

func (f *faultyFile) PunchHole(off, n int64) error {
	if _, err := f.enter(OpPunchHole, off, n); err != nil {
		return err
	}
	return f.file.PunchHole(off, n)
}
