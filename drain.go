package tidings

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// grace is how long handlers may take to notice that their contexts have ended.
const grace = time.Second

// drain ends the handing out, waits for handlers in progress as long as the service gives them,
// and closes the consumer, which gives back what was not handled.
func (s *subscription) drain() error {
	s.state.set(Draining)
	s.disp.drain()
	left := s.await(s.disp.over)
	err := s.close()
	s.state.set(Stopped)
	if left > 0 {
		err = errors.Join(err, fmt.Errorf("group %s: %d handlers did not end within %v and are left",
			s.name, left, s.service.drain+grace))
	}
	return err
}

// await waits for the workers. When the drain is over the contexts of handlers end, and soon
// nobody waits for them any longer; it says for how many.
func (s *subscription) await(over <-chan struct{}) (left int) {
	if within(over, s.service.drain) {
		return 0
	}
	s.cut(ErrDrained)
	if within(over, grace) {
		return 0
	}
	return s.disp.inProgress()
}

func within(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

func (s *subscription) close() error {
	r := s.now.Load()
	if r == nil { // it failed before, and was closed then
		return nil
	}
	ctx, cancel := context.WithTimeout(s.root, closeTime)
	defer cancel()
	if err := r.Close(ctx); err != nil && !errors.Is(err, ErrClosed) {
		return fmt.Errorf("close group %s: %w", s.name, err)
	}
	return nil
}

// inProgress is how many handlers run.
func (d *dispatcher) inProgress() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.running
}
