package vfs

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

// O_SYNC is FILE_FLAG_WRITE_THROUGH: on the device when WriteAt returns. The
// cache is kept, so nothing on Windows would need the alignment.
const directFlags = syscall.O_SYNC

// Not in package syscall: see winerror.h and minwinbase.h.
const (
	errorInvalidFunction  = syscall.Errno(1)
	errorLockViolation    = syscall.Errno(33)
	errorHandleDiskFull   = syscall.Errno(39)
	errorNotSupported     = syscall.Errno(50)
	errorDiskFull         = syscall.Errno(112)
	errorDiskQuota        = syscall.Errno(1295)
	lockExclusiveAtOnce   = 0x2 | 0x1
	lockedByteOffsetAbove = 0x7fffffff
)

var (
	kernel32     = syscall.NewLazyDLL("kernel32.dll")
	lockFileEx   = kernel32.NewProc("LockFileEx")
	getDiskSpace = kernel32.NewProc("GetDiskFreeSpaceExW")
)

// os.File.Sync is FlushFileBuffers.
func (f *osFile) sync() error { return f.file.Sync() }

func (f *osFile) flush(_, _ int64) error { return nil }

func (f *osFile) allocate(_, _ int64) error { return ErrUnsupported }

func (f *osFile) punchHole(_, _ int64) error { return ErrUnsupported }

// syncDir only looks whether there is such a directory: NTFS journals its
// entries, and there is no call to wait for them.
func syncDir(path string) error {
	_, err := os.Stat(path)
	return err
}

func syncAll(string) error { return ErrUnsupported }

// lockFile locks one byte far behind the text: a locked range cannot be read by
// others, and they need the text to know who holds the lock.
func lockFile(file *os.File) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	at := syscall.Overlapped{OffsetHigh: lockedByteOffsetAbove}
	closed := raw.Control(func(handle uintptr) {
		ok, _, errno := lockFileEx.Call(handle, lockExclusiveAtOnce, 0, 1, 0,
			uintptr(unsafe.Pointer(&at)))
		if ok == 0 {
			err = errno
		}
	})
	if errors.Is(err, errorLockViolation) || errors.Is(err, syscall.ERROR_IO_PENDING) {
		return ErrLocked
	}
	return errors.Join(closed, err)
}

func space(root string) (free, total int64, err error) {
	name, err := syscall.UTF16PtrFromString(root)
	if err != nil {
		return 0, 0, err
	}
	ok, _, errno := getDiskSpace.Call(uintptr(unsafe.Pointer(name)),
		uintptr(unsafe.Pointer(&free)), uintptr(unsafe.Pointer(&total)), 0)
	if ok == 0 {
		return 0, 0, errno
	}
	return free, total, nil
}

func isNoSpace(errno syscall.Errno) bool {
	return errno == errorDiskFull || errno == errorHandleDiskFull || errno == errorDiskQuota
}

func isUnsupported(errno syscall.Errno) bool {
	return errno == errorInvalidFunction || errno == errorNotSupported
}
