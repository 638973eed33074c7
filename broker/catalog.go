package broker

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/tidings-io/tidings/storage"
)

// Kind is what a name in the catalog stands for.
type Kind uint8

// The kinds of the catalog. Their numbers are on disk.
const (
	KindTopic   Kind = iota + 1
	KindGroup        // a group of consumers
	KindStreams      // an event store
	KindExchange
	KindQueue
)

// Name is the catalog's key. Namespace "" is the default one.
type Name struct {
	Kind      Kind
	Namespace string
	Name      string
}

// String returns "name" or, outside the default namespace, "namespace/name".
func (n Name) String() string {
	if n.Namespace == "" {
		return n.Name
	}
	return n.Namespace + "/" + n.Name
}

func (n Name) compare(m Name) int {
	return cmp.Or(cmp.Compare(n.Kind, m.Kind), cmp.Compare(n.Namespace, m.Namespace),
		cmp.Compare(n.Name, m.Name))
}

// catalog is all names and what they stand for. An entry appears when its
// change is submitted, before it is durable. That is safe: whatever a second
// caller does with the entry is submitted later, so it is durable later, and the
// confirm that the caller waits for covers both. Who tells others what is there waits
// with AwaitCatalog.
type catalog struct {
	// mu guards everything below. Creating and deleting holds it for writing over
	// Submit, so that the order of changes in memory is the order on disk.
	mu         sync.RWMutex
	topics     map[Name]*Topic
	byID       map[ID]*Topic
	groups     map[Name]*Group
	streams    map[Name]*Streams
	exchanges  map[Name]*Exchange
	queues     map[Name]*Queue
	partitions int // of all topics

	namespaces       map[string]*namespace
	users            map[string]*user
	departed         chan struct{} // see Departure
	seeded           bool          // there is a user, or has been
	permissions      map[rightKey]Permission
	topicPermissions map[rightKey]map[string]TopicPermission // by exchange
	topicRights      int                                     // of them all

	// changed is the frame of the last change of topics and event stores.
	changed storage.Seq
	// trash is the logs of deleted event stores whose index is still to be deleted.
	trash map[storage.LogID]bool
}

// CreateTopic makes a topic; it is durable on return.
// Kinds: Exists, Invalid, Full (a limit, or disk pressure), Closed, Storage.
func (b *Broker) CreateTopic(ctx context.Context, spec TopicSpec) (*Topic, error) {
	const op = "create topic"
	if spec.Partitions == 0 {
		spec.Partitions = 1
	}
	name := Name{KindTopic, spec.Namespace, spec.Name}
	if err := b.checkSpec(spec); err != nil {
		return nil, &Error{Kind: Invalid, Op: op, Name: name.String(), Err: err}
	}
	if err := b.admit(ctx, len(name.Name)); err != nil {
		return nil, storeError(op, name.String(), err)
	}
	t, seq, err := b.addTopic(name, spec)
	if err != nil {
		return nil, b.refuse(ctx, err)
	}
	return t, b.settle(ctx, op, name.String(), seq)
}

func (b *Broker) addTopic(name Name, spec TopicSpec) (*Topic, storage.Seq, error) {
	const op = "create topic"
	b.cat.mu.Lock()
	defer b.cat.mu.Unlock()
	if b.cat.topics[name] != nil {
		return nil, 0, &Error{Kind: Exists, Op: op, Name: name.String()}
	}
	if err := b.roomLocked(op, name, spec.Partitions); err != nil {
		return nil, 0, err
	}
	var batch storage.Batch
	t := &Topic{b: b, id: newID(), name: name, created: timeOf(b.nowMillis()), args: spec.Args,
		in: map[bindingKey]*Binding{}}
	config := spec.Config.clone()
	t.config.Store(&config)
	parts := t.grow(&batch, spec.Partitions)
	batch.Put(catalogKey(name), t.encode(parts))
	seq, err := b.store.Submit(&batch)
	if err != nil {
		return nil, 0, storeError(op, name.String(), err)
	}
	t.parts.Store(&parts)
	b.cat.addTopic(t)
	b.cat.changed = seq
	b.tell(seq, &TopicCreated{Topic: t})
	return t, seq, nil
}

// AwaitCatalog waits until every change of topics and event stores that Topic, TopicByID,
// Topics, Partitions and Streams show now is on disk, and what they do not show any more is gone
// for good. Clients remember what they were told: one that knows the
// id of a topic which a crash took back fails for good. The error is ctx's, or Closed or Storage.
func (b *Broker) AwaitCatalog(ctx context.Context) error {
	b.cat.mu.RLock()
	changed := b.cat.changed
	b.cat.mu.RUnlock()
	return b.settle(ctx, "await catalog", "", changed)
}

// refuse returns the error of a change when what it rests on is on disk.
func (b *Broker) refuse(ctx context.Context, err error) error {
	if late := b.AwaitCatalog(ctx); late != nil {
		return late
	}
	return err
}

// roomLocked checks the limits before a topic, event store or partitions are added.
func (b *Broker) roomLocked(op string, name Name, partitions int) error {
	l, c := b.config.Limits, &b.cat
	ns := c.namespaces[name.Namespace]
	switch {
	case ns != nil && ns.ending:
		return fail(Conflict, op, name.String(), "its namespace is being deleted")
	case partitions > l.PartitionsPerTopic:
		return fail(Invalid, op, name.String(), "%d partitions, the limit is %d",
			partitions, l.PartitionsPerTopic)
	case c.partitions+partitions > l.Partitions:
		return fail(Full, op, name.String(), "%d partitions exist, the limit is %d",
			c.partitions, l.Partitions)
	case len(c.topics)+len(c.streams) >= l.Topics:
		return fail(Full, op, name.String(), "%d topics and event stores exist, the limit is %d",
			len(c.topics)+len(c.streams), l.Topics)
	}
	return nil
}

func (c *catalog) addTopic(t *Topic) {
	c.topics[t.name] = t
	c.byID[t.id] = t
	c.partitions += t.Partitions()
}

// Topic finds a topic by name. Kind: NotFound.
func (b *Broker) Topic(namespace, name string) (*Topic, error) {
	b.cat.mu.RLock()
	t := b.cat.topics[Name{KindTopic, namespace, name}]
	b.cat.mu.RUnlock()
	if t == nil {
		return nil, &Error{Kind: NotFound, Op: "find topic",
			Name: Name{KindTopic, namespace, name}.String()}
	}
	return t, nil
}

// TopicByID finds a topic by its id; the id of a deleted topic stays unknown for
// ever, even when its name is used again. Kind: NotFound.
func (b *Broker) TopicByID(id ID) (*Topic, error) {
	b.cat.mu.RLock()
	t := b.cat.byID[id]
	b.cat.mu.RUnlock()
	if t == nil {
		return nil, &Error{Kind: NotFound, Op: "find topic", Name: id.String()}
	}
	return t, nil
}

// Topics returns the topics of a namespace, by name.
func (b *Broker) Topics(namespace string) []*Topic {
	b.cat.mu.RLock()
	defer b.cat.mu.RUnlock()
	return inNamespace(b.cat.topics, namespace)
}

// inNamespace returns the entries of one namespace, by name.
func inNamespace[T any](entries map[Name]*T, namespace string) []*T {
	var names []Name
	for n := range entries {
		if n.Namespace == namespace {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, Name.compare)
	found := make([]*T, len(names))
	for i, n := range names {
		found[i] = entries[n]
	}
	return found
}

// DeleteTopic removes a topic with its records, its producers, the bindings that lead
// to it and every group's cursors in it, durably on return. Reads and appends that come later find
// nothing. Kinds: NotFound, Closed, Storage.
func (b *Broker) DeleteTopic(ctx context.Context, namespace, name string) error {
	n := Name{KindTopic, namespace, name}
	return b.deleteTopic(ctx, n.String(), func() *Topic { return b.cat.topics[n] })
}

// DeleteTopicByID is DeleteTopic for the topic that has this id, whoever has its
// name by then. Kinds: NotFound, Closed, Storage.
func (b *Broker) DeleteTopicByID(ctx context.Context, id ID) error {
	return b.deleteTopic(ctx, id.String(), func() *Topic { return b.cat.byID[id] })
}

// deleteTopic deletes what find returns under the catalog's lock.
func (b *Broker) deleteTopic(ctx context.Context, name string, find func() *Topic) error {
	const op = "delete topic"
	seq, err := b.removeTopic(op, name, find)
	if err != nil {
		return b.refuse(ctx, err)
	}
	return b.settle(ctx, op, name, seq)
}

func (b *Broker) removeTopic(op, name string, find func() *Topic) (storage.Seq, error) {
	b.cat.mu.Lock()
	defer b.cat.mu.Unlock()
	t := find()
	if t == nil {
		return 0, &Error{Kind: NotFound, Op: op, Name: name}
	}
	if err := b.usable(); err != nil {
		return 0, storeError(op, name, err)
	}
	seq, err := b.submitRemoval(t)
	if err != nil {
		return 0, storeError(op, name, err)
	}
	delete(b.cat.topics, t.name)
	delete(b.cat.byID, t.id)
	b.cat.partitions -= t.Partitions()
	b.cat.changed = seq
	b.tell(seq, &TopicDeleted{Topic: t})
	return seq, nil
}

// removalBytes is the size at which a removal goes on in another batch. The first
// one drops the logs and the name; keys that a crash leaves behind belong to
// nothing and are deleted by the next Open. A store takes batches by the size of
// its frames: this fits the smallest one's.
const removalBytes = 3 << 10

// submitRemoval drops the topic's logs and deletes all its keys. The partitions
// are marked first, so that no append can be submitted after the drop.
func (b *Broker) submitRemoval(t *Topic) (storage.Seq, error) {
	r := removal{store: b.store}
	r.batch.Delete(catalogKey(t.name))
	for _, p := range t.all() {
		r.batch.Drop(p.log)
	}
	for _, p := range t.all() {
		for _, id := range p.retire() {
			r.delete(appendProducerKey(nil, p.log.ID(), id))
		}
	}
	for _, g := range b.cat.groups {
		prefix := cursorPrefix(g.name)
		for _, at := range g.forget(t.id) {
			r.delete(appendCursorKey(slices.Clip(prefix), at))
		}
	}
	b.unbindAllLocked(&r, t.name)
	return r.submit()
}

// removal deletes any number of keys in batches of bounded size.
type removal struct {
	store *storage.Store
	batch storage.Batch
	seq   storage.Seq
	err   error
}

func (r *removal) delete(key []byte) {
	r.batch.Delete(key)
	r.submitFull()
}

// submitFull hands over what has been gathered once it is enough for a batch.
func (r *removal) submitFull() {
	if r.batch.Len() >= removalBytes {
		r.submit()
	}
}

// laneRemoval is what it takes to drop a log and its set, in bytes, about.
const laneRemoval = 64

// makeRoom hands over what has been gathered where some logs would be too much with it:
// they go in one batch.
func (r *removal) makeRoom(logs int) {
	if r.batch.Len()+laneRemoval*logs >= removalBytes {
		r.submit()
	}
}

// submit hands over what has been gathered and returns the last frame's number.
func (r *removal) submit() (storage.Seq, error) {
	if r.err == nil && !r.batch.Empty() {
		r.seq, r.err = r.store.Submit(&r.batch)
		r.batch.Reset()
	}
	return r.seq, r.err
}

// GrowTopic gives a topic more partitions, durably on return. Records stay where
// they are; which partition a key belongs to is the producer's business and
// changes. Kinds: NotFound, Invalid (not larger than before), Full, Closed, Storage.
func (b *Broker) GrowTopic(ctx context.Context, namespace, name string, partitions int) error {
	const op = "grow topic"
	n := Name{KindTopic, namespace, name}
	if err := b.admit(ctx, len(name)); err != nil {
		return storeError(op, n.String(), err)
	}
	seq, err := b.growTopic(op, n, partitions)
	if err != nil {
		return b.refuse(ctx, err)
	}
	return b.settle(ctx, op, n.String(), seq)
}

func (b *Broker) growTopic(op string, n Name, partitions int) (storage.Seq, error) {
	b.cat.mu.Lock()
	defer b.cat.mu.Unlock()
	t := b.cat.topics[n]
	if t == nil {
		return 0, &Error{Kind: NotFound, Op: op, Name: n.String()}
	}
	have, l := t.Partitions(), b.config.Limits
	switch {
	case partitions <= have:
		return 0, fail(Invalid, op, n.String(), "%d partitions wanted, it has %d", partitions, have)
	case partitions > l.PartitionsPerTopic:
		return 0, fail(Invalid, op, n.String(), "%d partitions, the limit is %d",
			partitions, l.PartitionsPerTopic)
	case b.cat.partitions+partitions-have > l.Partitions:
		return 0, fail(Full, op, n.String(), "%d partitions exist, the limit is %d",
			b.cat.partitions, l.Partitions)
	}
	var batch storage.Batch
	parts := t.grow(&batch, partitions)
	batch.Put(catalogKey(n), t.encode(parts))
	seq, err := b.store.Submit(&batch)
	if err != nil {
		return 0, storeError(op, n.String(), err)
	}
	t.parts.Store(&parts)
	parts[0].log.Rouse() // who follows the topic follows the new ones too
	b.cat.partitions += partitions - have
	b.cat.changed = seq
	return seq, nil
}
