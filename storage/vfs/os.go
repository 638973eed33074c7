package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Data is for the user that runs the process, and for its group to back up.
const (
	fileMode = 0o640
	dirMode  = 0o750
)

// maxOwner bounds what is read from a lock file to name its holder, in bytes.
const maxOwner = 512

type osFS struct{ root string }

// OS returns the real file system below the directory root, which need not exist
// yet: MkdirAll(".") makes it, and then also makes it durable in its parents,
// which no name can reach. Names that lead above the root are refused with
// fs.ErrInvalid; symbolic links are followed wherever they lead.
func OS(root string) FS { return osFS{filepath.Clean(root)} }

func (f osFS) Path(name string) string {
	return filepath.Join(f.root, filepath.FromSlash(name))
}

func (f osFS) local(op, name string) (string, error) {
	c, err := clean(op, name)
	return f.Path(c), err
}

func (f osFS) Open(name string, o OpenOptions) (File, error) {
	p, err := f.local("open", name)
	if err != nil {
		return nil, err
	}
	flags, err := openFlags(o)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: p, Err: err}
	}
	file, err := os.OpenFile(p, flags, fileMode)
	if err != nil {
		return nil, kindOf(err, o.Direct)
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &osFile{file, raw, o.Direct}, nil
}

func openFlags(o OpenOptions) (flags int, err error) {
	if (o.Create || o.Truncate) && !o.Write {
		return 0, fs.ErrInvalid
	}
	if o.Write {
		flags |= os.O_RDWR
	}
	if o.Create {
		flags |= os.O_CREATE
	}
	if o.Truncate {
		flags |= os.O_TRUNC
	}
	if o.Direct && directFlags == 0 {
		return 0, ErrUnsupported
	}
	if o.Direct {
		flags |= directFlags
	}
	return flags, nil
}

func (f osFS) Remove(name string) error { return f.remove(name, os.Remove) }

func (f osFS) RemoveAll(name string) error { return f.remove(name, os.RemoveAll) }

func (f osFS) remove(name string, do func(path string) error) error {
	p, err := f.local("remove", name)
	if err != nil {
		return err
	}
	if p == f.root {
		return &fs.PathError{Op: "remove", Path: p, Err: fs.ErrInvalid}
	}
	return do(p)
}

func (f osFS) Rename(oldName, newName string) error {
	from, err := f.local("rename", oldName)
	if err != nil {
		return err
	}
	to, err := f.local("rename", newName)
	if err != nil {
		return err
	}
	return kindOf(os.Rename(from, to), false)
}

func (f osFS) MkdirAll(name string) error {
	p, err := f.local("mkdir", name)
	if err != nil {
		return err
	}
	above := parentsOfMissing(f.root)
	if err := os.MkdirAll(p, dirMode); err != nil {
		return kindOf(err, false)
	}
	for _, dir := range above {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// parentsOfMissing lists the directories that get a new entry when dir is made.
func parentsOfMissing(dir string) (parents []string) {
	for {
		_, err := os.Stat(dir)
		parent := filepath.Dir(dir)
		if !errors.Is(err, fs.ErrNotExist) || parent == dir {
			return parents
		}
		parents = append(parents, parent)
		dir = parent
	}
}

func (f osFS) List(name string) ([]string, error) {
	p, err := f.local("list", name)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(p)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (f osFS) SyncDir(name string) error {
	p, err := f.local("sync", name)
	if err != nil {
		return err
	}
	return syncDir(p)
}

func (f osFS) SyncAll() error { return kindOf(syncAll(f.root), false) }

func (f osFS) Space() (free, total int64, err error) {
	free, total, err = space(f.root)
	if err != nil {
		return 0, 0, fmt.Errorf("free space of %s: %w", f.root, err)
	}
	return free, total, nil
}

type osLock struct{ file *os.File }

func (f osFS) Lock(name, owner string) (io.Closer, error) {
	p, err := f.local("lock", name)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(p, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, kindOf(err, false)
	}
	err = lockFile(file)
	if errors.Is(err, ErrLocked) {
		err = lockedBy(p, readOwner(file))
	} else if err != nil {
		err = fmt.Errorf("lock %s: %w", p, err)
	} else {
		err = writeOwner(file, owner)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return osLock{file}, nil
}

// Close empties the file first, so that the next holder is not taken for this
// one while it has not written its own name yet. The file stays: if it were
// unlinked, one process could lock the old file and another one a new file.
func (l osLock) Close() error {
	err := l.file.Truncate(0)
	return errors.Join(err, l.file.Close())
}

func lockedBy(path, owner string) error {
	if owner == "" {
		return fmt.Errorf("lock %s: %w", path, ErrLocked)
	}
	return fmt.Errorf("lock %s: %w: %s", path, ErrLocked, owner)
}

func readOwner(file *os.File) string {
	text := make([]byte, maxOwner)
	// Without the text the error is still right, only less helpful.
	n, _ := file.ReadAt(text, 0)
	return strings.TrimSpace(string(text[:n]))
}

func writeOwner(file *os.File, owner string) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(owner), 0)
	return kindOf(err, false)
}

// osFile repeats what was interrupted and writes the rest of a short write:
// os.File does so for its own calls, the system files do so for theirs.
type osFile struct {
	file   *os.File
	raw    syscall.RawConn
	direct bool
}

func (f *osFile) ReadAt(p []byte, off int64) (int, error) {
	if !f.direct {
		return f.file.ReadAt(p, off)
	}
	if err := checkAligned(off, p); err != nil {
		return 0, f.failed("read", err)
	}
	n, err := f.file.ReadAt(p, off)
	if n%BlockSize != 0 {
		// The end of the file. What os.File then asked for was not aligned,
		// which some systems answer with EINVAL.
		return n, io.EOF
	}
	return n, kindOf(err, true)
}

func (f *osFile) WriteAt(p []byte, off int64) (int, error) {
	if f.direct {
		if err := checkAligned(off, p); err != nil {
			return 0, f.failed("write", err)
		}
	}
	n, err := f.file.WriteAt(p, off)
	return n, kindOf(err, f.direct)
}

func (f *osFile) Close() error { return f.file.Close() }

func (f *osFile) Size() (int64, error) {
	info, err := f.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *osFile) Truncate(size int64) error { return kindOf(f.file.Truncate(size), false) }

func (f *osFile) Sync() error { return f.failed("sync", f.sync()) }

func (f *osFile) Flush(off, n int64) error { return f.failed("flush", f.flush(off, n)) }

func (f *osFile) Allocate(off, n int64) error {
	return f.onRange("allocate", off, n, f.allocate)
}

func (f *osFile) PunchHole(off, n int64) error {
	return f.onRange("punch hole", off, n, f.punchHole)
}

func (f *osFile) onRange(op string, off, n int64, do func(off, n int64) error) error {
	if off < 0 || n < 0 {
		return f.failed(op, fs.ErrInvalid)
	}
	if n == 0 {
		return nil
	}
	return f.failed(op, kindOf(do(off, n), true))
}

// failed names the file in an error of the system; nil stays nil.
func (f *osFile) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return kindOf(&fs.PathError{Op: op, Path: f.file.Name(), Err: err}, false)
}

// kindOf adds the kind that callers test for to an error of the system, whose
// text it keeps. EINVAL means "not supported" only where optional says that the
// call was one that not every file system has.
func kindOf(err error, optional bool) error {
	if err == nil {
		return nil
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) || errors.Is(err, ErrNoSpace) || errors.Is(err, ErrUnsupported) {
		return err
	}
	if isNoSpace(errno) {
		return &kindError{err, ErrNoSpace}
	}
	if isUnsupported(errno) || optional && errno == syscall.EINVAL {
		return fmt.Errorf("%w: %w", err, ErrUnsupported)
	}
	return err
}

// kindError is an error whose text already says what its kind would say.
type kindError struct{ err, kind error }

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.err, e.kind} }
