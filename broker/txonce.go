package broker

import "iter"

// once is what the publish asks of ledgers; nil: nothing. Dead letters, moves and what was
// due are published in any case: they were once before.
func (p *txPublish) once() *Once {
	if p.x == nil || p.from != nil || p.due {
		return nil
	}
	return p.rec.Once
}

// onceSize is at most what ledgers take of it.
func (p *txPublish) onceSize() (n int) {
	for range p.ledgers() {
		n += onceBytes
	}
	return n
}

// ledgers are those that the publish is for: of queues, and of queues that have it later.
func (p *txPublish) ledgers() iter.Seq[*ledger] {
	if p.once() == nil {
		return noLedgers
	}
	return func(yield func(*ledger) bool) {
		for _, q := range p.to {
			if q.ledger != nil && !yield(q.ledger) {
				return
			}
		}
		if p.hold == nil {
			return
		}
		for i := range p.hold.by {
			if g := p.hold.by[i].ledger(); g != nil && !yield(g) {
				return
			}
		}
	}
}

func noLedgers(func(*ledger) bool) {}

// ledger is that of the queue whose schedule takes the record.
func (h *txHeld) ledger() *ledger {
	if h.x.only == nil {
		return nil
	}
	return h.x.only.ledger
}

// loadLedgers reads those that a restart left. Called without a lock.
func (t *Tx) loadLedgers() error {
	for i := range t.publishes {
		for g := range t.publishes[i].ledgers() {
			if err := g.load(); err != nil {
				return storeError("read ledger", t.publishes[i].x.name.String(), err)
			}
		}
	}
	return nil
}

// ledgerLocks adds the locks of all ledgers that the Tx touches.
func (c *commit) ledgerLocks() {
	for i := range c.tx.publishes {
		for g := range c.tx.publishes[i].ledgers() {
			c.logs = append(c.logs, logLock{g.log.ID(), &g.mu})
		}
	}
}

// checkOnce refuses what a ledger has no room for.
func (c *commit) checkOnce() error {
	var coming map[*ledger]int
	for i := range c.tx.publishes {
		p := &c.tx.publishes[i]
		for g := range p.ledgers() {
			if coming == nil {
				coming, c.now = map[*ledger]int{}, c.b.nowMillis()
			}
			if coming[g] == 0 {
				g.ageLocked(c.now)
			}
			if g.findLocked(p.rec.Once.Key, c.now) != nil {
				continue
			}
			if coming[g]++; len(g.kept)+coming[g] > g.most {
				return fail(Full, "publish once", p.x.name.String(),
					"%d records were within %v, the limit is %d", len(g.kept), g.time, g.most)
			}
		}
	}
	return nil
}

// stagedBefore says that the publish is a duplicate, and tells of which.
func (c *commit) stagedBefore(p *txPublish, g *ledger, r *Routed) bool {
	o := p.once()
	if o == nil || g == nil {
		return false
	}
	e := g.findLocked(o.Key, c.now)
	if e == nil {
		return false
	}
	r.Original, r.Offset = e.original(), e.off
	r.Confirm = r.Confirm.later(g.confirmLocked(c.b.store))
	return true
}

// stageOnce notes a record that goes to an offset.
func (c *commit) stageOnce(p *txPublish, g *ledger, off Offset) {
	if o := p.once(); o != nil && g != nil {
		g.addLocked(&c.work.batch, o, off, c.now)
	}
}

// onceAddedLocked notes what confirms what was added.
func (p *txPublish) onceAddedLocked(confirm Confirm) {
	for g := range p.ledgers() {
		g.lastSeq = max(g.lastSeq, confirm.seq)
	}
}
