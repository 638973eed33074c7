package projection

import (
	"context"
	"strings"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/eventstore"
)

// runner is one run. An event whose handler has failed is a suspect: what comes before it is
// committed first, so that it is tried, and in the end skipped, alone.
type runner[Tx any] struct {
	p        *Projection[Tx]
	store    eventstore.Store
	keep     Checkpoints[Tx]
	tail     tail
	o        Options
	position int64 // of the checkpoint, as far as is known; -1: nothing is
	suspect  int64 // position; 0: there is none
	tries    int   // of the suspect alone
	troubles int   // errors of the stores, one after the other
}

func (r *runner[Tx]) activateFirst(ctx context.Context) error {
	version, err := r.keep.Active(ctx, r.p.id.Name)
	if err != nil || version != 0 {
		return err
	}
	return r.keep.Activate(ctx, r.p.id)
}

// advance handles one batch. caught says that it has reached the end. An error is poison.
func (r *runner[Tx]) advance(ctx context.Context) (caught bool, err error) {
	var batch []eventstore.Recorded
	read := func(ctx context.Context) (err error) {
		batch, caught, err = r.read(ctx)
		return err
	}
	if !r.insist(ctx, read) {
		return false, nil
	}
	if len(batch) == 0 {
		return caught, nil
	}
	failed, err := r.step(ctx, batch)
	switch {
	case err == nil: // the checkpoint may have been set back meanwhile
		r.troubles = 0
		return caught && r.position >= batch[len(batch)-1].Position, nil
	case ctx.Err() != nil:
		return false, nil
	case failed == nil:
		r.trouble(ctx, err)
		return false, nil
	case len(batch) > 1:
		r.suspect, r.tries = failed.Position, 0
		return false, nil
	}
	return false, r.failed(ctx, failed, err)
}

// read is the next batch: what comes before the suspect, or the suspect alone. ended says that
// there was no more when it began.
func (r *runner[Tx]) read(ctx context.Context) (
	batch []eventstore.Recorded, ended bool, err error) {
	if r.position < 0 {
		c, err := r.keep.Load(ctx, r.p.id)
		if err != nil {
			return nil, false, err
		}
		r.position = c.Position
	}
	for e, err := range r.store.All(ctx, r.position+1) {
		if err != nil {
			return nil, false, err
		}
		if len(batch) == r.o.Batch || len(batch) > 0 && e.Position == r.suspect {
			return batch, false, nil
		}
		if batch = append(batch, e); e.Position == r.suspect {
			return batch, false, nil
		}
	}
	return batch, true, nil
}

// step handles a batch in one transaction. failed is the event whose handler returned the error;
// nil: it is one of the stores.
func (r *runner[Tx]) step(ctx context.Context, batch []eventstore.Recorded) (
	failed *eventstore.Recorded, err error) {
	err = r.commit(ctx, batch, func(ctx context.Context, tx Tx, e *eventstore.Recorded) error {
		failed = nil
		err := r.p.handle(ctx, tx, *e)
		if err != nil {
			failed = e
		}
		return err
	})
	return failed, err
}

// commit calls do for the events of a batch that are not handled yet, and saves the position, in
// one transaction.
func (r *runner[Tx]) commit(ctx context.Context, batch []eventstore.Recorded,
	do func(ctx context.Context, tx Tx, e *eventstore.Recorded) error) error {
	var reached int64
	err := r.keep.Step(ctx, r.p.id, func(ctx context.Context, tx Tx, from int64) (int64, error) {
		reached = from
		if from < r.position {
			return from, nil // somebody has set it back: the batch does not follow on it
		}
		for i := range batch {
			if batch[i].Position <= from {
				continue // another run has handled it
			}
			if err := do(ctx, tx, &batch[i]); err != nil {
				return from, err
			}
			reached = batch[i].Position
		}
		return reached, nil
	})
	if err == nil {
		r.position = reached
	}
	return err
}

// failed deals with a handler that has failed with an event alone: it waits for the next try, or
// the event is poison.
func (r *runner[Tx]) failed(ctx context.Context, e *eventstore.Recorded, cause error) error {
	if r.suspect != e.Position {
		r.suspect, r.tries = e.Position, 0
	}
	r.tries++
	log := r.o.Logger.With("projection", r.p.id.String(), "position", e.Position,
		"stream", e.Stream, "type", e.Type, "try", r.tries, "error", cause)
	if !tidings.IsPermanent(cause) && r.tries <= r.o.Retries {
		log.WarnContext(ctx, "projection handler failed, it is tried again")
		r.sleep(ctx, r.tries)
		return nil
	}
	if r.o.Poison == Stop {
		return &PoisonError{r.p.id, *e, cause}
	}
	log.ErrorContext(ctx, "projection skips an event")
	r.skip(ctx, *e, cause)
	return nil
}

// skip passes an event over. Where that fails it is tried again, and fails again, first.
func (r *runner[Tx]) skip(ctx context.Context, e eventstore.Recorded, cause error) {
	s := Skipped{Position: e.Position, Stream: e.Stream, Event: e.ID, Reason: cut(cause.Error()),
		At: time.Now().UTC()}
	err := r.commit(ctx, []eventstore.Recorded{e},
		func(ctx context.Context, tx Tx, _ *eventstore.Recorded) error {
			return r.keep.Skip(ctx, tx, r.p.id, s)
		})
	if err != nil && ctx.Err() == nil {
		r.trouble(ctx, err)
	}
}

// cut keeps what a database takes: MaxReason bytes of UTF-8 without NUL.
func cut(reason string) string {
	reason = strings.ReplaceAll(strings.ToValidUTF8(reason, "?"), "\x00", "?")
	if len(reason) > MaxReason {
		reason = strings.ToValidUTF8(reason[:MaxReason], "")
	}
	return reason
}

// insist calls do until it succeeds. It is false when ctx has ended first.
func (r *runner[Tx]) insist(ctx context.Context, do func(ctx context.Context) error) bool {
	for {
		err := do(ctx)
		switch {
		case ctx.Err() != nil:
			return false
		case err == nil:
			return true
		}
		r.trouble(ctx, err)
	}
}

// trouble tells an error of the stores, and waits.
func (r *runner[Tx]) trouble(ctx context.Context, err error) {
	r.troubles++
	r.o.Logger.WarnContext(ctx, "projection waits for its stores", "projection", r.p.id.String(),
		"position", r.position, "error", err)
	r.sleep(ctx, r.troubles)
}

// sleep waits before try number n.
func (r *runner[Tx]) sleep(ctx context.Context, n int) {
	wait := r.o.Backoff
	for ; n > 1 && wait < MaxBackoff; n-- {
		wait *= 2
	}
	t := time.NewTimer(min(wait, MaxBackoff))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
