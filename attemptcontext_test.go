package tidings

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

type parentKey struct{}

var (
	errLate = errors.New("too late")
	errGone = errors.New("gone")
)

func attemptFor(d time.Duration) (c *attemptContext, lose context.CancelCauseFunc) {
	parent, lose := context.WithCancelCause(context.WithValue(context.Background(), parentKey{}, "p"))
	c = &attemptContext{parent: parent, late: errLate, hop: hop{group: "g"}}
	if d > 0 {
		c.deadline = time.Now().Add(d)
	}
	return c, lose
}

// ways are how the end of a context can be waited for.
var ways = map[string]func(ctx context.Context) error{
	"by Done": func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	},
	"by Err alone": func(ctx context.Context) error {
		for ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		return ctx.Err()
	},
	"by a derived context": func(ctx context.Context) error {
		derived, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		<-derived.Done()
		return derived.Err()
	},
	"by a function that is called then": func(ctx context.Context) error {
		called := make(chan struct{})
		context.AfterFunc(ctx, func() { close(called) })
		<-called
		return ctx.Err()
	},
}

func TestAnAttemptIsOverWhenItsTimeIs(t *testing.T) {
	for name, wait := range ways {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, lose := attemptFor(time.Minute)
				defer lose(nil)
				begun := time.Now()
				err := wait(c)
				if err != context.DeadlineExceeded || context.Cause(c) != errLate ||
					time.Since(begun) != time.Minute {
					t.Errorf("over after %v with %v, cause %v", time.Since(begun), err, context.Cause(c))
				}
			})
		})
	}
}

func TestAnAttemptIsOverWithItsParent(t *testing.T) {
	for _, limit := range []time.Duration{0, time.Minute} {
		for name, wait := range ways {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, lose := attemptFor(limit)
					time.AfterFunc(time.Second, func() { lose(errGone) })
					if err := wait(c); err != context.Canceled || context.Cause(c) != errGone {
						t.Errorf("over with %v, cause %v", err, context.Cause(c))
					}
				})
			})
		}
	}
}

func TestAnAttemptIsOverWhenTheHandlerHasReturned(t *testing.T) {
	for name, wait := range ways {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, lose := attemptFor(time.Minute)
				defer lose(nil)
				time.AfterFunc(time.Second, c.end)
				if err := wait(c); err != context.Canceled {
					t.Errorf("over with %v", err)
				}
			})
			synctest.Test(t, func(t *testing.T) {
				c, lose := attemptFor(time.Minute)
				defer lose(nil)
				c.end()
				if err := wait(c); err != context.Canceled { // nobody had asked before
					t.Errorf("over with %v when asked later", err)
				}
			})
		})
	}
}

type derivedKey struct{}

func TestAnAttemptKnowsWhatIsHandledAndWhatItsParentKnows(t *testing.T) {
	c, lose := attemptFor(time.Minute)
	defer lose(nil)
	for range 2 { // before somebody waits, and then
		derived := context.WithValue(c, derivedKey{}, 1)
		if g, p := Group(derived), derived.Value(parentKey{}); g != "g" || p != "p" {
			t.Errorf("got group %q and %v", g, p)
		}
		if at, ok := derived.Deadline(); !ok || at != c.deadline {
			t.Errorf("got deadline %v, %v", at, ok)
		}
		derived.Done()
	}
	unbounded, lose := attemptFor(0)
	defer lose(nil)
	if at, ok := unbounded.Deadline(); ok || unbounded.Err() != nil {
		t.Errorf("without a timeout it ends at %v, now %v", at, unbounded.Err())
	}
}

func TestADeadlineOfTheParentComesFirst(t *testing.T) {
	parent, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	c := &attemptContext{parent: parent, deadline: time.Now().Add(time.Hour)}
	want, _ := parent.Deadline()
	if at, ok := c.Deadline(); !ok || at != want {
		t.Errorf("got %v, want %v", at, want)
	}
}
