//go:build freebsd || netbsd || openbsd || dragonfly

package vfs

// The systems that nobody tunes for: correct, with nothing optional.
const directFlags = 0

func (f *osFile) sync() error { return f.file.Sync() }

func (f *osFile) flush(_, _ int64) error { return nil }

func (f *osFile) allocate(_, _ int64) error { return ErrUnsupported }

func (f *osFile) punchHole(_, _ int64) error { return ErrUnsupported }

func syncAll(string) error { return ErrUnsupported }

func space(string) (free, total int64, err error) { return 0, 0, ErrUnsupported }
