package tidingstest

import (
	"context"
	"slices"
	"time"

	"github.com/tidings-io/tidings"
)

// Published is what has been published, in that order: to the named topics and addresses, or with
// no names to all. What is scheduled is in it when its time has come; what is handed out again is
// not in it again.
func (t *Transport) Published(topics ...string) (events []tidings.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.advanceLocked(time.Now())
	told := t.published
	if t.keep > 0 {
		told = told[max(0, len(told)-t.keep):]
	}
	for _, e := range told {
		if len(topics) == 0 || slices.Contains(topics, e.Topic) {
			events = append(events, clone(e))
		}
	}
	return events
}

// Await waits until the broker is as a test wants it, or ctx ends: until is asked at once, and again after
// each change of the broker and whenever the clock has changed something. It is called under no lock.
func (t *Transport) Await(ctx context.Context, until func() bool) error {
	for {
		again := t.change()
		if until() {
			return nil
		}
		if err := again.wait(ctx); err != nil {
			return err
		}
	}
}

// change ends with the next change.
func (t *Transport) change() wait {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.advanceLocked(time.Now())
	return wait{t.changed, t.nextLocked()}
}

// Scheduled is what PublishAt brought whose time has not come, the next first.
func (t *Transport) Scheduled() (events []Scheduled) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.advanceLocked(time.Now())
	for _, s := range t.scheduled {
		if s.again == nil {
			events = append(events, Scheduled{s.at, clone(s.event)})
		}
	}
	return events
}

// Scheduled is an event that will be published.
type Scheduled struct {
	At    time.Time
	Event tidings.Event
}

// Pending counts what a group has not acknowledged: what waits, what its consumers hold, and what
// comes again later. It is 0 for a group that is not there.
func (t *Transport) Pending(group string) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.advanceLocked(time.Now())
	g := t.groups[group]
	if g == nil {
		return 0
	}
	for _, p := range g.places {
		n += p.pending()
	}
	for _, s := range t.scheduled {
		if s.again == g {
			n++
		}
	}
	return n
}

// DeadLetters is what the dead letter group of a group, tidings.DeadLetters(group), has not
// acknowledged, in the order of publishing. Events are as a consumer of it would get them.
func (t *Transport) DeadLetters(group string) (events []tidings.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.advanceLocked(time.Now())
	g := t.groups[tidings.DeadLetters(group)]
	if g == nil {
		return nil
	}
	for _, en := range g.waitingLocked() {
		events = append(events, clone(en.event))
	}
	return events
}

// waitingLocked is what the group is not done with, in the order of publishing.
func (g *group) waitingLocked() (entries []entry) {
	for _, p := range g.places {
		for o := p.done(); o < p.lane.end(); o++ {
			if h := p.open[o]; o >= p.next || h != nil && h.state != acked {
				entries = append(entries, *p.lane.at(o))
			}
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return int(a.sequence - b.sequence) })
	return entries
}
