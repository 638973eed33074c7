package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidings-io/tidings/storage"
)

// ErrorKind says what went wrong in one of a few words that every protocol face
// maps to its own codes. It is an error itself, so that errors.Is(err, NotFound)
// works.
type ErrorKind uint8

// The kinds of errors.
const (
	NotFound    ErrorKind = iota + 1 // no such topic, group, event store or partition
	Exists                           // the name is taken
	Invalid                          // the request makes no sense as it stands
	TooLarge                         // beyond a named limit of size
	Denied                           // not permitted
	Fenced                           // a newer epoch of this producer exists
	OutOfOrder                       // a producer's sequence has a gap
	OutOfRange                       // the offset is not in the log
	Corrupt                          // bytes do not match their checksum or format
	Conflict                         // the stream is at another version
	Full                             // disk pressure, or a named limit of number
	Unsupported                      // not built, or a format of a newer version
	Closed                           // the broker is closed
	Storage                          // the disk failed; nothing more is accepted
)

var kindNames = [...]string{
	NotFound: "not found", Exists: "already exists", Invalid: "invalid",
	TooLarge: "too large", Denied: "denied", Fenced: "fenced",
	OutOfOrder: "out of order", OutOfRange: "out of range", Corrupt: "corrupt",
	Conflict: "conflict", Full: "full", Unsupported: "unsupported",
	Closed: "closed", Storage: "storage failed",
}

// Kinds returns every kind once, for tables that must cover them all.
func Kinds() []ErrorKind {
	all := make([]ErrorKind, 0, len(kindNames)-1)
	for k := NotFound; k <= Storage; k++ {
		all = append(all, k)
	}
	return all
}

// String returns the kind in lower-case words: "not found".
func (k ErrorKind) String() string {
	if k == 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return kindNames[k]
}

// Error is String, so that a kind can stand in errors.Is.
func (k ErrorKind) Error() string { return k.String() }

// Error is what this package returns when something went wrong.
type Error struct {
	Kind ErrorKind
	Op   string // what was attempted: "create topic"
	Name string // what it was about: a topic, "orders/0", a group; may be empty
	Err  error  // detail; may be nil
}

// Error reads "create topic orders: already exists" or, where there is detail,
// "append orders/0: crc 1 where 2 was expected".
func (e *Error) Error() string {
	s := e.Op
	if e.Name != "" {
		s += " " + e.Name
	}
	if e.Err != nil {
		return s + ": " + e.Err.Error()
	}
	return s + ": " + e.Kind.String()
}

// Unwrap returns the detail.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is this error's kind.
func (e *Error) Is(target error) bool {
	k, ok := target.(ErrorKind)
	return ok && k == e.Kind
}

// KindOf returns the kind of an error of this package, and 0 for nil, for the
// error of a context, and for errors from elsewhere.
func KindOf(err error) ErrorKind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return 0
}

// VersionConflict is the detail of kind Conflict: the stream is not at the
// version that the append expected.
type VersionConflict struct {
	Stream   string
	Expected Expect
	Actual   int64 // events in the stream
}

// Error names the stream and both versions.
func (c *VersionConflict) Error() string {
	want := fmt.Sprintf("version %d", int64(c.Expected))
	if c.Expected == NoStream {
		want = "no stream"
	}
	return fmt.Sprintf("stream %q: expected %s, it is at version %d", c.Stream, want, c.Actual)
}

// ErrTimestamp is the detail, with kind Invalid, of a batch whose record times
// lie too far ahead of the broker's clock (TopicConfig.TimeAhead).
var ErrTimestamp = errors.New("record time is too far in the future")

// ErrCodec is the detail, with kind Unsupported, of a batch that names a
// compression this package does not know.
var ErrCodec = errors.New("unknown compression")

// kindTable maps the errors of the store; the first match wins.
var kindTable = []struct {
	err  error
	kind ErrorKind
}{
	{storage.ErrPoisoned, Storage},
	{storage.ErrFull, Full},
	{storage.ErrOutOfRange, OutOfRange},
	{storage.ErrDropped, NotFound},
	{storage.ErrTooLarge, TooLarge},
	{storage.ErrClosed, Closed},
	{storage.ErrFormat, Unsupported},
	{storage.ErrDamaged, Corrupt},
}

// storeError turns an error of the store into one of this package. A context's
// error stays foreign: it says nothing about the broker.
func storeError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s %s: %w", op, name, err)
	}
	return &Error{Kind: storeKind(err), Op: op, Name: name, Err: err}
}

func storeKind(err error) ErrorKind {
	for _, row := range kindTable {
		if row.err != nil && errors.Is(err, row.err) {
			return row.kind
		}
	}
	var damage *storage.Damage
	if errors.As(err, &damage) {
		return Corrupt
	}
	return Storage
}

// fail makes an error of this package with a formatted detail.
func fail(kind ErrorKind, op, name, format string, args ...any) error {
	return &Error{Kind: kind, Op: op, Name: name, Err: fmt.Errorf(format, args...)}
}
