package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/tidings-io/tidings/storage"
)

// Namespace is what a namespace says of itself. The default one, "", is always
// there. Queues and exchanges need theirs to be made first; topics, groups and event
// stores do not.
type Namespace struct {
	Name        string
	Description string
	Tags        []string
	// DefaultQueueType is the type of queues that are declared without one, in a word
	// of the protocol face; "": the face's own default.
	DefaultQueueType string
}

// namespace is one that is there. The catalog's mutex guards it.
type namespace struct {
	Namespace
	ending bool          // it is being deleted: nothing is made in it any more
	gone   chan struct{} // closed when ending is set
	last   storage.Seq   // of its deletion, when that is done
}

func newNamespace(n Namespace) *namespace {
	return &namespace{Namespace: n, gone: make(chan struct{})}
}

const namespaceEnding = 1 << 0

// encode writes the namespace's value, as docs/format-broker.md shows it.
func (n *namespace) encode() []byte {
	flags := byte(0)
	if n.ending {
		flags |= namespaceEnding
	}
	v := appendString([]byte{valueVersion, flags}, n.Description)
	return appendString(appendStrings(v, n.Tags), n.DefaultQueueType)
}

func namespaceKey(name string) []byte { return appendString([]byte{familyNamespace}, name) }

// PutNamespace makes a namespace, or replaces what the one of that name says of itself;
// created tells which. It is on disk on return. Kinds: Invalid, TooLarge, Conflict (it is
// being deleted), Full, Closed, Storage.
func (b *Broker) PutNamespace(ctx context.Context, n Namespace) (created bool, err error) {
	const op = "put namespace"
	if err := b.checkNotes(op, n.Name, checkNamespace(n.Name),
		append([]string{n.Description, n.DefaultQueueType}, n.Tags...)); err != nil {
		return false, err
	}
	if err := b.admit(ctx, len(n.Name)); err != nil {
		return false, storeError(op, n.Name, err)
	}
	created, seq, err := b.putNamespace(op, n)
	if err != nil {
		return false, err
	}
	return created, b.settle(ctx, op, n.Name, seq)
}

// checkNotes checks what is told of a namespace or user beside its name.
func (b *Broker) checkNotes(op, name string, wrong error, notes []string) error {
	size := 0
	for _, s := range notes {
		if size += len(s); !utf8.ValidString(s) {
			wrong = errors.Join(wrong, fmt.Errorf("%q is not valid UTF-8", s))
		}
	}
	switch limit := b.config.Limits.ConfigBytes; {
	case wrong != nil:
		return &Error{Kind: Invalid, Op: op, Name: name, Err: wrong}
	case size > limit:
		return fail(TooLarge, op, name, "tags and description have %d bytes, the limit is %d",
			size, limit)
	}
	return nil
}

func (b *Broker) putNamespace(op string, n Namespace) (created bool, _ storage.Seq, _ error) {
	b.cat.mu.Lock()
	defer b.cat.mu.Unlock()
	old := b.cat.namespaces[n.Name]
	limit := b.config.Limits.Namespaces
	switch {
	case old == nil && len(b.cat.namespaces) >= limit:
		return false, 0, fail(Full, op, n.Name, "%d namespaces exist, the limit is %d",
			len(b.cat.namespaces), limit)
	case old != nil && old.ending:
		return false, 0, fail(Conflict, op, n.Name, "it is being deleted")
	}
	n.Tags = slices.Clone(n.Tags)
	ns := newNamespace(n)
	if old != nil {
		ns.gone = old.gone
	}
	var batch storage.Batch
	batch.Put(namespaceKey(n.Name), ns.encode())
	seq, err := b.store.Submit(&batch)
	if err != nil {
		return false, 0, storeError(op, n.Name, err)
	}
	b.cat.namespaces[n.Name] = ns
	b.access.Add(1)
	return old == nil, seq, nil
}

// Namespace finds a namespace. Kind: NotFound; one that is being deleted is not found.
func (b *Broker) Namespace(name string) (Namespace, error) {
	b.cat.mu.RLock()
	defer b.cat.mu.RUnlock()
	ns, err := b.cat.namespace("find namespace", name)
	if err != nil {
		return Namespace{}, err
	}
	return ns.shown(), nil
}

// namespace finds one that something can be made in, under the catalog's mutex.
func (c *catalog) namespace(op, name string) (*namespace, error) {
	if ns := c.namespaces[name]; ns != nil && !ns.ending {
		return ns, nil
	}
	return nil, fail(NotFound, op, name, "there is no namespace %q", name)
}

func (n *namespace) shown() Namespace {
	out := n.Namespace
	out.Tags = slices.Clone(out.Tags)
	return out
}

// Namespaces returns the namespaces by name, the default one first.
func (b *Broker) Namespaces() []Namespace {
	b.cat.mu.RLock()
	defer b.cat.mu.RUnlock()
	all := make([]Namespace, 0, len(b.cat.namespaces))
	for _, ns := range b.cat.namespaces {
		if !ns.ending {
			all = append(all, ns.shown())
		}
	}
	slices.SortFunc(all, func(a, b Namespace) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// NamespaceGone is closed when the namespace that has this name now begins to be
// deleted; nil: there is none.
func (b *Broker) NamespaceGone(name string) <-chan struct{} {
	b.cat.mu.RLock()
	defer b.cat.mu.RUnlock()
	if ns := b.cat.namespaces[name]; ns != nil {
		return ns.gone
	}
	return nil
}

// Departure is closed when the next user or namespace is deleted. Who watches many of them asks for
// it, then looks at each UserGone and NamespaceGone, and then waits: so none is missed.
func (b *Broker) Departure() <-chan struct{} {
	b.cat.mu.RLock()
	defer b.cat.mu.RUnlock()
	return b.cat.departed
}

func (c *catalog) departLocked() {
	close(c.departed)
	c.departed = make(chan struct{})
}

// DeleteNamespace deletes a namespace with all that is in it, whoever owns it: queues,
// exchanges, bindings, topics, event stores, groups, policies and permissions, durably on return.
// From the first moment on nobody has rights in it and nothing is made in it. It takes as
// long as there is much in it; a deletion that a crash or an error cuts short is finished
// by the next call or the next Open. Kinds: Invalid (the default one stays), NotFound,
// Closed, Storage.
func (b *Broker) DeleteNamespace(ctx context.Context, name string) error {
	const op = "delete namespace"
	if name == "" {
		return fail(Invalid, op, name, "the default namespace cannot be deleted")
	}
	ns, err := b.endNamespace(op, name)
	if err != nil {
		return err
	}
	seq, err := b.removeNamespace(ns)
	if err != nil {
		return storeError(op, name, err)
	}
	return b.settle(ctx, op, name, seq)
}

// endNamespace marks a namespace. What deletes it may be cut short from now on.
func (b *Broker) endNamespace(op, name string) (*namespace, error) {
	b.cat.mu.Lock()
	defer b.cat.mu.Unlock()
	ns := b.cat.namespaces[name]
	if ns == nil {
		return nil, &Error{Kind: NotFound, Op: op, Name: name}
	}
	if ns.ending {
		return ns, nil
	}
	ended := *ns
	ended.ending = true
	var batch storage.Batch
	batch.Put(namespaceKey(name), ended.encode())
	if _, err := b.store.Submit(&batch); err != nil {
		return nil, storeError(op, name, err)
	}
	ns.ending = true
	b.access.Add(1)
	close(ns.gone)
	b.cat.departLocked()
	return ns, nil
}

// removeNamespace deletes what is in a namespace that is marked, and then itself.
func (b *Broker) removeNamespace(ns *namespace) (storage.Seq, error) {
	for _, step := range []func(namespace string) error{
		b.clearPolicies, b.clearLinks, b.clearQueues, b.clearExchanges, b.clearTopics, b.clearStreams, b.clearGroups,
	} {
		if err := step(ns.Name); err != nil {
			return 0, err
		}
	}
	b.cat.mu.Lock()
	defer b.cat.mu.Unlock()
	r := removal{store: b.store}
	if b.cat.namespaces[ns.Name] != ns {
		return ns.last, nil // someone else has finished it
	}
	b.cat.clearRightsLocked(&r, func(k rightKey) bool { return k.namespace == ns.Name })
	r.delete(namespaceKey(ns.Name))
	seq, err := r.submit()
	if err == nil {
		delete(b.cat.namespaces, ns.Name)
		ns.last = seq
	}
	return seq, err
}

// removalQueues is how many queues of a namespace are deleted under one lock, and are on
// disk before the next ones are.
const removalQueues = 128

func (b *Broker) clearQueues(namespace string) error {
	for part := range slices.Chunk(b.Queues(namespace), removalQueues) {
		seq, err := b.dropQueues(part)
		if err == nil {
			err = b.store.Await(context.Background(), seq)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *Broker) dropQueues(all []*Queue) (storage.Seq, error) {
	b.cat.mu.Lock()
	defer b.cat.mu.Unlock()
	r := removal{store: b.store, seq: b.store.Durable()}
	var gone []*QueueDeleted
	for _, q := range all {
		r.makeRoom(len(q.lanes) + 1)
		q.mu.Lock()
		if !q.dead {
			gone = append(gone, &QueueDeleted{Queue: q, Records: q.readyLocked()})
			b.dropQueueLocked(&r, q)
		}
		q.mu.Unlock()
	}
	seq, err := r.submit()
	for _, e := range gone {
		b.tell(seq, e)
	}
	return seq, err
}

func (b *Broker) clearExchanges(namespace string) error {
	b.cat.mu.Lock()
	defer b.cat.mu.Unlock()
	r := removal{store: b.store}
	for _, x := range inNamespace(b.cat.exchanges, namespace) {
		if !x.dead {
			b.dropExchangeLocked(&r, x)
		}
	}
	_, err := r.submit()
	return err
}

func (b *Broker) clearTopics(namespace string) error {
	for _, t := range b.Topics(namespace) {
		find := func() *Topic { return b.cat.byID[t.id] }
		_, err := b.removeTopic("delete topic", t.name.String(), find)
		if err != nil && !errors.Is(err, NotFound) {
			return err
		}
	}
	return nil
}

// clearStreams leaves the index of the event stores to the retention loop.
func (b *Broker) clearStreams(namespace string) error {
	b.cat.mu.RLock()
	all := inNamespace(b.cat.streams, namespace)
	b.cat.mu.RUnlock()
	for _, s := range all {
		_, _, err := b.removeStreams("delete streams", s.name)
		if err != nil && !errors.Is(err, NotFound) {
			return err
		}
	}
	return nil
}

func (b *Broker) clearGroups(namespace string) error {
	for part := range slices.Chunk(b.Groups(namespace), removalQueues) {
		tx := b.Begin()
		for _, g := range part {
			tx.DeleteGroup(g.name.Namespace, g.name.Name)
		}
		if _, err := tx.Commit(context.Background()); err != nil {
			return err
		}
	}
	return nil
}

func (b *Broker) clearLinks(namespace string) error {
	for _, l := range b.Links() {
		if l.Namespace != namespace {
			continue
		}
		if err := b.Unlink(context.Background(), l); err != nil && !errors.Is(err, NotFound) {
			return err
		}
	}
	return nil
}

// clearPolicies leaves the queues as they are: they are next.
func (b *Broker) clearPolicies(namespace string) error {
	for _, operator := range []bool{false, true} {
		for _, p := range b.Policies(namespace, operator) {
			_, _, err := b.changePolicy("delete policy", p.at(), nil, nil)
			if err != nil && !errors.Is(err, NotFound) {
				return err
			}
		}
	}
	return nil
}

// loadNamespaces comes first: other things are in them.
func (b *Broker) loadNamespaces(*removal) error {
	b.cat.namespaces[""] = newNamespace(Namespace{})
	for key, value := range b.store.Scan([]byte{familyNamespace}) {
		k, d := decoder{b: key[1:]}, newDecoder(value)
		flags := d.byte()
		ns := newNamespace(Namespace{Name: k.string(), Description: d.string(), Tags: d.strings(),
			DefaultQueueType: d.string()})
		if err := errors.Join(k.end("namespace key"), d.end("namespace")); err != nil {
			return err
		}
		if flags&namespaceEnding != 0 {
			ns.ending = true
			close(ns.gone)
		}
		b.cat.namespaces[ns.Name] = ns
	}
	return nil
}

// finishNamespaces goes on with deletions that a crash cut short.
func (b *Broker) finishNamespaces() error {
	var ending []*namespace
	for _, ns := range b.cat.namespaces {
		if ns.ending {
			ending = append(ending, ns)
		}
	}
	for _, ns := range ending {
		seq, err := b.removeNamespace(ns)
		if err == nil {
			err = b.store.Await(context.Background(), seq)
		}
		if err != nil {
			return fmt.Errorf("delete namespace %s: %w", ns.Name, err)
		}
	}
	return nil
}
