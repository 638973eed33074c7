package broker

import (
	"context"
	"errors"

	"github.com/tidings-io/tidings/storage"
)

// DeclareQueue returns the queue of a name, or makes it as the spec says; created
// tells which. Whether one that is there is what was meant is for the caller to
// judge by its Spec. A durable queue is on disk on return.
// Kinds: Invalid, NotFound (the namespace), Denied (it has another owner), Full (a limit,
// or disk pressure), Closed, Storage.
func (b *Broker) DeclareQueue(ctx context.Context, spec QueueSpec) (q *Queue, created bool, err error) {
	const op = "declare queue"
	name := Name{KindQueue, spec.Namespace, spec.Name}
	if err := b.checkQueue(&spec); err != nil {
		return nil, false, &Error{Kind: Invalid, Op: op, Name: name.String(), Err: err}
	}
	if err := checkArgs(op, name.String(), spec.Args); err != nil {
		return nil, false, err
	}
	if q, err := b.Queue(spec.Namespace, spec.Name); err == nil {
		return q, false, q.redeclared(ctx, op, spec.Owner)
	}
	if err := b.admit(ctx, len(spec.Name)); err != nil {
		return nil, false, storeError(op, name.String(), err)
	}
	q, created, seq, err := b.addQueue(op, name, spec)
	if err != nil {
		return nil, false, err
	}
	if !created {
		return q, false, q.redeclared(ctx, op, spec.Owner)
	}
	return q, true, b.settle(ctx, op, name.String(), seq)
}

// redeclared counts as use, and waits until the queue is on disk.
func (q *Queue) redeclared(ctx context.Context, op string, owner any) error {
	if err := q.checkOwner(op, owner); err != nil {
		return err
	}
	q.mu.Lock()
	q.usedLocked()
	seq := q.declared
	q.mu.Unlock()
	return q.b.settle(ctx, op, q.String(), seq)
}

func (b *Broker) addQueue(op string, name Name, spec QueueSpec) (*Queue, bool, storage.Seq, error) {
	b.cat.mu.Lock()
	defer b.cat.mu.Unlock()
	if q := b.cat.queues[name]; q != nil {
		return q, false, 0, nil
	}
	if _, err := b.cat.namespace(op, name.Namespace); err != nil {
		return nil, false, 0, err
	}
	if n := len(b.cat.queues); n >= b.config.Limits.Queues {
		return nil, false, 0, fail(Full, op, name.String(), "%d queues exist, the limit is %d",
			n, b.config.Limits.Queues)
	}
	var batch storage.Batch
	q := &Queue{b: b, id: newID(), name: name, spec: spec, in: map[bindingKey]*Binding{}, timer: never,
		receivers: &noReceivers}
	q.followLocked() // nobody else has it
	q.makeLanes(&batch)
	if spec.Durable {
		batch.Put(catalogKey(name), q.encode())
	}
	seq, err := b.store.Submit(&batch)
	if err != nil {
		return nil, false, 0, storeError(op, name.String(), err)
	}
	q.declared = seq
	b.cat.queues[name] = q
	b.tell(seq, &QueueDeclared{Queue: q})
	q.mu.Lock()
	q.usedLocked()
	q.mu.Unlock()
	return q, true, seq, nil
}

// Queue finds a queue by name. Kind: NotFound.
func (b *Broker) Queue(namespace, name string) (*Queue, error) {
	n := Name{KindQueue, namespace, name}
	b.cat.mu.RLock()
	q := b.cat.queues[n]
	b.cat.mu.RUnlock()
	if q == nil {
		return nil, &Error{Kind: NotFound, Op: "find queue", Name: n.String()}
	}
	return q, nil
}

// Queues returns the queues of a namespace, by name.
func (b *Broker) Queues(namespace string) []*Queue {
	b.cat.mu.RLock()
	defer b.cat.mu.RUnlock()
	return inNamespace(b.cat.queues, namespace)
}

// DeleteOptions say when not to delete a queue.
type DeleteOptions struct {
	IfUnused bool // it has subscriptions: ErrInUse
	IfEmpty  bool // records wait in it: ErrNotEmpty
	Owner    any  // must be the queue's, where that has one
}

// The details, with kind Conflict, of a deletion that its options forbid.
var (
	ErrInUse    = errors.New("in use")
	ErrNotEmpty = errors.New("not empty")
)

// DeleteQueue deletes a queue with its records and bindings and ends its
// subscriptions, durably on return; records is how many were ready.
// Kinds: NotFound, Denied, Conflict (ErrInUse, ErrNotEmpty), Closed, Storage.
func (b *Broker) DeleteQueue(ctx context.Context, q *Queue, o DeleteOptions) (records int64, err error) {
	const op = "delete queue"
	if err := q.checkOwner(op, o.Owner); err != nil {
		return 0, err
	}
	records, seq, err := b.removeQueue(op, q, o)
	if err != nil {
		return 0, err
	}
	return records, b.settle(ctx, op, q.String(), seq)
}

func (b *Broker) removeQueue(op string, q *Queue, o DeleteOptions) (int64, storage.Seq, error) {
	b.cat.mu.Lock()
	defer b.cat.mu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	records := q.readyLocked()
	switch {
	case q.dead:
		return 0, 0, &Error{Kind: NotFound, Op: op, Name: q.String()}
	case o.IfUnused && len(q.subs) > 0:
		return 0, 0, &Error{Kind: Conflict, Op: op, Name: q.String(), Err: ErrInUse}
	case o.IfEmpty && records > 0:
		return 0, 0, &Error{Kind: Conflict, Op: op, Name: q.String(), Err: ErrNotEmpty}
	}
	if err := b.usable(); err != nil {
		return 0, 0, storeError(op, q.String(), err)
	}
	r := removal{store: b.store}
	b.dropQueueLocked(&r, q)
	seq, err := r.submit()
	if err != nil {
		return 0, 0, storeError(op, q.String(), err)
	}
	b.tell(seq, &QueueDeleted{Queue: q, Records: records})
	return records, seq, nil
}

// dropQueueLocked needs the catalog's mutex, and the queue's. Nobody finds the queue any
// more before its logs are dropped.
func (b *Broker) dropQueueLocked(r *removal, q *Queue) {
	if q.later != nil {
		q.later.schedule.drop(r) // in one batch with the name: nothing else would find its logs
	}
	for _, l := range q.lanes {
		r.batch.Drop(l.log)
	}
	q.ledger.drop(r)
	if q.spec.Durable {
		r.batch.Delete(catalogKey(q.name))
		q.dropLanes(r)
	}
	b.unbindAllLocked(r, q.name)
	delete(b.cat.queues, q.name)
	q.endLocked()
}

// dropLanes deletes what a durable queue has beside its logs. Numbers of deliveries
// of records that are leased now are deleted by the next Open.
func (q *Queue) dropLanes(r *removal) {
	for _, l := range q.lanes {
		r.batch.DropSet(l.settled) // with the logs: nothing else would find them
	}
	for _, l := range q.lanes {
		l.unsortLocked()
		r.delete(groupedKey(l.log.ID()))
		r.delete(handedKey(l.log.ID()))
		r.delete(transientKey(l.log.ID()))
		if q.counted {
			for _, x := range l.back {
				r.delete(deliveriesKey(l.log.ID(), x.off))
			}
		}
		for off := range l.received {
			r.delete(deliveriesKey(l.log.ID(), off))
		}
	}
}

func (q *Queue) endLocked() {
	q.dead = true
	for _, s := range q.subs {
		s.ended = true
		for range s.assigned.all() {
			s.releaseCredit()
		}
		ring(s.opts.Wake)
	}
	q.subs = nil
	q.endReceiversLocked()
	q.setTimerLocked()
}

// Purge removes the records that are ready, durably on return, and says how many. See
// PurgeAll for the others.
// Kinds: NotFound, Denied, Closed, Storage.
func (q *Queue) Purge(ctx context.Context, owner any) (records int64, err error) {
	const op = "purge"
	if err := q.checkOwner(op, owner); err != nil {
		return 0, err
	}
	records, seq, err := q.purge()
	if err != nil {
		return 0, storeError(op, q.String(), err)
	}
	return records, q.b.settle(ctx, op, q.String(), seq)
}

func (q *Queue) purge() (records int64, seq storage.Seq, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead {
		return 0, 0, storage.ErrDropped
	}
	r := removal{store: q.b.store, seq: q.b.store.Durable()}
	return q.purgeLocked(&r, 0)
}

// purgeLocked removes what is ready, with what was removed already.
func (q *Queue) purgeLocked(r *removal, already int64) (records int64, seq storage.Seq, err error) {
	records = already + q.readyLocked()
	for _, s := range q.subs {
		for _, a := range s.assigned.all() {
			s.giveBackLocked(a)
		}
	}
	for _, l := range q.lanes {
		if l.groups != nil {
			l.unsortLocked()
			l.markAllLocked(&r.batch) // before what is settled out of order
		}
		l.purgeBack(r, q.counted && q.spec.Durable)
		l.purge(&r.batch)
	}
	q.emptySizesLocked()
	if seq, err = r.submit(); err == nil {
		q.tellPurged(seq, records)
	}
	return records, seq, err
}

// purgeBack settles what was given back, however far it lies apart.
func (l *lane) purgeBack(r *removal, counted bool) {
	for len(l.back) > 0 {
		x := l.back.pop()
		l.settleLocked(&r.batch, x.off)
		if counted && x.deliveries > 0 {
			r.batch.Delete(deliveriesKey(l.log.ID(), x.off))
		}
		l.forgetLocked(&r.batch, x.off)
		r.submitFull()
	}
	l.markLocked(&r.batch)
}

// purge settles what was never handed out.
func (l *lane) purge(batch *storage.Batch) {
	if l.next < l.end {
		if l.durable && l.end > l.marking {
			l.marked, l.marking = l.end, l.end
			batch.Put(handedKey(l.log.ID()), handedValue(l.end))
		}
		l.settling = offsets{l.next, l.end}
		l.markLocked(batch)
		l.next = l.end
		if l.sweep != nil {
			l.sweep.skip, l.sweep.skipped = nil, 0
		}
	}
	l.trim(batch)
}
