package broker

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/tidings-io/tidings/storage"
)

// Permission lets a user do something in a namespace: with the queues and exchanges whose
// names the expressions match. They are regular expressions as package regexp has them,
// not anchored: "^orders" is all that begins so, ".*" is all there is, and "" is nothing.
type Permission struct {
	Namespace, User        string
	Configure, Write, Read string
}

// TopicPermission bounds a permission further: what the user publishes to one topic
// exchange must have a routing key that Write matches, and what is bound to it one that
// Read matches. A user who has none for an exchange is not bound. Variables in braces are
// those of Broker.Rights.
type TopicPermission struct {
	Namespace, User, Exchange string
	Write, Read               string
}

// rightKey is where a user has rights.
type rightKey struct{ namespace, user string }

func (p *Permission) key() rightKey      { return rightKey{p.Namespace, p.User} }
func (p *TopicPermission) key() rightKey { return rightKey{p.Namespace, p.User} }

func (k rightKey) permission() []byte {
	return appendString(appendString([]byte{familyPermission}, k.namespace), k.user)
}

func (k rightKey) topic(exchange string) []byte {
	key := appendString(appendString([]byte{familyTopicPermission}, k.namespace), k.user)
	return appendString(key, exchange)
}

// encode writes the value on disk, as docs/format-broker.md shows it.
func (p *Permission) encode() []byte {
	v := appendString([]byte{valueVersion}, p.Configure)
	return appendString(appendString(v, p.Write), p.Read)
}

func (p *TopicPermission) encode() []byte {
	return appendString(appendString([]byte{valueVersion}, p.Write), p.Read)
}

// SetPermission gives a user a permission in a namespace, instead of the one that is
// there; created: there was none. It is on disk on return. Kinds: Invalid (an
// expression), TooLarge, NotFound (the user or the namespace), Full, Closed, Storage.
func (b *Broker) SetPermission(ctx context.Context, p Permission) (created bool, err error) {
	const op = "set permission"
	if err := b.checkPermission(op, &p); err != nil {
		return false, err
	}
	return b.setRight(ctx, op, right{key: p.key(), onDisk: p.key().permission(), value: p.encode(),
		there: func() bool { _, ok := b.cat.permissions[p.key()]; return ok },
		set:   func() { b.cat.permissions[p.key()] = p }})
}

// SetTopicPermission is SetPermission for the routing keys of one exchange, which need
// not be there.
func (b *Broker) SetTopicPermission(ctx context.Context, p TopicPermission) (created bool, err error) {
	const op = "set topic permission"
	if err := b.checkPatterns(op, p.User, p.Write, p.Read); err != nil {
		return false, err
	}
	if err := checkGroupName(p.Exchange); err != nil {
		return false, &Error{Kind: Invalid, Op: op, Name: p.User, Err: err}
	}
	return b.setRight(ctx, op, right{key: p.key(), onDisk: p.key().topic(p.Exchange), value: p.encode(),
		there: func() bool { _, ok := b.cat.topicPermissions[p.key()][p.Exchange]; return ok },
		set:   func() { b.cat.setTopicLocked(p) }})
}

func (c *catalog) setTopicLocked(p TopicPermission) {
	of := c.topicPermissions[p.key()]
	if of == nil {
		of = map[string]TopicPermission{}
		c.topicPermissions[p.key()] = of
	}
	if _, old := of[p.Exchange]; !old {
		c.topicRights++
	}
	of[p.Exchange] = p
}

func (b *Broker) checkPermission(op string, p *Permission) error {
	return b.checkPatterns(op, p.User, p.Configure, p.Write, p.Read)
}

func (b *Broker) checkPatterns(op, user string, all ...string) error {
	for _, s := range all {
		if _, err := newRight(s); err != nil {
			return &Error{Kind: Invalid, Op: op, Name: user, Err: err}
		}
	}
	return nil
}

// right is a permission of either sort on its way to the disk.
type right struct {
	key           rightKey
	onDisk, value []byte
	there         func() bool
	set           func()
}

func (b *Broker) setRight(ctx context.Context, op string, r right) (created bool, err error) {
	if err := b.admit(ctx, len(r.value)); err != nil {
		return false, storeError(op, r.key.user, err)
	}
	created, seq, err := b.putRight(op, r)
	if err != nil {
		return false, err
	}
	return created, b.settle(ctx, op, r.key.user, seq)
}

func (b *Broker) putRight(op string, r right) (created bool, _ storage.Seq, _ error) {
	b.cat.mu.Lock()
	defer b.cat.mu.Unlock()
	if _, err := b.cat.namespace(op, r.key.namespace); err != nil {
		return false, 0, err
	}
	if b.cat.users[r.key.user] == nil {
		return false, 0, fail(NotFound, op, r.key.user, "there is no user %q", r.key.user)
	}
	created = !r.there()
	n, limit := len(b.cat.permissions)+b.cat.topicRights, b.config.Limits.Permissions
	if created && n >= limit {
		return false, 0, fail(Full, op, r.key.user, "%d permissions exist, the limit is %d", n, limit)
	}
	var batch storage.Batch
	batch.Put(r.onDisk, r.value)
	seq, err := b.store.Submit(&batch)
	if err != nil {
		return false, 0, storeError(op, r.key.user, err)
	}
	r.set()
	b.access.Add(1)
	return created, seq, nil
}

// ClearPermission takes a permission away, durably on return; topic permissions stay.
// Kinds: NotFound, Closed, Storage.
func (b *Broker) ClearPermission(ctx context.Context, namespace, user string) error {
	k := rightKey{namespace, user}
	return b.clearRight(ctx, "clear permission", user, func(r *removal) bool {
		_, there := b.cat.permissions[k]
		delete(b.cat.permissions, k)
		r.delete(k.permission())
		return there
	})
}

// ClearTopicPermission takes the topic permission for an exchange away, or where that is
// "" those for all of them, durably on return. Kinds: NotFound, Closed, Storage.
func (b *Broker) ClearTopicPermission(ctx context.Context, namespace, user, exchange string) error {
	k := rightKey{namespace, user}
	return b.clearRight(ctx, "clear topic permission", user, func(r *removal) (there bool) {
		for name := range b.cat.topicPermissions[k] {
			if exchange == "" || name == exchange {
				b.cat.clearTopicLocked(r, k, name)
				there = true
			}
		}
		return there
	})
}

func (b *Broker) clearRight(ctx context.Context, op, user string, clear func(*removal) bool) error {
	seq, err := func() (storage.Seq, error) {
		b.cat.mu.Lock()
		defer b.cat.mu.Unlock()
		if err := b.usable(); err != nil {
			return 0, storeError(op, user, err)
		}
		r := removal{store: b.store}
		if !clear(&r) {
			return 0, &Error{Kind: NotFound, Op: op, Name: user}
		}
		b.access.Add(1)
		seq, err := r.submit()
		return seq, storeError(op, user, err)
	}()
	if err != nil {
		return err
	}
	return b.settle(ctx, op, user, seq)
}

func (c *catalog) clearTopicLocked(r *removal, k rightKey, exchange string) {
	delete(c.topicPermissions[k], exchange)
	if len(c.topicPermissions[k]) == 0 {
		delete(c.topicPermissions, k)
	}
	c.topicRights--
	r.delete(k.topic(exchange))
}

// clearRightsLocked deletes the permissions of a user or a namespace.
func (c *catalog) clearRightsLocked(r *removal, of func(rightKey) bool) {
	for k := range c.permissions {
		if of(k) {
			delete(c.permissions, k)
			r.delete(k.permission())
		}
	}
	for k, exchanges := range c.topicPermissions {
		if !of(k) {
			continue
		}
		for name := range exchanges {
			c.clearTopicLocked(r, k, name)
		}
	}
}

// Permission finds what a user may do in a namespace. Kind: NotFound.
func (b *Broker) Permission(namespace, user string) (Permission, error) {
	b.cat.mu.RLock()
	defer b.cat.mu.RUnlock()
	p, ok := b.cat.permissions[rightKey{namespace, user}]
	if ns := b.cat.namespaces[namespace]; !ok || ns == nil || ns.ending {
		return Permission{}, &Error{Kind: NotFound, Op: "find permission", Name: user}
	}
	return p, nil
}

// Permissions returns all permissions by namespace and user.
func (b *Broker) Permissions() []Permission {
	b.cat.mu.RLock()
	defer b.cat.mu.RUnlock()
	all := make([]Permission, 0, len(b.cat.permissions))
	for _, p := range b.cat.permissions {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Permission) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.User, b.User))
	})
	return all
}

// TopicPermissions returns all topic permissions by namespace, user and exchange.
func (b *Broker) TopicPermissions() []TopicPermission {
	b.cat.mu.RLock()
	defer b.cat.mu.RUnlock()
	all := make([]TopicPermission, 0, b.cat.topicRights)
	for _, of := range b.cat.topicPermissions {
		for _, p := range of {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b TopicPermission) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.User, b.User),
			cmp.Compare(a.Exchange, b.Exchange))
	})
	return all
}

// loadPermissions deletes those whose user or namespace is gone: a deletion was cut short.
func (b *Broker) loadPermissions(orphans *removal) error {
	var gone [][]byte
	for key, value := range b.store.Scan([]byte{familyPermission}) {
		k, d := decoder{b: key[1:]}, newDecoder(value)
		p := Permission{Namespace: k.string(), User: k.string(),
			Configure: d.string(), Write: d.string(), Read: d.string()}
		if err := errors.Join(k.end("permission key"), d.end("permission")); err != nil {
			return err
		}
		if b.cat.isOrphan(p.key()) {
			gone = append(gone, slices.Clone(key))
			continue
		}
		b.cat.permissions[p.key()] = p
	}
	for key, value := range b.store.Scan([]byte{familyTopicPermission}) {
		k, d := decoder{b: key[1:]}, newDecoder(value)
		p := TopicPermission{Namespace: k.string(), User: k.string(), Exchange: k.string(),
			Write: d.string(), Read: d.string()}
		if err := errors.Join(k.end("topic permission key"), d.end("topic permission")); err != nil {
			return err
		}
		if b.cat.isOrphan(p.key()) {
			gone = append(gone, slices.Clone(key))
			continue
		}
		b.cat.setTopicLocked(p)
	}
	orphans.deleteAll(gone)
	return nil
}

func (c *catalog) isOrphan(k rightKey) bool {
	return c.users[k.user] == nil || c.namespaces[k.namespace] == nil
}
