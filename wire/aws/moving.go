package aws

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// run moves messages until the task comes to an end, or the server closes.
func (m *mover) run(x *moving) {
	err := m.moveAll(x)
	m.mu.Lock()
	t := x.task
	m.mu.Unlock()
	switch {
	case t.Status == moveCanceling:
		t.Status = moveCancelled
	case err == nil:
		t.Status = moveCompleted
	case m.s.closing.Err() != nil:
		t.Status = "" // it goes on later
	default:
		t.Status, t.Reason = moveFailed, moveFailure(err)
		m.s.config.Logger.Warn("a message move task has failed", "queue", t.Source, "error", err)
	}
	m.finish(x, t)
}

// finish notes the end of a task on disk, and then shows it.
func (m *mover) finish(x *moving, t moveTask) {
	if t.Status != "" {
		tx := m.s.b.Begin()
		t.put(tx)
		if err := commit(context.Background(), tx); err != nil {
			m.s.config.Logger.Error("the end of a message move task is not noted", "queue", t.Source, "error", err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if t.Status != "" {
		x.task = t
	}
	m.endLocked(x)
}

// errNoSource: the message was sent to the dead letter queue itself.
var errNoSource = errors.New("aws: a message came from no queue")

// moveFailure is the reason of a failure, in AWS's words.
func moveFailure(err error) string {
	if errors.Is(err, errNoSource) {
		return "CouldNotDetermineMessageSource"
	}
	return asError(err).identity().query
}

// Bounds of one batch.
const (
	moveBatch = 64
	moveBytes = 1 << 20
)

// moveAll moves batch by batch, until as many as there were have moved or none is left.
func (m *mover) moveAll(x *moving) error {
	for {
		m.mu.Lock()
		t := x.task
		m.mu.Unlock()
		if t.Moved >= t.ToMove {
			return nil
		}
		n, err := m.moveSome(x, t)
		if err != nil || n == 0 {
			return err
		}
		if t.Rate > 0 && t.Moved+int64(n) < t.ToMove {
			err = pause(x.ctx, time.Duration(n)*time.Second/time.Duration(t.Rate))
		}
		if err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// moveSome moves one batch, which is on disk when it returns, and says how many these were.
func (m *mover) moveSome(x *moving, t moveTask) (n int, err error) {
	from, err := m.s.queueNamed(t.Source)
	if err != nil || from.ID() != t.Queue {
		return 0, noQueue()
	}
	most := moveBatch
	if t.Rate > 0 {
		most = max(1, min(most, int(t.Rate)/4))
	}
	got, err := m.take(x.ctx, from, int(min(int64(most), t.ToMove-t.Moved)))
	if err != nil {
		return 0, err
	}
	tx := m.s.b.Begin()
	defer tx.Release()
	for n < len(got) {
		if err = m.move(tx, from, &got[n], t.Target); err != nil {
			break
		}
		n++
	}
	from.PutBack(idsOf(got[n:])...)
	if n == 0 {
		return 0, err
	}
	t.Moved += int64(n)
	t.put(tx)
	if late := m.commit(x, tx); late != nil {
		from.PutBack(idsOf(got[:n])...)
		return 0, late
	}
	m.mu.Lock()
	x.task.Moved = t.Moved
	m.mu.Unlock()
	return n, err
}

// take gets messages; one that is damaged stays where it is, for an operator to see.
func (m *mover) take(ctx context.Context, from *broker.Queue, n int) (got []broker.Delivery, err error) {
	for bytes := 0; len(got) < n && bytes < moveBytes; {
		d, ok, err := from.Get(ctx, nil)
		switch {
		case broker.KindOf(err) == broker.Corrupt:
			m.s.config.Logger.Error("a damaged message is not moved", "queue", from.String(), "error", err)
			continue
		case err != nil:
			from.PutBack(idsOf(got)...)
			return nil, err
		case !ok:
			return got, nil
		}
		got = append(got, d)
		bytes += len(d.Record.Body)
	}
	return got, nil
}

// move adds one message to a Tx. It is a new one to its queue, with an id and a time of its own.
func (m *mover) move(tx *broker.Tx, from *broker.Queue, d *broker.Delivery, target string) error {
	if target == "" {
		if len(d.Record.Deaths) == 0 {
			return errNoSource
		}
		target = d.Record.Deaths[0].Queue
	}
	to, err := m.s.queueNamed(target)
	if err != nil {
		return err
	}
	rec := d.Record
	rec.Exchange, rec.Key, rec.CC = "", target, nil
	rec.Time, rec.Expires, rec.Deaths = time.Time{}, time.Time{}, nil
	if rec.Format == broker.PropsSQS {
		p, err := parseProperties(rec.Props)
		if err != nil {
			return err
		}
		_, _ = rand.Read(p.id[:]) // never fails
		p.sent = m.s.config.Now().UnixMilli()
		rec.Props = p.append(nil)
	}
	tx.Move(to, rec)
	tx.Settle(from, nil, d.ID, broker.Accept)
	return nil
}

func (m *mover) commit(x *moving, tx *broker.Tx) error {
	confirm, err := tx.Commit(x.ctx)
	if err != nil {
		return err
	}
	_ = confirm.Wait(x.ctx) // what was committed has moved, whoever waits
	return nil
}
