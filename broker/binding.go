package broker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/tidings-io/tidings/storage"
)

// Binding leads from an exchange to a queue, a topic or another exchange.
type Binding struct {
	Namespace   string
	Source      string
	Destination Name // of KindQueue, KindTopic or KindExchange
	Key         string
	Args        Args
}

// bindingKey is the key of a binding on disk: equal for equal bindings.
type bindingKey string

func (x *Binding) id() bindingKey {
	key := appendString([]byte{familyBinding}, x.Namespace)
	key = append(appendString(key, x.Source), byte(x.Destination.Kind))
	key = appendString(appendString(key, x.Destination.Name), x.Key)
	if len(x.Args) > 0 {
		sum := sha256.Sum256([]byte(x.Args.canonical()))
		key = append(key, sum[:16]...)
	}
	return bindingKey(key)
}

// encode writes the binding's value on disk, as docs/format-broker.md shows it.
func (x *Binding) encode() []byte { return appendArgs([]byte{valueVersion}, x.Args) }

// decodeBinding reads what id and encode wrote.
func decodeBinding(key, value []byte) (*Binding, error) {
	k := decoder{b: key[1:]}
	x := &Binding{Namespace: k.string(), Source: k.string()}
	x.Destination = Name{Kind: Kind(k.byte()), Namespace: x.Namespace, Name: k.string()}
	x.Key = k.string()
	if len(k.b) > 0 {
		k.take(16)
	}
	d := newDecoder(value)
	x.Args = d.args()
	return x, errors.Join(k.end("binding key"), d.end("binding"))
}

// Bind leads records of an exchange to a queue, a topic or another exchange, durably on
// return if both are durable. A binding that is there already is no error.
// Kinds: NotFound (one of the two), Invalid (arguments; two namespaces), Full, Closed,
// Storage.
func (b *Broker) Bind(ctx context.Context, bd Binding) error {
	const op = "bind"
	if bd.Destination.Namespace != bd.Namespace {
		return fail(Invalid, op, bd.String(), "it leads from namespace %q to %q",
			bd.Namespace, bd.Destination.Namespace)
	}
	if err := b.admit(ctx, len(bd.Key)); err != nil {
		return storeError(op, bd.String(), err)
	}
	b.cat.mu.Lock()
	seq, err := b.bindLocked(op, &bd)
	b.cat.mu.Unlock()
	if err != nil {
		return err
	}
	return b.settle(ctx, op, bd.String(), seq)
}

// String reads "orders -> queue q (key k)".
func (x *Binding) String() string {
	return fmt.Sprintf("%s -> %s (key %s)", x.Source, x.Destination.Name, x.Key)
}

func (b *Broker) bindLocked(op string, bd *Binding) (storage.Seq, error) {
	from := b.exchangeLocked(Name{KindExchange, bd.Namespace, bd.Source})
	to, in, durable := b.destinationLocked(bd.Destination)
	if from == nil || to == nil {
		return 0, &Error{Kind: NotFound, Op: op, Name: bd.String()}
	}
	id := bd.id()
	if from.out[id] != nil {
		return b.cat.changed, nil
	}
	if len(from.out) >= b.config.Limits.BindingsPerExchange {
		return 0, fail(Full, op, bd.String(), "%d bindings lead from the exchange, the limit is %d",
			len(from.out), b.config.Limits.BindingsPerExchange)
	}
	if _, err := from.router.add(binding{key: bd.Key, args: bd.Args, to: to}); err != nil {
		return 0, &Error{Kind: KindOf(err), Op: op, Name: bd.String(), Err: err}
	}
	seq := b.store.Durable()
	if from.spec.Durable && durable {
		var batch storage.Batch
		batch.Put([]byte(id), bd.encode())
		var err error
		if seq, err = b.store.Submit(&batch); err != nil {
			from.router.remove(binding{key: bd.Key, args: bd.Args, to: to})
			return 0, storeError(op, bd.String(), err)
		}
		b.cat.changed = seq
	}
	from.out[id], in[id] = bd, bd
	return seq, nil
}

// destinationLocked finds what a binding leads to, and the bindings that lead there.
func (b *Broker) destinationLocked(n Name) (to destination, in map[bindingKey]*Binding, durable bool) {
	switch n.Kind {
	case KindQueue:
		if q := b.cat.queues[n]; q != nil {
			return q, q.in, q.spec.Durable
		}
	case KindTopic:
		if t := b.cat.topics[n]; t != nil {
			return t, t.in, true
		}
	default:
		if x := b.exchangeLocked(n); x != nil {
			return x, x.in, x.spec.Durable
		}
	}
	return nil, nil, false
}

// Unbind ends a binding, durably on return. One that is not there is no error.
// Kinds: Closed, Storage.
func (b *Broker) Unbind(ctx context.Context, bd Binding) error {
	const op = "unbind"
	r := removal{store: b.store}
	b.cat.mu.Lock()
	b.unbindLocked(&r, &bd)
	seq, err := r.submit()
	b.cat.mu.Unlock()
	if err != nil {
		return storeError(op, bd.String(), err)
	}
	return b.settle(ctx, op, bd.String(), seq)
}

// unbindLocked ends a binding; an exchange that deletes itself with the last
// binding that leads from it goes too, and what leads to it.
func (b *Broker) unbindLocked(r *removal, bd *Binding) {
	from := b.cat.exchanges[Name{KindExchange, bd.Namespace, bd.Source}]
	to, in, durable := b.destinationLocked(bd.Destination)
	id := bd.id()
	if from == nil || to == nil || from.out[id] == nil {
		return
	}
	delete(from.out, id)
	delete(in, id)
	if !from.dead { // else it leads nowhere as it is
		from.router.remove(binding{key: bd.Key, args: bd.Args, to: to})
	}
	if from.spec.Durable && durable {
		r.delete([]byte(id))
	}
	if from.spec.AutoDelete && len(from.out) == 0 && !from.dead {
		b.dropExchangeLocked(r, from)
	}
}

// unbindAllLocked ends the bindings that lead to something.
func (b *Broker) unbindAllLocked(r *removal, n Name) {
	_, in, _ := b.destinationLocked(n)
	for _, bd := range in {
		b.unbindLocked(r, bd)
	}
}

// Bindings returns those that lead from an exchange, in no order.
func (x *Exchange) Bindings() []Binding {
	x.b.cat.mu.RLock()
	defer x.b.cat.mu.RUnlock()
	return copies(x.out)
}

// Bindings returns those that lead to the queue, in no order; the implicit one of
// the default exchange is not among them.
func (q *Queue) Bindings() []Binding {
	q.b.cat.mu.RLock()
	defer q.b.cat.mu.RUnlock()
	return copies(q.in)
}

// Bindings returns those that lead to the topic, in no order; the implicit one of the
// default exchange is not among them.
func (t *Topic) Bindings() []Binding {
	t.b.cat.mu.RLock()
	defer t.b.cat.mu.RUnlock()
	return copies(t.in)
}

func copies(m map[bindingKey]*Binding) (all []Binding) {
	for _, bd := range m {
		all = append(all, *bd)
	}
	return all
}

// loadBindings puts the bindings back. Those of something that is gone are left
// over from a deletion that a crash cut short.
func (b *Broker) loadBindings(orphans *removal) error {
	var gone [][]byte
	for key, value := range b.store.Scan([]byte{familyBinding}) {
		bd, err := decodeBinding(key, value)
		if err != nil {
			return err
		}
		from := b.exchangeLocked(Name{KindExchange, bd.Namespace, bd.Source})
		to, in, _ := b.destinationLocked(bd.Destination)
		if from == nil || to == nil {
			gone = append(gone, append([]byte(nil), key...))
			continue
		}
		if _, err := from.router.add(binding{key: bd.Key, args: bd.Args, to: to}); err != nil {
			return fmt.Errorf("binding %s: %w", bd, err)
		}
		id := bindingKey(key)
		from.out[id], in[id] = bd, bd
	}
	orphans.deleteAll(gone)
	return nil
}
