package amqp

import (
	"slices"

	"github.com/tidings-io/tidings/broker"
)

// txn is what a channel in tx mode has gathered since its last commit. It becomes one Tx of the
// broker: all of it happens, or nothing.
type txn struct {
	publishes []published
	settles   []settled
	bytes     int
}

func (ch *channel) selectTx() error {
	if ch.confirming {
		return errorf(replyPreconditionFailed, "cannot switch from confirm to tx mode")
	}
	if ch.txn == nil {
		ch.txn = &txn{}
		ch.shown.transactional.Store(true)
	}
	return ch.answer(&txSelectOk{})
}

var errNoTx = errorf(replyPreconditionFailed, "channel is not transactional")

// publish keeps a copy: the read buffer will have been used again.
func (t *txn) publish(p published, limit int) error {
	if t.bytes += len(p.rec.Props) + len(p.rec.Body); t.bytes > limit {
		return errorf(replyResourceError, "a transaction has more than %d bytes", limit)
	}
	p.rec.Props, p.rec.Body = slices.Clone(p.rec.Props), slices.Clone(p.rec.Body)
	t.publishes = append(t.publishes, p)
	return nil
}

func (t *txn) settle(done []unacked, o broker.Outcome) {
	for _, u := range done {
		t.settles = append(t.settles, settled{unacked: u, outcome: o})
	}
}

// unsettled is the deliveries that were settled, as if they were not.
func (t *txn) unsettled() (all []unacked) {
	for i := range t.settles {
		all = append(all, t.settles[i].unacked)
	}
	return all
}

// commitTx does everything at once, and answers when it is on disk.
func (ch *channel) commitTx() error {
	if ch.txn == nil {
		return errNoTx
	}
	w := work{c: ch.c, publishes: ch.txn.publishes, settles: ch.txn.settles}
	w.n = len(w.publishes) + len(w.settles)
	ch.txn = &txn{}
	if w.n > 0 {
		for i := range w.settles {
			w.settles[i].ch = ch
		}
		w.durably = true
		if err := w.commit(); err != nil {
			return err
		}
	}
	return ch.answer(&txCommitOk{})
}

// rollbackTx forgets the publishes; what was settled is unsettled again.
func (ch *channel) rollbackTx() error {
	if ch.txn == nil {
		return errNoTx
	}
	for _, u := range ch.txn.unsettled() {
		ch.c.dueBy(u.until)
	}
	ch.mu.Lock()
	ch.unacked = append(ch.unacked, ch.txn.unsettled()...)
	slices.SortFunc(ch.unacked, func(a, b unacked) int { return int(int64(a.tag) - int64(b.tag)) })
	ch.mu.Unlock()
	ch.txn = &txn{}
	return ch.answer(&txRollbackOk{})
}
