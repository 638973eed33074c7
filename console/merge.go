package console

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"github.com/tidings-io/tidings/broker"
)

// merge reads several partitions as one sequence: in order within each
// partition, and as far as the budget reaches in order of time across them.
//
// Each round fills what is empty, then hands out every line up to the bound:
// the earliest time at which some partition's next record is not known yet. Lines
// beyond it stay for the next round. At least one source is emptied per round,
// so it always goes on. Partitions beyond the budget wait their turn.
type merge struct {
	topic   string
	sources []*source
	budget  int // bytes of batches held at once
	held    int
	turn    int // where the next filling starts

	exists    func() error // whether the topic is still there
	delivered []broker.Delivered
}

// source is one partition being read.
type source struct {
	part  *broker.Partition
	next  broker.Offset
	stop  broker.Offset // -1: follow
	lines []line        // read, not handed out yet
	clock int64         // greatest time so far: order within the partition wins
	bytes int
}

// line is one line of the answer, with the time it is sorted by.
type line struct {
	at     int64
	json   []byte
	record bool // not a note
}

const following broker.Offset = -1

func newSource(p *broker.Partition, from broker.Offset, follow bool) *source {
	s := &source{part: p, next: from, stop: following}
	if !follow {
		_, s.stop = p.Bounds()
	}
	return s
}

func (s *source) finished() bool {
	return s.stop != following && s.next >= s.stop && len(s.lines) == 0
}

// drained reports whether all that is durable now (and asked for) has been read.
func (s *source) drained() bool {
	start, end := s.part.Bounds()
	return s.next >= end && start <= s.next || s.stop != following && s.next >= s.stop
}

func (m *merge) finished() bool {
	for _, s := range m.sources {
		if !s.finished() {
			return false
		}
	}
	return true
}

// next returns the lines of one round; none when there is nothing to read now.
func (m *merge) next() ([]line, error) {
	if err := m.fill(); err != nil {
		return nil, err
	}
	bound := m.bound()
	var round []line
	for _, s := range m.sources {
		n := 0
		for n < len(s.lines) && s.lines[n].at <= bound {
			n++
		}
		round = append(round, s.lines[:n]...)
		s.lines = s.lines[n:]
		if len(s.lines) == 0 {
			m.held -= s.bytes
			s.bytes = 0
		}
	}
	slices.SortStableFunc(round, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	return round, nil
}

// bound is the last time up to which every partition's lines are known.
func (m *merge) bound() int64 {
	const end = int64(^uint64(0) >> 1)
	bound := end
	for _, s := range m.sources {
		if n := len(s.lines); n > 0 && !s.drained() {
			bound = min(bound, s.lines[n-1].at)
		}
	}
	return bound
}

func (m *merge) fill() error {
	for i := range m.sources {
		at := (m.turn + i) % len(m.sources)
		if m.held >= m.budget {
			m.turn = at
			return nil
		}
		s := m.sources[at]
		if len(s.lines) > 0 || s.drained() {
			continue
		}
		if err := m.read(s, max(1, m.budget/len(m.sources))); err != nil {
			return err
		}
	}
	return nil
}

// read takes the next batches of a partition into lines. Records that are not
// there are skipped with a note, never silently: they were deleted meanwhile, or
// given up by a repair.
func (m *merge) read(s *source, maxBytes int) error {
	var buf broker.Buffer
	defer buf.Release()
	switch err := s.part.Read(&buf, s.next, maxBytes); {
	case broker.KindOf(err) == broker.OutOfRange:
		return s.skip()
	case err != nil:
		return err
	}
	from := s.next
	for _, e := range buf.Entries {
		if err := s.noteGap(e.Base); err != nil {
			return err
		}
		if err := s.decode(m.topic, e.Bytes); err != nil {
			return err
		}
		s.bytes += len(e.Bytes)
		s.next = max(s.next, e.Base+broker.Offset(e.Count))
	}
	m.held += s.bytes
	m.delivered = append(m.delivered, broker.Delivered{
		Partition: s.part, From: from, Count: s.records(), Bytes: s.bytes, Client: "admin",
	})
	return nil
}

// records is how many of the lines are no notes.
func (s *source) records() (n int32) {
	for _, l := range s.lines {
		if l.record {
			n++
		}
	}
	return n
}

func (s *source) skip() error {
	start, end := s.part.Bounds()
	if s.next >= start {
		return outOfRange(s.part, min(s.next, end))
	}
	return s.noteGap(start)
}

// noteGap goes on at an offset, with a note if records before it are missing.
func (s *source) noteGap(to broker.Offset) error {
	if to <= s.next {
		return nil
	}
	note, err := marshalLine(struct {
		Skipped Skipped `json:"skipped"`
	}{Skipped{Partition: s.part.Index(), From: int64(s.next), To: int64(to)}})
	s.lines = append(s.lines, line{at: s.clock, json: note})
	s.next = to
	return err
}

func (s *source) decode(topic string, raw []byte) error {
	for rec, err := range broker.Records(raw) {
		if err != nil {
			return err
		}
		if rec.Offset < s.next || s.stop != following && rec.Offset >= s.stop {
			continue
		}
		text, err := marshalLine(recordDocument(topic, s.part.Index(), rec))
		if err != nil {
			return err
		}
		s.clock = max(s.clock, rec.Time.UnixMilli())
		s.lines = append(s.lines, line{at: s.clock, json: text, record: true})
	}
	return nil
}

// wait returns when a partition may have more to read; an error when the topic
// is gone or ctx ends.
func (m *merge) wait(ctx context.Context) error {
	w := &broker.Waiter{C: make(chan struct{}, 1), MinBytes: 1}
	for _, s := range m.sources {
		s.part.Watch(w)
		defer s.part.Unwatch(w)
	}
	for _, s := range m.sources {
		if !s.drained() {
			return nil // it came between the last read and the watch
		}
	}
	// A topic that was deleted before the watch wakes nobody any more.
	if err := m.exists(); err != nil {
		return err
	}
	select {
	case <-w.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *merge) takeDelivered() []broker.Delivered {
	d := m.delivered
	m.delivered = nil
	return d
}

func marshalLine(doc any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(doc)
	return b.Bytes(), err
}
