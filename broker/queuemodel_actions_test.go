package broker

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// roll does a random action.
func (w *queueWorld) roll() {
	switch n := w.d.IntN(100); {
	case n < 30:
		w.publish()
	case n < 38:
		w.subscribe()
	case n < 43:
		w.closeSub()
	case n < 58:
		w.take()
	case n < 66:
		w.get()
	case n < 84:
		w.settle()
	case n < 86:
		w.purge()
	case n < 88:
		w.remove()
	case n < 91 && w.ruled && w.d.IntN(2) == 0:
		w.policy()
	case n < 91:
		if name := w.any().name; name == "dead" {
			w.flood()
		} else if w.bound[name] {
			w.unbind(name)
		} else {
			w.bind("x", name)
		}
	default:
		w.pass(time.Duration(w.d.IntN(4000)) * time.Millisecond)
	}
}

// publish is one Tx of some records, by the fanout or by a name.
func (w *queueWorld) publish() {
	tx := w.b.Begin()
	type sent struct {
		index, took int
		refused     bool
	}
	var all []sent
	var refused []func()
	for range 1 + w.d.IntN(4) {
		w.serial++
		now := time.Now().UnixMilli()
		c := modelCopy{id: fmt.Sprint("r", w.serial, strings.Repeat(".", w.d.IntN(8))), priority: uint8(w.d.IntN(6)),
			transient: w.d.IntN(4) == 0, time: now}
		if w.d.IntN(5) == 0 && w.storm == nil {
			c.expires = now + 300 + int64(w.d.IntN(4000))
		}
		source, to := "", []string{w.any().name}
		if w.d.IntN(2) == 0 {
			source, to = "x", w.names()
			to = slices.DeleteFunc(to, func(n string) bool { return n == "dead" || !w.bound[n] })
		}
		rec := QueueRecord{Exchange: source, Priority: c.priority, Transient: c.transient,
			Body: []byte(c.id)}
		if source == "" {
			rec.Key = to[0]
		}
		if c.expires != 0 {
			rec.Expires = timeOf(c.expires)
		}
		x, err := w.b.Exchange("", source)
		if err != nil {
			w.t.Fatal(err)
		}
		s := sent{index: tx.Publish(x, rec)}
		for _, name := range to {
			q, one := w.queues[name], c
			if q.full(&c) && w.storm == nil {
				s.refused = true
				if q.in.Overflow == RejectDeadLetter {
					refused = append(refused, func() { w.bury(q, &one, MaxLength) })
				}
				continue
			}
			s.took++
			q.arrive(&one)
			q.seen++
			if w.storm != nil {
				w.storm.published(q, &one)
			}
		}
		all = append(all, s)
		w.note("publish %s to %v priority %d transient %v expires %d",
			c.id, to, c.priority, c.transient, c.expires)
	}
	confirm, err := tx.Commit(ctx)
	if w.failed("publish", err) {
		return
	}
	if w.storm != nil {
		w.storm.committed(confirm)
		return
	}
	for _, s := range all {
		if r := tx.Routed(s.index); r.Queues != s.took || r.Refused != s.refused {
			w.t.Errorf("publish: got %+v, want %+v", r, s)
		}
	}
	for _, f := range refused {
		f()
	}
}

// failed tells an error, unless the power may have gone.
func (w *queueWorld) failed(what string, err error) bool {
	if err != nil && w.storm != nil {
		w.storm.over = true
	} else if err != nil {
		w.t.Errorf("%s: %v", what, err)
	}
	return err != nil
}

// offer is a dead letter that comes to a queue.
func (w *queueWorld) offer(name string, c *modelCopy) {
	q := w.queues[name]
	if q == nil || c.cycles(name) {
		return
	}
	if q.full(c) {
		if q.in.Overflow == RejectDeadLetter {
			w.bury(q, c, MaxLength)
		}
		return
	}
	q.coming = append(q.coming, c)
}

func (w *queueWorld) bury(q *modelQueue, c *modelCopy, why DeathReason) {
	switch s := &q.in; {
	case !s.DeadLetters:
	case q.name == "dead":
		w.offer("a", c.died(q, why))
	default:
		w.offer("dead", c.died(q, why))
	}
}

func (w *queueWorld) subscribe() {
	q := w.any()
	if len(q.subs) >= 3 {
		return
	}
	m := &modelSub{auto: w.d.IntN(4) == 0, limit: w.d.IntN(4), priority: w.d.IntN(3) / 2}
	credit := new(Credit)
	credit.SetLimit(m.limit)
	s, err := q.q.Subscribe(SubscribeOptions{Wake: make(chan struct{}, 1), AutoAccept: m.auto,
		Priority: m.priority, Credits: []*Credit{credit}})
	if w.failed("subscribe", err) {
		return
	}
	m.s = s
	at := slices.IndexFunc(q.subs, func(x *modelSub) bool { return x.priority < m.priority })
	if at < 0 {
		at = len(q.subs)
	}
	q.subs = slices.Insert(q.subs, at, m)
	w.note("subscribe to %s: auto %v limit %d priority %d", q.name, m.auto, m.limit, m.priority)
}

func (w *queueWorld) closeSub() {
	q := w.any()
	if len(q.subs) == 0 {
		return
	}
	i := w.d.IntN(len(q.subs))
	s := q.subs[i]
	s.s.Close()
	q.subs = slices.Delete(q.subs, i, i+1)
	for _, c := range s.assigned {
		c.waited = true
		q.insert(c)
	}
	s.assigned = nil
	w.note("close subscription %d of %s", i, q.name)
}

// take takes all that a subscription has.
func (w *queueWorld) take() {
	q := w.any()
	if len(q.subs) == 0 {
		return
	}
	i := w.d.IntN(len(q.subs))
	s := q.subs[i]
	w.note("take all of subscription %d of %s", i, q.name)
	var want []*modelCopy
	for len(s.assigned) > 0 {
		c := s.assigned[0]
		s.assigned = s.assigned[1:]
		if q.doomed(c) {
			s.used--
			w.bury(q, c, Expired)
			q.dispatch()
			continue
		}
		want = append(want, c)
	}
	for n := 0; ; {
		ds, err := s.s.Take(nil, 1+w.d.IntN(4))
		if err != nil {
			w.t.Errorf("take: %v", err)
			return
		}
		for j := range ds {
			if n == len(want) {
				w.t.Errorf("take from %s: got %s beyond %v", q.name, ds[j].Record.Body, want)
				return
			}
			w.hand(q, s, want[n], &ds[j])
			n++
		}
		if len(ds) == 0 {
			if n < len(want) {
				w.t.Errorf("take from %s: got nothing, want %v", q.name, want[n:])
			}
			return
		}
	}
}

// hand compares a delivery with what it must be, and keeps it.
func (w *queueWorld) hand(q *modelQueue, s *modelSub, c *modelCopy, d *Delivery) {
	got := copyOf(&d.Record, d.Deliveries)
	if got.String() != c.String() || got.deliveries != c.deliveries {
		w.t.Errorf("%s: got %v delivered %d times before, want %v and %d",
			q.name, got, got.deliveries, c, c.deliveries)
	}
	c.handed = true
	if s != nil && s.auto {
		s.used--
		return
	}
	q.leased = append(q.leased, c)
	w.held = append(w.held, &modelHeld{q, s, c, d.ID})
}

func (w *queueWorld) get() {
	q := w.any()
	w.note("get from %s", q.name)
	d, ok, err := q.q.Get(ctx, nil)
	if w.failed("get", err) {
		return
	}
	for len(q.ready) > 0 {
		c := q.pop(0)
		if q.expired(c) {
			w.bury(q, c, Expired)
			continue
		}
		if !ok || d.Ready != int64(q.waiting()-len(q.coming)) {
			w.t.Errorf("get from %s: got %v with %d behind it, want %v and %d",
				q.name, ok, d.Ready, c, q.waiting())
			return
		}
		w.hand(q, nil, c, &d)
		return
	}
	if ok {
		w.t.Errorf("get from %s: got %s, want nothing", q.name, d.Record.Body)
	}
}

// settle ends some deliveries of any queues in one Tx.
func (w *queueWorld) settle() {
	if len(w.held) == 0 {
		return
	}
	w.d.Shuffle(len(w.held), func(i, j int) { w.held[i], w.held[j] = w.held[j], w.held[i] })
	n := 1 + w.d.IntN(min(len(w.held), 5))
	some := w.held[:n]
	w.held = slices.Clone(w.held[n:])
	tx := w.b.Begin()
	outcomes := w.outcomes(some)
	for i, h := range some {
		var s *Subscription
		if h.sub != nil {
			s = h.sub.s
		}
		tx.Settle(h.q.q, s, h.id, outcomes[i])
		w.note("settle %v of %s: %d", h.c, h.q.name, outcomes[i])
	}
	confirm, err := tx.Commit(ctx)
	if w.storm != nil {
		for i, h := range some {
			w.storm.settled(h, outcomes[i], confirm, err)
		}
	}
	if w.failed("settle", err) || w.storm != nil {
		return
	}
	var back []*modelHeld
	for i, h := range some {
		if w.settled(h, outcomes[i]) {
			back = append(back, h)
		}
	}
	for _, h := range back {
		if h.c.deliveries++; h.q.in.DeliveryLimit != nil {
			h.c.noted = h.c.deliveries
		}
		h.c.waited = true
		h.q.insert(h.c)
	}
	for _, q := range w.queues {
		q.dispatch() // what this Tx dead-letters comes when it is on disk
	}
}

// outcomes are at random, but for one thing: a Tx that gives records back to a queue which
// drops its head makes no dead letters. Whether one that comes to the same queue or one
// that came back is too much depends on who is first.
func (w *queueWorld) outcomes(some []*modelHeld) []Outcome {
	all, back := make([]Outcome, len(some)), false
	for i, h := range some {
		all[i] = Outcome(1 + w.d.IntN(3))
		back = back || all[i] == Requeue && h.q.dropsHead()
	}
	for i, h := range some {
		if back && (all[i] == Reject || all[i] == Requeue && h.overLimit()) {
			all[i] = Accept
		}
	}
	return all
}

func (q *modelQueue) dropsHead() bool {
	return q.in.Overflow == DropHead && (q.in.MaxLength != nil || q.in.MaxLengthBytes != nil)
}

func (h *modelHeld) overLimit() bool {
	limit := h.q.in.DeliveryLimit
	return limit != nil && int64(h.c.deliveries)+1 > *limit
}

// settled does the accounts; back says that the record returns to its queue.
func (w *queueWorld) settled(h *modelHeld, o Outcome) (back bool) {
	if h.sub != nil {
		h.sub.used--
	}
	at := slices.Index(h.q.leased, h.c)
	h.q.leased = slices.Delete(h.q.leased, at, at+1)
	switch {
	case o == Requeue && h.overLimit():
		w.bury(h.q, h.c, DeliveryLimit)
	case o == Requeue:
		return true
	case o == Reject:
		w.bury(h.q, h.c, Rejected)
	}
	return false
}

func (w *queueWorld) purge() {
	q := w.any()
	w.note("purge %s", q.name)
	n, err := q.q.Purge(ctx, nil)
	if w.storm != nil {
		w.storm.purged(q, err)
	}
	if w.failed("purge", err) || w.storm != nil {
		return
	}
	if n != int64(q.waiting()) {
		w.t.Errorf("purge %s: got %d, want %d", q.name, n, q.waiting())
	}
	q.ready = nil
	for _, s := range q.subs {
		s.used -= len(s.assigned)
		s.assigned = nil
	}
}

// remove deletes a queue and declares it again, with other settings.
func (w *queueWorld) remove() {
	q := w.any()
	w.note("delete %s", q.name)
	n, err := w.b.DeleteQueue(ctx, q.q, DeleteOptions{})
	if w.failed("delete", err) {
		return
	}
	if n != int64(q.waiting()) {
		w.t.Errorf("delete %s: got %d, want %d", q.name, n, q.waiting())
	}
	w.forget(q.name)
	w.declare(q.name)
}

func (w *queueWorld) forget(name string) {
	q := w.queues[name]
	delete(w.queues, name)
	delete(w.bound, name)
	w.held = slices.DeleteFunc(w.held, func(h *modelHeld) bool { return h.q == q })
}

// policy sets a policy for some of the queues, or ends one.
func (w *queueWorld) policy() {
	p := Policy{Name: fmt.Sprint("p", w.d.IntN(2)), Operator: w.d.IntN(3) == 0, ApplyTo: AllQueues,
		Pattern: []string{"^a$", "^[ab]$", "^[abm]$"}[w.d.IntN(3)], Priority: int64(w.d.IntN(2))}
	if _, err := w.b.Policy("", p.Name, p.Operator); err == nil && w.d.IntN(2) == 0 {
		w.note("delete policy %s operator %v", p.Name, p.Operator)
		if err := w.b.DeletePolicy(ctx, "", p.Name, p.Operator); err != nil {
			w.t.Errorf("delete policy: %v", err)
		}
	} else {
		p.Queue = w.settings("b")
		p.Queue.MaxPriority, p.Queue.SingleActive = 0, false
		if w.round {
			p.Queue.Overflow = DropHead
		}
		w.note("policy %s operator %v for %s, priority %d: %s", p.Name, p.Operator, p.Pattern, p.Priority,
			settingsText(&p.Queue))
		if _, err := w.b.SetPolicy(ctx, p); err != nil {
			w.t.Errorf("set policy: %v", err)
		}
	}
	for _, q := range w.queues {
		w.follow(q)
	}
}

// follow has a queue do what policies say: TestOnePolicyApplies and TestSettingsInForce judge that.
func (w *queueWorld) follow(q *modelQueue) {
	q.in = w.b.rules.Load().find(ClassicQueues, q.q.name).apply(q.spec.Settings, ClassicQueue)
}

// flood moves many records through a queue that has no bounds, beyond the stride.
func (w *queueWorld) flood() {
	q := w.any()
	if s := &q.in; s.TTL != nil || s.MaxLength != nil || s.MaxLengthBytes != nil || len(q.subs) > 0 || q.waiting() > 0 {
		return
	}
	w.note("flood %s", q.name)
	p := &pool{t: w.t, b: w.b, q: q.q}
	p.publish(numbered(700)...)
	c := p.subscribe(SubscribeOptions{AutoAccept: true})
	c.take(700)
	c.s.Close()
	q.seen += 700
}
