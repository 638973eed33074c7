package broker

import (
	"context"
	"errors"

	"github.com/tidings-io/tidings/storage"
)

// Tx gathers changes and makes them one: Commit does all of them or none, in
// memory and on disk. A Tx is for one goroutine and one Commit.
type Tx struct {
	b       *Broker
	appends []staged
	streams []txStream
	changes []txChange
	facts   []txFact
	results []Appended

	publishes []txPublish
	routed    []Routed
	settles   []txSettle
	refused   []refusedRecord
	taken     []txTaken
	moves     bool        // some publishes are whole
	round     *relayRound // nil: no relay was asked

	done bool
}

// txStream is one append to a stream.
type txStream struct {
	s       *Streams
	stream  string
	want    Expect
	recs    []Record
	raw     []byte
	info    BatchInfo
	version int // where the version of the first event stands in raw
	index   int // in the storage batch
	base    Offset
	after   int64 // version of the stream after it
	result  int
}

// txChange is one change of a group, in the order of the calls.
type txChange struct {
	do        txVerb
	group     Name
	state     []byte
	part      *Partition // of SaveCursor
	topic     string     // of DeleteCursor
	partition int32
	cursor    Cursor
}

type txVerb uint8

const (
	saveGroup txVerb = iota
	deleteGroup
	saveCursor
	deleteCursor
)

// Begin returns an empty Tx.
func (b *Broker) Begin() *Tx {
	if t, ok := b.txs.Get().(*Tx); ok {
		return t
	}
	return &Tx{b: b}
}

// Release gives the memory of a Tx that was committed, or never will be, to a later
// Begin: neither it nor what it returned is valid afterwards, but for Confirms. A Tx
// that is not released is the collector's.
func (t *Tx) Release() {
	clear(t.publishes)
	clear(t.settles)
	*t = Tx{b: t.b, publishes: t.publishes[:0], routed: t.routed[:0], settles: t.settles[:0]}
	t.b.txs.Put(t)
}

// Append adds one encoded batch, under the rules of Partition.Append; raw must
// stay untouched until Commit. It returns the index for Result.
func (t *Tx) Append(p *Partition, raw []byte) int {
	t.appends = append(t.appends, staged{p: p, raw: raw, result: t.addResult()})
	return len(t.results) - 1
}

// AppendStream adds events for one stream of an event store, under the rules of
// Streams.Append. It returns the index for Result.
func (t *Tx) AppendStream(s *Streams, stream string, want Expect, recs []Record) int {
	t.streams = append(t.streams, txStream{
		s: s, stream: stream, want: want, recs: recs, result: t.addResult(),
	})
	return len(t.results) - 1
}

func (t *Tx) addResult() int {
	t.results = append(t.results, Appended{})
	return len(t.results) - 1
}

// SaveCursor sets a group's cursor in a partition, which must be of the same
// namespace. It makes the group if it is missing.
func (t *Tx) SaveCursor(namespace, group string, p *Partition, c Cursor) {
	t.changes = append(t.changes, txChange{
		do: saveCursor, group: Name{KindGroup, namespace, group}, part: p, cursor: c,
	})
}

// DeleteCursor removes a cursor. One that is not there is no error.
func (t *Tx) DeleteCursor(namespace, group, topic string, partition int) {
	t.changes = append(t.changes, txChange{
		do: deleteCursor, group: Name{KindGroup, namespace, group},
		topic: topic, partition: int32(partition),
	})
}

// SaveGroup sets a group's opaque state, at most Limits.GroupStateBytes. It makes
// the group if it is missing. The bytes must stay untouched from now on.
func (t *Tx) SaveGroup(namespace, group string, state []byte) {
	t.changes = append(t.changes, txChange{
		do: saveGroup, group: Name{KindGroup, namespace, group}, state: state,
	})
}

// DeleteGroup removes a group with its cursors. One that is not there is no error.
func (t *Tx) DeleteGroup(namespace, group string) {
	t.changes = append(t.changes, txChange{
		do: deleteGroup, group: Name{KindGroup, namespace, group},
	})
}

// Result returns the outcome of the append with this index, after Commit. All
// confirms of a Tx are the same one, or earlier for duplicates.
func (t *Tx) Result(i int) Appended { return t.results[i] }

// Commit does everything that was gathered, or nothing. It does not wait for the
// disk: wait for the Confirm before saying yes to anyone.
//
// The error is the first one found and names what it was about; its kinds are
// those of Partition.Append and Streams.Append, and for cursors and groups
// NotFound (the topic is gone), Conflict (the namespace is being deleted), Invalid,
// TooLarge and Full. Before it returns a Conflict it waits until what it conflicts
// with is durable. Under disk pressure a Tx without appends still goes through, so
// that groups can go on.
func (t *Tx) Commit(ctx context.Context) (Confirm, error) {
	if t.done {
		return Confirm{}, fail(Invalid, "commit", "", "this transaction was committed already")
	}
	t.done = true
	defer t.leaveRelays()
	if err := t.prepare(); err != nil {
		return Confirm{}, err
	}
	if err := t.admit(ctx); err != nil {
		return Confirm{}, storeError("commit", "", err)
	}
	confirm, err := t.run()
	if errors.Is(err, Conflict) {
		return Confirm{}, settleConflict(ctx, err, confirm)
	}
	if err != nil {
		return Confirm{}, err
	}
	t.buryRefused(ctx)
	return confirm, nil
}

// run commits. What became a duplicate since it was routed is routed again, to nowhere.
func (t *Tx) run() (confirm Confirm, err error) {
	work := t.b.takeWork()
	defer t.b.putWork(work)
	for {
		c := commit{tx: t, b: t.b, work: work}
		confirm, err = c.run()
		if !errors.Is(err, errDuplicate) {
			return confirm, err
		}
		if err := t.routeAgain(); err != nil {
			return Confirm{}, err
		}
	}
}

// prepare checks, outside of every lock, what needs none.
func (t *Tx) prepare() error {
	now := t.b.nowMillis()
	for i := range t.appends {
		a := &t.appends[i]
		if a.p == nil {
			return fail(Invalid, "commit", "", "append to no partition")
		}
		info, err := a.p.vet(a.raw, now)
		if err != nil {
			return err
		}
		a.info, a.now = info, now
	}
	for i := range t.streams {
		if err := t.streams[i].prepare(t.b, now); err != nil {
			return err
		}
	}
	for i := range t.changes {
		if err := t.changes[i].prepare(t.b, now); err != nil {
			return err
		}
	}
	if err := t.prepareFacts(); err != nil {
		return err
	}
	return t.prepareQueues(now)
}

// admit refuses what is too large, and waits for room. Disk pressure pushes producers back, which have bytes to
// add; cursors and groups, which ask for 0, are what lets consumers go on.
func (t *Tx) admit(ctx context.Context) error {
	size, err := t.size()
	if err != nil {
		return err
	}
	return t.b.admit(ctx, size)
}

// size is at most what the Tx adds to the disk. What is too large is refused before anything
// changes: queues cannot take it back.
func (t *Tx) size() (size int, err error) {
	size = t.factBytes()
	for i := range t.appends {
		size += len(t.appends[i].raw) + appendOverhead
	}
	for i := range t.streams {
		size += len(t.streams[i].raw) + appendOverhead
	}
	for i := range t.publishes {
		size += t.publishes[i].bytes()
	}
	if size > storage.MaxBatchBytes || len(t.settles) > maxSettles {
		return size, storage.ErrTooLarge
	}
	return size, nil
}

// bytes is at most what queues and schedules take of a record.
func (p *txPublish) bytes() int {
	return len(p.to)*(p.rec.sizeBound()+appendOverhead) + p.heldSize() + p.onceSize()
}

// maxSettles is how many settles fit into one batch, also where none lie side by side.
const maxSettles = 8192

func (c *txChange) prepare(b *Broker, now int64) error {
	const op = "commit"
	name := c.group.String()
	err := errors.Join(checkNamespace(c.group.Namespace), checkGroupName(c.group.Name))
	if err != nil {
		return &Error{Kind: Invalid, Op: op, Name: name, Err: err}
	}
	limits := b.config.Limits
	if len(c.state) > limits.GroupStateBytes {
		return fail(TooLarge, op, name, "group state has %d bytes, the limit is %d",
			len(c.state), limits.GroupStateBytes)
	}
	if c.do != saveCursor {
		return nil
	}
	switch {
	case c.part == nil:
		return fail(Invalid, op, name, "cursor in no partition")
	case c.part.topic.name.Namespace != c.group.Namespace:
		return fail(Invalid, op, name, "cursor in %s, which is of another namespace", c.part)
	case c.cursor.Offset < 0:
		return fail(Invalid, op, name, "cursor in %s has offset %d", c.part, c.cursor.Offset)
	case len(c.cursor.Metadata) > limits.CursorMetadata:
		return fail(TooLarge, op, name, "cursor metadata has %d bytes, the limit is %d",
			len(c.cursor.Metadata), limits.CursorMetadata)
	}
	if c.cursor.Time.IsZero() {
		c.cursor.Time = timeOf(now)
	} else {
		c.cursor.Time = timeOf(c.cursor.Time.UnixMilli())
	}
	return nil
}
