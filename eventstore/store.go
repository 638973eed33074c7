package eventstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/tidings-io/tidings"
)

// Recorded is an event in its place.
type Recorded struct {
	tidings.Event
	Stream string
	// Version is the place in the stream: from 1, without gaps.
	Version int64
	// Position is the place among the events of all streams: from 1, without gaps. Nobody sees
	// a position before all smaller ones, so that the last one handled is a checkpoint.
	Position int64
	// At is when the event was recorded, by the clock of the store, in milliseconds.
	At time.Time
	// Sealed is the id of the key that its data was encrypted with; "" for data that was not.
	Sealed string
	// Erased says that this key is gone, and the data with it: the payload is empty.
	Erased bool
}

// Expect is the version that a stream must have for an append.
type Expect int64

const (
	// Any version will do.
	Any Expect = -1
	// NoStream: the stream has no event yet. A number is how many events it has.
	NoStream Expect = 0
)

// What one append takes. More is tidings.ErrTooLarge.
const (
	MaxEvents     = 1000      // of one append
	MaxBytes      = 1_000_000 // of the events of one append together, with their attributes
	MaxStreamName = 255       // bytes
)

// Streams are read and appended to one by one. A Store is that, and so is a transaction of one.
type Streams interface {
	// Append adds events to a stream, all or none, where it is at the version that at says, and
	// returns the version with them. They are stamped with what ctx knows (tidings.Stamp). Another
	// version is a *ConflictError, unless the events are in the stream already, in the place
	// where they would be, by their ids: appending again after an answer was lost is success.
	// With Any they are added again.
	Append(ctx context.Context, stream string, at Expect, events ...tidings.Event) (
		version int64, err error)
	// Read ranges over the events of a stream from a version on, in order, and ends with the last.
	// A stream that does not exist has none. An error is the last pair.
	Read(ctx context.Context, stream string, from int64) iter.Seq2[Recorded, error]
}

// Store is an event store. It is safe for use by many goroutines.
type Store interface {
	Streams
	// All ranges over the events of all streams from a position on, in order, and ends with the
	// last of when it began, or later. An error is the last pair.
	All(ctx context.Context, from int64) iter.Seq2[Recorded, error]
	// Follow is All that goes on with what is appended from then on. Its last pair is an error:
	// that of ctx when it ends, or why reading cannot go on.
	Follow(ctx context.Context, from int64) iter.Seq2[Recorded, error]
	// Head is the position of the last event, 0 for none.
	Head(ctx context.Context) (int64, error)
}

// Table is a Store in a database of the user, whose transaction is a Tx such as pgx.Tx.
type Table[Tx any] interface {
	Store
	Snapshots
	// In is the store in a transaction: what is appended exists if and only if tx commits. A
	// conflict is an error of Append, after which tx can go on.
	In(tx Tx) Streams
}

// Errors that callers ask for with errors.Is.
var (
	// ErrConflict: a stream is at another version; a *ConflictError says which.
	ErrConflict = errors.New("version conflict")
	// ErrUnknown: a stream has an event that its aggregate has no Apply for.
	ErrUnknown = errors.New("unknown event type")
	// ErrErased: the data of an event, or its key, has been erased.
	ErrErased = errors.New("erased")
)

// ConflictError says that a stream is not at the version that an append expected. It is
// ErrConflict for errors.Is.
type ConflictError struct {
	Stream   string
	Expected Expect
	Actual   int64 // events in the stream
}

// Error names the stream and both versions.
func (e *ConflictError) Error() string {
	want := fmt.Sprintf("version %d", int64(e.Expected))
	if e.Expected == NoStream {
		want = "no stream"
	}
	return fmt.Sprintf("stream %q: expected %s, it is at version %d", e.Stream, want, e.Actual)
}

// Is says that it is ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }
