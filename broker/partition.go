package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// Offset is a place in a partition, from 0.
type Offset = storage.Offset

// LogID names a log of the store.
type LogID = storage.LogID

// Buffer is what Read fills: Entries[i].Bytes is one encoded batch with its base
// offset in place. Release gives the memory back; the entries are invalid then.
type Buffer = storage.Buffer

// Waiter is woken once when enough has become durable; see storage.Waiter.
type Waiter = storage.Waiter

// Partition is one log of a topic. Its batches are in one order for everybody.
type Partition struct {
	b     *Broker
	topic *Topic
	index int
	log   *storage.Log

	// mu orders appends: judging a batch, giving it offsets and submitting it are
	// one step.
	mu   sync.Mutex
	dead bool // the topic was deleted
	// doubt is why nothing can be appended until the broker is opened again: its
	// offsets were not those of the store.
	doubt error
	// next is the offset of the next record. Only appends under mu move the end of
	// the log, so it is known before Submit says so.
	next      Offset
	producers map[int64]*producer

	told sync.Map // damagedPlace -> true: damage that the log of this process names already
}

// damagedPlace is where damage was met.
type damagedPlace struct {
	file string
	pos  int64
}

func newPartition(t *Topic, index int, log *storage.Log) *Partition {
	return &Partition{b: t.b, topic: t, index: index, log: log}
}

// Topic returns the topic that the partition belongs to.
func (p *Partition) Topic() *Topic { return p.topic }

// Index returns the partition's number in its topic, from 0.
func (p *Partition) Index() int { return p.index }

// String returns "topic/index", with the namespace in front where there is one.
func (p *Partition) String() string {
	return p.topic.name.String() + "/" + strconv.Itoa(p.index)
}

// Bounds returns the first readable offset and the durable end, the offset after
// the last record that a reader can get: Kafka's log start offset and high
// watermark.
func (p *Partition) Bounds() (start, end Offset) {
	start, end, _ = p.log.Bounds()
	return start, end
}

// SizeBytes returns the size of the records kept, in bytes.
func (p *Partition) SizeBytes() int64 { return p.log.SizeBytes() }

// Read fills buf with whole batches, from the one that holds offset from on,
// until maxBytes are reached: at least one batch, however large, if there is one,
// and none at the durable end. A batch may begin before from.
// Kinds: OutOfRange, Corrupt (the damaged range is named), NotFound, Closed, Storage.
func (p *Partition) Read(buf *Buffer, from Offset, maxBytes int) error {
	if p.b.closed.Load() {
		return p.failed("read", storage.ErrClosed)
	}
	return p.failed("read", p.log.Read(buf, from, maxBytes))
}

// Watch makes w wait for records of this partition, besides those it watches
// already. Watch first, then read, so that nothing is missed in between. The end
// of the topic wakes w, also if it is there already.
func (p *Partition) Watch(w *Waiter) { p.log.Watch(w) }

// Unwatch ends what Watch began.
func (p *Partition) Unwatch(w *Waiter) { p.log.Unwatch(w) }

// Trim removes the records before offset to, or all durable ones for -1, and
// returns the new start once that is durable. A start that is there already stays.
// Kinds: OutOfRange (beyond the durable end), NotFound, Closed, Storage.
func (p *Partition) Trim(ctx context.Context, to Offset) (Offset, error) {
	const op = "trim"
	start, end := p.Bounds()
	switch {
	case to == -1:
		to = end
	case to < 0 || to > end:
		return start, fail(OutOfRange, op, p.String(), "offset %d is not in [%d, %d]", to, start, end)
	}
	if to <= start {
		return start, nil
	}
	seq, err := p.trimTo(to)
	if err != nil {
		return start, p.failed(op, err)
	}
	if err := p.b.settle(ctx, op, p.String(), seq); err != nil {
		return start, err
	}
	start, _ = p.Bounds()
	return start, nil
}

func (p *Partition) trimTo(to Offset) (storage.Seq, error) {
	var batch storage.Batch
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return 0, storage.ErrDropped
	}
	batch.Trim(p.log, to)
	return p.b.store.Submit(&batch)
}

// Producers returns the idempotent producers that this partition knows, by id.
func (p *Partition) Producers() []ProducerState {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]ProducerState, 0, len(p.producers))
	for id, s := range p.producers {
		all = append(all, s.state(id))
	}
	slices.SortFunc(all, func(a, b ProducerState) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// retire marks a partition of a topic that is being deleted and returns the
// producers whose keys go with it. No append is submitted afterwards.
func (p *Partition) retire() []int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
	ids := make([]int64, 0, len(p.producers))
	for id := range p.producers {
		ids = append(ids, id)
	}
	p.producers = nil
	return ids
}

// failed turns an error of the store into one about this partition. Damage is
// logged too, once for each place: a protocol tells its client hardly more than
// that something is wrong, and not the operator.
func (p *Partition) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	var d *storage.Damage
	if errors.As(err, &d) {
		if _, known := p.told.LoadOrStore(damagedPlace{d.File, d.Pos}, true); !known {
			p.b.config.Logger.Error("records are damaged and cannot be read",
				"partition", p.String(), "offset", d.From, "file", d.File, "pos", d.Pos, "why", d.Why,
				"next", "stop the broker and run tidings doctor")
		}
	}
	return storeError(op, p.String(), err)
}

// OffsetAt returns the first record whose time is t or later, with its
// time; ok is false if there is none. Times are compared in milliseconds. Batches
// are found by the index of the store, the record by decoding its batch. Where
// headers promise times that no record has, that may be all batches.
// Kinds: Corrupt, NotFound, Closed, Storage; or the context's error.
func (p *Partition) OffsetAt(ctx context.Context, t time.Time) (
	off Offset, at time.Time, ok bool, err error) {
	ms := ceilMillis(t)
	from, ok, err := p.log.Find(ms)
	if err != nil || !ok {
		return 0, time.Time{}, false, p.failed("find time", err)
	}
	return p.search(ctx, "find time", from, ms)
}

// Latest returns the first record with the greatest time, with that time (Kafka's
// ListOffsets -3); ok is false where no record has a time.
// Kinds: Corrupt, NotFound, Closed, Storage; or the context's error.
func (p *Partition) Latest(ctx context.Context) (off Offset, at time.Time, ok bool, err error) {
	const op = "find latest"
	ms, base, ok, err := p.log.MaxTime()
	if err != nil || !ok {
		return 0, time.Time{}, false, p.failed(op, err)
	}
	off, at, ok, err = p.search(ctx, op, base, ms)
	if start, _ := p.Bounds(); ok || err != nil || base >= start {
		return off, at, ok, err
	}
	if base, ms, err = p.latestOfRest(ctx, op, base); err != nil {
		return 0, time.Time{}, false, err
	}
	return p.search(ctx, op, base, ms)
}

// latestOfRest returns the greatest time, and the first batch that has it, where
// the store's own answer is a batch that a trim has cut: the record it stood for
// may be gone. Of that batch the records count, of those behind it the headers.
func (p *Partition) latestOfRest(ctx context.Context, op string, from Offset) (
	base Offset, ms int64, err error) {
	base, ms = from, math.MinInt64
	err = p.walk(ctx, op, from, func(e storage.View, start Offset) (bool, error) {
		latest := e.Time
		if e.Base < start {
			latest = math.MinInt64
			if err := p.decode(ctx, op, e, func(r Record) bool {
				if r.Offset >= start && !r.Time.IsZero() {
					latest = max(latest, r.Time.UnixMilli())
				}
				return true
			}); err != nil {
				return false, err
			}
		}
		if latest > ms {
			base, ms = e.Base, latest
		}
		return false, nil
	})
	return base, ms, err
}

// ceilMillis rounds up: a record at 1.000 s is not at or after 1.0004 s.
func ceilMillis(t time.Time) int64 {
	ms := t.UnixMilli()
	if time.UnixMilli(ms).Before(t) {
		ms++
	}
	return ms
}

// searchBytes is how much one step of search reads, in bytes.
const searchBytes = 256 << 10

// search returns the first record at or after offset from whose time is ms or
// later, looking only into batches whose greatest time is that. It goes beyond the
// first of them only where a batch's header promised a time that none of its
// records has, or where the matching record has been trimmed away.
func (p *Partition) search(ctx context.Context, op string, from Offset, ms int64) (
	off Offset, at time.Time, ok bool, err error) {
	err = p.walk(ctx, op, from, func(e storage.View, start Offset) (bool, error) {
		if e.Time < ms {
			return false, nil
		}
		err := p.decode(ctx, op, e, func(r Record) bool {
			if r.Offset >= start && !r.Time.IsZero() && r.Time.UnixMilli() >= ms {
				off, at, ok = r.Offset, r.Time, true
			}
			return !ok
		})
		return ok, err
	})
	if err != nil {
		return 0, time.Time{}, false, err
	}
	return off, at, ok, nil
}

// walk visits the batches from the one on that holds offset from, until visit is
// done or has an error. start is the first offset that can be read. What is trimmed
// away meanwhile is passed over.
func (p *Partition) walk(ctx context.Context, op string, from Offset,
	visit func(e storage.View, start Offset) (done bool, err error)) error {
	var buf Buffer
	defer buf.Release()
	start, end := p.Bounds()
	for from = max(from, start); from < end; {
		if err := ctx.Err(); err != nil {
			return p.failed(op, err)
		}
		err := p.Read(&buf, from, searchBytes)
		if start, _ = p.Bounds(); from < start && errors.Is(err, OutOfRange) {
			from = start
			continue
		}
		if err != nil || len(buf.Entries) == 0 {
			return err
		}
		for _, e := range buf.Entries {
			from = e.Base + Offset(e.Count)
			if done, err := visit(e, start); done || err != nil {
				return err
			}
		}
	}
	return nil
}

// decode passes on the records of a batch while visit wants more of them.
func (p *Partition) decode(ctx context.Context, op string, e storage.View,
	visit func(Record) (more bool)) error {
	if !enterDecoding(ctx) {
		return p.failed(op, ctx.Err())
	}
	defer leaveDecoding()
	for rec, err := range Records(e.Bytes) {
		if err != nil {
			return p.decodeFailed(op, e.Base, err)
		}
		if !visit(rec) {
			break
		}
	}
	return nil
}

// decodeFailed names the batch that could not be decoded.
func (p *Partition) decodeFailed(op string, base Offset, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: KindOf(err), Op: op, Name: fmt.Sprintf("%s@%d", p, base), Err: err}
}
