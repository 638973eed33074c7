package aws

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// replayPolicy says which messages of an archive a subscription gets again, by their time.
type replayPolicy struct {
	from, to time.Time // to is zero: all, and after them what is published
}

// parseReplay reads a ReplayPolicy; nil: it asks for nothing.
func parseReplay(text string) (*replayPolicy, error) {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return nil, reason("ReplayPolicy: Unable to parse JSON")
	}
	if len(doc) == 0 {
		return nil, nil
	}
	if doc["PointType"] == nil || doc["StartingPoint"] == nil {
		return nil, reason("ReplayPolicy: JSON is missing required fields")
	}
	if string(doc["PointType"]) != `"Timestamp"` {
		return nil, reason("ReplayPolicy: Invalid PointType")
	}
	var p replayPolicy
	if json.Unmarshal(doc["StartingPoint"], &p.from) != nil || p.from.IsZero() {
		return nil, reason("ReplayPolicy: Invalid StartingPoint value")
	}
	if end := doc["EndingPoint"]; end != nil && (json.Unmarshal(end, &p.to) != nil || p.to.Before(p.from)) {
		return nil, reason("ReplayPolicy: Invalid EndingPoint value")
	}
	return &p, nil
}

// ends says whether the replay has an end: then nothing comes after it.
func (p *replayPolicy) ends() bool { return !p.to.IsZero() }

// The states of a replay, as ReplayStatus has them.
const (
	attrReplayStatus = "ReplayStatus"

	replayPending   = "Pending"
	replayRuns      = "In progress"
	replayCompleted = "Completed"
	replayFailed    = "Failed"
)

// replay is what a subscription gets out of an archive: in the place of what is published until it has
// caught up with that. One goroutine delivers it, which alone changes its state while it runs.
type replay struct {
	policy *replayPolicy
	state  atomic.Pointer[replayFact]
	// live is the number of the first notice that the subscription gets when it is published. It is
	// set while no notice gets a number, so that a relay which numbers one sees what holds for it.
	live atomic.Uint64

	stop  context.CancelFunc // of the goroutine; nil: there was none
	ended chan struct{}      // closed when it has ended
}

// replayFact is what is kept of a replay, as JSON: it changes in the commit of what is delivered.
type replayFact struct {
	Status string `json:"status"`
	Next   int64  `json:"next"` // offset in the archive; -1: of the first message of the policy
	// Live says that the subscription gets what is published.
	Live bool `json:"live,omitempty"`
}

func (r *replay) over() bool {
	status := r.state.Load().Status
	return status == replayCompleted || status == replayFailed
}

// Which notices go to a subscription when they are published.
const (
	allLive  = 0
	noneLive = math.MaxUint64
)

func makeReplay(policy *replayPolicy, f *replayFact) *replay {
	r := &replay{policy: policy}
	r.state.Store(f)
	if r.live.Store(noneLive); f.Live {
		r.live.Store(allLive)
	}
	return r
}

// held says whether a subscription gets a notice later, out of the archive.
func (s *subscription) held(n *notice) bool {
	return s.replay != nil && n.sequence < s.replay.live.Load()
}

// goLive has a subscription get notices of the topic from the next one on, and returns the number which
// those do not have that it does not get.
func (p *topic) goLive(r *replay) (first uint64) {
	p.numbers.Lock()
	defer p.numbers.Unlock()
	r.live.Store(p.sequence + 1)
	return p.sequence + 1
}

// factReplays is how the keys of facts of replays begin.
const factReplays = "replay/" // id of the topic, /, id of the subscription

func (s *subscription) replayKey() string { return factReplays + s.topic.id + "/" + s.id }

// saveReplay puts the state of a replay into a commit, or that there is none.
func (s *subscription) saveReplay(tx *broker.Tx, f *replayFact) {
	if f == nil {
		tx.DeleteFact(factSpace, s.replayKey())
		return
	}
	tx.PutFact(factSpace, s.replayKey(), []byte(text(f)))
}

// loadReplay finds how far the replay of a subscription has come.
func (t *Topics) loadReplay(s *subscription) error {
	value := s.Attributes[attrReplay]
	if value == "" {
		return nil
	}
	policy, err := parseReplay(value)
	if err != nil {
		return err
	}
	var state replayFact
	kept, ok := t.b.Facts(factSpace).Get(s.replayKey())
	if !ok {
		return errors.New("aws: the state of a replay is missing")
	}
	err = json.Unmarshal(kept, &state)
	s.replay = makeReplay(policy, &state)
	return err
}

// newReplay makes the replay that a subscription asks for, if it does; was is what it had.
func (t *Topics) newReplay(s *subscription, was *replay) error {
	s.replay = nil
	value := s.Attributes[attrReplay]
	if value == "" {
		return nil
	}
	policy, err := parseReplay(value)
	if err != nil {
		return err
	}
	a, now := t.archiveOf(s.topic), t.config.Now()
	switch {
	case !s.topic.fifo():
		return reason("ReplayPolicy: Only FIFO topics have it")
	case a == nil:
		return reason("ReplayPolicy: Topic does not have an ArchivePolicy")
	case policy.from.Before(t.beginning(a)), policy.from.After(now):
		return reason("ReplayPolicy: Invalid StartingPoint value")
	case policy.to.After(now):
		return reason("ReplayPolicy: Invalid EndingPoint value")
	case (was == nil || was.over()) && t.replaying.Load() >= int64(t.config.Replays):
		return errorf(snsReplayLimit, "The limit of %d replays under way is reached", t.config.Replays)
	}
	s.replay = makeReplay(policy, &replayFact{Status: replayPending, Next: -1})
	return nil
}

// setReplay begins a replay in the place of the one that there is, or ends that.
func (t *Topics) setReplay(c *call, arn, value string) error {
	done, err := t.takeFor(c)
	if err != nil {
		return err
	}
	defer done()
	was, err := t.subscription(arn)
	if err != nil {
		return err
	}
	is := *was
	is.Attributes = maps.Clone(is.Attributes)
	if err = is.setAttribute(attrReplay, value); err == nil {
		err = t.newReplay(&is, was.replay)
	}
	if err != nil {
		return inAttribute(err, "")
	}
	was.replay.halt()
	if err := t.changeReplay(c.ctx, &is); err != nil {
		t.startReplay(was)
		return err
	}
	t.startReplay(&is)
	return nil
}

// changeReplay puts a subscription into the place of what it was, between two publishes.
func (t *Topics) changeReplay(ctx context.Context, is *subscription) error {
	tx := t.b.Begin()
	if err := is.save(tx); err != nil {
		return err
	}
	is.saveReplay(tx, is.replay.now())
	if err := commit(ctx, tx); err != nil {
		return err
	}
	done, err := is.topic.inOrder(ctx)
	if err != nil {
		return err
	}
	defer done()
	is.topic.put(is)
	return nil
}

// now is the state; nil: there is no replay.
func (r *replay) now() *replayFact {
	if r == nil {
		return nil
	}
	return r.state.Load()
}

// halt waits until nothing is delivered any more.
func (r *replay) halt() {
	if r != nil && r.stop != nil {
		r.stop()
		<-r.ended
	}
}

// endReplays ends all replays of a topic whose archive goes: its subscriptions get what is published.
func (t *Topics) endReplays(p *topic) error {
	tx := t.b.Begin()
	ended := map[*subscription]*replayFact{}
	for _, s := range p.subscriptions() {
		if s.replay == nil {
			continue
		}
		s.replay.halt()
		if f := *s.replay.now(); !f.Live {
			if f.Live = true; f.Status != replayCompleted {
				f.Status = replayFailed
			}
			s.saveReplay(tx, &f)
			ended[s] = &f
		}
	}
	if len(ended) == 0 {
		return nil
	}
	if err := commit(t.life, tx); err != nil {
		return err
	}
	for s, f := range ended {
		s.replay.live.Store(allLive)
		s.replay.state.Store(f)
	}
	return nil
}
