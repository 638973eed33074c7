package vfs

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// ErrPowerCut is what every call on a Mem returns after CutAfter's power cut.
var ErrPowerCut = errors.New("power cut")

// memDevice is the size of a Mem's device until SetCapacity, and maxMemFile the
// size of its largest file, in bytes.
const (
	memDevice  = 1 << 40
	maxMemFile = 1 << 34
)

// Mem is a file system in memory whose power can be cut.
//
// It keeps two states: what programs see, and what is on its disk. A write to a
// Direct file reaches the disk before it returns; any other change of a file's
// content waits for File.Sync or SyncAll, and a creation, removal or rename for
// SyncDir of its directory, as strictly as POSIX allows: a file whose content
// is synced but whose directory is not may be lost as a whole. Crash returns one
// of the states that a power cut could leave, and Kill the one that a killed
// process leaves. Both copy no content (pages are shared until they are
// written), so that thousands of crashes a second can be simulated.
//
// Safe for concurrent use. Only Crash draws from chance; all else is the same in
// every run.
type Mem struct {
	mu       sync.Mutex
	root     *node
	made     uint64 // nodes made so far; the next one's id
	renames  uint64 // entry changes so far; the next one's seq
	capacity int64
	blocks   int64 // in use by files that have a name or are open
	locks    map[string]string
	calls    int // mutating calls so far
	left     int // mutating calls until the power cut; 0 if none is planned
	off      bool
}

// NewMem returns an empty file system on a device of 1 TiB.
func NewMem() *Mem {
	m := &Mem{capacity: memDevice, locks: map[string]string{}}
	m.root = m.newNode()
	m.root.makeDir()
	return m
}

// Open implements FS.
func (m *Mem) Open(name string, o OpenOptions) (File, error) {
	c, err := clean("open", name)
	if err != nil {
		return nil, err
	}
	if (o.Create || o.Truncate) && !o.Write {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.openLocked(c, o)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	n.opens++
	return &memFile{m: m, n: n, name: name, o: o}, nil
}

func (m *Mem) openLocked(name string, o OpenOptions) (*node, error) {
	if m.off {
		return nil, ErrPowerCut
	}
	n, err := m.find(name)
	if errors.Is(err, fs.ErrNotExist) && o.Create {
		return m.createLocked(name)
	}
	if err == nil && n.dir {
		return nil, syscall.EISDIR
	}
	if err == nil && o.Truncate && n.live.size > 0 {
		err = m.mutateLocked(func(bool) error {
			m.changeLocked(n, change{kind: changeTruncate})
			return nil
		})
	}
	return n, err
}

func (m *Mem) createLocked(name string) (n *node, err error) {
	err = m.mutateLocked(func(bool) error {
		n, err = m.create(name)
		return err
	})
	return n, err
}

func (m *Mem) create(name string) (*node, error) {
	dir, base, err := m.parent(name)
	if err != nil {
		return nil, err
	}
	n := m.newNode()
	m.move(dir, move{added: base, node: n})
	return n, nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	return m.mutate("remove", name, func(name string) error {
		n, err := m.find(name)
		if err != nil {
			return err
		}
		if n == m.root {
			return fs.ErrInvalid
		}
		if len(n.names) > 0 {
			return syscall.ENOTEMPTY
		}
		return m.unlink(name)
	})
}

// RemoveAll implements FS.
func (m *Mem) RemoveAll(name string) error {
	return m.mutate("remove", name, func(name string) error {
		n, err := m.find(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if n == m.root {
			return fs.ErrInvalid
		}
		m.empty(n)
		return m.unlink(name)
	})
}

func (m *Mem) empty(dir *node) {
	for _, name := range slices.Sorted(maps.Keys(dir.names)) {
		m.empty(dir.names[name])
		m.move(dir, move{removed: name})
	}
}

func (m *Mem) unlink(name string) error {
	dir, base, err := m.parent(name)
	if err != nil {
		return err
	}
	m.move(dir, move{removed: base})
	return nil
}

// Rename implements FS.
func (m *Mem) Rename(oldName, newName string) error {
	to, err := clean("rename", newName)
	if err != nil {
		return err
	}
	return m.mutate("rename", oldName, func(from string) error {
		n, err := m.find(from)
		if err != nil || from == to {
			return err
		}
		if n == m.root || n.dir && strings.HasPrefix(to, from+"/") {
			return fs.ErrInvalid
		}
		if old, err := m.find(to); err == nil && (old.dir || n.dir) {
			return fs.ErrExist
		}
		return m.rename(n, from, to)
	})
}

func (m *Mem) rename(n *node, from, to string) error {
	oldDir, oldBase, err := m.parent(from)
	if err != nil {
		return err
	}
	newDir, newBase, err := m.parent(to)
	if err != nil {
		return err
	}
	if oldDir == newDir {
		m.move(newDir, move{removed: oldBase, added: newBase, node: n})
		return nil
	}
	// The name in the new directory first: nobody sees a file without a name.
	arrival := m.move(newDir, move{added: newBase, node: n})
	m.move(oldDir, move{removed: oldBase, into: newDir, arrival: arrival})
	return nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(name string) error {
	return m.mutate("mkdir", name, func(name string) error {
		dir := m.root
		for _, base := range elements(name) {
			next := dir.names[base]
			if next == nil {
				next = m.newNode()
				next.makeDir()
				m.move(dir, move{added: base, node: next})
			}
			if dir = next; !dir.dir {
				return syscall.ENOTDIR
			}
		}
		return nil
	})
}

// List implements FS.
func (m *Mem) List(name string) (names []string, err error) {
	c, err := clean("list", name)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, err := m.find(c)
	if err == nil && !dir.dir {
		err = syscall.ENOTDIR
	}
	if m.off {
		err = ErrPowerCut
	}
	if err != nil {
		return nil, &fs.PathError{Op: "list", Path: name, Err: err}
	}
	return slices.Sorted(maps.Keys(dir.names)), nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(name string) error {
	return m.sync("sync", name, func(name string) error {
		dir, err := m.find(name)
		if err != nil {
			return err
		}
		if !dir.dir {
			return syscall.ENOTDIR
		}
		saveMoves(withArrivals(map[*node]int{dir: len(dir.moves)}))
		return nil
	})
}

// SyncAll implements FS. It saves the content of files, not the directories,
// though syncfs on Linux would.
func (m *Mem) SyncAll() error {
	return m.sync("sync", ".", func(string) error {
		m.eachFile(func(_ string, n *node) { n.save() })
		return nil
	})
}

// loseUnsynced is what Faulty does where it lets SyncAll fail.
func (m *Mem) loseUnsynced() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.eachFile(func(_ string, n *node) { n.loseUnsynced() })
}

// Space implements FS.
func (m *Mem) Space() (free, total int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.off {
		return 0, 0, ErrPowerCut
	}
	return max(0, m.freeBlocks()) * pageSize, m.capacity, nil
}

func (m *Mem) freeBlocks() int64 { return m.capacity/pageSize - m.blocks }

type memLock struct {
	m    *Mem
	name string
	once sync.Once
}

// Lock implements FS. The holder may be in the same process.
func (m *Mem) Lock(name, owner string) (io.Closer, error) {
	c, err := clean("lock", name)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if holder, held := m.locks[c]; held && !m.off {
		return nil, lockedBy(name, holder)
	}
	err = m.mutateLocked(func(bool) error { return m.writeLock(c, owner) })
	if err != nil {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	m.locks[c] = owner
	return &memLock{m: m, name: c}, nil
}

func (m *Mem) writeLock(name, owner string) error {
	n, err := m.find(name)
	if errors.Is(err, fs.ErrNotExist) {
		n, err = m.create(name)
	}
	if err != nil {
		return err
	}
	if n.dir {
		return syscall.EISDIR
	}
	m.changeLocked(n, change{kind: changeTruncate})
	m.changeLocked(n, writeOf(0, []byte(owner)))
	return nil
}

func (l *memLock) Close() error {
	l.once.Do(func() {
		l.m.mu.Lock()
		defer l.m.mu.Unlock()
		delete(l.m.locks, l.name)
	})
	return nil
}

// Path implements FS.
func (m *Mem) Path(name string) string { return path.Join("/mem", name) }

// mutate runs one mutating call under the lock with a clean name.
func (m *Mem) mutate(op, name string, do func(name string) error) error {
	c, err := clean(op, name)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.mutateLocked(func(bool) error { return do(c) }); err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// sync is mutate for calls that have no effect when the power fails in them.
func (m *Mem) sync(op, name string, do func(name string) error) error {
	c, err := clean(op, name)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	err = m.mutateLocked(func(cut bool) error {
		if cut {
			return nil
		}
		return do(c)
	})
	if err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// mutateLocked counts a mutating call and runs it; cut tells the call that the
// power fails while it runs, so that nothing of it is durable.
func (m *Mem) mutateLocked(do func(cut bool) error) error {
	if m.off {
		return ErrPowerCut
	}
	m.calls++
	if m.left > 0 {
		m.left--
		m.off = m.left == 0
	}
	err := do(m.off)
	if m.off {
		return ErrPowerCut
	}
	return err
}
