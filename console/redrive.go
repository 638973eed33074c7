package console

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// How much one commit of a redrive moves, and how much may stay behind before it gives
// up: those are held until its end, or it would meet them again and again.
const (
	redriveRecords = 100
	redriveBytes   = 1 << 20
	redriveSkipped = 1000
	redriveReasons = 5
)

// redrive moves records to the queue in which they died first, or to the one that is
// named. Each commit moves a batch from the one to the other: after a crash a record is
// in one of them, and never in both.
func (s *Server) redrive(w http.ResponseWriter, r *http.Request) {
	m, err := s.openRedrive(w, r)
	if err != nil {
		writeProblem(w, asProblem(err))
		return
	}
	s.streaming(w, r, func(ctx context.Context, out *lineWriter) error {
		defer m.end()
		return m.run(ctx, out)
	})
}

// move is one redrive.
type move struct {
	s       *Server
	from    *broker.Queue
	to      *broker.Queue // nil: for each record its own
	done    Redriven
	batch   []moving
	skipped []broker.DeliveryID // leased until the end
}

// moving is a record on its way to a queue.
type moving struct {
	d  broker.Delivery
	to *broker.Queue
}

func (s *Server) openRedrive(w http.ResponseWriter, r *http.Request) (*move, error) {
	free, err := s.takeBody(w, r)
	if err != nil {
		return nil, err
	}
	defer free()
	var doc Redrive
	if err := decode(r, &doc); err != nil {
		return nil, err
	}
	if doc.Max < 0 {
		return nil, invalid("max must not be negative")
	}
	m := &move{s: s}
	if m.from, err = s.queue(r.PathValue("queue")); err != nil {
		return nil, err
	}
	if m.from.Spec().Owner != nil {
		return nil, &broker.Error{Kind: broker.Denied, Op: "redrive", Name: m.from.String(), Err: errExclusive}
	}
	if doc.To != "" {
		if m.to, err = s.queue(doc.To); err != nil {
			return nil, err
		}
		if m.to == m.from {
			return nil, invalid("the records of queue %s are there already", doc.To)
		}
	}
	// Not more than wait now: one that comes back meanwhile would go round for ever.
	m.done.Total = m.from.Stats().Ready
	if doc.Max > 0 {
		m.done.Total = min(m.done.Total, doc.Max)
	}
	return m, nil
}

func (m *move) run(ctx context.Context, out *lineWriter) error {
	for more := true; more; {
		var err error
		if more, err = m.gather(ctx); err != nil {
			return err
		}
		if err := m.commit(ctx); err != nil {
			return err
		}
		m.done.Done = !more
		out.write(m.done)
		if out.flush(); out.err != nil {
			return out.err
		}
	}
	return nil
}

// gather takes a batch; more is false where it was the last.
func (m *move) gather(ctx context.Context) (more bool, err error) {
	for size := 0; len(m.batch) < redriveRecords && size < redriveBytes; {
		if m.done.Moved+m.done.Skipped+int64(len(m.batch)) >= m.done.Total || len(m.skipped) >= redriveSkipped {
			return false, nil
		}
		d, ok, err := m.from.Get(ctx, nil)
		if err != nil || !ok {
			// Of an ordered queue those of a group come one after the other: the next once this one has moved.
			return len(m.batch) > 0, err
		}
		to, why := m.target(&d.Record)
		if to == nil {
			m.skip(d.ID, why)
			continue
		}
		size += len(d.Record.Body) + len(d.Record.Props)
		m.batch = append(m.batch, moving{d, to})
	}
	return true, nil
}

// target is the queue that a record goes to, or why there is none.
func (m *move) target(r *broker.QueueRecord) (to *broker.Queue, why string) {
	if m.to != nil {
		return m.to, ""
	}
	if len(r.Deaths) == 0 {
		return m.group(r)
	}
	first := firstDeath(r.Deaths)
	to, err := m.s.b.Queue("", first.Queue)
	if err != nil {
		return nil, fmt.Sprintf("queue %s is gone: say with \"to\" where its records go", quote(first.Queue))
	}
	if to == m.from {
		return nil, fmt.Sprintf("a record died first in queue %s itself", quote(first.Queue))
	}
	return to, ""
}

// group is the queue of the group of the library that could not handle the record.
func (m *move) group(r *broker.QueueRecord) (to *broker.Queue, why string) {
	letter := m.s.letter(r)
	if letter == nil {
		return nil, "a record has never died: say with \"to\" where it goes"
	}
	if to = m.s.groupQueue(letter.Queue, m.from); to == nil {
		return nil, fmt.Sprintf("group %s has no queue of that name: say with \"to\" where its records go", quote(letter.Queue))
	}
	return to, ""
}

func firstDeath(all []broker.Death) *broker.Death {
	first := &all[0]
	for i := range all {
		if all[i].Time.Before(first.Time) {
			first = &all[i]
		}
	}
	return first
}

func (m *move) skip(id broker.DeliveryID, why string) {
	m.skipped = append(m.skipped, id)
	m.done.Skipped++
	for _, known := range m.done.Why {
		if known == why {
			return
		}
	}
	if len(m.done.Why) < redriveReasons {
		m.done.Why = append(m.done.Why, why)
	}
}

// commit moves the batch. What a queue that is full or gone would not take stays.
func (m *move) commit(ctx context.Context) error {
	if len(m.batch) == 0 {
		return nil
	}
	tx := m.s.b.Begin()
	for i := range m.batch {
		d := &m.batch[i].d
		tx.Move(m.batch[i].to, revived(d.Record))
		tx.Settle(m.from, nil, d.ID, broker.Accept)
	}
	confirm, err := tx.Commit(ctx)
	if err != nil {
		return err
	}
	// From here on they have moved, whatever the disk says: nothing is taken back.
	n := len(m.batch)
	m.batch = m.batch[:0]
	if err := confirm.Wait(ctx); err != nil {
		return err
	}
	m.done.Moved += int64(n)
	return nil
}

// revived is a record as it was before it died first, but for the time: it begins to
// live again. How it died stays with it, unless it was received too often: that is counted
// from the start.
func revived(r broker.QueueRecord) broker.QueueRecord {
	if len(r.Deaths) > 0 {
		first := firstDeath(r.Deaths)
		r.Exchange, r.CC = first.Exchange, nil
		if len(first.Keys) > 0 {
			r.Key, r.CC = first.Keys[0], first.Keys[1:]
		}
	}
	r.Deaths = slices.DeleteFunc(slices.Clone(r.Deaths), func(d broker.Death) bool { return d.Receives > 0 })
	r.Time, r.Expires = time.Time{}, time.Time{}
	return r
}

// end gives back what was taken and not moved: nobody has had it in hands.
func (m *move) end() {
	ids := m.skipped
	for i := range m.batch {
		ids = append(ids, m.batch[i].d.ID)
	}
	m.from.PutBack(ids...)
}
