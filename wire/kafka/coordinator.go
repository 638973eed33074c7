package kafka

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/tidings-io/tidings/broker"
)

// coordinator keeps the groups of a listener's namespace: in memory as they are, and in the
// engine as they have to be found after a crash.
//
// It runs three goroutines, whatever the number of groups: one rings alarms, one saves groups,
// one forgets offsets that nobody will ask for any more. Order of locks: coordinator, group,
// alarms or saver.
type coordinator struct {
	broker *broker.Broker
	config *Config
	alarms *alarms
	saver  *saver
	ctx    context.Context // ends with close
	cancel context.CancelFunc
	loop   sync.WaitGroup

	bytes   atomic.Int64 // what all groups count for
	readers readers

	mu     sync.Mutex
	groups map[string]*group
	closed bool
}

// newCoordinator loads the groups that the engine has.
func newCoordinator(b *broker.Broker, config *Config) (*coordinator, error) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &coordinator{
		broker: b, config: config, alarms: newAlarms(), saver: newSaver(),
		ctx: ctx, cancel: cancel, groups: make(map[string]*group),
		readers: readers{groups: make(map[readerAt]map[*group]int)},
	}
	for _, stored := range b.Groups(config.Namespace) {
		if _, err := c.load(stored); err != nil {
			return nil, fmt.Errorf("kafka: %w", err)
		}
	}
	return c, nil
}

// load makes a group of the engine known, unless it is. The coordinator is locked or new.
func (c *coordinator) load(stored *broker.Group) (*group, error) {
	name := stored.Name().Name
	if g := c.groups[name]; g != nil {
		return g, nil
	}
	g := newGroup(c, name)
	if err := g.restore(stored.State()); err != nil {
		return nil, err
	}
	c.groups[name] = g
	return g, nil
}

// known returns a group, nil if there is none. One that a program has made in the engine, by
// saving cursors for it, becomes known when somebody asks. The coordinator is locked.
func (c *coordinator) known(name string) *group {
	if g := c.groups[name]; g != nil {
		return g
	}
	stored, err := c.broker.Group(c.config.Namespace, name)
	if err != nil {
		return nil
	}
	return c.loadLate(stored)
}

// loadLate is load for a group that is not of this coordinator's making. A state that cannot be
// read belongs to somebody else's protocol.
func (c *coordinator) loadLate(stored *broker.Group) *group {
	g, err := c.load(stored)
	if err != nil {
		c.config.Logger.Warn("kafka group not read", "error", err)
	}
	return g
}

func (c *coordinator) start() {
	c.alarms.start()
	c.saver.start()
	c.loop.Go(c.forgetLoop)
}

// close answers everybody who waits and ends the goroutines. Groups stay as they were saved.
func (c *coordinator) close() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.loop.Wait()
	c.alarms.close()
	c.saver.close()
	for _, g := range c.all() {
		g.dismiss()
	}
}

// dismiss answers who is waiting for the group, since nothing will happen to it any more.
func (g *group) dismiss() {
	g.lock()
	defer g.unlock()
	g.gone = true
	for _, m := range g.members {
		g.answerJoin(m, errCoordinatorNotAvailable)
		g.answerSync(m, errCoordinatorNotAvailable)
	}
	refuse(g.saving.takeWaiting(), errCoordinatorNotAvailable)
	g.saving.changed = false
}

// all returns the groups by name.
func (c *coordinator) all() []*group {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, stored := range c.broker.Groups(c.config.Namespace) {
		c.loadLate(stored)
	}
	all := make([]*group, 0, len(c.groups))
	for _, g := range c.groups {
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b *group) int { return cmp.Compare(a.name, b.name) })
	return all
}

// checkName says whether a group can have this name.
func checkName(name string) code {
	if name == "" || len(name) > maxGroupName || !utf8.ValidString(name) {
		return errInvalidGroupID
	}
	return errNone
}

// maxGroupName is the longest name of a group that the engine takes, in bytes.
const maxGroupName = 255

// find returns a group, locked, or nil if there is none.
func (c *coordinator) find(name string) (*group, code) {
	c.mu.Lock()
	g, closed := c.known(name), c.closed
	c.mu.Unlock()
	if closed {
		return nil, errCoordinatorNotAvailable
	}
	switch {
	case g == nil:
		return nil, errNone
	case g.lockIfHere():
		return g, errNone
	case c.ctx.Err() != nil: // close, which begins with that, has dismissed it
		return nil, errCoordinatorNotAvailable
	default:
		return nil, errNone
	}
}

// lockIfHere locks the group, unless it is gone.
func (g *group) lockIfHere() bool {
	g.lock()
	if g.gone {
		g.unlock()
		return false
	}
	return true
}

// here says whether the group is not gone.
func (g *group) here() bool {
	g.lock()
	defer g.unlock()
	return !g.gone
}

// claim takes the turn and the lock of a group, so that what is judged now is written before
// anybody else writes. It is errGone if the group was deleted meanwhile: whatever has its name
// now is another one, of which this one knows nothing.
func (g *group) claim(ctx context.Context) error {
	if !g.takeTurn(ctx) {
		return ctx.Err()
	}
	if !g.lockIfHere() {
		g.giveTurn()
		return errGone
	}
	return nil
}

// findOrAdd returns a group, locked. It makes it if there is none.
func (c *coordinator) findOrAdd(name string) (*group, code) {
	var former *group
	for {
		g, bad := c.lookUp(name, former)
		if bad != errNone {
			return nil, bad
		}
		if g.lockIfHere() {
			return g, errNone
		}
		former = g
	}
}

// lookUp returns a group, or makes one if there is none but former, which is gone. The new
// one takes over the turn, so that it does not save anything before former has been deleted.
func (c *coordinator) lookUp(name string, former *group) (*group, code) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch g := c.known(name); {
	case c.closed:
		return nil, errCoordinatorNotAvailable
	case g != nil && (g != former || g.here()):
		return g, errNone
	case g == nil && len(c.groups) >= c.broker.Limits().Groups:
		return nil, errPolicyViolation
	}
	g := newGroup(c, name)
	if former != nil {
		g.turn = former.turn
	}
	c.groups[name] = g
	return g, errNone
}

// drop takes a group that is gone out of the list.
func (c *coordinator) drop(g *group) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.groups[g.name] == g {
		delete(c.groups, g.name)
	}
}

// takeBack makes a group that was gone be here again, unless another has its name already.
func (c *coordinator) takeBack(g *group) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.groups[g.name] == g {
		g.lock()
		g.gone = false
		g.unlock()
	}
}

// forgetInterval is how often offsets are looked through for those that have expired.
const forgetInterval = 10 * time.Minute

// forgetLoop removes expired offsets until close.
func (c *coordinator) forgetLoop() {
	tick := time.NewTicker(forgetInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.forget(time.Now())
		case <-c.ctx.Done():
			return
		}
	}
}
