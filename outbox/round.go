package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidings-io/tidings"
)

// markEvery is how long what is published may wait to be marked while rounds go on: a commit for each
// event of a busy key would be slower than most brokers. A relay that dies meanwhile publishes these
// again.
const markEvery = 50 * time.Millisecond

// result is what has become of rows and is not marked yet.
type result struct {
	done     []int64
	failures []Failure
}

// publish publishes rows in rounds, in which no two events have a topic and key in common: a
// publisher may fail the first of two and keep the second. It says whether anything was published;
// its error is the table's.
func (r *Relay) publish(ctx context.Context, claimed []Row) (published bool, err error) {
	rows := make([]*Row, len(claimed))
	for i := range claimed {
		rows[i] = &claimed[i]
	}
	var res result
	for marked := time.Now(); len(rows) > 0 && ctx.Err() == nil; {
		var round []*Row
		round, rows = heads(rows)
		held := r.round(ctx, round, &res)
		published = published || len(held) < len(round)
		rows = without(rows, held)
		if time.Since(marked) < markEvery {
			continue
		}
		if err := r.mark(ctx, &res); err != nil {
			return published, err
		}
		marked = time.Now()
	}
	return published, r.mark(ctx, &res)
}

// heads splits off the first row of each topic and key, and all rows without a key.
func heads(rows []*Row) (heads, rest []*Row) {
	seen := map[topicKey]bool{}
	for _, row := range rows {
		lane, ordered := row.lane()
		if ordered && seen[lane] {
			rest = append(rest, row)
			continue
		}
		seen[lane] = true
		heads = append(heads, row)
	}
	return heads, rest
}

// without drops the rows of held topics and keys.
func without(rows []*Row, held []topicKey) (others []*Row) {
	if len(held) == 0 {
		return rows
	}
	stop := map[topicKey]bool{}
	for _, lane := range held {
		stop[lane] = true
	}
	for _, row := range rows {
		if lane, _ := row.lane(); !stop[lane] {
			others = append(others, row)
		}
	}
	return others
}

// round publishes rows. held are the topics and keys of those that are to be tried again. Where the end
// of ctx has cut the publish off, only what was published has a result.
func (r *Relay) round(ctx context.Context, rows []*Row, res *result) (held []topicKey) {
	errs, cut := r.attempt(ctx, rows)
	for i, row := range rows {
		if errs[i] == nil {
			res.done = append(res.done, row.Seq)
			continue
		}
		lane, _ := row.lane()
		if cut {
			held = append(held, lane)
			continue
		}
		f := r.failure(row, errs[i])
		res.failures = append(res.failures, f)
		if !f.Park {
			held = append(held, lane)
		}
	}
	return held
}

// mark writes a result, also after ctx has ended: a row that is published and not marked is published
// again.
func (r *Relay) mark(ctx context.Context, res *result) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.drain)
	defer cancel()
	if len(res.done) > 0 {
		r.note(nil)
		if err := r.source.Done(ctx, res.done...); err != nil {
			return fmt.Errorf("published and not marked: %w", err)
		}
	}
	if len(res.failures) > 0 {
		if err := r.source.Fail(ctx, res.failures...); err != nil {
			return err
		}
	}
	*res = result{}
	return nil
}

// failure decides what becomes of a row that was not published.
func (r *Relay) failure(row *Row, err error) Failure {
	f := Failure{Seq: row.Seq, Reason: err.Error(), Park: row.Err != nil || ForGood(err)}
	what := "outbox: an event is parked"
	if !f.Park {
		what = "outbox: an event is tried again"
		f.Again = growing(r.first, r.longest, row.Attempts)
	}
	r.note(err)
	r.log.Warn(what, "relay", r.name, "seq", row.Seq, "id", row.Event.ID, "topic", row.Event.Topic,
		"key", row.Event.Key, "attempts", row.Attempts+1, "again", f.Again, "err", err)
	return f
}

// attempt publishes rows and returns an error, or nil, for each; cut says that the end of ctx may be
// the reason. A PublishError tells the reason of its first event only: where that is refused for
// good, the others are tried one by one.
func (r *Relay) attempt(ctx context.Context, rows []*Row) (errs []error, cut bool) {
	lasting, end := r.outlast(ctx)
	defer end()
	errs = make([]error, len(rows))
	events := make([]tidings.Event, 0, len(rows))
	at := make([]int, 0, len(rows)) // where each of events is in rows
	for i := range rows {
		if errs[i] = rows[i].Err; errs[i] == nil {
			events = append(events, rows[i].Event)
			at = append(at, i)
		}
	}
	if len(events) == 0 {
		return errs, false
	}
	failed, err := outcome(r.to.Publish(lasting, events...), len(events))
	alone := len(failed) > 1 && ForGood(err)
	for _, n := range failed {
		errs[at[n]] = err
		if alone {
			_, errs[at[n]] = outcome(r.to.Publish(lasting, events[n]), 1)
		}
	}
	return errs, lasting.Err() != nil && ctx.Err() != nil
}

// outcome is which of n events were not published, and why the first was not. Where an answer makes
// no sense, such as one that is of other events, none was.
func outcome(err error, n int) (failed []int, reason error) {
	if err == nil {
		return nil, nil
	}
	if some, ok := errors.AsType[*tidings.PublishError](err); ok && names(some, n) {
		return some.Failed, cmp.Or(some.Err, err)
	}
	for i := range n {
		failed = append(failed, i)
	}
	return failed, err
}

// names says whether an error names some of n events.
func names(e *tidings.PublishError, n int) bool {
	strange := func(i int) bool { return i < 0 || i >= n }
	return len(e.Failed) > 0 && !slices.ContainsFunc(e.Failed, strange)
}

// ForGood says whether trying to publish again will not mend an error.
func ForGood(err error) bool {
	return errors.Is(err, tidings.ErrTooLarge) || errors.Is(err, tidings.ErrUnroutable) ||
		errors.Is(err, tidings.ErrUnsupported) || tidings.IsPermanent(err)
}

// outlast is a context for one publish: it ends after the relay's timeout, and where ctx ends before
// that, not at once, so that what is being published can be marked.
func (r *Relay) outlast(ctx context.Context) (context.Context, context.CancelFunc) {
	lasting, end := context.WithCancel(context.WithoutCancel(ctx))
	limit := time.AfterFunc(r.timeout, end)
	unwatch := context.AfterFunc(ctx, func() { limit.Reset(min(r.drain, r.timeout)) })
	return lasting, func() {
		unwatch()
		limit.Stop()
		end()
	}
}
