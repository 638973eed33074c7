package vfs

import (
	"os"
	"runtime"
	"syscall"
)

// A Direct write is on the device when it returns: O_DSYNC also flushes the
// device's own cache and the length, where the write changed it.
const directFlags = syscall.O_DIRECT | syscall.O_DSYNC

// Not in package syscall: see fallocate(2), sync_file_range(2).
const (
	fallocKeepSize     = 1
	fallocPunchHole    = 2
	syncFileRangeWrite = 2
)

// fdatasync writes the length too, if reading the data back needs it.
func (f *osFile) sync() error { return uninterrupted(f.raw, syscall.Fdatasync) }

func (f *osFile) flush(off, n int64) error {
	if n == 0 {
		return nil // The system would take 0 for "to the end".
	}
	return uninterrupted(f.raw, func(fd int) error {
		return syscall.SyncFileRange(fd, off, n, syncFileRangeWrite)
	})
}

func (f *osFile) allocate(off, n int64) error { return f.fallocate(0, off, n) }

func (f *osFile) punchHole(off, n int64) error {
	return f.fallocate(fallocPunchHole|fallocKeepSize, off, n)
}

func (f *osFile) fallocate(mode uint32, off, n int64) error {
	return uninterrupted(f.raw, func(fd int) error {
		return syscall.Fallocate(fd, mode, off, n)
	})
}

// syncAll writes back the whole file system that holds root, also what other
// programs wrote there.
func syncAll(root string) error {
	call := syncfsNumber()
	if call == 0 {
		return ErrUnsupported
	}
	dir, err := os.Open(root)
	if err != nil {
		return err
	}
	defer dir.Close()
	return onDescriptor(dir, func(fd int) error {
		if _, _, errno := syscall.Syscall(call, uintptr(fd), 0, 0); errno != 0 {
			return &os.PathError{Op: "syncfs", Path: root, Err: errno}
		}
		return nil
	})
}

// syncfsNumber stands for SYS_SYNCFS, which package syscall lacks on amd64.
func syncfsNumber() uintptr {
	switch runtime.GOARCH {
	case "amd64":
		return 306
	case "arm64", "riscv64", "loong64":
		return 267
	}
	return 0
}

func space(root string) (free, total int64, err error) {
	var s syscall.Statfs_t
	for err = syscall.EINTR; err == syscall.EINTR; {
		err = syscall.Statfs(root, &s)
	}
	return int64(s.Bavail) * int64(s.Bsize), int64(s.Blocks) * int64(s.Bsize), err
}
