package broker

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// ExchangeSpec describes an exchange to declare.
type ExchangeSpec struct {
	Namespace, Name string
	// Type is one of RabbitMQ's: direct, fanout, topic, headers, x-consistent-hash,
	// x-modulus-hash, x-random, x-local-random; or x-delayed-message, which holds back
	// records that ask for a delay and leads them on as the type x-delayed-type of Args;
	// or one of Config.Relays.
	Type       string
	Durable    bool // it is there after a restart
	AutoDelete bool // it goes with the last binding that leads from it
	Internal   bool // it takes records from other exchanges only
	// Alternate is the exchange that gets what this one leads to nowhere; "": none.
	Alternate string
	// Once is for how long the exchange remembers what was published to it with QueueRecord.Once, from
	// the first publish on: a duplicate reaches nobody. 0: not at all. Only durable ones do.
	Once time.Duration
	Args Args
}

// Exchange leads records to queues, topics and further exchanges, by their routing keys
// and properties. One that was deleted leads nowhere.
type Exchange struct {
	b    *Broker
	name Name
	spec ExchangeSpec
	// changed is the arguments that it was told since it was declared; nil: none. Written
	// under the catalog's mutex.
	changed atomic.Pointer[Args]
	relays  bool // its type is one of Config.Relays

	// Guarded by the catalog's mutex.
	dead      bool
	router    *router
	out, in   map[bindingKey]*Binding
	declared  storage.Seq
	policies  AppliedPolicies
	alternate string // the one in force

	schedule schedule // of what is to be published to it later
	only     *Queue   // it has no name, and leads to this queue alone: see delay.go
	ledger   *ledger  // of what was published to it once; nil: it remembers nothing
}

// encode writes the exchange's value in the catalog, as docs/format-broker.md shows it.
func (x *Exchange) encode() []byte {
	v := appendString([]byte{valueVersion}, x.spec.Type)
	flags := byte(0)
	if x.spec.AutoDelete {
		flags |= exchangeAutoDelete
	}
	if x.spec.Internal {
		flags |= exchangeInternal
	}
	if x.ledger != nil {
		flags |= exchangeOnce
	}
	v = appendArgs(appendString(append(v, flags), x.spec.Alternate), x.Spec().Args)
	if x.ledger != nil {
		v = binary.AppendVarint(v, int64(x.spec.Once))
		v = binary.AppendUvarint(v, uint64(x.ledger.log.ID()))
	}
	return v
}

const (
	exchangeAutoDelete = 1 << iota
	exchangeInternal
	exchangeOnce
)

func (b *Broker) decodeExchange(name Name, value []byte) (*Exchange, error) {
	d := newDecoder(value)
	spec := ExchangeSpec{Type: d.string(), Durable: true}
	flags := d.byte()
	spec.AutoDelete, spec.Internal = flags&exchangeAutoDelete != 0, flags&exchangeInternal != 0
	spec.Alternate = d.string()
	spec.Args = d.args()
	var g *ledger
	if flags&exchangeOnce != 0 {
		var err error
		spec.Once = time.Duration(d.varint())
		if g, err = b.decodeLedger(d, spec.Once); err != nil && !d.bad && d.version <= valueVersion {
			return nil, err
		}
	}
	if err := d.end("exchange"); err != nil {
		return nil, err
	}
	x, err := b.newExchange(name, spec)
	if KindOf(err) == Unsupported { // it was made by a program that knows more types, or has their relays
		err = fmt.Errorf("%w: %w", err, storage.ErrFormat)
	}
	if err == nil {
		x.ledger = g
	}
	return x, err
}

// builtIn are the exchanges that every namespace has from its beginning.
var builtIn = map[string]ExchangeSpec{
	"":                   {Type: "direct"},
	"amq.direct":         {Type: "direct"},
	"amq.fanout":         {Type: "fanout"},
	"amq.topic":          {Type: "topic"},
	"amq.headers":        {Type: "headers"},
	"amq.match":          {Type: "headers"},
	"amq.rabbitmq.trace": {Type: "topic", Internal: true},
}

// DeclareExchange returns the exchange of a name, or makes it as the spec says;
// created tells which. A durable one is on disk on return. Kinds: Unsupported (there
// is no such type), Invalid, NotFound (the namespace), Full, Closed, Storage.
func (b *Broker) DeclareExchange(ctx context.Context, spec ExchangeSpec) (
	x *Exchange, created bool, err error) {
	const op = "declare exchange"
	name := Name{KindExchange, spec.Namespace, spec.Name}
	if err := checkNamespace(spec.Namespace); err != nil {
		return nil, false, &Error{Kind: Invalid, Op: op, Name: name.String(), Err: err}
	}
	if err := checkGroupName(spec.Name); err != nil && spec.Name != "" {
		return nil, false, &Error{Kind: Invalid, Op: op, Name: name.String(), Err: err}
	}
	if err := checkArgs(op, name.String(), spec.Args); err != nil {
		return nil, false, err
	}
	if spec.Once < 0 || spec.Once > 0 && !spec.Durable {
		return nil, false, fail(Invalid, op, name.String(), "it remembers for %v, and is durable: %v",
			spec.Once, spec.Durable)
	}
	if x, err := b.Exchange(spec.Namespace, spec.Name); err == nil {
		return x, false, b.settle(ctx, op, name.String(), x.declared)
	}
	if err := b.admit(ctx, len(spec.Name)); err != nil {
		return nil, false, storeError(op, name.String(), err)
	}
	x, created, err = b.addExchange(op, name, spec)
	if err != nil {
		return nil, false, err
	}
	return x, created, b.settle(ctx, op, name.String(), x.declared)
}

func (b *Broker) newExchange(name Name, spec ExchangeSpec) (*Exchange, error) {
	r, err := b.routerOf(&spec)
	if err != nil {
		return nil, err
	}
	spec.Namespace, spec.Name = name.Namespace, name.Name
	x := &Exchange{b: b, name: name, spec: spec, router: r, relays: b.config.Relays[spec.Type] != nil,
		out: map[bindingKey]*Binding{}, in: map[bindingKey]*Binding{}}
	x.schedule = b.newSchedule(x)
	return x, nil
}

// routing is the type of exchange that the routing is of.
func (s *ExchangeSpec) routing() (string, error) {
	if s.Type != delayedType {
		return s.Type, nil
	}
	kind, _, err := s.Args.Text(delayedRouting)
	if err != nil || kind == "" {
		return "", fail(Invalid, "make exchange", s.Name, "%s must name a type of exchange", delayedRouting)
	}
	return kind, nil
}

func (b *Broker) addExchange(op string, name Name, spec ExchangeSpec) (*Exchange, bool, error) {
	x, err := b.newExchange(name, spec)
	if err != nil {
		return nil, false, &Error{Kind: KindOf(err), Op: op, Name: name.String(), Err: err}
	}
	b.cat.mu.Lock()
	defer b.cat.mu.Unlock()
	if old := b.cat.exchanges[name]; old != nil {
		return old, false, nil
	}
	if _, err := b.cat.namespace(op, name.Namespace); err != nil {
		return nil, false, err
	}
	if n := len(b.cat.exchanges); n >= b.config.Limits.Exchanges {
		return nil, false, fail(Full, op, name.String(), "%d exchanges exist, the limit is %d",
			n, b.config.Limits.Exchanges)
	}
	if spec.Durable {
		var batch storage.Batch
		if spec.Once > 0 {
			x.ledger = b.newLedger(&batch, true, spec.Once)
		}
		batch.Put(catalogKey(name), x.encode())
		if x.declared, err = b.store.Submit(&batch); err != nil {
			return nil, false, storeError(op, name.String(), err)
		}
	}
	x.followLocked()
	b.cat.exchanges[name] = x
	return x, true, nil
}

// Exchange finds an exchange by name; those that every namespace has are always
// there. Kind: NotFound.
func (b *Broker) Exchange(namespace, name string) (*Exchange, error) {
	n := Name{KindExchange, namespace, name}
	b.cat.mu.RLock()
	x := b.cat.exchanges[n]
	b.cat.mu.RUnlock()
	if x != nil {
		return x, nil
	}
	spec, ok := builtIn[name]
	if !ok {
		return nil, &Error{Kind: NotFound, Op: "find exchange", Name: n.String()}
	}
	b.cat.mu.Lock()
	defer b.cat.mu.Unlock()
	return b.builtInLocked(n, spec)
}

func (b *Broker) builtInLocked(n Name, spec ExchangeSpec) (*Exchange, error) {
	if x := b.cat.exchanges[n]; x != nil {
		return x, nil
	}
	if _, err := b.cat.namespace("find exchange", n.Namespace); err != nil {
		return nil, err
	}
	return b.addBuiltInLocked(n, spec)
}

func (b *Broker) addBuiltInLocked(n Name, spec ExchangeSpec) (*Exchange, error) {
	spec.Durable = true
	x, err := b.newExchange(n, spec)
	if err == nil {
		b.cat.exchanges[n] = x // first: it may be its own alternate
		x.followLocked()
	}
	return x, err
}

// exchangeLocked finds an exchange, or makes one that every namespace has; nil: there is
// none, or its namespace is gone.
func (b *Broker) exchangeLocked(n Name) *Exchange {
	if x := b.cat.exchanges[n]; x != nil {
		return x
	}
	spec, ok := builtIn[n.Name]
	if !ok {
		return nil
	}
	x, err := b.builtInLocked(n, spec)
	if err != nil {
		return nil
	}
	return x
}

// Exchanges returns the exchanges of a namespace, by name.
func (b *Broker) Exchanges(namespace string) []*Exchange {
	for name := range builtIn {
		_, _ = b.Exchange(namespace, name) // there is no way for these not to be there
	}
	b.cat.mu.RLock()
	defer b.cat.mu.RUnlock()
	return inNamespace(b.cat.exchanges, namespace)
}

// Name is the exchange's place in the catalog.
func (x *Exchange) Name() Name { return x.name }

// Spec returns what the exchange was declared with, or changed to since.
func (x *Exchange) Spec() ExchangeSpec {
	spec := x.spec
	if args := x.changed.Load(); args != nil {
		spec.Args = *args
	}
	return spec
}

// BuiltIn reports whether every namespace has this exchange.
func (x *Exchange) BuiltIn() bool {
	_, ok := builtIn[x.name.Name]
	return ok
}

// DeleteExchange deletes an exchange with the bindings from and to it, durably on
// return. Kinds: NotFound, Conflict (ErrInUse: ifUnused, and bindings lead from it),
// Closed, Storage.
func (b *Broker) DeleteExchange(ctx context.Context, x *Exchange, ifUnused bool) error {
	const op = "delete exchange"
	b.cat.mu.Lock()
	seq, err := b.removeExchangeLocked(op, x, ifUnused)
	b.cat.mu.Unlock()
	if err != nil {
		return err
	}
	return b.settle(ctx, op, x.name.String(), seq)
}

func (b *Broker) removeExchangeLocked(op string, x *Exchange, ifUnused bool) (storage.Seq, error) {
	switch {
	case x.dead:
		return 0, &Error{Kind: NotFound, Op: op, Name: x.name.String()}
	case ifUnused && len(x.out) > 0:
		return 0, &Error{Kind: Conflict, Op: op, Name: x.name.String(), Err: ErrInUse}
	}
	r := removal{store: b.store}
	b.dropExchangeLocked(&r, x)
	seq, err := r.submit()
	return seq, storeError(op, x.name.String(), err)
}

func (b *Broker) dropExchangeLocked(r *removal, x *Exchange) {
	x.dead = true
	x.schedule.drop(r) // in one batch with the name: nothing else would find its logs
	x.ledger.drop(r)
	if x.spec.Durable {
		r.delete(catalogKey(x.name))
	}
	for _, bd := range x.out {
		b.unbindLocked(r, bd)
	}
	b.unbindAllLocked(r, x.name)
	delete(b.cat.exchanges, x.name)
}

// routing finds where records go, one after another. One for many records costs what
// one for one does.
type routing struct {
	b    *Broker
	rec  *QueueRecord
	m    routed
	keys []string
	seen []*Exchange
	hits int
	to   []*Queue
	due  bool              // the first exchange has held the record back already
	held []*Exchange       // that hold it back
	logs []*Topic          // that the record reaches too, until the next one
	late []*Exchange       // relays that it reaches, until the next one
	hit  func(destination) // reach
	// How a record's properties are read; nil where its format has no reader.
	reader     PropsReader
	attributes func() Args
	property   func(name string) string
}

func (b *Broker) newRouting() *routing {
	r := &routing{b: b}
	r.hit = r.reach
	r.attributes = func() Args { return r.reader.Headers(r.rec.Props) }
	r.property = func(name string) string { return r.reader.Property(r.rec.Props, name) }
	return r
}

// queuesLocked appends the queues that a record reaches, each once, and sets logs to the
// topics and late to the relays: through further
// exchanges, each of which is asked once, and through the alternate of those that
// lead to nothing. Called with the catalog's mutex held for reading.
func (r *routing) queuesLocked(to []*Queue, x *Exchange, rec *QueueRecord) []*Queue {
	r.rec, r.to, r.logs, r.seen, r.held = rec, to, r.logs[:0], append(r.seen[:0], x), nil
	r.late = r.late[:0]
	r.keys = append(append(r.keys[:0], rec.CC...), rec.BCC...)
	r.m = routed{key: rec.Key, keys: r.keys}
	if r.reader = r.b.config.Props[rec.Format]; r.reader != nil {
		r.m.attributes, r.m.property = r.attributes, r.property
	}
	for i := 0; i < len(r.seen); i++ {
		x := r.seen[i]
		if x.dead {
			continue // whoever publishes to it has had it in hands since before
		}
		if r.holds(x, i) {
			r.held = append(r.held, x)
			continue
		}
		if x.relays {
			r.late = append(r.late, x)
			continue
		}
		r.hits = 0
		r.askLocked(x)
		if r.hits == 0 && x.alternate != "" {
			r.visit(r.b.cat.exchanges[Name{KindExchange, x.name.Namespace, x.alternate}])
		}
	}
	if len(r.to) > 1 {
		slices.SortFunc(r.to, func(a, b *Queue) int { return cmp.Compare(a.order, b.order) })
		r.to = slices.Compact(r.to)
	}
	return r.to
}

// holds says whether an exchange keeps the record until its time.
func (r *routing) holds(x *Exchange, i int) bool {
	return x.spec.Type == delayedType && r.reader != nil && !(i == 0 && r.due) &&
		r.reader.Delay(r.rec.Props) > 0
}

func (r *routing) reach(d destination) {
	r.hits++
	switch d := d.(type) {
	case *Exchange:
		r.visit(d)
	case *Queue:
		r.to = append(r.to, d)
	case *Topic:
		if !slices.Contains(r.logs, d) {
			r.logs = append(r.logs, d)
		}
	}
}

func (r *routing) visit(next *Exchange) {
	if next != nil && !slices.Contains(r.seen, next) {
		r.seen = append(r.seen, next)
	}
}

// askLocked asks one exchange. The default one leads to the queue that has the key for
// a name, or where there is none to the topic.
func (r *routing) askLocked(x *Exchange) {
	if x.name.Name != "" {
		x.router.route(&r.m, r.hit)
		return
	}
	for i := -1; i < len(r.m.keys); i++ {
		key := r.m.key
		if i >= 0 {
			key = r.m.keys[i]
		}
		if q := r.b.cat.queues[Name{KindQueue, x.name.Namespace, key}]; q != nil {
			r.reach(q)
		} else if t := r.b.cat.topics[Name{KindTopic, x.name.Namespace, key}]; t != nil {
			r.reach(t)
		}
	}
}
