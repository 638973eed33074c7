package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// Streams is an event store: one log that holds the events of many streams, an
// index that finds the events of one stream without reading the others, and a
// version per stream that an append can insist on. The place of an event in the
// log is its position in the order of all; a reader of the log never sees a
// position before all smaller ones.
type Streams struct {
	b       *Broker
	id      ID
	name    Name
	created time.Time
	log     *storage.Log

	// mu makes the check of a version, the append and the change of the index one
	// step: appends are linearizable.
	mu    sync.Mutex
	dead  bool
	doubt error       // as in Partition
	next  Offset      // as in Partition
	last  storage.Seq // frame of the last append
	// pending are the ends of streams that may not be durable yet, which appends
	// go on from: keys of the store show what is durable. waiting has them in the
	// order of their appends; it is as long as what waits for the disk.
	pending map[string]pendingHead
	waiting []pendingAt
}

// Expect is the version a stream must have for an append: Any, NoStream, or the
// number of its events.
type Expect int64

// Expectations without a number.
const (
	Any      Expect = -1 // whatever the stream has
	NoStream Expect = 0  // the stream has no event
)

// StreamRecord is one event of a stream.
type StreamRecord struct {
	Record
	Stream   string
	Version  int64 // in its stream, from 1, without gaps
	Position Offset
}

// CreateStreams makes an event store; it is durable on return. Its events are
// kept until DeleteStreams. Kinds: Exists, Invalid, Full, Closed, Storage.
func (b *Broker) CreateStreams(ctx context.Context, namespace, name string) (*Streams, error) {
	const op = "create streams"
	n := Name{KindStreams, namespace, name}
	if err := errors.Join(checkNamespace(namespace), checkTopicName(name)); err != nil {
		return nil, &Error{Kind: Invalid, Op: op, Name: n.String(), Err: err}
	}
	if err := b.admit(ctx, len(name)); err != nil {
		return nil, storeError(op, n.String(), err)
	}
	s, seq, err := b.addStreams(op, n)
	if err != nil {
		return nil, b.refuse(ctx, err)
	}
	return s, b.settle(ctx, op, n.String(), seq)
}

func (b *Broker) addStreams(op string, n Name) (*Streams, storage.Seq, error) {
	b.cat.mu.Lock()
	defer b.cat.mu.Unlock()
	if b.cat.streams[n] != nil {
		return nil, 0, &Error{Kind: Exists, Op: op, Name: n.String()}
	}
	if err := b.roomLocked(op, n, 0); err != nil {
		return nil, 0, err
	}
	var batch storage.Batch
	s := newStreams(b, n)
	s.id, s.created = newID(), timeOf(b.nowMillis())
	s.log = b.store.NewLog(&batch, storage.LogOptions{})
	batch.Put(catalogKey(n), s.encode())
	seq, err := b.store.Submit(&batch)
	if err != nil {
		return nil, 0, storeError(op, n.String(), err)
	}
	b.cat.streams[n] = s
	b.cat.changed = seq
	return s, seq, nil
}

func newStreams(b *Broker, n Name) *Streams {
	return &Streams{b: b, name: n, pending: make(map[string]pendingHead)}
}

// Streams finds an event store by name. Kind: NotFound.
func (b *Broker) Streams(namespace, name string) (*Streams, error) {
	n := Name{KindStreams, namespace, name}
	b.cat.mu.RLock()
	s := b.cat.streams[n]
	b.cat.mu.RUnlock()
	if s == nil {
		return nil, &Error{Kind: NotFound, Op: "find streams", Name: n.String()}
	}
	return s, nil
}

// DeleteStreams removes an event store with all its events, durably on return.
// Kinds: NotFound, Closed, Storage.
func (b *Broker) DeleteStreams(ctx context.Context, namespace, name string) error {
	const op = "delete streams"
	n := Name{KindStreams, namespace, name}
	s, seq, err := b.removeStreams(op, n)
	if err != nil {
		return b.refuse(ctx, err)
	}
	if err := b.settle(ctx, op, n.String(), seq); err != nil {
		return err
	}
	return storeError(op, n.String(), b.emptyTrash(ctx, s.log.ID()))
}

func (b *Broker) removeStreams(op string, n Name) (*Streams, storage.Seq, error) {
	b.cat.mu.Lock()
	defer b.cat.mu.Unlock()
	s := b.cat.streams[n]
	if s == nil {
		return nil, 0, &Error{Kind: NotFound, Op: op, Name: n.String()}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var batch storage.Batch
	batch.Delete(catalogKey(n))
	batch.Drop(s.log)
	batch.Put(trashKey(s.log.ID()), []byte{valueVersion})
	seq, err := b.store.Submit(&batch)
	if err != nil {
		return nil, 0, storeError(op, n.String(), err)
	}
	s.dead = true
	delete(b.cat.streams, n)
	b.cat.trash[s.log.ID()] = true
	b.cat.changed = seq
	return s, seq, nil
}

// Name is the event store's place in the catalog.
func (s *Streams) Name() Name { return s.name }

// Append appends events to a stream, all or none, if the stream is at the version
// that want says. It does not wait for the disk: wait for Appended.Confirm.
// Appended.Base is the position of the first event, Appended.Version the stream's
// version with these events.
//
// Kinds: Conflict (the detail is a *VersionConflict; what it conflicts with is
// durable), Invalid, TooLarge, Full, NotFound (deleted), Closed, Storage.
func (s *Streams) Append(ctx context.Context, stream string, want Expect, recs ...Record) (
	Appended, error) {
	t := s.b.Begin()
	i := t.AppendStream(s, stream, want, recs)
	if _, err := t.Commit(ctx); err != nil {
		return Appended{}, err
	}
	return t.Result(i), nil
}

// Version returns how many durable events a stream has; 0 if it does not exist.
func (s *Streams) Version(stream string) int64 {
	head, err := s.head(stream)
	if err != nil || s.alive() != nil {
		return 0 // reading the stream says why
	}
	return head.version
}

// Bounds returns the first position and the durable end, the position after the
// last event that a reader can get.
func (s *Streams) Bounds() (start, end Offset) {
	start, end, _ = s.log.Bounds()
	return start, end
}

// Watch makes w wait for events; see Partition.Watch.
func (s *Streams) Watch(w *Waiter) { s.log.Watch(w) }

// Unwatch ends what Watch began.
func (s *Streams) Unwatch(w *Waiter) { s.log.Unwatch(w) }

// Steps of reading, in bytes: one stream's events lie far apart, all of them
// side by side.
const (
	streamReadBytes = 16 << 10
	allReadBytes    = 256 << 10
)

// All returns the events of all streams from a position on, in the order of
// positions, and ends at the end that was durable when it began. A record's bytes
// and headers are valid until the next one is asked for.
// Kinds of errors: OutOfRange, Corrupt, NotFound, Closed, Storage.
func (s *Streams) All(ctx context.Context, from Offset) iter.Seq2[StreamRecord, error] {
	return func(yield func(StreamRecord, error) bool) {
		var buf Buffer
		var records RecordReader
		defer buf.Release()
		_, end := s.Bounds()
		for {
			err := errors.Join(s.alive(), ctx.Err())
			if err == nil {
				err = s.log.Read(&buf, from, allReadBytes)
			}
			if err != nil {
				yield(StreamRecord{}, s.failed("read all", err))
				return
			}
			for _, e := range buf.Entries {
				if e.Base >= end || !s.yieldEntry(&records, e, from, yield) {
					return
				}
				from = e.Base + Offset(e.Count)
			}
			if from >= end || len(buf.Entries) == 0 {
				return
			}
		}
	}
}

// alive returns why the event store cannot be read: it is deleted, or the broker
// is closed.
func (s *Streams) alive() error {
	if s.b.closed.Load() {
		return storage.ErrClosed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return storage.ErrDropped
	}
	return nil
}

// yieldEntry passes on the events of one batch, from a position on. It reports
// whether to go on.
func (s *Streams) yieldEntry(records *RecordReader, e storage.View, from Offset,
	yield func(StreamRecord, error) bool) bool {
	var at StreamRecord
	err := records.Open(e.Bytes)
	for {
		var rec Record
		more := true
		if err == nil {
			rec, more, err = records.Next()
		}
		if err == nil && more && rec.Offset == e.Base {
			at.Stream, at.Version, rec.Headers, err = takeStreamHeader(rec.Headers)
		}
		if err != nil {
			yield(StreamRecord{}, s.corrupt(e.Base, err))
			return false
		}
		if !more {
			return true
		}
		at.Record, at.Position = rec, rec.Offset
		if rec.Offset >= from && !yield(at, nil) {
			return false
		}
		at.Version++
	}
}

func (s *Streams) corrupt(base Offset, err error) error {
	return &Error{Kind: Corrupt, Op: "read stream", Name: fmt.Sprintf("%s@%d", s.name, base), Err: err}
}

func (s *Streams) failed(op string, err error) error {
	return storeError(op, s.name.String(), err)
}

// streamHeader is the name of the header that the first record of every batch of
// an event store begins with. Its value is the version of that record in 8 bytes,
// big endian, and the name of the stream.
const streamHeader = "tidings-stream"

func takeStreamHeader(hs []Header) (stream string, version int64, rest []Header, err error) {
	if len(hs) == 0 || hs[0].Key != streamHeader || len(hs[0].Value) < 8 {
		return "", 0, nil, errors.New("the first record does not name its stream")
	}
	v := hs[0].Value
	if rest = hs[1:]; len(rest) == 0 {
		rest = nil
	}
	return string(v[8:]), int64(binary.BigEndian.Uint64(v)), rest, nil
}

// prepare checks and encodes an append to a stream. The version is not known
// before the lock is held; stageStream writes it to where it stands.
func (a *txStream) prepare(b *Broker, now int64) error {
	const op = "append stream"
	if a.s == nil {
		return fail(Invalid, op, a.stream, "append to no event store")
	}
	limits := b.config.Limits
	switch {
	case a.stream == "":
		return fail(Invalid, op, a.s.name.String(), "stream has no name")
	case len(a.stream) > limits.StreamName:
		return fail(TooLarge, op, a.s.name.String(), "stream name has %d bytes, the limit is %d",
			len(a.stream), limits.StreamName)
	case a.want < Any:
		return fail(Invalid, op, a.stream, "expected version is %d", a.want)
	case len(a.recs) == 0:
		return fail(Invalid, op, a.stream, "no events")
	}
	for _, r := range a.recs {
		if slices.ContainsFunc(r.Headers, func(h Header) bool { return h.Key == streamHeader }) {
			return fail(Invalid, op, a.stream, "header %q is reserved", streamHeader)
		}
	}
	if err := a.encode(now); err != nil {
		return err
	}
	if len(a.raw) > limits.BatchBytes {
		return fail(TooLarge, op, a.stream, "events have %d bytes, the limit is %d",
			len(a.raw), limits.BatchBytes)
	}
	return nil
}

func (a *txStream) encode(now int64) error {
	value := append(make([]byte, 8, 8+len(a.stream)), a.stream...)
	recs := slices.Clone(a.recs)
	recs[0].Headers = append([]Header{{Key: streamHeader, Value: value}}, recs[0].Headers...)
	raw, err := encodeBatch(nil, None, now, recs)
	if err != nil {
		return err
	}
	a.raw, a.info = raw, decodeInfo(raw, uint16(None))
	a.version = streamVersionAt(raw)
	return nil
}

// streamVersionAt finds the version in a batch that encode made.
func streamVersionAt(raw []byte) int {
	_, w := binary.Varint(raw[batchHeader:])
	c := recordReader{b: raw[batchHeader+w+1:]}
	c.varint() // time delta
	c.varint() // offset delta
	c.bytes()  // key
	c.bytes()  // value
	c.varint() // number of headers
	c.bytes()  // name of the first one
	c.varint() // length of its value
	return len(raw) - len(c.b)
}

// encode writes the event store's value in the catalog.
func (s *Streams) encode() []byte {
	v := append([]byte{valueVersion}, s.id[:]...)
	v = binary.AppendVarint(v, s.created.UnixMilli())
	return binary.AppendUvarint(v, uint64(s.log.ID()))
}

func (b *Broker) decodeStreams(name Name, value []byte) (*Streams, error) {
	d := newDecoder(value)
	s := newStreams(b, name)
	copy(s.id[:], d.take(len(s.id)))
	s.created = timeOf(d.varint())
	id := storage.LogID(d.uvarint())
	if err := d.end("event store"); err != nil {
		return nil, err
	}
	if s.log = b.store.Log(id); s.log == nil {
		return nil, fmt.Errorf("event store has no log %d: %w", id, storage.ErrDamaged)
	}
	_, _, s.next = s.log.Bounds()
	return s, nil
}
