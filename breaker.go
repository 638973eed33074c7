package tidings

import "time"

// breaker is the state of a circuit breaker. It is guarded by its dispatcher's mutex.
type breaker struct {
	limit Breaker

	inRow int       // failures since the last success
	until time.Time // open until then; zero while closed
	trial bool      // half open, and somebody tries
}

// opened says whether the breaker lets nothing but a trial through.
func (b *breaker) opened() bool { return !b.until.IsZero() }

// allows says whether an attempt may begin now.
func (b *breaker) allows(now time.Time) bool {
	return !b.opened() || !b.trial && !now.Before(b.until)
}

// begin notes that an attempt begins, which allows has let through; true for a trial.
func (b *breaker) begin() (trial bool) {
	b.trial = b.opened()
	return b.trial
}

// succeeded closes an open breaker.
func (b *breaker) succeeded() (closed bool) {
	closed = b.opened()
	b.inRow, b.until, b.trial = 0, time.Time{}, false
	return closed
}

// failed counts, and opens the breaker where it was the last straw or a trial. Attempts that
// began before it opened and fail after do not prolong it.
func (b *breaker) failed(now time.Time, trial bool) (opened bool) {
	if b.limit.Failures == NoBreaker {
		return false
	}
	b.inRow++
	if b.opened() && trial || !b.opened() && b.inRow >= b.limit.Failures {
		b.until, b.trial = now.Add(b.limit.Pause), false
		return true
	}
	return false
}

// gaveUp makes room for another trial where one said nothing about success or failure.
func (b *breaker) gaveUp(trial bool) {
	if trial {
		b.trial = false
	}
}
