package tidings

import (
	"context"
	"sync"
	"time"
)

// attemptContext is the context of one attempt. It ends with its parent and, where it has a
// deadline, then and when the handler has returned. It tells what is being handled.
//
// What the context package makes for that costs a timer and five allocations for each attempt,
// and many handlers never wait for the end of theirs. So that is made when somebody first asks for
// it: from then on both are one, also for contexts that are derived from this one.
type attemptContext struct {
	parent   context.Context
	hop      hop
	deadline time.Time // zero for none: then it is over with its parent only
	late     error     // the cause of its end at the deadline

	mu     sync.Mutex
	over   bool            // the handler has returned
	made   context.Context // by the context package; nil before that
	cancel context.CancelFunc
}

// Deadline is that of the attempt or of the parent, whichever is sooner.
func (c *attemptContext) Deadline() (time.Time, bool) {
	at, ok := c.parent.Deadline()
	if c.deadline.IsZero() || ok && at.Before(c.deadline) {
		return at, ok
	}
	return c.deadline, true
}

// Done is closed when the attempt is over.
func (c *attemptContext) Done() <-chan struct{} { return c.make().Done() }

// Err says why the attempt is over.
func (c *attemptContext) Err() error {
	made, over := c.soFar()
	if made == nil && !over && c.parent.Err() == nil {
		return nil
	}
	return c.make().Err()
}

// Value is what is handled, or the parent's.
func (c *attemptContext) Value(key any) any {
	if key == (hopKey{}) {
		return &c.hop
	}
	if made, _ := c.soFar(); made != nil {
		return made.Value(key)
	}
	return c.parent.Value(key)
}

// soFar is what was made, and otherwise whether the attempt is over for other reasons than the
// parent's.
func (c *attemptContext) soFar() (made context.Context, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.made, c.over || !c.deadline.IsZero() && !time.Now().Before(c.deadline)
}

// make is the context package's; of the parent where there is no deadline.
func (c *attemptContext) make() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.made != nil:
	case c.deadline.IsZero():
		c.made = c.parent
	default:
		c.made, c.cancel = context.WithDeadlineCause(c.parent, c.deadline, c.late)
	}
	c.endLocked()
	return c.made
}

// end is the return of the handler.
func (c *attemptContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.endLocked()
}

func (c *attemptContext) endLocked() {
	if c.over && c.cancel != nil {
		c.cancel()
	}
}
