package broker

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"github.com/tidings-io/tidings/storage"
)

// The index of a stream is the list of its events' positions, in blocks of 64.
// Full blocks are keys that are written once; the last, unfinished one lives with
// the stream's version under the head key, which every append writes again. So
// an append writes some 200 bytes of index at most beside what it fills, opening
// a store reads none of it, and a stream is read by looking up its blocks.
const blockEvents = 64

// streamHead is the end of a stream.
type streamHead struct {
	version int64    // events in the stream
	open    []Offset // positions of the last version%64 of them
}

// streamAt names a stream of an event store.
type streamAt struct {
	s      *Streams
	stream string
}

// pendingHead is the end of a stream as of an append that may not be durable.
type pendingHead struct {
	head *streamHead
	seq  storage.Seq
}

// pendingAt says with which frame an append to a stream becomes durable.
type pendingAt struct {
	stream string
	seq    storage.Seq
}

// settleLocked forgets the pending ends that have become durable.
func (s *Streams) settleLocked() {
	durable, n := s.b.store.Durable(), 0
	for n < len(s.waiting) && s.waiting[n].seq <= durable {
		w := s.waiting[n]
		if s.pending[w.stream].seq == w.seq {
			delete(s.pending, w.stream)
		}
		n++
	}
	s.waiting = s.waiting[n:]
}

// lastLocked returns the end of a stream as the last append left it.
func (s *Streams) lastLocked(stream string) (*streamHead, error) {
	s.settleLocked()
	if p, ok := s.pending[stream]; ok {
		return &streamHead{version: p.head.version, open: slices.Clone(p.head.open)}, nil
	}
	return s.head(stream)
}

// head reads the durable end of a stream; the zero head if there is none.
func (s *Streams) head(stream string) (*streamHead, error) {
	value, ok := s.b.store.Get(streamKey(s.log.ID(), stream, headBlock))
	if !ok {
		return new(streamHead), nil
	}
	d := newDecoder(value)
	h := &streamHead{version: int64(d.uvarint())}
	h.open = decodePositions(d, int(h.version%blockEvents))
	return h, d.end("head of stream " + stream)
}

func (h *streamHead) encode() []byte {
	v := binary.AppendUvarint([]byte{valueVersion}, uint64(h.version))
	return appendPositions(v, h.open)
}

// appendPositions writes the first position and the distances between the rest.
func appendPositions(v []byte, positions []Offset) []byte {
	last := Offset(0)
	for _, p := range positions {
		v = binary.AppendUvarint(v, uint64(p-last))
		last = p
	}
	return v
}

func decodePositions(d *decoder, n int) []Offset {
	positions := make([]Offset, 0, blockEvents)
	last := Offset(0)
	for range n {
		last += Offset(d.uvarint())
		positions = append(positions, last)
	}
	return positions
}

// block reads the positions of a full block.
func (s *Streams) block(stream string, n int64) ([]Offset, error) {
	value, ok := s.b.store.Get(streamKey(s.log.ID(), stream, uint32(n)))
	if !ok {
		return nil, fmt.Errorf("stream %q has no index block %d: %w", stream, n,
			storage.ErrDamaged)
	}
	d := newDecoder(value)
	positions := decodePositions(d, blockEvents)
	return positions, d.end("index block of stream " + stream)
}

// positions returns the positions of a stream's events from a version on, to the
// end of its block.
func (s *Streams) positions(stream string, h *streamHead, version int64) ([]Offset, error) {
	index := (version - 1) / blockEvents
	block := h.open
	if index < h.version/blockEvents {
		var err error
		if block, err = s.block(stream, index); err != nil {
			return nil, err
		}
	}
	return block[(version-1)%blockEvents:], nil
}

// stageStream checks the version of a stream and stages the append.
func (c *commit) stageStream(a *txStream) error {
	const op = "append stream"
	if a.s.dead {
		return a.s.failed(op, storage.ErrDropped)
	}
	if a.s.doubt != nil {
		return a.s.failed(op, a.s.doubt)
	}
	head, err := c.headOf(streamAt{a.s, a.stream})
	if err != nil {
		return a.s.failed(op, err)
	}
	if a.want != Any && int64(a.want) != head.version {
		return &Error{Kind: Conflict, Op: op, Name: a.s.name.String(), Err: &VersionConflict{
			Stream: a.stream, Expected: a.want, Actual: head.version,
		}}
	}
	a.base = a.s.next
	for i := range c.tx.streams {
		if e := &c.tx.streams[i]; e.s == a.s && e.after > 0 {
			a.base = e.base + Offset(e.info.Count)
		}
	}
	binary.BigEndian.PutUint64(a.raw[a.version:], uint64(head.version+1))
	sealBatch(a.raw)
	a.index = c.work.batch.Append(a.s.log, storage.Entry{
		Count: a.info.Count, Time: a.info.latest(), Patch: storage.At(0), Bytes: a.raw,
	})
	c.index(a, head)
	a.after = head.version
	return nil
}

// headOf returns the end of a stream as this commit has it so far.
func (c *commit) headOf(at streamAt) (*streamHead, error) {
	if h := c.heads[at]; h != nil {
		return h, nil
	}
	h, err := at.s.lastLocked(at.stream)
	if err != nil {
		return nil, err
	}
	if c.heads == nil {
		c.heads = make(map[streamAt]*streamHead)
	}
	c.heads[at] = h
	return h, nil
}

// index adds the events of an append to the stream's head and stages the blocks
// that they fill.
func (c *commit) index(a *txStream, head *streamHead) {
	for i := range Offset(a.info.Count) {
		head.open = append(head.open, a.base+i)
		head.version++
		if len(head.open) == blockEvents {
			full := uint32(head.version/blockEvents - 1)
			c.work.batch.Put(streamKey(a.s.log.ID(), a.stream, full),
				appendPositions([]byte{valueVersion}, head.open))
			head.open = head.open[:0]
		}
	}
}

// stageHeads writes the end of every stream that the commit appends to.
func (c *commit) stageHeads() {
	for at, head := range c.heads {
		c.work.batch.Put(streamKey(at.s.log.ID(), at.stream, headBlock), head.encode())
	}
}

// applyStream makes an accepted append to a stream part of the state.
func (c *commit) applyStream(a *txStream, confirm Confirm) {
	if base := c.work.batch.Base(a.index); base != a.base {
		a.s.doubt = fmt.Errorf("%s: the store assigned offset %d, want %d", a.s.name, base, a.base)
		panic("broker: " + a.s.doubt.Error())
	}
	a.s.next = a.base + Offset(a.info.Count)
	a.s.last = confirm.seq
	a.s.pending[a.stream] = pendingHead{c.heads[streamAt{a.s, a.stream}], confirm.seq}
	a.s.waiting = append(a.s.waiting, pendingAt{a.stream, confirm.seq})
	start, _, _ := a.s.log.Bounds()
	c.tx.results[a.result] = Appended{
		Base: a.base, Start: start, Version: a.after, Confirm: confirm,
	}
	if c.b.feed != nil {
		c.b.feed.push(confirm.seq, &StreamAppended{
			Streams: a.s, Stream: a.stream, Version: a.after, Base: a.base, Count: a.info.Count,
			Bytes: len(a.raw), Time: timeOf(c.b.nowMillis()),
		}, a.raw)
	}
}

// Read returns the events of one stream from a version on (versions start at 1),
// in order, and ends with the last event that was durable when it began. A stream
// that does not exist has no events. A record's bytes and headers are valid
// until the next one is asked for.
// Kinds of errors: Invalid (version below 1), Corrupt, NotFound, Closed, Storage.
func (s *Streams) Read(ctx context.Context, stream string, fromVersion int64) iter.Seq2[
	StreamRecord, error] {
	return func(yield func(StreamRecord, error) bool) {
		if fromVersion < 1 {
			yield(StreamRecord{}, fail(Invalid, "read stream", stream, "version %d, want 1 or more",
				fromVersion))
			return
		}
		head, err := s.head(stream)
		if gone := s.alive(); gone != nil { // asked last: the head may have been deleted
			yield(StreamRecord{}, s.failed("read stream", gone))
			return
		}
		if err != nil {
			yield(StreamRecord{}, s.corrupt(0, err))
			return
		}
		r := streamReader{s: s, stream: stream, head: head}
		defer r.buf.Release()
		_, r.end = s.Bounds()
		r.read(ctx, fromVersion, yield)
	}
}

// streamReader walks over the events of one stream.
type streamReader struct {
	s      *Streams
	stream string
	head   *streamHead
	end    Offset // durable when the reading began
	buf    Buffer
	view   int // entry of buf that was used last

	records RecordReader
}

func (r *streamReader) read(ctx context.Context, version int64,
	yield func(StreamRecord, error) bool) {
	for version <= r.head.version {
		positions, err := r.s.positions(r.stream, r.head, version)
		if err != nil {
			yield(StreamRecord{}, r.s.indexFailed(err))
			return
		}
		for len(positions) > 0 {
			if positions[0] >= r.end {
				return
			}
			if err := ctx.Err(); err != nil {
				yield(StreamRecord{}, r.s.failed("read stream", err))
				return
			}
			entry, err := r.find(positions[0])
			if err != nil {
				yield(StreamRecord{}, r.s.failed("read stream", err))
				return
			}
			n := inEntry(positions, entry)
			if !r.yieldSome(entry, positions[0], n, yield) {
				return
			}
			positions = positions[n:]
			version += int64(n)
		}
	}
}

// indexFailed is why a part of the index could not be read: it is damaged, or is
// being deleted with the event store.
func (s *Streams) indexFailed(err error) error {
	if gone := s.alive(); gone != nil {
		return s.failed("read stream", gone)
	}
	return s.corrupt(0, err)
}

// inEntry counts the leading positions that lie in an entry.
func inEntry(positions []Offset, e storage.View) int {
	n := 1
	for n < len(positions) && positions[n] < e.Base+Offset(e.Count) {
		n++
	}
	return n
}

// yieldSome passes on n events of an entry, from a position on. Where a batch
// goes beyond its index block, the rest comes with the next block.
func (r *streamReader) yieldSome(e storage.View, from Offset, n int,
	yield func(StreamRecord, error) bool) bool {
	more := true
	r.s.yieldEntry(&r.records, e, from, func(rec StreamRecord, err error) bool {
		if err == nil && rec.Stream != r.stream {
			err = r.s.corrupt(e.Base, fmt.Errorf("the index of stream %q leads to stream %q",
				r.stream, rec.Stream))
			rec = StreamRecord{}
		}
		more = yield(rec, err) && err == nil
		n--
		return more && n > 0
	})
	return more
}

// find returns the entry that holds a position, from what was read ahead if it is
// there.
func (r *streamReader) find(at Offset) (storage.View, error) {
	for ; r.view < len(r.buf.Entries); r.view++ {
		if e := r.buf.Entries[r.view]; e.Base <= at && at < e.Base+Offset(e.Count) {
			return e, nil
		}
	}
	if err := r.s.log.Read(&r.buf, at, streamReadBytes); err != nil {
		return storage.View{}, err
	}
	if r.view = 0; len(r.buf.Entries) == 0 {
		return storage.View{}, fmt.Errorf("position %d: %w", at, storage.ErrOutOfRange)
	}
	return r.buf.Entries[0], nil
}

// emptyTrash deletes the index of an event store that is gone, in batches of
// bounded size. Where it is cut short it begins again: with the next look of the
// retention loop, or after a crash.
func (b *Broker) emptyTrash(ctx context.Context, log storage.LogID) error {
	r := removal{store: b.store}
	for key := range b.store.Scan(streamPrefix(log)) {
		r.delete(key)
		if r.batch.Len() > 0 {
			continue
		}
		if err := b.store.Admit(ctx, 0); err != nil {
			return err // a batch was full: this is where a large index waits for the disk
		}
	}
	r.delete(trashKey(log))
	if _, err := r.submit(); err != nil {
		return err
	}
	b.cat.mu.Lock()
	defer b.cat.mu.Unlock()
	delete(b.cat.trash, log)
	return nil
}
