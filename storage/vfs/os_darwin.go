package vfs

import "syscall"

// macOS has no open flag for durable writes: the caller writes and syncs.
const directFlags = 0

// os.File.Sync is fcntl(F_FULLFSYNC) here: fsync alone leaves the data in the
// device's cache.
func (f *osFile) sync() error { return f.file.Sync() }

func (f *osFile) flush(_, _ int64) error { return nil }

func (f *osFile) allocate(_, _ int64) error { return ErrUnsupported }

func (f *osFile) punchHole(_, _ int64) error { return ErrUnsupported }

func syncAll(string) error { return ErrUnsupported }

func space(root string) (free, total int64, err error) {
	var s syscall.Statfs_t
	for err = syscall.EINTR; err == syscall.EINTR; {
		err = syscall.Statfs(root, &s)
	}
	return int64(s.Bavail) * int64(s.Bsize), int64(s.Blocks) * int64(s.Bsize), err
}
