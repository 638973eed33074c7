package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// Appended is the outcome of an append.
type Appended struct {
	Base      Offset    // of the batch's first record
	Start     Offset    // of the partition at that time
	Time      time.Time // the records' time where the topic sets AppendTime, else zero
	Duplicate bool      // the batch was there already; Base and Confirm are the original's
	Version   int64     // events in the stream after the append; only for streams
	Confirm   Confirm
}

// Append appends one encoded batch (Kafka's RecordBatch v2) as it stands. It
// checks the batch as ParseBatch does, its size and times, and, where it carries
// a producer id, epoch and sequence by Kafka's rules: a duplicate of one of the
// producer's last five batches answers with the original's offset and confirm.
//
// It does not wait for the disk: wait for Appended.Confirm before saying yes to
// anyone. It may wait, before it changes anything, while too much waits for the
// disk already.
//
// The bytes are copied. Those outside the checksum may be changed in raw: the
// leader epoch becomes 0. Where the topic sets AppendTime, attributes, maximum
// time and checksum change too.
//
// Kinds: Corrupt, Invalid, Unsupported, TooLarge, Fenced, OutOfOrder, Full,
// NotFound (deleted), Closed, Storage.
func (p *Partition) Append(ctx context.Context, raw []byte) (Appended, error) {
	now := p.b.nowMillis()
	info, err := p.vet(raw, now)
	if err != nil {
		return Appended{}, err
	}
	return p.append(ctx, staged{p: p, raw: raw, info: info, now: now})
}

// Write encodes records as one uncompressed batch and appends it, as Append does.
// Kinds: Invalid (no records), TooLarge, Full, NotFound, Closed, Storage.
func (p *Partition) Write(ctx context.Context, recs ...Record) (Appended, error) {
	now := p.b.nowMillis()
	w := p.b.takeWork()
	defer p.b.putWork(w)
	raw, err := encodeBatch(w.scratch[:0], None, now, recs)
	w.scratch = raw
	if err != nil {
		return Appended{}, err
	}
	if err := p.checkSize(raw); err != nil {
		return Appended{}, err
	}
	info, err := p.applyRules(raw, decodeInfo(raw, uint16(None)), now)
	if err != nil {
		return Appended{}, err
	}
	return p.append(ctx, staged{p: p, raw: raw, info: info, now: now})
}

// vet checks a batch that came from outside.
func (p *Partition) vet(raw []byte, now int64) (BatchInfo, error) {
	if err := p.checkSize(raw); err != nil {
		return BatchInfo{}, err
	}
	info, kind, err := parseBatch(raw)
	if err != nil {
		return info, &Error{Kind: kind, Op: "append", Name: p.String(), Err: err}
	}
	if info.AppendTime && !p.topic.config.Load().AppendTime {
		return info, fail(Invalid, "append", p.String(),
			"batch claims append time, which only the broker sets")
	}
	return p.applyRules(raw, info, now)
}

func (p *Partition) checkSize(raw []byte) error {
	if limit := p.topic.batchBytes(); len(raw) > limit {
		return fail(TooLarge, "append", p.String(),
			"batch has %d bytes, the limit is %d", len(raw), limit)
	}
	return nil
}

// applyRules makes a sound batch what the topic's rules of time want, or refuses it.
func (p *Partition) applyRules(raw []byte, info BatchInfo, now int64) (BatchInfo, error) {
	clearEpoch(raw)
	if p.topic.config.Load().AppendTime {
		stampAppendTime(raw, now)
		info.AppendTime, info.MaxTime, info.BaseTime = true, now, min(info.BaseTime, now)
		return info, nil
	}
	ahead := p.topic.config.Load().TimeAhead
	if ahead == 0 {
		ahead = defaultTimeAhead
	}
	if ahead != Forever && info.latest() > now+ahead.Milliseconds() {
		return info, &Error{Kind: Invalid, Op: "append", Name: p.String(), Err: ErrTimestamp}
	}
	return info, nil
}

// staged is one append between its check and its submission.
type staged struct {
	p    *Partition
	raw  []byte
	info BatchInfo
	now  int64
	// result is its place in the results of a Tx; -1: it is of records that were
	// published through an exchange.
	result int

	base  Offset
	index int         // in the storage batch
	dup   bool        // nothing was put into the storage batch
	seq   storage.Seq // of the original, for a duplicate; maybe unsubmitted in a Tx
	next  producer    // the producer's state after this append
	adds  bool        // its producer was not among the known ones
	// evicted is a producer that is forgotten to make room for it, if evicts.
	evicted int64
	evicts  bool
}

// appendOverhead is what an append costs in the journal beside the batch, about.
const appendOverhead = 128

func (p *Partition) append(ctx context.Context, s staged) (Appended, error) {
	b := p.b
	if err := b.admit(ctx, len(s.raw)+appendOverhead); err != nil {
		return Appended{}, p.failed("append", err)
	}
	w := b.takeWork()
	defer b.putWork(w)
	seq, err := p.appendAlone(w, &s)
	if err != nil {
		return Appended{}, p.refused(err)
	}
	return s.outcome(seq), nil
}

// admit waits until there is room for more: in the store's queue to the disk and,
// with an observer, in the feed. Call it before taking any lock.
func (b *Broker) admit(ctx context.Context, bytes int) error {
	if b.closed.Load() {
		return storage.ErrClosed
	}
	if b.feed != nil {
		if err := b.feed.admit(ctx); err != nil {
			return err
		}
	}
	return b.store.Admit(ctx, bytes)
}

// appendAlone gives the lock back also in a panic, which may end a connection only.
func (p *Partition) appendAlone(w *work, s *staged) (storage.Seq, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.appendLocked(w, s)
}

func (p *Partition) appendLocked(w *work, s *staged) (storage.Seq, error) {
	if err := p.stageLocked(w, s, nil); err != nil {
		return 0, err
	}
	if s.dup {
		p.tellLocked(s, s.seq)
		return s.seq, nil
	}
	seq, err := p.b.store.Submit(&w.batch)
	if err != nil {
		return 0, err
	}
	p.applyLocked(w, s, seq)
	return seq, nil
}

// stageLocked judges an append and puts its operations into the storage batch.
// Nothing else changes. earlier are the appends to the same partition that are
// staged in the same storage batch.
func (p *Partition) stageLocked(w *work, s *staged, earlier []staged) error {
	switch {
	case p.dead:
		return storage.ErrDropped
	case p.doubt != nil:
		return p.doubt
	}
	s.base = p.next
	for i := range earlier {
		if e := &earlier[i]; !e.dup {
			s.base = e.base + Offset(e.info.Count)
		}
	}
	if s.info.Producer >= 0 {
		if err := p.judgeLocked(w, s, earlier); err != nil || s.dup {
			return err
		}
	}
	s.index = w.batch.Append(p.log, storage.Entry{
		Count: s.info.Count, Time: s.entryTime(), Patch: storage.At(0), Bytes: s.raw,
	})
	return nil
}

// entryTime is the time by which the store finds and retires the batch. Without
// record times that is now, or retention would take it at once.
func (s *staged) entryTime() int64 {
	if ms := s.info.latest(); ms >= 0 {
		return ms
	}
	return s.now
}

// judgeLocked applies the rules of idempotence and stages the producer's new state.
func (p *Partition) judgeLocked(w *work, s *staged, earlier []staged) error {
	id, known := s.info.Producer, false
	if state := p.producers[id]; state != nil {
		s.next, known = *state, true
	}
	for i := range earlier {
		switch e := &earlier[i]; {
		case e.dup:
		case e.info.Producer == id:
			s.next, known = e.next, true
		case e.evicts && e.evicted == id:
			known = false // it needs room again; its state still tells what is a repeat
		}
	}
	dup, err := s.next.accept(&s.info, s.base)
	if err != nil {
		return err
	}
	if dup != nil {
		s.dup, s.base, s.seq = true, dup.base, dup.seq
		return nil
	}
	if !known {
		s.adds = true
		if err := p.makeRoomLocked(w, s, earlier); err != nil {
			return err
		}
	}
	s.next.timeMs = s.now
	w.key = appendProducerKey(w.key[:0], p.log.ID(), id)
	w.value = s.next.appendTo(w.value[:0])
	w.batch.Put(w.key, w.value)
	return nil
}

// makeRoomLocked stages the removal of the producer that is idle longest, where
// the partition knows as many as it may. Whoever appends earlier in the same
// storage batch is not idle, whatever the partition still says.
func (p *Partition) makeRoomLocked(w *work, s *staged, earlier []staged) error {
	known, spared := len(p.producers), make(map[int64]bool)
	for i := range earlier {
		e := &earlier[i]
		spared[e.info.Producer] = true
		if e.adds {
			known++
		}
		if e.evicts {
			known--
			spared[e.evicted] = true
		}
	}
	if known < p.b.config.Limits.ProducersPerPart {
		return nil
	}
	at := s.now - producerGrace.Milliseconds()
	for id, state := range p.producers {
		if state.timeMs < at && !spared[id] {
			s.evicts, s.evicted, at = true, id, state.timeMs
		}
	}
	if !s.evicts {
		return errProducers
	}
	w.batch.Delete(appendProducerKey(nil, p.log.ID(), s.evicted))
	return nil
}

var errProducers = errors.New("the partition knows as many active producers as it may")

// applyLocked makes an append that the store has accepted part of the state.
func (p *Partition) applyLocked(w *work, s *staged, seq storage.Seq) {
	if base := w.batch.Base(s.index); base != s.base {
		// Someone else appended to this log: every offset given out is in doubt. Who
		// recovers from the panic must not go on with them.
		p.doubt = fmt.Errorf("%s: the store assigned offset %d, want %d", p, base, s.base)
		panic("broker: " + p.doubt.Error())
	}
	p.next = s.base + Offset(s.info.Count)
	if s.info.Producer >= 0 {
		s.next.submitted(seq)
		p.rememberLocked(s)
	}
	p.tellLocked(s, seq)
}

func (p *Partition) rememberLocked(s *staged) {
	if s.evicts {
		delete(p.producers, s.evicted)
	}
	state := p.producers[s.info.Producer]
	if state == nil {
		if p.producers == nil {
			p.producers = make(map[int64]*producer)
		}
		state = new(producer)
		p.producers[s.info.Producer] = state
	}
	*state = s.next
}

// outcome is what the caller learns; seq is the confirm of what was submitted.
func (s *staged) outcome(seq storage.Seq) Appended {
	a := Appended{Base: s.base, Duplicate: s.dup, Confirm: Confirm{s.p.b.store, seq}}
	a.Start, _, _ = s.p.log.Bounds()
	if s.p.topic.config.Load().AppendTime && !s.dup {
		a.Time = timeOf(s.now)
	}
	return a
}

// refused turns what the checks under the lock return into an error.
func (p *Partition) refused(err error) error {
	var seq *sequenceError
	switch {
	case errors.As(err, &seq):
		return &Error{Kind: seq.kind, Op: "append", Name: p.String(), Err: err}
	case errors.Is(err, errProducers):
		return &Error{Kind: Full, Op: "append", Name: p.String(), Err: err}
	}
	return p.failed("append", err)
}

// SetProducer makes an encoded batch one of an idempotent producer: it writes id
// (from NewProducer), epoch and the sequence of the first record, and renews the
// checksum. Sequences of a producer count its records in one partition, from 0.
// Kind: Corrupt where raw is not a batch.
func SetProducer(raw []byte, id int64, epoch int16, firstSeq int32) error {
	if err := checkFrame(raw); err != nil {
		return &Error{Kind: Corrupt, Op: "set producer", Err: err}
	}
	setProducer(raw, id, epoch, firstSeq)
	sealBatch(raw)
	return nil
}
