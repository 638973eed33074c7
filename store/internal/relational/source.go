package relational

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tidings-io/tidings/outbox"
)

// Lead is that of outbox.Source.
func (o *Outbox[Tx]) Lead(ctx context.Context, relay string, lease time.Duration) (bool, error) {
	n, err := o.core.db.Exec(ctx, o.texts.lead, relay, lease.Milliseconds())
	return n > 0, wrap("lease", err)
}

// Resign is that of outbox.Source.
func (o *Outbox[Tx]) Resign(ctx context.Context, relay string) error {
	_, err := o.core.db.Exec(ctx, o.texts.resign, relay)
	return wrap("resign", err)
}

// Claim is that of outbox.Source. Where nothing is to be published it asks when something will be,
// and then once more: what became due between the two has no other sign.
func (o *Outbox[Tx]) Claim(ctx context.Context, max int) (claim outbox.Claim, err error) {
	claim.Rows, err = o.claim(ctx, max)
	if err != nil || len(claim.Rows) > 0 {
		return claim, err
	}
	var until *int64
	err = o.core.db.Query(ctx, o.texts.next, nil, func(scan Scan) error { return scan(&until) })
	if err != nil {
		return claim, wrap("claim", err)
	}
	if until != nil {
		claim.Next = time.Duration(*until+1) * time.Millisecond
	}
	claim.Rows, err = o.claim(ctx, max)
	return claim, err
}

// claimBytes bounds the events of a claim: the row that passes it is the last.
const claimBytes = 8 << 20

// errEnough ends a query early.
var errEnough = errors.New("enough")

func (o *Outbox[Tx]) claim(ctx context.Context, max int) (rows []outbox.Row, err error) {
	size := 0
	err = o.core.db.Query(ctx, o.texts.claim, []any{max}, func(scan Scan) error {
		row, err := scanRow(scan)
		rows = append(rows, row)
		if size += len(row.Event.Payload); err == nil && size >= claimBytes {
			return errEnough
		}
		return err
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return rows, wrap("claim", err)
}

// scanRow reads columns and then more. A row whose event cannot be read has an Err, and what the
// columns tell.
func scanRow(scan Scan, more ...any) (outbox.Row, error) {
	var row outbox.Row
	var kind, id, topic, typ, key string
	var text []byte
	into := append([]any{&row.Seq, &id, &kind, &topic, &typ, &key, &text, &row.Attempts}, more...)
	if err := scan(into...); err != nil {
		return row, err
	}
	row.Event, row.Err = outbox.Decode(topic, text)
	if row.Err == nil && (row.Event.Kind.String() != kind || row.Event.ID != id || row.Event.Key != key) {
		row.Err = errors.New("the event is not that of its columns")
	}
	if row.Err != nil {
		row.Event.ID, row.Event.Topic, row.Event.Type, row.Event.Key = id, topic, typ, key
	}
	return row, nil
}

// Done is that of outbox.Source.
func (o *Outbox[Tx]) Done(ctx context.Context, seqs ...int64) error {
	if len(seqs) == 0 {
		return nil
	}
	list, err := json.Marshal(seqs)
	if err == nil {
		_, err = o.core.db.Exec(ctx, o.doneText(), string(list))
	}
	return wrap("done", err)
}

func (o *Outbox[Tx]) doneText() string {
	if o.conf.Keep > 0 {
		return o.texts.keep
	}
	return o.texts.done
}

// maxReason bounds the error that a row keeps, in bytes.
const maxReason = 1000

// Fail is that of outbox.Source.
func (o *Outbox[Tx]) Fail(ctx context.Context, failures ...outbox.Failure) error {
	for _, f := range failures {
		reason := strings.ReplaceAll(f.Reason[:min(maxReason, len(f.Reason))], "\x00", "")
		state := outbox.Waiting
		if f.Park {
			state = outbox.Parked
		}
		_, err := o.core.db.Exec(ctx, o.texts.fail, f.Seq, strings.ToValidUTF8(reason, "?"),
			f.Again.Milliseconds(), int64(state))
		if err != nil {
			return wrap("fail", err)
		}
	}
	return nil
}

// Prune is that of outbox.Source.
func (o *Outbox[Tx]) Prune(ctx context.Context) (more bool, err error) {
	n, err := o.core.db.Exec(ctx, o.texts.prune, o.conf.Keep.Milliseconds(), pruneStep)
	return n == pruneStep, wrap("prune", err)
}

// Status is that of outbox.Source.
func (o *Outbox[Tx]) Status(ctx context.Context) (s outbox.Status, err error) {
	var since *int64
	var now int64
	err = o.core.db.Query(ctx, o.texts.status, nil, func(scan Scan) error {
		return scan(&s.Waiting, &s.Failing, &s.Scheduled, &s.Parked, &since, &now)
	})
	if since != nil {
		s.Oldest = max(0, time.Duration(now-*since)*time.Millisecond)
	}
	return s, wrap("status", err)
}

// Wake is that of outbox.Source.
func (o *Outbox[Tx]) Wake(ctx context.Context) (outbox.Waker, error) {
	if o.conf.Wake != nil {
		return o.conf.Wake(ctx)
	}
	return &poll{o.core.committed, o.conf.Poll}, nil
}

// poll wakes at an interval, and when something of this process has been committed.
type poll struct {
	committed <-chan struct{}
	interval  time.Duration
}

func (p *poll) Wait(ctx context.Context, atMost time.Duration) error {
	t := time.NewTimer(min(atMost, p.interval))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-p.committed:
	case <-t.C:
	}
	return nil
}

func (p *poll) Close() error { return nil }

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("outbox: %s: %w", what, err)
}
