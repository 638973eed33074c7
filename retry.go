package tidings

import "time"

// settle does what follows from an attempt: what the broker is to be told, it is told here.
func (s *subscription) settle(it *item, err error) step {
	switch {
	case err == nil:
		if s.policy.Ack == AfterHandle {
			s.ack(it)
		}
		return step{how: succeeded}
	case s.cutOff(it): // the broker gives it to somebody else
		return step{how: dropped}
	case s.policy.Ack == BeforeHandle:
		return s.abandon(it, err)
	}
	delay, more := s.pause(it)
	if !more || IsPermanent(err) {
		it.dead = err
		return s.deadLetter(it)
	}
	if asked, ok := RetryDelay(err); ok {
		delay = max(0, asked)
	}
	s.log.Warn("attempt failed", "id", it.d.ID, "type", it.d.Type, "key", it.d.Key,
		"attempt", it.d.Attempt, "next", delay, "err", err)
	s.service.observer.retried(s.name, it.d, delay, err)
	if s.policy.StepAside && delay > 0 && s.stepAside(it, delay) {
		return step{how: aside}
	}
	return step{stays: true, delay: delay}
}

// abandon ends an event that may be handled at most once and failed.
func (s *subscription) abandon(it *item, err error) step {
	s.log.Error("event failed, and is not tried again", "id", it.d.ID, "type", it.d.Type,
		"key", it.d.Key, "err", err)
	s.replyFailure(it, err)
	return step{how: failed}
}

// pause is how long to wait before the next attempt, if the policy has one.
func (s *subscription) pause(it *item) (delay time.Duration, more bool) {
	made := it.tries
	if s.policy.StepAside {
		made = it.attempts() // in other hands too
	}
	if made <= s.policy.Immediate {
		return 0, true
	}
	if n := made - 1 - s.policy.Immediate; n < len(s.policy.Delays) {
		return s.policy.Delays[n], true
	}
	return 0, false
}

// stepAside gives the event back to the broker until its next attempt. What the broker cannot
// wait for, which is only RetryAfter, waits in hand.
func (s *subscription) stepAside(it *item, delay time.Duration) bool {
	if delay > s.service.capabilities.MaxDelay {
		return false
	}
	s.disp.settling(it)
	it.d.Attempt = it.told // the broker goes on counting from there, and knows nothing of Immediate
	if err := it.d.Nack(s.base, delay); err != nil {
		s.troubled("step aside", it.d, err)
		s.disp.ours(it)
		return false
	}
	return true
}
