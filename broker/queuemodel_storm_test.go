package broker

import (
	"slices"
	"testing/synctest"
)

// storm is what was asked for while the power could go.
type storm struct {
	over    bool // something failed
	noDead  bool // dead letters were purged
	pending []*stormCopy
	txs     []stormTx
}

type stormCopy struct {
	q *modelQueue
	c *modelCopy
}

type stormTx struct {
	copies  []*stormCopy
	confirm Confirm
}

func (s *storm) published(q *modelQueue, c *modelCopy) {
	s.pending = append(s.pending, &stormCopy{q, c})
}

func (s *storm) committed(confirm Confirm) {
	s.txs = append(s.txs, stormTx{s.pending, confirm})
	s.pending = nil
}

func (s *storm) settled(h *modelHeld, o Outcome, confirm Confirm, err error) {
	f := &h.c.fate
	f.accepted = o == Accept
	f.requeued = o == Requeue && !h.overLimit()
	f.rejected = o == Reject || o == Requeue && h.overLimit()
	if err == nil && o != Requeue {
		f.confirms = append(f.confirms, confirm)
	}
}

func (s *storm) purged(q *modelQueue, err error) {
	s.noDead = s.noDead || q.name == "dead"
	for _, c := range q.all() {
		if c.fate.requeued || !slices.Contains(q.leased, c) {
			c.fate.purged = true
			if err == nil && !q.mayLeave(c) { // else it may just have been on its way out
				c.fate.confirms = append(c.fate.confirms, Confirm{})
			}
		}
	}
}

// powerCut lets the power go while much is under way that nobody waits for.
func (w *queueWorld) powerCut() {
	w.note("storm")
	w.storm = new(storm)
	w.fs.CutAfter(1 + w.d.IntN(25))
	for range 3 + w.d.IntN(10) {
		switch n := w.d.IntN(10); {
		case n < 5:
			w.publish()
		case n < 9:
			w.settle()
		default:
			w.purge()
		}
		if w.storm.over {
			break
		}
	}
	if w.d.IntN(2) == 0 {
		synctest.Wait()
	}
	sure := w.storm.sure()
	w.close()
	w.fs = w.fs.Crash(w.d)
	before, s := w.queues, w.storm
	w.open()
	w.survived(before, s, sure)
	w.storm = nil
	w.topology()
	w.quiet()
	if !w.t.Failed() {
		w.check()
	}
}

// sure is which of its confirms were there when the power went.
func (s *storm) sure() map[int]bool {
	sure := map[int]bool{}
	for i, tx := range s.txs {
		sure[i] = tx.confirm.Done()
	}
	return sure
}

// census is what the queues have, by their names and by what the records are.
type census map[string]map[string][]*modelCopy

// found counts the records of a queue by what they are.
func found(q *modelQueue) map[string][]*modelCopy {
	m := map[string][]*modelCopy{}
	if q != nil {
		for _, c := range q.ready {
			m[c.String()] = append(m[c.String()], c)
		}
	}
	return m
}

// survived judges what a power cut left.
func (w *queueWorld) survived(before map[string]*modelQueue, s *storm, sure map[int]bool) {
	there := census{}
	known := map[string]bool{}
	for name := range before {
		there[name] = found(w.queues[name])
		if before[name].spec.Durable && w.queues[name] == nil {
			w.t.Errorf("%s is lost", name)
		}
	}
	fresh := map[*modelCopy]bool{}
	for _, c := range s.pending {
		fresh[c.c] = true
	}
	for _, tx := range s.txs {
		for _, c := range tx.copies {
			fresh[c.c] = true
		}
	}
	for _, q := range before {
		for _, c := range q.all() {
			known[q.name+c.String()] = true
			for _, d := range c.ways(q) {
				known["dead"+d.String()], known["a"+d.String()] = true, true
				for _, again := range d.ways(before["a"]) { // it went round
					known["dead"+again.String()] = true
				}
			}
			if q.spec.Durable && !c.transient {
				w.survivedOne(q, c, there, fresh[c])
			}
		}
	}
	for i, tx := range s.txs {
		w.survivedTx(tx, there, sure[i])
	}
	for _, name := range w.names() {
		for text, cs := range there[name] {
			if len(cs) > 1 || !known[name+text] {
				w.t.Errorf("%s after a power cut: %s is there %d times, known %v", name, text, len(cs),
					known[name+text])
			}
		}
	}
}

// ways is what a record may be as a dead letter.
func (c *modelCopy) ways(q *modelQueue) (all []*modelCopy) {
	for _, why := range []DeathReason{Rejected, Expired, MaxLength, DeliveryLimit} {
		all = append(all, c.died(q, why))
	}
	return all
}

// mayLeave says whether records may leave the queue by themselves.
func (q *modelQueue) mayLeave(c *modelCopy) bool {
	s := &q.in
	_, expires := q.expiry(c)
	return expires || s.Overflow == DropHead && (s.MaxLength != nil || s.MaxLengthBytes != nil)
}

// survivedOne judges one record of a durable queue; fresh says that its publish was
// under way.
func (w *queueWorld) survivedOne(q *modelQueue, c *modelCopy, there census, fresh bool) {
	here, moved := there[q.name][c.String()], 0
	for _, d := range c.ways(q) {
		for _, name := range []string{"dead", "a"} {
			if name != q.name {
				moved += len(there[name][d.String()])
			}
		}
	}
	s, f := &q.in, c.fate
	confirmed := slices.ContainsFunc(f.confirms, Confirm.Done)
	mayLeave := q.mayLeave(c)
	lost := len(here) == 0 && moved == 0
	switch {
	case len(here)+moved > 1:
		w.t.Errorf("%s after a power cut: %v is in %d places", q.name, c, len(here)+moved)
	case confirmed && len(here) > 0:
		w.t.Errorf("%s after a power cut: %v was settled and is back", q.name, c)
	case fresh || f.accepted || f.purged || !lost:
	case w.storm.noDead && (f.rejected || mayLeave):
	case f.rejected && (!s.DeadLetters || q.name == "dead" || q.cyclic(c, Rejected, DeliveryLimit)):
	case mayLeave && (!s.DeadLetters || q.name == "dead" || q.cyclic(c, Expired, MaxLength)):
	default:
		w.t.Errorf("%s after a power cut: %v is lost: %+v", q.name, c, f)
	}
	if !f.rejected && !mayLeave && moved > 0 && !(fresh && s.Overflow == RejectDeadLetter) {
		w.t.Errorf("%s after a power cut: %v is a dead letter", q.name, c)
	}
	if len(here) == 1 && c.handed && here[0].deliveries == 0 {
		w.t.Errorf("%s after a power cut: %v does not know that it was delivered", q.name, c)
	}
	if len(here) == 1 {
		here[0].handed = c.handed
	}
}

func (q *modelQueue) cyclic(c *modelCopy, whys ...DeathReason) bool {
	return slices.ContainsFunc(whys, func(why DeathReason) bool {
		return c.died(q, why).cycles("dead")
	})
}

// survivedTx makes sure that a Tx is there as a whole, and for certain if it was confirmed.
func (w *queueWorld) survivedTx(tx stormTx, there census, sure bool) {
	kept, firm := 0, 0
	for _, x := range tx.copies {
		if x.q.spec.Durable && !x.c.transient && !x.c.fate.purged && !x.q.mayLeave(x.c) &&
			x.q.in.MaxLength == nil && x.q.in.MaxLengthBytes == nil {
			firm++
			kept += len(there[x.q.name][x.c.String()])
		}
	}
	if kept != 0 && kept != firm || sure && kept != firm {
		w.t.Errorf("after a power cut %d of %d records of a Tx are there, confirmed %v", kept, firm, sure)
	}
}
