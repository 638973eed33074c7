package tidings

import (
	"errors"
	"fmt"
	"time"
)

// Errors that callers ask for with errors.Is.
var (
	// ErrUnsupported: the transport cannot do what was asked, see its Capabilities.
	ErrUnsupported = errors.New("not supported by this transport")
	// ErrUnroutable: nobody is at the address, and nobody ever will.
	ErrUnroutable = errors.New("no such address")
	// ErrTooLarge: the event is larger than Capabilities.MaxBytes.
	ErrTooLarge = errors.New("event too large")
	// ErrType: an event is not of the type that was asked for.
	ErrType = errors.New("wrong event type")
	// ErrNoRoute: no route of the service takes the event.
	ErrNoRoute = errors.New("no route takes the event")
	// ErrClosed: the consumer or transport has been closed.
	ErrClosed = errors.New("closed")
	// ErrLost: the broker has taken a delivery back, which somebody else may have by now.
	ErrLost = errors.New("delivery lost")
	// ErrDrained: the service has stopped, and the time for handlers to finish is over.
	ErrDrained = errors.New("service has stopped")
)

// Permanent marks an error as one that trying again will not mend: the event goes to the dead
// letters at once. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ error }

func (p *permanentError) Unwrap() error { return p.error }

// IsPermanent says whether an error was marked by Permanent.
func IsPermanent(err error) bool {
	_, ok := errors.AsType[*permanentError](err)
	return ok
}

// RetryAfter asks that the event be tried again after d, whatever the delays of its policy; the
// attempt counts. RetryAfter(nil, d) is nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryError{err, d}
}

type retryError struct {
	error
	after time.Duration
}

func (r *retryError) Unwrap() error { return r.error }

// RetryDelay is what RetryAfter asked for.
func RetryDelay(err error) (d time.Duration, ok bool) {
	r, ok := errors.AsType[*retryError](err)
	if ok {
		d = r.after
	}
	return d, ok
}

// PublishError says which events of a call were not published, or may not have been.
type PublishError struct {
	Failed []int // indexes among the events of the call, ascending
	Err    error // of the first of them
}

// Error counts the events and tells the first error.
func (e *PublishError) Error() string {
	if len(e.Failed) == 1 {
		return fmt.Sprintf("an event was not published: %v", e.Err)
	}
	return fmt.Sprintf("%d events were not published: %v", len(e.Failed), e.Err)
}

// Unwrap is the first error.
func (e *PublishError) Unwrap() error { return e.Err }
