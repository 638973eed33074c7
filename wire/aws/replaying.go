package aws

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// replaying is a replay at work. What it delivers and where it is change in one Tx: so each message is
// delivered once, also over a crash. Where it cannot go on it waits and tries again.
type replaying struct {
	t  *Topics
	p  *topic
	id string // of the subscription, which may change meanwhile
	r  *replay

	f    *broker.Follower
	held []broker.Followed // taken from f, and not committed yet
	room [replayBatch]broker.Followed
	end  bool   // a message is behind the end of the policy
	live uint64 // the number of the first notice that is not to be delivered: it was, when it was published
}

const (
	replayBatch = 64 // messages delivered in one Tx, at most
	replayRetry = time.Second
)

// startReplay goes on with the replay of a subscription, if that is not over. Called in a turn.
func (t *Topics) startReplay(s *subscription) {
	r := s.replay
	if r == nil || r.over() {
		return
	}
	life, stop := context.WithCancel(t.life)
	r.stop, r.ended = stop, make(chan struct{})
	w := &replaying{t: t, p: s.topic, id: s.id, r: r, live: noneLive}
	t.replaying.Add(1)
	t.work.Go(func() {
		defer close(r.ended)
		defer t.replaying.Add(-1)
		defer stop()
		w.run(life)
	})
}

// errNoArchive says that there is nothing to replay any more.
var errNoArchive = errors.New("aws: the topic has no archive")

// run delivers until the replay is over, or its life.
func (w *replaying) run(life context.Context) {
	said := "" // of what keeps it waiting
	for over := false; !over && life.Err() == nil; {
		var err error
		if over, err = w.step(life); errors.Is(err, errNoArchive) {
			over, err = true, w.fail(life, err)
		}
		if err == nil {
			said = ""
			continue
		}
		if said != err.Error() && life.Err() == nil {
			said = err.Error()
			w.t.config.Logger.Warn("a replay waits", "topic", w.p.name(), "subscription", w.id, "error", err)
		}
		over = false
		_ = pause(life, replayRetry) // the loop sees what it returns
	}
	if w.f != nil {
		w.f.Close()
	}
}

// step delivers some messages, or ends the replay when there are no more.
func (w *replaying) step(life context.Context) (over bool, err error) {
	if w.f == nil {
		if err := w.follow(life); err != nil {
			return false, err
		}
	}
	more, err := w.some(life)
	if err != nil || more {
		return false, err
	}
	return w.finish(life)
}

// follow begins where the replay is.
func (w *replaying) follow(life context.Context) (err error) {
	a := w.t.archiveOf(w.p)
	if a == nil {
		return errNoArchive
	}
	from := broker.FromTime(w.r.policy.from)
	if next := w.r.now().Next; next >= 0 {
		from = broker.FromOffset(broker.Offset(next))
	}
	w.f, err = a.Follow(life, broker.FollowOptions{From: from, Wake: make(chan struct{}, 1)})
	return w.archived(err)
}

// archived makes an error of one about an archive.
func (w *replaying) archived(err error) error {
	if broker.KindOf(err) == broker.NotFound {
		return fmt.Errorf("%w: %w", errNoArchive, err)
	}
	return err
}

// some delivers what is held, or the next messages that are on disk; more is false where there are none.
func (w *replaying) some(life context.Context) (more bool, err error) {
	if w.end {
		return false, nil
	}
	if len(w.held) == 0 {
		w.held, err = w.f.Take(w.room[:0], replayBatch)
		switch kind := broker.KindOf(err); {
		case err == nil:
		case kind == broker.Corrupt: // it was passed over
			w.t.config.Logger.Error("a replay leaves messages out", "topic", w.p.name(), "error", err)
			return true, nil
		default:
			return false, w.archived(err)
		}
	}
	if len(w.held) == 0 {
		return false, nil
	}
	n, err := w.deliver(life, len(w.held))
	w.held = w.held[n:]
	return true, err
}

// deliver delivers the first n messages that are held, or fewer where those are too much for one Tx, and
// says how many.
func (w *replaying) deliver(life context.Context, n int) (int, error) {
	s := w.p.find(w.id)
	if s == nil {
		return 0, noSubscription() // who has ended it stops this too
	}
	for ; ; n /= 2 {
		state := replayFact{Status: replayRuns}
		tx := w.t.b.Begin()
		for i := range w.held[:n] {
			rec := &w.held[i].Record
			state.Next = int64(rec.Offset) + 1
			if w.again(tx, s, rec); w.end {
				state.Next--
				break
			}
		}
		s.saveReplay(tx, &state)
		_, err := tx.Commit(life)
		switch {
		case err == nil:
			w.r.state.Store(&state)
			return n, nil
		case n > 1 && (errors.Is(err, broker.TooLarge) || errors.Is(err, broker.Full)):
			w.end = false // what fits goes first
		default:
			w.end = false
			return 0, err
		}
	}
}

// again adds a message to a Tx, if the subscription gets it.
func (w *replaying) again(tx *broker.Tx, s *subscription, rec *broker.Record) {
	n, err := w.t.readArchived(rec)
	if err != nil {
		w.t.config.Logger.Error("a replay leaves a message out", "topic", w.p.name(), "offset", rec.Offset,
			"error", err)
		return
	}
	sent := time.UnixMilli(n.sent)
	if w.r.policy.ends() && sent.After(w.r.policy.to) {
		w.end = true
		return
	}
	if sent.Before(w.r.policy.from) || n.sequence >= w.live {
		return
	}
	f := fanout{t: w.t, topic: w.p, notice: &n, rec: &broker.QueueRecord{}, replayed: true}
	if made, ok := f.render(s); ok { // a FIFO queue that has had it takes it again
		tx.PublishRelayed(made)
	}
}

// finish ends the replay between two publishes, when all that was published before is delivered: the next
// one goes to the subscription itself, unless the policy has an end.
func (w *replaying) finish(life context.Context) (over bool, err error) {
	confirm, state, err := w.catchUp(life)
	if err != nil {
		return false, err
	}
	if err := confirm.Wait(life); err != nil {
		return false, err
	}
	w.r.state.Store(&state)
	return true, nil
}

// catchUp delivers all that was published before, and has the subscription get what is published next.
func (w *replaying) catchUp(life context.Context) (confirm broker.Confirm, state replayFact, err error) {
	done, err := w.p.inOrder(life)
	if err != nil {
		return confirm, state, err
	}
	defer done()
	if !w.r.policy.ends() {
		w.live = w.p.goLive(w.r)
	}
	if err = w.rest(life); err == nil {
		confirm, state, err = w.note(life)
	}
	if err != nil {
		w.live = noneLive
		w.r.live.Store(noneLive)
	}
	return confirm, state, err
}

// rest delivers what the archive has when all is on disk that was held back.
func (w *replaying) rest(life context.Context) error {
	if err := w.t.b.AwaitRelays(life); err != nil { // AMQP publishes without a turn
		return err
	}
	if w.t.archiveOf(w.p) == nil {
		return errNoArchive
	}
	if err := w.save(life, w.r.now()); err != nil { // with it all is on disk that was committed before
		return err
	}
	_, end := w.f.Topic().Partition(0).Bounds()
	for more := true; more && w.r.now().Next < int64(end); {
		var err error
		if more, err = w.some(life); err != nil {
			return err
		}
	}
	return nil
}

// note commits that the replay is completed, which is to be shown when that is on disk.
func (w *replaying) note(life context.Context) (broker.Confirm, replayFact, error) {
	state := *w.r.now()
	state.Status, state.Live = replayCompleted, !w.r.policy.ends()
	tx := w.t.b.Begin()
	w.subscription().saveReplay(tx, &state)
	confirm, err := tx.Commit(life)
	return confirm, state, err
}

// subscription is enough of one for where the state of its replay is kept.
func (w *replaying) subscription() *subscription { return &subscription{topic: w.p, id: w.id} }

// save has a state on disk.
func (w *replaying) save(life context.Context, state *replayFact) error {
	tx := w.t.b.Begin()
	w.subscription().saveReplay(tx, state)
	return commit(life, tx)
}

// fail ends a replay that has nothing to read any more: what is published goes to the subscription.
func (w *replaying) fail(life context.Context, why error) error {
	w.t.config.Logger.Warn("a replay has failed", "topic", w.p.name(), "subscription", w.id, "error", why)
	state := replayFact{Status: replayFailed, Next: w.r.now().Next, Live: true}
	err := w.save(life, &state)
	if err == nil {
		w.r.live.Store(allLive)
		w.r.state.Store(&state)
	}
	return err
}
