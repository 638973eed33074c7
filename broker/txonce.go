package broker

import (
	"errors"
	"slices"

	"github.com/tidings-io/tidings/storage"
)

// once is what the publish asks of ledgers; nil: nothing. Dead letters, moves and what was
// due are published in any case: they were once before.
func (p *txPublish) once() *Once {
	if p.x == nil || p.from != nil || p.due {
		return nil
	}
	return p.rec.Once
}

// onceSize is at most what ledgers take of it.
func (p *txPublish) onceSize() int { return onceBytes * len(p.ledgers()) }

// ledgers are those that the publish is for: of its exchange, of queues, and of queues that
// have it later.
func (p *txPublish) ledgers() []*ledger {
	if p.once() == nil {
		return nil // without a cost: this is asked of each record several times
	}
	return p.findLedgers()
}

func (p *txPublish) findLedgers() (all []*ledger) {
	if g := p.exchangeLedger(); g != nil && p.before == nil {
		all = append(all, g)
	}
	for _, q := range p.to {
		if q.ledger != nil {
			all = append(all, q.ledger)
		}
	}
	if p.hold == nil {
		return all
	}
	for i := range p.hold.by {
		if g := p.hold.by[i].ledger(); g != nil {
			all = append(all, g)
		}
	}
	return all
}

// exchangeLedger is that of the exchange; nil: it has none, or the publish is made of one that
// it has noted.
func (p *txPublish) exchangeLedger() *ledger {
	if p.once() == nil || p.relayed {
		return nil
	}
	return p.x.ledger
}

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
		for _, g := range t.publishes[i].ledgers() {
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
		for _, g := range c.tx.publishes[i].ledgers() {
			c.logs = append(c.logs, logLock{g.log.ID(), &g.mu})
		}
	}
}

// checkOnce refuses what a ledger has no room for, and what has become a duplicate for its
// exchange since it was routed.
func (c *commit) checkOnce() error {
	var coming map[*ledger]int
	for i := range c.tx.publishes {
		p := &c.tx.publishes[i]
		for _, g := range p.ledgers() {
			if coming == nil {
				coming, c.now = map[*ledger]int{}, c.b.nowMillis()
			}
			if coming[g] == 0 {
				g.ageLocked(c.now)
			}
			if g.findLocked(p.rec.Once.Key, c.now) != nil {
				if g == p.exchangeLedger() {
					return errDuplicate
				}
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
	for _, g := range p.ledgers() {
		g.lastSeq = max(g.lastSeq, confirm.seq)
	}
}

// A duplicate for an exchange is found before it is routed, since it must reach nobody. Another Tx
// may publish the original at the same time: that is seen with all locks held, and then all is
// routed again.

// duplicate is a publish that the exchange has had before.
type duplicate struct {
	original Original
	confirm  Confirm
	here     bool // the original is of the same Tx
}

// errDuplicate says that a publish has become a duplicate.
var errDuplicate = errors.New("it was published meanwhile")

// findDuplicates finds what exchanges have had before. Called without a lock.
func (t *Tx) findDuplicates() error {
	type place struct {
		g   *ledger
		key [16]byte
	}
	var here map[place]bool
	now := t.b.nowMillis()
	for i := range t.publishes {
		p := &t.publishes[i]
		g := p.exchangeLedger()
		if p.before = nil; g == nil {
			continue
		}
		if err := g.load(); err != nil {
			return storeError("read ledger", p.x.name.String(), err)
		}
		at := place{g, p.rec.Once.Key}
		if p.before = g.before(at.key, now, t.b.store); p.before != nil {
			continue
		}
		if here[at] {
			p.before = &duplicate{here: true}
			continue
		}
		if here == nil {
			here = map[place]bool{}
		}
		here[at] = true
	}
	return nil
}

func (g *ledger) before(key [16]byte, now int64, store *storage.Store) *duplicate {
	g.mu.Lock()
	defer g.mu.Unlock()
	if e := g.findLocked(key, now); e != nil {
		return &duplicate{original: *e.original(), confirm: g.confirmLocked(store)}
	}
	return nil
}

// routeAgain routes all, with nothing kept of where it went before.
func (t *Tx) routeAgain() error {
	t.appends = slices.DeleteFunc(t.appends, func(a staged) bool { return a.result < 0 })
	t.publishes = slices.DeleteFunc(t.publishes, func(p txPublish) bool { return p.relayed })
	for i := range t.publishes {
		p := &t.publishes[i]
		if p.relays, p.parts, p.refused = nil, nil, false; p.x != nil {
			p.topics = nil
		}
	}
	if err := t.routeAll(t.b.nowMillis()); err != nil {
		return err
	}
	_, err := t.size() // there may be more queues than it was admitted with
	return storeError("commit", "", err)
}

// stageOnceByExchange notes a record that goes wherever its exchange leads.
func (c *commit) stageOnceByExchange(p *txPublish, r *Routed) {
	g := p.exchangeLedger()
	if g == nil || g.dead {
		return
	}
	r.Offset = g.nextLocked()
	c.stageOnce(p, g, r.Offset)
}

// stageDuplicate tells of the original. One of the same Tx was staged before.
func (c *commit) stageDuplicate(p *txPublish) Routed {
	d := p.before
	if d.here {
		e := p.x.ledger.findLocked(p.rec.Once.Key, c.now)
		if e == nil { // the exchange was deleted meanwhile
			return Routed{Offset: noOffset}
		}
		d.original = *e.original()
	}
	return Routed{Offset: d.original.Offset, Original: &d.original, Confirm: d.confirm}
}
