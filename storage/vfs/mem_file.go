package vfs

import (
	"io"
	"io/fs"
	"syscall"
)

// memFile is one opening of a file. Its fields but closed never change; closed is
// guarded by Mem.mu.
type memFile struct {
	m      *Mem
	n      *node
	name   string
	o      OpenOptions
	closed bool
}

func (f *memFile) ReadAt(p []byte, off int64) (n int, err error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable(off); err != nil {
		return 0, f.failed("read", err)
	}
	if f.o.Direct {
		if err := checkAligned(off, p); err != nil {
			return 0, f.failed("read", err)
		}
	}
	if n = f.n.live.readAt(p, off); n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes what there is room for, and then returns ErrNoSpace.
func (f *memFile) WriteAt(p []byte, off int64) (n int, err error) {
	if f.o.Direct {
		if err := checkAligned(off, p); err != nil {
			return 0, f.failed("write", err)
		}
	}
	c := writeOf(off, p)
	err = f.mutate("write", off, int64(len(p)), func(cut bool) error {
		if f.o.Direct && !cut {
			c.fate = durable
		}
		room := f.n.live.room(off, c.n, f.m.freeBlocks())
		f.change(c.first(room))
		if !cut {
			n = int(room)
		}
		if room < c.n {
			return ErrNoSpace
		}
		return nil
	})
	return n, err
}

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return f.failed("close", fs.ErrClosed)
	}
	f.closed = true
	f.n.opens--
	f.m.forgetLocked(f.n)
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return f.n.live.size, f.failed("size", f.usable(0))
}

func (f *memFile) Truncate(size int64) error {
	return f.mutate("truncate", size, 0, func(bool) error {
		f.change(change{kind: changeTruncate, n: size})
		return nil
	})
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable(0); err != nil {
		return f.failed("sync", err)
	}
	return f.failed("sync", f.m.mutateLocked(func(cut bool) error {
		if !cut {
			f.n.save()
		}
		return nil
	}))
}

func (f *memFile) Flush(off, _ int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return f.failed("flush", f.usable(off))
}

func (f *memFile) Allocate(off, n int64) error {
	return f.mutate("allocate", off, n, func(bool) error {
		if n > 0 && f.n.live.holes(off, n) > f.m.freeBlocks() {
			return ErrNoSpace
		}
		if n > 0 {
			f.change(change{kind: changeAllocate, off: off, n: n})
		}
		return nil
	})
}

func (f *memFile) PunchHole(off, n int64) error {
	return f.mutate("punch hole", off, n, func(bool) error {
		f.change(change{kind: changePunch, off: off, n: min(n, max(0, f.n.live.size-off))})
		return nil
	})
}

// loseUnsynced is what Faulty does to a file whose sync it lets fail.
func (f *memFile) loseUnsynced() {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.n.loseUnsynced()
}

func (f *memFile) mutate(op string, off, n int64, do func(cut bool) error) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable(off); err != nil {
		return f.failed(op, err)
	}
	if !f.o.Write {
		return f.failed(op, fs.ErrPermission)
	}
	if n < 0 {
		return f.failed(op, fs.ErrInvalid)
	}
	if off > maxMemFile-n {
		return f.failed(op, syscall.EFBIG)
	}
	return f.failed(op, f.m.mutateLocked(do))
}

// change applies a change, and saves it where it is durable.
func (f *memFile) change(c change) {
	f.m.changeLocked(f.n, c)
	f.n.settle()
}

func (f *memFile) usable(off int64) error {
	if f.closed {
		return fs.ErrClosed
	}
	if off < 0 {
		return fs.ErrInvalid
	}
	if f.m.off {
		return ErrPowerCut
	}
	return nil
}

func (f *memFile) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: f.name, Err: err}
}
