package eventstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tidings-io/tidings"
)

// Prepare is for those who write stores: it checks an append against the limits of this package, and
// that its events can be read back as they are (one that cannot would end every reader of the
// store), and returns stamped copies of its events. The source of events that neither they nor ctx name is
// source.
func Prepare(ctx context.Context, source, stream string, at Expect, events []tidings.Event) (
	[]tidings.Event, error) {
	if err := checkAppend(stream, at, len(events)); err != nil {
		return nil, fmt.Errorf("append to stream %.80q: %w", stream, err)
	}
	out := make([]tidings.Event, len(events))
	size := 0
	for i, e := range events {
		tidings.Stamp(ctx, "", &e)
		if e.Source == "" {
			e.Source = source
		}
		if err := checkEvent(&e); err != nil {
			return nil, fmt.Errorf("append to stream %q: event %d: %w", stream, i, err)
		}
		out[i] = e
		size += sizeOf(&e)
	}
	if size > MaxBytes {
		return nil, fmt.Errorf("append to stream %q: %d bytes, the limit is %d: %w", stream, size,
			MaxBytes, tidings.ErrTooLarge)
	}
	return out, nil
}

func checkAppend(stream string, at Expect, events int) error {
	switch {
	case at < Any:
		return fmt.Errorf("expected version %d", at)
	case events == 0:
		return errors.New("no events")
	case events > MaxEvents:
		return fmt.Errorf("%d events, the limit is %d: %w", events, MaxEvents, tidings.ErrTooLarge)
	}
	return CheckStream(stream)
}

// CheckStream says what is wrong with the name of a stream: it is 1 to MaxStreamName bytes of UTF-8
// without NUL.
func CheckStream(stream string) error {
	switch {
	case stream == "":
		return errors.New("a stream needs a name")
	case len(stream) > MaxStreamName:
		return fmt.Errorf("the name has %d bytes, the limit is %d: %w", len(stream), MaxStreamName,
			tidings.ErrTooLarge)
	case !plain(stream):
		return errors.New("the name is not UTF-8, or has a NUL")
	}
	return nil
}

func checkEvent(e *tidings.Event) error {
	if err := e.Check(); err != nil {
		return err
	}
	if !plain(e.Topic) {
		return errors.New("its topic is not UTF-8, or has a NUL")
	}
	for name, value := range e.Attributes() {
		if !plain(value) {
			return fmt.Errorf("attribute %s is not UTF-8, or has a NUL", name)
		}
	}
	return nil
}

// plain says whether every database keeps a text as it is.
func plain(text string) bool {
	return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0
}

// attributeBytes is what an attribute takes beside its name and value.
const attributeBytes = 8

func sizeOf(e *tidings.Event) int {
	n := len(e.Payload) + len(e.Key) + len(e.Topic)
	for name, value := range e.Attributes() {
		n += len(name) + len(value) + attributeBytes
	}
	return n
}

// Appended is for those who write stores: it says whether events are in a stream already, in the
// place where an append that expects at would have put them. If so the conflict is an append of
// the same events whose answer was lost, and version is what it answered.
func Appended(ctx context.Context, s Streams, stream string, at Expect, events []tidings.Event) (
	version int64, ok bool, err error) {
	if at == Any {
		return 0, false, nil
	}
	i := 0
	for r, err := range s.Read(ctx, stream, int64(at)+1) {
		if err != nil {
			return 0, false, err
		}
		if r.ID != events[i].ID {
			return 0, false, nil
		}
		if i++; i == len(events) {
			return r.Version, true, nil
		}
	}
	return 0, false, nil
}
