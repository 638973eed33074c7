package broker

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/tidings-io/tidings/storage"
)

// commit is one Tx.Commit at work. It takes all locks it needs in the order that
// doc.go gives, checks everything, submits one storage batch, and only then
// changes what is in memory: a Tx that is refused has left no trace, and nothing
// ever has to be taken back.
type commit struct {
	tx   *Tx
	b    *Broker
	work *work

	writes bool // the catalog is locked for writing: groups appear or disappear
	edits  []*groupEdit
	logs   []logLock
	heads  map[streamAt]*streamHead // streams as this commit leaves them
	news   *queueNews
	now    int64 // ms; where something is published once
}

// logLock is the lock of a partition or event store.
type logLock struct {
	id storage.LogID
	mu *sync.Mutex
}

func (c *commit) run() (Confirm, error) {
	if err := c.lock(); err != nil {
		return Confirm{}, err
	}
	defer c.unlock()
	if seq, err := c.stage(); err != nil {
		return Confirm{c.b.store, seq}, err
	}
	confirm := Confirm{}
	if !c.work.batch.Empty() {
		seq, err := c.b.store.Submit(&c.work.batch)
		if err != nil {
			return Confirm{}, storeError("commit", "", err)
		}
		confirm = Confirm{c.b.store, max(seq, c.clear())}
	}
	return c.apply(confirm), nil
}

// lock takes every lock in order. Which groups exist is only known under the
// catalog's lock, and whether that must be held for writing depends on it.
func (c *commit) lock() error {
	if len(c.tx.changes) > 0 {
		c.b.cat.mu.RLock()
		if err := c.planGroups(); err != nil {
			c.b.cat.mu.RUnlock()
			return err
		}
		if c.changesCatalog() {
			c.b.cat.mu.RUnlock()
			c.b.cat.mu.Lock()
			c.writes = true
			if err := c.planGroups(); err != nil {
				c.b.cat.mu.Unlock()
				return err
			}
		}
	}
	c.gatherLogs()
	for _, l := range c.logs {
		l.mu.Lock()
	}
	for _, e := range c.edits {
		if e.group != nil {
			e.group.mu.Lock()
		}
	}
	if len(c.tx.facts) > 0 {
		c.b.facts.mu.Lock()
	}
	return nil
}

func (c *commit) unlock() {
	if len(c.tx.facts) > 0 {
		c.b.facts.mu.Unlock()
	}
	for _, e := range c.edits {
		if e.group != nil {
			e.group.mu.Unlock()
		}
	}
	for _, l := range c.logs {
		l.mu.Unlock()
	}
	switch {
	case c.writes:
		c.b.cat.mu.Unlock()
	case len(c.tx.changes) > 0:
		c.b.cat.mu.RUnlock()
	}
}

// gatherLogs lists the logs that are appended to, once each, by id, and brings
// the appends into the same order: those to one partition stand together, as they
// were called.
func (c *commit) gatherLogs() {
	slices.SortStableFunc(c.tx.appends, func(a, b staged) int {
		return cmp.Compare(a.p.log.ID(), b.p.log.ID())
	})
	for i := range c.tx.appends {
		p := c.tx.appends[i].p
		c.logs = append(c.logs, logLock{p.log.ID(), &p.mu})
	}
	for i := range c.tx.streams {
		s := c.tx.streams[i].s
		c.logs = append(c.logs, logLock{s.log.ID(), &s.mu})
	}
	c.queueLocks()
	slices.SortFunc(c.logs, func(a, b logLock) int { return cmp.Compare(a.id, b.id) })
	c.logs = slices.Compact(c.logs)
}

// stage checks everything and fills the storage batch. The number it returns
// beside an error is of the last frame that the refusal was judged by.
func (c *commit) stage() (storage.Seq, error) {
	if err := c.checkOnce(); err != nil {
		return 0, err
	}
	c.dropGone()
	c.dropPurged()
	first := 0
	if c.tx.moves {
		if err := c.checkMoves(); err != nil {
			return 0, err
		}
	}
	for i := range c.tx.appends {
		a := &c.tx.appends[i]
		if a.p != c.tx.appends[first].p {
			first = i
		}
		if err := a.p.stageLocked(c.work, a, c.tx.appends[first:i]); err != nil {
			return 0, a.p.refused(err)
		}
	}
	for i := range c.tx.streams {
		if err := c.stageStream(&c.tx.streams[i]); err != nil {
			return c.tx.streams[i].s.last, err
		}
	}
	c.stageHeads()
	if err := c.stageFacts(); err != nil {
		return 0, err
	}
	for _, e := range c.edits {
		e.stage(&c.work.batch)
	}
	c.stageQueues()
	return 0, nil
}

// apply makes the accepted changes part of the state, sets the results and
// returns the confirm of the whole.
func (c *commit) apply(confirm Confirm) Confirm {
	all := confirm
	for i := range c.tx.appends {
		a := &c.tx.appends[i]
		own := confirm
		if a.dup {
			if a.seq != unsubmitted { // the original is not of this very Tx
				own = Confirm{c.b.store, a.seq}
			}
			a.p.tellLocked(a, own.seq)
		} else {
			a.p.applyLocked(c.work, a, confirm.seq)
		}
		if a.result >= 0 {
			c.tx.results[a.result] = a.outcome(own.seq)
		}
		all = all.later(own)
	}
	for i := range c.tx.streams {
		c.applyStream(&c.tx.streams[i], confirm)
	}
	for _, e := range c.edits {
		e.apply(c.b, confirm.seq)
	}
	c.applyFacts()
	return all.later(c.applyQueues(confirm))
}

// settleConflict waits until what an append conflicted with is durable: a caller
// must not be told of a version that a power cut could still take back.
func settleConflict(ctx context.Context, conflict error, seen Confirm) error {
	if err := seen.Wait(ctx); err != nil {
		return err
	}
	return conflict
}
