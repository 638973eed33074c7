package tidingstest

import (
	"slices"
	"time"

	"github.com/tidings-io/tidings"
)

// scheduled is what is published later, or what a group gets again later.
type scheduled struct {
	at    time.Time
	event tidings.Event

	again    *group // whose delivery was given back, nil for what PublishAt brought
	attempts int    // of that delivery
}

func (t *Transport) scheduleLocked(s scheduled) {
	i, _ := slices.BinarySearchFunc(t.scheduled, s.at, func(other scheduled, at time.Time) int {
		if other.at.After(at) {
			return 1
		}
		return -1 // behind those of the same time
	})
	t.scheduled = slices.Insert(t.scheduled, i, s)
}

// advanceLocked does what the clock says: what is due is published, what was held for too long
// goes back.
func (t *Transport) advanceLocked(now time.Time) {
	due := 0
	for due < len(t.scheduled) && !t.scheduled[due].at.After(now) {
		due++
	}
	if due > 0 {
		for _, s := range t.scheduled[:due] {
			t.dueLocked(s)
		}
		t.scheduled = slices.Delete(t.scheduled, 0, due)
		t.wakeLocked()
	}
	for _, g := range t.groups {
		g.expireLocked(now)
		for _, c := range g.consumers {
			c.commitLocked(now.Add(-ackTime))
		}
	}
}

func (t *Transport) dueLocked(s scheduled) {
	if s.again != nil {
		t.appendLocked(s.again.address, entry{event: s.event, attempts: s.attempts})
		return
	}
	// A reply to an address that is gone by now, or an event for a full topic, has nobody left to
	// be told.
	_ = t.publishLocked(s.event)
}

// nextLocked is when the clock will change something, zero for never.
func (t *Transport) nextLocked() (at time.Time) {
	if len(t.scheduled) > 0 {
		at = t.scheduled[0].at
	}
	for _, g := range t.groups {
		at = earlier(at, g.deadline)
	}
	return at
}

// earlier is the first of two times, of which a zero one never comes.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
