package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// QueueSpec describes a queue to declare.
type QueueSpec struct {
	Namespace, Name string
	// Durable keeps the queue and its records over a restart. Else both live in
	// memory, and on disk only while they do not fit there.
	Durable bool
	// Owner, if not nil, is who alone may use the queue: any comparable value, a
	// connection. Such a queue is never durable. Who owns it deletes it in the end.
	Owner any
	// AutoDelete deletes the queue when its last subscription has ended.
	AutoDelete bool
	Type       QueueType
	// Args are kept and shown as they were given; the settings below are what they
	// mean, told by the protocol face.
	Args     Args
	Settings QueueSettings
}

// QueueType is which of RabbitMQ's queues a queue stands for. All are the same log;
// policies may be meant for one of them.
type QueueType uint8

// The types of queues. The numbers are on disk.
const (
	ClassicQueue QueueType = iota
	QuorumQueue            // a record is delivered again 20 times, unless it is said otherwise
)

func (t QueueType) target() Targets {
	if t == QuorumQueue {
		return QuorumQueues
	}
	return ClassicQueues
}

// QueueSettings bound and direct what a queue does. The zero value bounds nothing.
type QueueSettings struct {
	TTL       *time.Duration // of records, from their publish; nil: none; at least 0
	Expires   time.Duration  // of the queue, while nobody uses it; 0: never
	MaxLength *int64         // of the records that wait; nil: no bound
	// MaxLengthBytes bounds the bodies of the records that wait; nil: no bound.
	MaxLengthBytes *int64
	Overflow       Overflow
	// OverflowSet says that DropHead, the zero value, was asked for.
	OverflowSet bool
	// MaxPriority is the greatest priority that is told apart; 0: none are.
	MaxPriority uint8
	// SingleActive gives records to one subscription at a time.
	SingleActive bool
	// DeadLetterTo is the exchange that gets what leaves the queue without being
	// accepted, if DeadLetters; DeadLetterKey, if not nil, replaces the routing keys.
	DeadLetters   bool
	DeadLetterTo  string
	DeadLetterKey *string
	// DeliveryLimit is how often a record is delivered again before it is
	// dead-lettered; nil: as the queue's type says; negative: for ever.
	DeliveryLimit *int64
	// MaxReceives is how often Receive hands out a record before it is dead-lettered, with
	// the time of its publish unless groups are ordered; nil, or without DeadLetters: for ever.
	MaxReceives *int64
	// Delay is how long a record that is published waits before it is ready, where that
	// does not say it itself; dead letters and moved ones do not. Its queue has taken it then,
	// and does not refuse it when its time comes, however full it is.
	Delay time.Duration
	// Once is for how long the queue remembers what was published with QueueRecord.Once, from
	// the first publish on; 0: not at all. It stays as it was declared.
	Once time.Duration
	// Retention is TTL without dead letters; 0: none. A record that is too old counts
	// until it comes to the head of the queue.
	Retention time.Duration
	// Groups says how records with a Group are handed out. Whether they are ordered is
	// settled when the queue is declared. Queues with priorities or a single active
	// consumer have no groups, and ordered ones no MaxLengthBytes.
	Groups Groups
}

// Groups is what the groups of records mean to a queue. The numbers are on disk.
type Groups uint8

// The meanings of groups.
const (
	NoGroups Groups = iota // nothing
	// FairGroups take turns, and within a group the oldest record is first. A queue hands
	// out in the order of publishes until it gets the first record that has a group, and
	// while MaxLengthBytes is in force.
	FairGroups
	// OrderedGroups: a record is handed out only while nothing of its group that was
	// published before it is in somebody's hands. One Receive may take several of a group,
	// in order; subscriptions and Get have one of a group at a time. The group whose record was
	// published first is served first, but one to which something is given back comes behind
	// what waits then. Delay holds all records back where they are, those that wait already too, and nothing passes them.
	OrderedGroups
)

// Overflow is what a queue does when it is full. The numbers are on disk.
type Overflow uint8

// The policies of overflow.
const (
	DropHead         Overflow = iota // the oldest record is dead-lettered
	RejectPublish                    // the new record is refused
	RejectDeadLetter                 // the new record is refused and dead-lettered
)

// Queue gives each of its records to one subscription, until one accepts it. A
// Queue that was deleted answers NotFound.
//
// It is a cursor over a log, and what was given back:
//
//	         settled set                returned     next          durable    end
//	gone ........|..x..x..lease..x..lease..|..r...r...|... ready ...|.. pending |
//
// Every offset before next is settled, leased to a subscription, or returned; in a
// queue with groups what waits there is sorted into them, see grouping. With
// priorities there is one such lane for each priority in use.
type Queue struct {
	b    *Broker
	id   ID
	name Name
	spec QueueSpec

	// Guarded by the catalog's mutex: the bindings that lead here.
	in map[bindingKey]*Binding

	// declared is the frame of the declaration.
	declared storage.Seq
	// changed is what the queue was told since it was declared; nil: nothing. Written under mu.
	changed atomic.Pointer[queueChange]
	// settings are those in force, with the policies; written under mu.
	settings atomic.Pointer[QueueSettings]

	// mu guards all below. Several: ascending log id of the first lane.
	mu    sync.Mutex
	lanes []*lane       // one for each priority, the highest first
	order storage.LogID // the log of the first lane: the order of the locks

	ledger *ledger // of what was published once; nil: it remembers nothing. Set when the queue is made

	subs     []*Subscription // by descending priority, then age
	turn     int             // who of them is asked first
	leased   int             // records with subscriptions, or on their way out
	lastSeq  storage.Seq     // of the newest append
	dead     bool
	announce bool // waits in the list of the deliver loop
	expiring bool // some record may expire before those in front
	counted  bool // there may be keys that tell how often records were delivered
	policies AppliedPolicies
	// When to look for expired records, and when the queue itself expires; zero: never.
	nextExpiry, unusedUntil time.Time
	timer                   int64  // when the timer loop comes, ms; never
	looks                   uint64 // for expired records: the one that began last decides
	counts                  QueueCounts
	sizes                   sizing

	*receivers           // noReceivers where there were none
	later      *Exchange // leads here alone: its schedule has what is delayed; nil: nothing was
}

// lane is the records of one priority.
type lane struct {
	priority uint8
	durable  bool
	log      *storage.Log
	settled  *storage.Set // volatile as the log is
	next     Offset       // the first offset never handed out
	end      Offset       // of what was submitted
	back     returned
	// marked is how far hand-outs are noted on disk: after a crash what lies before
	// it and is not settled counts as delivered. next never passes it.
	marked, marking Offset
	markSeq         storage.Seq // of marking
	trimmed         Offset
	typical         atomic.Int64 // bytes of a record; owned by nobody, for expect
	settling        offsets      // staged, and not yet in a storage batch
	// waited is what was on disk when no subscription took more: a record from there
	// on that finds one has not waited at all.
	waited Offset
	// Of what lies between these two the size is not known yet, and does not count.
	sized, sizedTo Offset
	coming         []bodyLength // that are on their way to the disk, where the queue counts bytes
	sweep          *sweeping    // of what a restart took; nil: nothing
	received       map[Offset]*receivedRecord
	groups         *grouping // nil: records have no groups here
}

// QueueCounts counts since the queue was declared or the broker opened.
type QueueCounts struct {
	Published, Delivered, Redelivered, Accepted, Rejected, Expired, Dropped uint64
	Lost                                                                    uint64 // that a repair gave up: they are found when they come up
}

// QueueStats is a queue at one moment.
type QueueStats struct {
	Ready, Leased int64 // records that wait; that are delivered and not settled
	Delayed       int64 // that are published and not ready yet
	Subscriptions int
	Bytes         int64 // in the log, settled ones that still stand there included
	Counts        QueueCounts
}

// ID is the queue's identity: random, and new for every queue that is declared.
func (q *Queue) ID() ID { return q.id }

// Name is the queue's place in the catalog.
func (q *Queue) Name() Name { return q.name }

// Spec returns what the queue was declared with, and what ChangeQueue has made of it.
func (q *Queue) Spec() QueueSpec {
	spec := q.spec
	if c := q.changed.Load(); c != nil {
		spec.Args, spec.Settings = c.args, c.settings
	}
	return spec
}

// Settings returns those in force: what the queue was declared with, and its policies.
func (q *Queue) Settings() QueueSettings { return *q.settings.Load() }

// String returns the queue's name, with its namespace in front where there is one.
func (q *Queue) String() string { return q.name.String() }

// Stats returns counts. Ready includes what is not on disk yet, and leaves out what
// is beyond the length of a queue that drops its head and is about to go.
func (q *Queue) Stats() QueueStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := QueueStats{Ready: q.shownLocked(), Delayed: q.delayedLocked(), Leased: int64(q.leased) - q.assignedLocked(),
		Subscriptions: len(q.subs), Counts: q.counts}
	for _, l := range q.lanes {
		s.Bytes += l.log.SizeBytes()
	}
	s.Ready -= s.Delayed
	if q.later != nil {
		s.Delayed += q.later.Delayed()
	}
	return s
}

// shownLocked is how many records wait, once what is too much has gone.
func (q *Queue) shownLocked() int64 {
	n := q.readyLocked()
	if s := q.settings.Load(); s.MaxLength != nil && s.Overflow == DropHead {
		n -= max(n-q.assignedLocked()-*s.MaxLength, 0)
	}
	return n
}

// readyLocked is how many records wait, those that nobody has taken yet included.
func (q *Queue) readyLocked() int64 {
	n := q.assignedLocked()
	for _, l := range q.lanes {
		n += int64(l.end-l.next) - l.skipped() + l.sortedLocked()
	}
	return n
}

// sortedLocked is how many records before the cursor wait.
func (l *lane) sortedLocked() int64 {
	n := len(l.back)
	if l.groups != nil {
		n += l.groups.waiting
	}
	return int64(n)
}

// assignedLocked is how many records subscriptions have and did not take.
func (q *Queue) assignedLocked() (n int64) {
	for _, s := range q.subs {
		n += int64(s.assigned.len())
	}
	return n
}

// stride is how many hand-outs are noted on disk at once: so many records more
// than were delivered may count as delivered after a crash.
const stride = 1024

// lane returns the lane of a priority; greater ones than are told apart share one.
func (q *Queue) lane(priority uint8) *lane {
	most := q.spec.Settings.MaxPriority
	return q.lanes[most-min(priority, most)]
}

// makeLanes makes one lane for each priority that is told apart.
func (q *Queue) makeLanes(batch *storage.Batch) {
	for p := int(q.spec.Settings.MaxPriority); p >= 0; p-- {
		q.lanes = append(q.lanes, q.newLane(batch, uint8(p)))
	}
	q.order = q.lanes[0].log.ID()
	if d := q.spec.Settings.Once; d > 0 {
		q.ledger = q.b.newLedger(batch, q.spec.Durable, d)
	}
}

func (q *Queue) newLane(batch *storage.Batch, priority uint8) *lane {
	store := q.b.store
	l := &lane{priority: priority, durable: q.spec.Durable,
		log: store.NewLog(batch, storage.LogOptions{Volatile: !q.spec.Durable})}
	if q.spec.Settings.Groups == OrderedGroups {
		l.groups = newGrouping(true)
		q.delayGroupsLocked(l, q.settings.Load().Delay)
	}
	if !l.durable {
		l.settled = storage.NewVolatileSet()
		return l
	}
	l.settled = store.NewSet(batch)
	l.marked, l.marking = stride, stride
	batch.Put(handedKey(l.log.ID()), handedValue(stride))
	return l
}

// The keys of a durable lane: how far records may have been handed out, and how
// often the returned ones were, where the queue counts that.

func handedKey(log storage.LogID) []byte {
	return binary.BigEndian.AppendUint64([]byte{familyHanded}, uint64(log))
}

func handedValue(to Offset) []byte {
	return binary.AppendUvarint([]byte{valueVersion}, uint64(to))
}

func deliveriesKey(log storage.LogID, off Offset) []byte {
	key := binary.BigEndian.AppendUint64([]byte{familyDeliveries}, uint64(log))
	return binary.BigEndian.AppendUint64(key, uint64(off))
}

// encode writes the queue's value in the catalog, as docs/format-broker.md shows it.
func (q *Queue) encode() []byte {
	v := append([]byte{valueVersion}, q.id[:]...)
	flags := byte(0)
	if q.spec.AutoDelete {
		flags |= queueAutoDelete
	}
	if q.spec.Type == QuorumQueue {
		flags |= queueQuorum
	}
	v = append(v, flags)
	spec := q.Spec()
	v = appendArgs(v, spec.Args)
	v = spec.Settings.appendTo(v)
	v = binary.AppendUvarint(v, uint64(len(q.lanes)))
	for _, l := range q.lanes {
		v = append(v, l.priority)
		v = binary.AppendUvarint(v, uint64(l.log.ID()))
		v = binary.AppendUvarint(v, uint64(l.settled.ID()))
	}
	if q.ledger != nil {
		v = binary.AppendUvarint(v, uint64(q.ledger.log.ID()))
	}
	return v
}

const (
	queueAutoDelete = 1 << iota
	queueQuorum
)

func (s *QueueSettings) appendTo(v []byte) []byte {
	flags := uint64(0)
	for i, on := range []bool{s.TTL != nil, s.MaxLength != nil, s.DeadLetters, s.DeadLetterKey != nil,
		s.SingleActive, s.DeliveryLimit != nil, s.MaxLengthBytes != nil, s.OverflowSet,
		s.MaxReceives != nil, s.Delay > 0, s.Retention > 0, s.Once > 0, s.Groups != NoGroups} {
		if on {
			flags |= 1 << i
		}
	}
	v = append(binary.AppendUvarint(v, flags), byte(s.Overflow), s.MaxPriority)
	v = binary.AppendVarint(v, int64(orZero(s.TTL)))
	v = binary.AppendVarint(v, int64(s.Expires))
	v = binary.AppendVarint(v, orZero(s.MaxLength))
	v = binary.AppendVarint(v, orZero(s.DeliveryLimit))
	v = appendString(appendString(v, s.DeadLetterTo), orZero(s.DeadLetterKey))
	if s.MaxLengthBytes != nil {
		v = binary.AppendVarint(v, *s.MaxLengthBytes)
	}
	if s.MaxReceives != nil {
		v = binary.AppendVarint(v, *s.MaxReceives)
	}
	if s.Delay > 0 {
		v = binary.AppendVarint(v, int64(s.Delay))
	}
	if s.Retention > 0 {
		v = binary.AppendVarint(v, int64(s.Retention))
	}
	if s.Once > 0 {
		v = binary.AppendVarint(v, int64(s.Once))
	}
	if s.Groups != NoGroups {
		v = append(v, byte(s.Groups))
	}
	return v
}

func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func decodeSettings(d *decoder) (s QueueSettings) {
	flags := d.uvarint()
	s.Overflow, s.MaxPriority = Overflow(d.byte()), d.byte()
	ttl := time.Duration(d.varint())
	s.Expires = time.Duration(d.varint())
	length, limit := d.varint(), d.varint()
	s.DeadLetterTo = d.string()
	key := d.string()
	s.TTL = pointerIf(flags&1 != 0, ttl)
	s.MaxLength = pointerIf(flags&2 != 0, length)
	s.DeadLetters = flags&4 != 0
	s.DeadLetterKey = pointerIf(flags&8 != 0, key)
	s.SingleActive = flags&16 != 0
	s.DeliveryLimit = pointerIf(flags&32 != 0, limit)
	if flags&64 != 0 {
		bytes := d.varint()
		s.MaxLengthBytes = &bytes
	}
	s.OverflowSet = flags&128 != 0
	if flags&256 != 0 {
		receives := d.varint()
		s.MaxReceives = &receives
	}
	if flags&512 != 0 {
		s.Delay = time.Duration(d.varint())
	}
	if flags&1024 != 0 {
		s.Retention = time.Duration(d.varint())
	}
	if flags&2048 != 0 {
		s.Once = time.Duration(d.varint())
	}
	if flags&4096 != 0 {
		s.Groups = Groups(d.byte())
	}
	return s
}

func pointerIf[T any](set bool, v T) *T {
	if set {
		return &v
	}
	return nil
}

// decodeQueue rebuilds a queue from its value in the catalog. Records that may have
// been handed out before come back as returned.
func (b *Broker) decodeQueue(name Name, value []byte) (*Queue, error) {
	d := newDecoder(value)
	q := &Queue{b: b, name: name, in: map[bindingKey]*Binding{}, expiring: true, timer: never, receivers: &noReceivers,
		spec: QueueSpec{Namespace: name.Namespace, Name: name.Name, Durable: true}}
	copy(q.id[:], d.take(len(q.id)))
	flags := d.byte()
	q.spec.AutoDelete = flags&queueAutoDelete != 0
	if flags&queueQuorum != 0 {
		q.spec.Type = QuorumQueue
	}
	q.spec.Args = d.args()
	q.spec.Settings = decodeSettings(d)
	for range d.count() {
		l, err := b.decodeLane(d)
		if err != nil && !d.bad && d.version <= valueVersion {
			return nil, err
		}
		q.lanes = append(q.lanes, l)
	}
	if t := q.spec.Settings.Once; t > 0 {
		var err error
		if q.ledger, err = b.decodeLedger(d, t); err != nil && !d.bad && d.version <= valueVersion {
			return nil, err
		}
	}
	if err := d.end("queue"); err != nil {
		return nil, err
	}
	if len(q.lanes) != int(q.spec.Settings.MaxPriority)+1 {
		return nil, fmt.Errorf("queue has %d logs: %w", len(q.lanes), storage.ErrDamaged)
	}
	q.order = q.lanes[0].log.ID()
	q.recoverLeases(b.nowMillis())
	q.recoverGroups()
	return q, nil
}

func (b *Broker) decodeLane(d *decoder) (*lane, error) {
	l := &lane{priority: d.byte(), durable: true}
	log, set := storage.LogID(d.uvarint()), storage.SetID(d.uvarint())
	l.log, l.settled = b.store.Log(log), b.store.Set(set)
	if l.log == nil || l.settled == nil {
		return nil, fmt.Errorf("queue has no log %d or set %d: %w", log, set, storage.ErrDamaged)
	}
	handed, _ := b.store.Get(handedKey(log))
	h := newDecoder(handed)
	l.marked = Offset(h.uvarint())
	if err := h.end("hand-outs"); err != nil {
		return nil, err
	}
	l.marking = l.marked
	return l, errors.Join(l.recover(b.store, b.nowMillis()), l.loadSweep(b.store))
}

// recover finds what is not settled. What was handed out before comes back, but for what a
// receiver has until a time that is still to come.
func (l *lane) recover(store *storage.Store, now int64) (err error) {
	start, end, _ := l.log.Bounds()
	l.trimmed, l.end = start, end
	l.next, l.waited = min(max(l.marked, start), end), end
	for o := l.settled.Next(start); o < l.next; o = l.settled.Next(o + 1) {
		r := returnedRecord{off: o, deliveries: 1}
		leased := false
		if v, ok := store.Get(deliveriesKey(l.log.ID(), o)); ok {
			if r.deliveries, leased, err = l.recoverDeliveries(o, v, now); err != nil {
				return err
			}
		}
		if !leased {
			l.back.push(r)
		}
	}
	return nil
}

func (b *Broker) checkQueue(s *QueueSpec) error {
	if err := checkNamespace(s.Namespace); err != nil {
		return err
	}
	if err := checkGroupName(s.Name); err != nil {
		return err
	}
	switch t := &s.Settings; {
	case t.DeadLetterKey != nil && !t.DeadLetters:
		return errors.New("a dead letter key without a dead letter exchange")
	case s.Owner != nil && s.Durable:
		return errors.New("a queue with an owner is not durable")
	}
	return s.Settings.check()
}

// maxReceives is how often a record may be received.
func (s *QueueSettings) maxReceives() int64 {
	if s.MaxReceives == nil || !s.DeadLetters {
		return math.MaxInt64
	}
	return *s.MaxReceives
}

// check refuses numbers that make no sense.
func (s *QueueSettings) check() error {
	switch {
	case s.TTL != nil && *s.TTL < 0:
		return fmt.Errorf("time to live is %v", *s.TTL)
	case s.Expires < 0:
		return fmt.Errorf("expires after %v", s.Expires)
	case orZero(s.MaxLength) < 0:
		return fmt.Errorf("largest length is %d", *s.MaxLength)
	case orZero(s.MaxLengthBytes) < 0:
		return fmt.Errorf("largest length is %d bytes", *s.MaxLengthBytes)
	case s.MaxReceives != nil && *s.MaxReceives < 1:
		return fmt.Errorf("dead-lettered after %d receives", *s.MaxReceives)
	case s.Delay < 0 || s.Retention < 0 || s.Once < 0:
		return fmt.Errorf("delay is %v, retention %v, once within %v", s.Delay, s.Retention, s.Once)
	case s.Groups > OrderedGroups:
		return fmt.Errorf("groups are %d", s.Groups)
	case s.Groups != NoGroups && (s.MaxPriority > 0 || s.SingleActive):
		return errors.New("groups with priorities or a single active consumer")
	case s.Groups == OrderedGroups && s.MaxLengthBytes != nil:
		return errors.New("ordered groups with a bound of bytes")
	}
	return nil
}
