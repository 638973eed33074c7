package tidings

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

const (
	redriveAtOnce = 256
	redriveWait   = 5 * time.Second
	// redriveWindow is how many letters that are left may be in the way.
	redriveWindow = 10_000
)

// redrive is one call of Redrive.
type redrive struct {
	transport Transport
	group     string
	letters   string
	left      int
	passed    int // letters that were left where they are
	wait      time.Duration
	begun     time.Time
}

// RedriveOption changes what Redrive does.
type RedriveOption func(*redrive)

// RedriveFrom takes the dead letters from a group other than "<group>.dlq", where the policy named
// one.
func RedriveFrom(letters string) RedriveOption { return func(r *redrive) { r.letters = letters } }

// RedriveMax bounds how many are redriven.
func RedriveMax(n int) RedriveOption { return func(r *redrive) { r.left = n } }

// RedriveWait is how long Redrive waits for another dead letter until it takes it that there is
// none; the default is 5 s. It includes the time that a broker takes to let a consumer in.
func RedriveWait(d time.Duration) RedriveOption { return func(r *redrive) { r.wait = d } }

// Redrive publishes the dead letters of a group back to that group, and to nobody else, with the
// ids that they have always had, so that an inbox knows them. Each is a dead letter until it is
// published; where the redrive fails in between it is both. It returns how many were published
// when none has come for a while (see RedriveWait), with an error when ctx ends before. What
// became a dead letter after the call, by the clock of the service that put it there, is left, and
// so is what belongs to another group; where 10,000 of those are in the way, that is an error. A group
// that has none, as one whose name is misspelt, is no error: what takes its letters is made.
func Redrive(ctx context.Context, t Transport, group string,
	opts ...RedriveOption) (n int, err error) {
	r := &redrive{transport: t, group: group, letters: DeadLetters(group), left: math.MaxInt,
		wait: redriveWait, begun: time.Now()}
	for _, o := range opts {
		o(r)
	}
	c, err := t.Subscribe(ctx, Subscription{Group: r.letters, Window: redriveWindow})
	if err != nil {
		return 0, fmt.Errorf("redrive %s: %w", group, err)
	}
	n, err = r.run(ctx, c)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	if err = errors.Join(err, c.Close(closing)); err != nil {
		return n, fmt.Errorf("redrive %s: %w", group, err)
	}
	return n, nil
}

// run moves until nothing comes any more.
func (r *redrive) run(ctx context.Context, c Consumer) (n int, err error) {
	for n < r.left {
		ds, err := r.receive(ctx, c, min(redriveAtOnce, r.left-n))
		switch {
		case err != nil:
			return n, err
		case len(ds) == 0 && r.passed >= redriveWindow:
			return n, fmt.Errorf("behind %d letters that are left there may be more", r.passed)
		case len(ds) == 0:
			return n, nil
		}
		moved, err := r.move(ctx, ds)
		if n += moved; err != nil {
			return n, err
		}
	}
	return n, nil
}

// receive is what comes in time; none is no error.
func (r *redrive) receive(ctx context.Context, c Consumer, max int) ([]*Delivery, error) {
	waiting, cancel := context.WithTimeout(ctx, r.wait)
	defer cancel()
	ds, err := c.Receive(waiting, max)
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		return nil, nil
	}
	return ds, err
}

// move publishes dead letters and then settles them.
func (r *redrive) move(ctx context.Context, ds []*Delivery) (n int, err error) {
	came := len(ds)
	ds = slices.DeleteFunc(ds, func(d *Delivery) bool { return !r.takes(d) })
	r.passed += came - len(ds)
	if len(ds) == 0 {
		return 0, nil
	}
	events := make([]Event, len(ds))
	for i, d := range ds {
		events[i] = d.Event
		events[i].Kind, events[i].Topic = KindCommand, r.group // which restores it
	}
	err = r.transport.Publish(ctx, events...)
	failed := failedOf(err, len(ds))
	for i, d := range ds {
		if slices.Contains(failed, i) {
			continue
		}
		n++
		err = errors.Join(err, d.Ack(ctx))
	}
	return n, err
}

// failedOf are the indexes of the events of a publish that failed.
func failedOf(err error, n int) []int {
	if part, ok := errors.AsType[*PublishError](err); ok {
		return part.Failed
	}
	if err != nil {
		return all(n)
	}
	return nil
}

// takes says whether a dead letter is to be redriven.
func (r *redrive) takes(d *Delivery) bool {
	if of := d.Extensions[ExtDeadGroup]; of != "" && of != r.group {
		return false
	}
	at, err := time.Parse(time.RFC3339Nano, d.Extensions[ExtDeadAt])
	return err != nil || !at.After(r.begun)
}
