package embedded

import (
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
)

// Enlist adds publishes to somebody's transaction: they happen with all else in it, or not at all,
// when that is committed, and are on disk with its Confirm. Nothing is added where one of the
// events cannot be published: the error is a *PublishError. A topic or address that is missing is
// made at once, whatever becomes of the transaction, and waited for: Declare before, so that it
// need not be. Payloads must stay untouched until the commit.
func (t *Transport) Enlist(tx *broker.Tx, events ...tidings.Event) error {
	return t.enlist(tx, time.Time{}, events)
}

// EnlistAt is Enlist of what is to be published at a time, as by PublishAt.
func (t *Transport) EnlistAt(tx *broker.Tx, at time.Time, events ...tidings.Event) error {
	if !at.After(time.Now()) {
		at = time.Time{}
	}
	return t.enlist(tx, at, events)
}

func (t *Transport) enlist(tx *broker.Tx, at time.Time, events []tidings.Event) error {
	if t.life.Err() != nil {
		return tidings.ErrClosed
	}
	d := &draft{t: t} // its memory is the Tx's until the commit
	d.addAll(t.life, at, events)
	for i := range d.batches {
		if b := &d.batches[i]; len(b.events) == 1 && b.size > b.limit {
			if _, err := d.encode(b); err != nil {
				return err
			}
		}
	}
	if d.err != nil {
		return d.outcome(nil, len(events))
	}
	_, err := d.enlist(tx)
	return failure(err)
}
