package broker

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// ProducerState is what a partition remembers of one idempotent producer.
type ProducerState struct {
	ID      int64
	Epoch   int16
	LastSeq int32  // sequence of its last record
	LastOff Offset // offset of its last record
	Time    time.Time
}

// keptBatches is how many batches of a producer a partition remembers: a client
// may have five requests in flight and repeat any of them (Kafka's
// ProducerStateEntry.NUM_BATCHES_TO_RETAIN).
const keptBatches = 5

// producerGrace is how long a producer must have been idle before it can be
// forgotten to make room for another one.
const producerGrace = 10 * time.Minute

// maxSeq is the last sequence; after it comes 0.
const maxSeq = 1<<31 - 1

// producer is the state of one idempotent producer in one partition. It is
// small and copied freely: a change is made on a copy, which takes the place of
// the old one after the store has accepted it. Guarded by the partition's mutex.
type producer struct {
	epoch   int16
	n       int8                  // batches in use
	timeMs  int64                 // of its last append
	batches [keptBatches]seqBatch // oldest first
}

// seqBatch is one accepted batch.
type seqBatch struct {
	first int32 // sequence of its first record
	count int32
	base  Offset
	seq   storage.Seq // its confirm; 0 after a restart, when it is durable
}

// unsubmitted is the confirm of a batch that the store has not accepted yet. It
// is never reached: such a batch cannot pass for one that is on disk.
const unsubmitted = ^storage.Seq(0)

// last is the sequence of the batch's last record.
func (s *seqBatch) last() int32 { return addSeq(s.first, s.count-1) }

func addSeq(seq, n int32) int32 { return int32((int64(seq) + int64(n)) & maxSeq) }

// sequenceError is a batch refused by accept, with the kind of error that it is.
type sequenceError struct {
	kind ErrorKind
	text string
}

func (e *sequenceError) Error() string { return e.text }

// accept judges a batch by Kafka's rules. It returns the earlier batch if this
// one is its duplicate, else nil and p is changed to remember the batch at base.
//
//   - An older epoch is fenced; a newer one starts at sequence 0.
//   - One of the last five batches again is a duplicate.
//   - Any other batch must go on where the last one ended.
//   - A producer that is not known (n is 0) may start anywhere: its state may
//     have expired, and a client cannot do better than to go on.
func (p *producer) accept(b *BatchInfo, base Offset) (*seqBatch, error) {
	if p.n > 0 && b.Epoch < p.epoch {
		return nil, &sequenceError{Fenced, fmt.Sprintf(
			"producer %d has epoch %d, a newer one has %d", b.Producer, b.Epoch, p.epoch)}
	}
	if p.n > 0 && b.Epoch == p.epoch {
		if dup := p.find(b); dup != nil {
			return dup, nil
		}
		want := addSeq(p.batches[p.n-1].last(), 1)
		if b.FirstSeq != want {
			return nil, &sequenceError{OutOfOrder, fmt.Sprintf(
				"producer %d sent sequence %d, want %d", b.Producer, b.FirstSeq, want)}
		}
	}
	if p.n > 0 && b.Epoch > p.epoch {
		if b.FirstSeq != 0 {
			return nil, &sequenceError{OutOfOrder, fmt.Sprintf(
				"producer %d starts epoch %d at sequence %d, want 0",
				b.Producer, b.Epoch, b.FirstSeq)}
		}
		p.n = 0
	}
	p.epoch = b.Epoch
	p.push(seqBatch{first: b.FirstSeq, count: b.Count, base: base, seq: unsubmitted})
	return nil, nil
}

func (p *producer) find(b *BatchInfo) *seqBatch {
	for i := range p.batches[:p.n] {
		if s := &p.batches[i]; s.first == b.FirstSeq && s.count == b.Count {
			return s
		}
	}
	return nil
}

func (p *producer) push(s seqBatch) {
	if p.n == keptBatches {
		copy(p.batches[:], p.batches[1:])
		p.n--
	}
	p.batches[p.n] = s
	p.n++
}

// submitted notes the confirm of the batches that the store has just accepted: of
// one, or of several in one Tx.
func (p *producer) submitted(seq storage.Seq) {
	for i := range p.batches[:p.n] {
		if p.batches[i].seq == unsubmitted {
			p.batches[i].seq = seq
		}
	}
}

func (p *producer) state(id int64) ProducerState {
	last := &p.batches[p.n-1]
	return ProducerState{
		ID: id, Epoch: p.epoch,
		LastSeq: last.last(),
		LastOff: last.base + Offset(last.count) - 1,
		Time:    timeOf(p.timeMs),
	}
}

// appendTo encodes the state as docs/format-broker.md shows it. Consecutive
// batches follow each other in sequence, so only the last one's is written.
func (p *producer) appendTo(dst []byte) []byte {
	dst = append(dst, valueVersion)
	dst = binary.BigEndian.AppendUint16(dst, uint16(p.epoch))
	dst = binary.AppendVarint(dst, p.timeMs)
	dst = append(dst, byte(p.n))
	last := &p.batches[p.n-1]
	dst = binary.AppendUvarint(dst, uint64(last.last()))
	dst = binary.AppendUvarint(dst, uint64(last.base))
	dst = binary.AppendUvarint(dst, uint64(last.count))
	for i := int(p.n) - 2; i >= 0; i-- {
		s, next := &p.batches[i], &p.batches[i+1]
		dst = binary.AppendUvarint(dst, uint64(next.base-s.base))
		dst = binary.AppendUvarint(dst, uint64(s.count))
	}
	return dst
}

func decodeProducer(b []byte) (*producer, error) {
	d := newDecoder(b)
	p := &producer{epoch: int16(d.uint16()), timeMs: d.varint(), n: int8(d.byte())}
	if d.bad || p.n < 1 || p.n > keptBatches {
		d.bad = true
		return nil, d.end("producer state")
	}
	last := int32(d.uvarint() & maxSeq)
	base := Offset(d.uvarint())
	for i := p.n - 1; i >= 0; i-- {
		if i < p.n-1 {
			base -= Offset(d.uvarint())
		}
		count := int32(d.uvarint() & maxSeq)
		first := int32((int64(last) - int64(count) + 1) & maxSeq)
		p.batches[i] = seqBatch{first: first, count: count, base: base}
		last = int32((int64(first) - 1) & maxSeq)
	}
	return p, d.end("producer state")
}

// producerIDs hands out ids from blocks: one key is written per block, so a
// restart skips at most one block and no id is ever given twice.
type producerIDs struct {
	mu          sync.Mutex
	next, limit int64       // [next, limit) may be given out
	seq         storage.Seq // the block is durable with this frame
}

// producerBlock is how many ids one write reserves.
const producerBlock = 1000

// NewProducer returns a producer id that no one had before and no one will get
// again; it is durable on return. Ids start at 1. Kinds: Closed, Storage.
func (b *Broker) NewProducer(ctx context.Context) (id int64, err error) {
	const op = "new producer"
	id, seq, err := b.takeProducerID()
	if err != nil {
		return 0, storeError(op, "", err)
	}
	if err := b.store.Await(ctx, seq); err != nil {
		return 0, storeError(op, "", err)
	}
	return id, nil
}

func (b *Broker) takeProducerID() (int64, storage.Seq, error) {
	ids := &b.producerIDs
	ids.mu.Lock()
	defer ids.mu.Unlock()
	if ids.next == ids.limit {
		var batch storage.Batch
		limit := ids.next + producerBlock
		batch.Put([]byte{familyProducerID}, binary.AppendVarint([]byte{valueVersion}, limit))
		seq, err := b.store.Submit(&batch)
		if err != nil {
			return 0, 0, err
		}
		ids.limit, ids.seq = limit, seq
	}
	ids.next++
	return ids.next - 1, ids.seq, nil
}
