package broker

import (
	"context"

	"github.com/tidings-io/tidings/storage"
)

// queueChange is what a queue is told after its declaration.
type queueChange struct {
	args     Args
	settings QueueSettings
}

// ChangeQueue gives a queue other arguments and settings: all of them, as if it had been declared with
// these. MaxPriority, SingleActive, Once and whether groups are ordered stay as they were declared. What waits
// in the queue is under the new settings at once; they are on disk when the Confirm is. Of two changes at a time the later one counts.
// Kinds: Invalid, NotFound, Denied (it has an owner), Closed, Storage.
func (b *Broker) ChangeQueue(q *Queue, args Args, s QueueSettings) (Confirm, error) {
	const op = "change queue"
	spec := q.Spec()
	spec.Args = args
	was := spec.Settings
	spec.Settings = s
	if err := b.checkQueue(&spec); err != nil {
		return Confirm{}, &Error{Kind: Invalid, Op: op, Name: q.String(), Err: err}
	}
	if s.MaxPriority != was.MaxPriority || s.SingleActive != was.SingleActive || s.Once != was.Once {
		return Confirm{}, fail(Invalid, op, q.String(), "priorities, a single active consumer and what is "+
			"published once stay as they are")
	}
	if s.Groups != was.Groups && (s.Groups == OrderedGroups || was.Groups == OrderedGroups) {
		return Confirm{}, fail(Invalid, op, q.String(), "groups stay ordered, or not")
	}
	if err := checkArgs(op, q.String(), args); err != nil {
		return Confirm{}, err
	}
	if err := q.checkOwner(op, nil); err != nil {
		return Confirm{}, err
	}
	return q.change(op, &queueChange{args, s})
}

func (q *Queue) change(op string, c *queueChange) (Confirm, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead {
		return Confirm{}, &Error{Kind: NotFound, Op: op, Name: q.String()}
	}
	was := q.changed.Swap(c)
	confirm := Confirm{}
	if q.spec.Durable {
		var batch storage.Batch
		batch.Put(catalogKey(q.name), q.encode())
		seq, err := q.b.store.Submit(&batch)
		if err != nil {
			q.changed.Store(was)
			return Confirm{}, storeError(op, q.String(), err)
		}
		confirm = Confirm{q.b.store, seq}
	}
	q.followLocked()
	q.dispatchLocked()
	return confirm, nil
}

// ChangeExchange gives an exchange other arguments, durably on return: all of them, as if it
// had been declared with these. How it routes stays as it was declared. Of two changes at a
// time the later one counts. Kinds: Invalid, NotFound, Closed, Storage.
func (b *Broker) ChangeExchange(ctx context.Context, x *Exchange, args Args) error {
	const op = "change exchange"
	if err := checkArgs(op, x.name.String(), args); err != nil {
		return err
	}
	seq, err := x.change(op, args)
	if err != nil {
		return err
	}
	return b.settle(ctx, op, x.name.String(), seq)
}

func (x *Exchange) change(op string, args Args) (storage.Seq, error) {
	x.b.cat.mu.Lock()
	defer x.b.cat.mu.Unlock()
	if x.dead {
		return 0, &Error{Kind: NotFound, Op: op, Name: x.name.String()}
	}
	was := x.changed.Swap(&args)
	if !x.spec.Durable {
		return x.b.store.Durable(), nil
	}
	var batch storage.Batch
	batch.Put(catalogKey(x.name), x.encode())
	seq, err := x.b.store.Submit(&batch)
	if err != nil {
		x.changed.Store(was)
		return 0, storeError(op, x.name.String(), err)
	}
	return seq, nil
}

// ChangeTopic gives a topic another configuration, durably on return: all of it, as if it had
// been created so. The files of its partitions keep their size. Of two changes at a time the
// later one counts. Kinds: Invalid, NotFound, Closed, Storage.
func (b *Broker) ChangeTopic(ctx context.Context, t *Topic, c TopicConfig) error {
	const op = "change topic"
	if err := b.checkConfig(c); err != nil {
		return &Error{Kind: Invalid, Op: op, Name: t.name.String(), Err: err}
	}
	seq, err := t.change(op, c.clone())
	if err != nil {
		return err
	}
	return b.settle(ctx, op, t.name.String(), seq)
}

func (t *Topic) change(op string, c TopicConfig) (storage.Seq, error) {
	t.b.cat.mu.Lock()
	defer t.b.cat.mu.Unlock()
	if t.b.cat.topics[t.name] != t {
		return 0, &Error{Kind: NotFound, Op: op, Name: t.name.String()}
	}
	was := t.config.Swap(&c)
	var batch storage.Batch
	batch.Put(catalogKey(t.name), t.encode(t.all()))
	seq, err := t.b.store.Submit(&batch)
	if err != nil {
		t.config.Store(was)
		return 0, storeError(op, t.name.String(), err)
	}
	t.b.cat.changed = seq
	return seq, nil
}
