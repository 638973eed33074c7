package storage

import (
	"errors"
	"fmt"

	"github.com/tidings-io/tidings/storage/vfs"
)

// Errors that callers act on; test with errors.Is.
var (
	// ErrPoisoned means that a write or a sync failed. What was not durable by
	// then is lost, nothing more is accepted, and only a restart (which recovers
	// from disk) helps. A failed sync is never retried: the kernel may answer the
	// second one with success although the data is gone.
	ErrPoisoned = errors.New("storage failed")
	// ErrFull means disk pressure: appends are refused, everything else goes on.
	// It ends by itself when space is freed.
	ErrFull = errors.New("disk nearly full")
	// ErrOutOfRange means an offset before a log's start or after its durable end.
	ErrOutOfRange = errors.New("offset out of range")
	// ErrDropped means that the log was dropped.
	ErrDropped = errors.New("log dropped")
	// ErrTooLarge means that a batch is beyond MaxBatchBytes, or its operations
	// other than appends are beyond a quarter of Config.TailBytes.
	ErrTooLarge = errors.New("batch too large")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("storage closed")
	// ErrFormat means that the files were written by a version this one does not
	// know. Nothing was changed.
	ErrFormat = errors.New("unknown format version")
	// ErrDamaged means that acknowledged bytes are damaged or missing. Nothing was
	// changed; Inspect says where, Repair accepts the loss.
	ErrDamaged = errors.New("acknowledged data is damaged")
)

// Damage is a range of acknowledged bytes that no longer carry their checksum.
// It is an error that matches ErrDamaged.
type Damage struct {
	File     string // relative to the data directory
	Pos, Len int64  // bytes in File; Len 0 where the end is not known
	Log      LogID  // 0 where a journal frame of several logs is hit
	From, To Offset // the log's records that cannot be read; To 0 where not known
	Why      string
}

func (d *Damage) Error() string {
	where := fmt.Sprintf("%s at byte %d", d.File, d.Pos)
	if d.Log != 0 {
		where += fmt.Sprintf(", log %d from offset %d", d.Log, d.From)
		if d.To > d.From {
			where += fmt.Sprintf(" to %d", d.To)
		}
	}
	return fmt.Sprintf("%v: %s: %s", ErrDamaged, where, d.Why)
}

// Is matches ErrDamaged.
func (d *Damage) Is(target error) bool { return target == ErrDamaged }

// syncError is a failed sync. It is never taken for a full disk, which would be
// a reason to try again: the data may be gone although a second sync succeeds.
type syncError struct{ err error }

func (e *syncError) Error() string { return "sync: " + e.err.Error() }

// Is matches what the error wraps, but not vfs.ErrNoSpace.
func (e *syncError) Is(target error) bool {
	return target != vfs.ErrNoSpace && errors.Is(e.err, target)
}

// synced wraps the error of a sync, if there is one.
func synced(err error) error {
	if err == nil {
		return nil
	}
	return &syncError{err}
}
