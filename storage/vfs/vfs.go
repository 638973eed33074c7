// Package vfs is the file system that storage runs on.
//
// FS is a true seam with three implementations: OS is the real one, NewMem is
// an in-memory file system whose power can be cut (Mem.Crash keeps only what
// was synced, plus a random part of what was not), and NewFaulty wraps either
// to fail, slow down or truncate a chosen call. The conformance suite in
// vfstest_test.go runs against all three.
//
// Names are slash-separated and relative to the root that the FS was made for,
// "." being the root itself; a name that is absolute or leads above the root is
// refused with fs.ErrInvalid. Symbolic links are the operator's, and followed.
package vfs

import (
	"errors"
	"io"
)

// Errors that implementations return, wrapped; test with errors.Is. Missing and
// existing files are fs.ErrNotExist and fs.ErrExist.
var (
	// ErrUnsupported says that this file system cannot do what was asked
	// (Allocate, PunchHole or Direct). The caller does without.
	ErrUnsupported = errors.New("not supported by this file system")
	// ErrLocked says that another process holds the lock; the error's text
	// names it where the lock file says who it is.
	ErrLocked = errors.New("locked by another process")
	// ErrNoSpace says that the disk is full (ENOSPC, EDQUOT).
	ErrNoSpace = errors.New("no space left on device")
)

// FS opens, lists and removes files below one root directory.
// Implementations are safe for concurrent use.
type FS interface {
	// Open opens a file, or creates it with Create. A directory that is missing
	// on the way is an error. A new file is durable after SyncDir of its directory.
	Open(name string, o OpenOptions) (File, error)
	// Remove removes a file or an empty directory, but not the root. Durable after
	// SyncDir of its directory.
	Remove(name string) error
	// RemoveAll removes a directory with all below it; a missing one is no error,
	// the root is. Durable after SyncDir of the directory above.
	RemoveAll(name string) error
	// Rename replaces newName, if that is a file. Durable after SyncDir of both
	// directories. On Windows it fails while either file is open.
	Rename(oldName, newName string) error
	// MkdirAll makes a directory and the missing ones above it. Durable after
	// SyncDir of each parent.
	MkdirAll(name string) error
	// List returns the names (not paths) in a directory, sorted.
	List(name string) ([]string, error)
	// SyncDir makes creations, removals and renames in a directory durable.
	SyncDir(name string) error
	// SyncAll makes every file's data durable at once (syncfs). ErrUnsupported
	// where the system has no such call; the caller syncs each file.
	SyncAll() error
	// Space returns the bytes free to this process and the size of the device.
	Space() (free, total int64, err error)
	// Lock takes an exclusive lock on a file until Close, and writes owner into
	// it for others to read. Held elsewhere: ErrLocked, naming that owner.
	// The lock ends with the process, however it ends.
	Lock(name, owner string) (io.Closer, error)
	// Path names a file for a person: the real path, for messages only.
	Path(name string) string
}

// OpenOptions say how a file is opened. The zero value reads an existing file.
type OpenOptions struct {
	Write bool // read and write
	// Create makes the file if it is missing; needs Write. Truncate empties an
	// existing one.
	Create, Truncate bool
	// Direct asks for writes that bypass the page cache and are durable when
	// WriteAt returns (O_DIRECT|O_DSYNC). Offsets, lengths and memory must then
	// be aligned to BlockSize, for reads too (see AlignedBuffer); what is not
	// aligned fails with ErrUnsupported. Open may fail with ErrUnsupported, and
	// have created the file; but opening proves nothing: the first WriteAt may
	// fail with it too. Callers probe by writing and reading back.
	Direct bool
}

// BlockSize is the alignment that Direct files need, in bytes.
const BlockSize = 4096

// File is an open file. ReadAt and WriteAt are safe for concurrent use.
// Writing beyond the end grows the file; the gap reads as zeros.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size returns the length in bytes.
	Size() (int64, error)
	// Truncate sets the length.
	Truncate(size int64) error
	// Sync makes data and length durable (fdatasync; F_FULLFSYNC on macOS,
	// FlushFileBuffers on Windows). After an error the file's unsynced data must
	// be taken for lost: a second Sync may succeed without having written it.
	Sync() error
	// Flush starts writing a range to the device without waiting and without a
	// promise (sync_file_range); a no-op where the system has none.
	Flush(off, n int64) error
	// Allocate reserves disk blocks for a range and grows the file to it.
	// ErrUnsupported or ErrNoSpace.
	Allocate(off, n int64) error
	// PunchHole gives a range's blocks back; it reads as zeros afterwards and the
	// length stays. ErrUnsupported where that is not possible.
	PunchHole(off, n int64) error
}
