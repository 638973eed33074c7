package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidings-io/tidings"
)

// batch is the events of one call of Publish. All go through one channel: where it is lost, what
// was not confirmed by then and all that comes behind is not published, so that events that are
// published again keep their order.
type batch struct {
	t      *Transport
	delay  time.Duration
	events []tidings.Event
	sent   []*pending // nil: not handed over
	failed []error    // nil: confirmed, in the end
}

// encode fails the events that no broker could take.
func (b *batch) encode() {
	for i := range b.events {
		message, err := encode(&b.events[i], b.t.config.Limits.MaxBytes)
		if err != nil {
			b.failed[i] = err
			continue
		}
		b.sent[i] = &pending{message: message}
	}
}

// send hands the events to one publisher.
func (b *batch) send(ctx context.Context) {
	s, err := b.t.publish.session(ctx)
	var p *publisher
	if err == nil {
		p, err = s.publishing(ctx)
	}
	for i, m := range b.sent {
		if m == nil {
			continue
		}
		if err == nil {
			b.failed[i] = s.route(ctx, m, &b.events[i], b.delay)
		}
		if err == nil && b.failed[i] == nil {
			err = p.hand(ctx, m)
		}
		if err != nil {
			b.failed[i] = err
		}
		if b.failed[i] != nil {
			b.sent[i] = nil
		}
	}
}

func (b *batch) wait(ctx context.Context) {
	for i, m := range b.sent {
		if m == nil {
			continue
		}
		b.failed[i] = m.wait(ctx)
		if errors.Is(b.failed[i], errReturned) {
			b.failed[i] = b.again(ctx, i)
		}
	}
}

// again is for what came back though its queue had been declared: that is gone, so it is declared
// and the event published once more. An address of replies is not ours to make.
func (b *batch) again(ctx context.Context, i int) error {
	e := &b.events[i]
	if e.Kind == tidings.KindReply {
		return fmt.Errorf("rabbitmq: address %q: %w", e.Topic, tidings.ErrUnroutable)
	}
	s, err := b.t.publish.session(ctx)
	if err != nil {
		return err
	}
	s.forget()
	m := &pending{message: b.sent[i].message}
	if err := s.route(ctx, m, e, b.delay); err != nil {
		return err
	}
	p, err := s.publishing(ctx)
	if err != nil {
		return err
	}
	if err := p.hand(ctx, m); err != nil {
		return err
	}
	return m.wait(ctx)
}

// err is nil where everything was confirmed, else a *tidings.PublishError.
func (b *batch) err() error {
	var failed tidings.PublishError
	for i, err := range b.failed {
		if err == nil {
			continue
		}
		if failed.Err == nil {
			failed.Err = err
		}
		failed.Failed = append(failed.Failed, i)
	}
	if failed.Err == nil {
		return nil
	}
	return &failed
}
