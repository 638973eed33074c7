package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/tidings-io/tidings"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Publish writes events to the topics that they are for, with an idempotent producer, and waits
// until all replicas in sync have them. Those of a call go out together, in as few requests as
// their partitions allow; of one key and topic they are in their order, and a retry inside the
// producer keeps it. What is refused for a reason of its own (it is too large, say) does not stop
// what is behind it.
//
// When ctx ends first, what is on its way may be kept all the same.
func (t *Transport) Publish(ctx context.Context, events ...tidings.Event) error {
	call := newPublishing(len(events))
	if ctx.Err() != nil {
		return call.wait(ctx)
	}
	records := make([]*kgo.Record, len(events))
	for i := range events {
		record, err := t.prepare(ctx, &events[i])
		if err != nil {
			call.settle(i, err)
			continue
		}
		records[i] = record
	}
	for i, record := range records {
		if record == nil {
			continue
		}
		reply := events[i].Kind == tidings.KindReply
		t.send(ctx, record, func(err error) { call.settle(i, outcome(record.Topic, reply, err)) })
	}
	return t.await(ctx, call, records)
}

// publishRecord publishes what the transport has made, to a topic that it makes where it is gone.
func (t *Transport) publishRecord(ctx context.Context, r *kgo.Record) error {
	if err := t.topics.ensure(ctx, r.Topic); err != nil {
		return err
	}
	call := newPublishing(1)
	t.send(ctx, r, func(err error) { call.settle(0, outcome(r.Topic, false, err)) })
	return t.await(ctx, call, []*kgo.Record{r})
}

// await is the outcome of a call. Topics that turned out to be gone are made by the next one.
func (t *Transport) await(ctx context.Context, call *publishing, records []*kgo.Record) error {
	err := call.wait(ctx)
	for _, topic := range gone(err, records) {
		t.topics.forget(topic)
	}
	return err
}

// prepare checks an event, makes its record and sees that its topic is there.
func (t *Transport) prepare(ctx context.Context, e *tidings.Event) (*kgo.Record, error) {
	if t.closed.Load() {
		return nil, tidings.ErrClosed
	}
	record, err := encode(e)
	if err != nil {
		return nil, err
	}
	if e.Kind == tidings.KindReply {
		err = t.routable(ctx, record.Topic)
	} else {
		err = t.topics.ensure(ctx, record.Topic)
	}
	if err != nil {
		return nil, err
	}
	if size, most := encodedSize(record), t.topics.eventBytes(record.Topic, e); size > most {
		return nil, fmt.Errorf("kafka: %d bytes, of which topic %q takes %d: %w", size, record.Topic,
			most, tidings.ErrTooLarge)
	}
	return record, nil
}

// routable asks each time: the address of a request goes when nobody waits there any more.
func (t *Transport) routable(ctx context.Context, topic string) error {
	there, err := t.topics.exists(ctx, topic)
	if err != nil {
		return err
	}
	if !there {
		t.topics.forget(topic)
		return fmt.Errorf("kafka: topic %q is not there: %w", topic, tidings.ErrUnroutable)
	}
	return t.replies.use(ctx, topic)
}

// send hands a record to the producer, once there is room. From then on the record does not know
// of ctx: the end of it would fail the whole batch, in which others have records as well.
func (t *Transport) send(ctx context.Context, r *kgo.Record, settle func(error)) {
	select {
	case t.buffer <- struct{}{}:
	case <-ctx.Done():
		settle(ctx.Err())
		return
	}
	t.producer.Produce(context.WithoutCancel(ctx), r, func(_ *kgo.Record, err error) {
		<-t.buffer
		settle(err)
	})
}

// gone are the topics of records that failed because theirs is not there any more.
func gone(err error, records []*kgo.Record) (topics []string) {
	failed, ok := errors.AsType[*tidings.PublishError](err)
	if !ok || !errors.Is(err, kerr.UnknownTopicOrPartition) && !errors.Is(err, kerr.UnknownTopicID) {
		return nil
	}
	for _, i := range failed.Failed {
		if r := records[i]; r != nil && !slices.Contains(topics, r.Topic) {
			topics = append(topics, r.Topic)
		}
	}
	return topics
}

// outcome is what became of a record, in the words of package tidings.
func outcome(topic string, reply bool, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		err = fmt.Errorf("%w: %w", tidings.ErrTooLarge, err)
	case reply && errors.Is(err, kerr.UnknownTopicOrPartition):
		err = fmt.Errorf("%w: %w", tidings.ErrUnroutable, err)
	case errors.Is(err, kgo.ErrClientClosed):
		err = tidings.ErrClosed
	}
	return fmt.Errorf("kafka: publish to topic %q: %w", topic, err)
}

// publishing is one call of Publish.
type publishing struct {
	done chan struct{} // closed when nothing is open

	mu   sync.Mutex
	open int
	errs []error // of each event; errOpen until it is decided
}

var errOpen = errors.New("not decided")

func newPublishing(events int) *publishing {
	return &publishing{done: make(chan struct{}), open: events,
		errs: slices.Repeat([]error{errOpen}, events)}
}

func (p *publishing) settle(i int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errs[i] = err
	if p.open--; p.open == 0 {
		close(p.done)
	}
}

// wait is until every event is decided, or ctx ends.
func (p *publishing) wait(ctx context.Context) error {
	if len(p.errs) == 0 {
		return nil
	}
	select {
	case <-p.done:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var failed tidings.PublishError
	for i, err := range p.errs {
		if err == errOpen { //nolint:errorlint // it is never wrapped
			err = ctx.Err()
		}
		if err == nil {
			continue
		}
		if failed.Failed = append(failed.Failed, i); failed.Err == nil {
			failed.Err = err
		}
	}
	if failed.Err == nil {
		return nil
	}
	return &failed
}
