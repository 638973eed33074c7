package tidingstest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tidings-io/tidings"
)

// ErrFull: a topic or address holds as many events as WithKeep lets it, and none that all groups
// are done with.
var ErrFull = errors.New("full")

// Transport is a broker in memory and the transport to it. A topic is a log of some lanes, chosen
// by key; each group has a place in every lane, and its own address, which is such a log too. A
// lane is in the hands of one consumer of a group at a time, so that equal keys stay in order. What
// a Nack gives back goes to the address of the group, as an event of its topic.
//
// It is safe for use by many goroutines. It needs no Close.
type Transport struct {
	caps      tidings.Capabilities
	laneCount int
	lease     time.Duration
	keep      int

	mu        sync.Mutex
	changed   chan struct{} // closed and made anew when a Receive may find something
	sequence  int64         // of the last kept event, over all lanes
	topics    map[string]*topic
	groups    map[string]*group
	scheduled []scheduled // by time, equal ones in the order of their coming
	published []tidings.Event
	seen      seen
	faults    Faults
	publishes int // counted since SetFaults
}

// Option changes what NewTransport makes.
type Option func(*Transport)

// WithCapabilities changes the capabilities, which are everything but Transactions, DedupWindow and
// MaxBytes at first. What is taken away is refused with tidings.ErrUnsupported, or not told in
// deliveries. DedupWindow and MaxBytes can be set; DedupWindow is for events, not for commands.
func WithCapabilities(change func(*tidings.Capabilities)) Option {
	return func(t *Transport) { change(&t.caps) }
}

// WithLanes sets how many lanes a topic has; the default is 4. With tidings.OrderQueue it is 1.
func WithLanes(n int) Option { return func(t *Transport) { t.laneCount = max(n, 1) } }

// WithLease sets how long a delivery may be held until it is extended; the default is 30 s, and
// 0 is forever.
func WithLease(d time.Duration) Option { return func(t *Transport) { t.lease = d } }

// WithKeep bounds how many events each topic and address keeps, and how many Published tells. The
// oldest go when all groups are done with them; when none is, Publish fails with ErrFull. The
// default is no bound.
func WithKeep(events int) Option { return func(t *Transport) { t.keep = events } }

// WithFaults begins with faults.
func WithFaults(f Faults) Option { return func(t *Transport) { t.faults = f } }

// NewTransport is an empty broker.
func NewTransport(opts ...Option) *Transport {
	t := &Transport{
		caps: tidings.Capabilities{Order: tidings.OrderLane, Replay: true, Positions: true,
			Attempts: true, Temporary: true, MaxDelay: tidings.Forever, MaxSchedule: tidings.Forever},
		laneCount: 4,
		lease:     30 * time.Second,
		changed:   make(chan struct{}),
		topics:    map[string]*topic{},
		groups:    map[string]*group{},
		seen:      seen{ids: map[identity]bool{}},
	}
	for _, o := range opts {
		o(t)
	}
	if t.caps.Order == tidings.OrderQueue {
		t.laneCount = 1
	}
	return t
}

// Capabilities are those of the options.
func (t *Transport) Capabilities() tidings.Capabilities { return t.caps }

// Publish keeps events. Those that a *tidings.PublishError does not name are kept.
func (t *Transport) Publish(ctx context.Context, events ...tidings.Event) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	fault := t.publishFaultLocked()
	if fault == FailBefore {
		return failAll(events, ErrFault)
	}
	err := t.eachLocked(ctx, events, t.publishLocked)
	if fault == FailAfter && err == nil {
		return failAll(events, ErrFault)
	}
	return err
}

// PublishAt keeps events until it is time to publish them; at once where at has passed. They
// survive Crash.
func (t *Transport) PublishAt(ctx context.Context, at time.Time, events ...tidings.Event) error {
	ahead := time.Until(at)
	if ahead <= 0 {
		return t.Publish(ctx, events...)
	}
	if ahead > t.caps.MaxSchedule {
		return fmt.Errorf("publish %s ahead: %w", ahead, tidings.ErrUnsupported)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.eachLocked(ctx, events, func(e tidings.Event) error {
		t.scheduleLocked(scheduled{at: at, event: e})
		return nil
	})
}

// eachLocked does with each event, and says which ones it could not be done with.
func (t *Transport) eachLocked(ctx context.Context, events []tidings.Event,
	do func(tidings.Event) error) error {
	if err := ctx.Err(); err != nil {
		return failAll(events, err)
	}
	t.advanceLocked(time.Now())
	failed := &tidings.PublishError{}
	for i, e := range events {
		err := t.check(&e)
		if err == nil {
			err = do(clone(e))
		}
		if err != nil {
			failed.Failed = append(failed.Failed, i)
			failed.Err = cmp.Or(failed.Err, err)
		}
	}
	t.wakeLocked()
	if failed.Err != nil {
		return failed
	}
	return nil
}

func failAll(events []tidings.Event, err error) error {
	failed := &tidings.PublishError{Err: err}
	for i := range events {
		failed.Failed = append(failed.Failed, i)
	}
	return failed
}

// check refuses what no broker should be given.
func (t *Transport) check(e *tidings.Event) error {
	most := t.caps.MaxBytes
	if e.IsCopy() {
		most += tidings.CopyBytes
	}
	switch err := e.Check(); {
	case err != nil:
		return err
	case e.Topic == "":
		return fmt.Errorf("event %q needs a topic", e.ID)
	case t.caps.MaxBytes > 0 && size(e) > most:
		return fmt.Errorf("%d bytes: %w", size(e), tidings.ErrTooLarge)
	}
	return nil
}

// size is that of payload and attributes, names included.
func size(e *tidings.Event) int {
	n := len(e.Payload)
	for name, value := range e.Attributes() {
		n += len(name) + len(value)
	}
	return n
}

func (t *Transport) publishLocked(e tidings.Event) error {
	en, err := arriving(e)
	if err != nil {
		return err
	}
	to, err := t.destinationLocked(&e)
	switch {
	case err != nil:
		return err
	case t.keep > 0 && !t.makeRoomLocked(to):
		return fmt.Errorf("%s to %s: %w", e.Kind, e.Topic, ErrFull)
	case t.duplicateLocked(&e):
		return nil
	}
	t.rememberLocked(e)
	t.appendLocked(to, en)
	return nil
}

// destinationLocked is the log that an event goes to, made where that is allowed.
func (t *Transport) destinationLocked(e *tidings.Event) (*topic, error) {
	switch g := t.groups[e.Topic]; {
	case e.Kind == tidings.KindEvent:
		return t.topicLocked(e.Topic), nil
	case g != nil:
		return g.address, nil
	case e.Kind == tidings.KindCommand:
		return t.groupLocked(e.Topic, false).address, nil
	default:
		return nil, fmt.Errorf("reply to %q: %w", e.Topic, tidings.ErrUnroutable)
	}
}

// identity is what a duplicate has in common with the first.
type identity struct{ topic, source, id string }

// seen is what was published within DedupWindow.
type seen struct {
	ids   map[identity]bool
	order []seenAt
}

type seenAt struct {
	id identity
	at time.Time
}

func (t *Transport) duplicateLocked(e *tidings.Event) bool {
	if t.caps.DedupWindow <= 0 || e.Kind != tidings.KindEvent {
		return false
	}
	now, s := time.Now(), &t.seen
	for len(s.order) > 0 && now.Sub(s.order[0].at) >= t.caps.DedupWindow {
		delete(s.ids, s.order[0].id)
		s.order = s.order[1:]
	}
	id := identity{e.Topic, e.Source, e.ID}
	if s.ids[id] {
		return true
	}
	s.ids[id] = true
	s.order = append(s.order, seenAt{id, now})
	return false
}

func (t *Transport) rememberLocked(e tidings.Event) {
	if t.keep > 0 && len(t.published) >= 2*t.keep {
		t.published = slices.Delete(t.published, 0, t.keep)
	}
	t.published = append(t.published, e)
}

// Declare makes a group with its topics where they are missing. A topic that is new to the group
// begins where From says.
func (t *Transport) Declare(ctx context.Context, s tidings.Subscription) error {
	if err := t.checkSubscription(ctx, s); err != nil {
		return err
	}
	if s.Temporary {
		return fmt.Errorf("declare %s: a temporary group lives with its consumer: %w", s.Group,
			tidings.ErrUnsupported)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.declareLocked(s)
	return nil
}

// Subscribe declares and reads.
func (t *Transport) Subscribe(ctx context.Context,
	s tidings.Subscription) (tidings.Consumer, error) {
	if err := t.checkSubscription(ctx, s); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.declareLocked(s).joinLocked(s.Window), nil
}

func (t *Transport) checkSubscription(ctx context.Context, s tidings.Subscription) error {
	switch {
	case s.Group == "" || slices.Contains(s.Topics, ""):
		return errors.New("a subscription needs names of group and topics")
	case s.From == tidings.Earliest && !t.caps.Replay:
		return fmt.Errorf("subscribe %s from earliest: %w", s.Group, tidings.ErrUnsupported)
	case s.Temporary && !t.caps.Temporary:
		return fmt.Errorf("subscribe %s as temporary: %w", s.Group, tidings.ErrUnsupported)
	}
	return ctx.Err()
}

func (t *Transport) declareLocked(s tidings.Subscription) *group {
	t.advanceLocked(time.Now())
	g := t.groupLocked(s.Group, s.Temporary)
	for _, name := range s.Topics {
		g.readLocked(t.topicLocked(name), s.From)
	}
	return g
}

func (t *Transport) groupLocked(name string, temporary bool) *group {
	g := t.groups[name]
	if g == nil {
		g = newGroup(t, name, temporary)
		t.groups[name] = g
	}
	return g
}

func (t *Transport) topicLocked(name string) *topic {
	if t.topics[name] == nil {
		t.topics[name] = newTopic(name, t.laneCount)
	}
	return t.topics[name]
}

// wakeLocked lets every Receive look again.
func (t *Transport) wakeLocked() {
	close(t.changed)
	t.changed = make(chan struct{})
}
