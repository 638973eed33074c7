//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package vfs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// syncDir makes a directory's entries durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	err = dir.Sync()
	if errors.Is(err, syscall.EINVAL) {
		// Some network file systems have no such call, and order their
		// directory changes themselves.
		err = nil
	}
	return errors.Join(kindOf(err, false), dir.Close())
}

// lockFile takes the lock that belongs to the open file: a second Open of the
// same process does not share it, and it ends with the last descriptor.
func lockFile(file *os.File) error {
	err := onDescriptor(file, func(fd int) error {
		return syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB)
	})
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}

// onDescriptor runs a system call on a file that stays open meanwhile, again if a
// signal interrupts it.
func onDescriptor(file syscall.Conn, do func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	return uninterrupted(raw, do)
}

func uninterrupted(raw syscall.RawConn, do func(fd int) error) (err error) {
	closed := raw.Control(func(fd uintptr) {
		for err = syscall.EINTR; err == syscall.EINTR; {
			err = do(int(fd))
		}
	})
	if closed != nil {
		return fs.ErrClosed // The only reason that there is.
	}
	return err
}

func isNoSpace(errno syscall.Errno) bool {
	return errno == syscall.ENOSPC || errno == syscall.EDQUOT
}

func isUnsupported(errno syscall.Errno) bool {
	return errno == syscall.EOPNOTSUPP || errno == syscall.ENOTSUP || errno == syscall.ENOSYS
}
