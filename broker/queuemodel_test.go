package broker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// modelQueue is what a queue must be: a sorted list, and who has what.
type modelQueue struct {
	name   string
	spec   QueueSpec
	in     QueueSettings // in force
	q      *Queue
	ready  []*modelCopy // in the order in which they go out
	leased []*modelCopy
	subs   []*modelSub
	turn   int
	next   int          // place of the next record
	coming []*modelCopy // were dead-lettered to here; their order is known from the log
	seen   Offset       // of the log, without coming
}

// modelCopy is one record in one queue.
type modelCopy struct {
	id         string // its body: nothing else has it
	priority   uint8
	transient  bool
	time       int64 // of the publish, ms
	expires    int64 // its own, ms; 0: never
	deaths     []string
	place      int
	waited     bool  // when it was not handed out at once
	at         int64 // assigned then, after it had waited; 0: at once
	deliveries uint32
	noted      uint32 // of them, those that a restart must know
	handed     bool   // delivered at least once
	fate       copyFate
}

type modelSub struct {
	s           *Subscription
	auto        bool
	priority    int
	limit, used int
	assigned    []*modelCopy
}

// copyFate is what was asked for while the power could go.
type copyFate struct {
	accepted, rejected, requeued, purged bool
	confirms                             []Confirm
}

func (c *modelCopy) String() string {
	return fmt.Sprintf("%s%v", c.id, c.deaths)
}

// lane is the priority that the queue tells apart.
func (q *modelQueue) lane(c *modelCopy) uint8 { return min(c.priority, q.spec.Settings.MaxPriority) }

func (q *modelQueue) compare(a, b *modelCopy) int {
	return cmp.Or(cmp.Compare(q.lane(b), q.lane(a)), cmp.Compare(a.place, b.place))
}

func (q *modelQueue) insert(c *modelCopy) {
	at, _ := slices.BinarySearchFunc(q.ready, c, q.compare)
	q.ready = slices.Insert(q.ready, at, c)
}

func (q *modelQueue) arrive(c *modelCopy) {
	c.place = q.next
	q.next++
	q.insert(c)
}

func (q *modelQueue) waiting() (n int) {
	for _, s := range q.subs {
		n += len(s.assigned)
	}
	return n + len(q.ready) + len(q.coming)
}

func (q *modelQueue) full(c *modelCopy) bool {
	s := &q.in
	return s.Overflow != DropHead && (s.MaxLength != nil && q.waiting() >= int(*s.MaxLength) ||
		s.MaxLengthBytes != nil && q.waitingBytes()+c.size() > *s.MaxLengthBytes)
}

// size is how much of a queue's bytes a record takes.
func (c *modelCopy) size() int64 {
	return int64(len(c.id))
}

func sizeOf(all ...[]*modelCopy) (n int64) {
	for _, cs := range all {
		for _, c := range cs {
			n += c.size()
		}
	}
	return n
}

func (q *modelQueue) waitingBytes() int64 {
	n := sizeOf(q.ready, q.coming)
	for _, s := range q.subs {
		n += sizeOf(s.assigned)
	}
	return n
}

// tooMuch says that what waits is beyond the length or bytes of a queue that drops its head.
func (q *modelQueue) tooMuch() bool {
	s := &q.in
	return len(q.ready) > 0 && s.Overflow == DropHead && (s.MaxLength != nil && len(q.ready) > int(*s.MaxLength) ||
		s.MaxLengthBytes != nil && sizeOf(q.ready) > *s.MaxLengthBytes)
}

func (q *modelQueue) expiry(c *modelCopy) (at int64, ok bool) {
	at, ok = c.expires, c.expires != 0
	if ttl := q.in.TTL; ttl != nil && (!ok || c.time+ttl.Milliseconds() < at) {
		at, ok = c.time+ttl.Milliseconds(), true
	}
	return at, ok
}

func (q *modelQueue) expired(c *modelCopy) bool {
	at, ok := q.expiry(c)
	return ok && at <= time.Now().UnixMilli()
}

// doomed says that an assigned record must not be delivered: its time had run out before.
func (q *modelQueue) doomed(c *modelCopy) bool {
	at, ok := q.expiry(c)
	return ok && c.at > 0 && at <= c.at
}

// dispatch assigns what is ready, in turn.
func (q *modelQueue) dispatch() {
	for len(q.ready) > 0 {
		s := q.taker()
		if s == nil {
			break
		}
		c := q.ready[0]
		q.ready = q.ready[1:]
		if c.at = 0; c.waited {
			c.at = time.Now().UnixMilli()
		}
		s.used++
		s.assigned = append(s.assigned, c)
	}
	for _, c := range q.ready {
		c.waited = true
	}
}

func (q *modelQueue) taker() *modelSub {
	if len(q.subs) > 0 && q.spec.Settings.SingleActive {
		if s := q.subs[0]; s.room() {
			return s
		}
		return nil
	}
	for from := 0; from < len(q.subs); {
		to := from
		for to < len(q.subs) && q.subs[to].priority == q.subs[from].priority {
			to++
		}
		for i := range to - from {
			if s := q.subs[from+(q.turn+i)%(to-from)]; s.room() {
				q.turn += i + 1
				return s
			}
		}
		from = to
	}
	return nil
}

func (s *modelSub) room() bool {
	return len(s.assigned) < assignWindow && (s.auto || s.limit == 0 || s.used < s.limit)
}

// tidy takes what must leave by itself from the head.
func (q *modelQueue) tidy(bury func(*modelQueue, *modelCopy, DeathReason)) (changed bool) {
	for q.tooMuch() {
		bury(q, q.pop(0), MaxLength)
		changed = true
	}
	for i := 0; i < len(q.ready); {
		c := q.ready[i]
		head := i == 0 || q.lane(q.ready[i-1]) != q.lane(c)
		if !head || !q.expired(c) {
			i++
			continue
		}
		bury(q, q.pop(i), Expired)
		changed = true
	}
	return changed
}

func (q *modelQueue) pop(i int) *modelCopy {
	c := q.ready[i]
	q.ready = slices.Delete(q.ready, i, i+1)
	return c
}

// nextExpiry is when the head of a lane expires next.
func (q *modelQueue) nextExpiry() (at int64) {
	for i, c := range q.ready {
		if i > 0 && q.lane(q.ready[i-1]) == q.lane(c) {
			continue
		}
		if ms, ok := q.expiry(c); ok && (at == 0 || ms < at) {
			at = ms
		}
	}
	return at
}

// died is the copy that goes to the dead letter exchange.
func (c *modelCopy) died(q *modelQueue, why DeathReason) *modelCopy {
	d := &modelCopy{id: c.id, priority: c.priority, transient: c.transient,
		time: time.Now().UnixMilli()}
	n := 1
	for _, x := range c.deaths {
		var had int
		if rest, ok := strings.CutPrefix(x, why.String()+" "+q.name+" "); ok {
			_, _ = fmt.Sscan(rest, &had)
			n += had
			continue
		}
		d.deaths = append(d.deaths, x)
	}
	d.deaths = slices.Insert(d.deaths, 0, fmt.Sprintf("%v %s %d", why, q.name, n))
	return d
}

// cycles says whether a dead letter was in a queue before and nobody rejected it since.
func (c *modelCopy) cycles(queue string) bool {
	for _, x := range c.deaths {
		f := strings.Fields(x)
		if f[0] == Rejected.String() {
			return false
		}
		if f[1] == queue {
			return true
		}
	}
	return false
}

func deathsOf(r *QueueRecord) (all []string) {
	for _, d := range r.Deaths {
		all = append(all, fmt.Sprintf("%v %s %d", d.Reason, d.Queue, d.Count))
	}
	return all
}

// copyOf is a record of a real queue as the model has it.
func copyOf(r *QueueRecord, deliveries uint32) *modelCopy {
	c := &modelCopy{id: string(r.Body), priority: r.Priority, transient: r.Transient,
		time: r.Time.UnixMilli(), deaths: deathsOf(r), deliveries: deliveries, waited: true}
	if !r.Expires.IsZero() {
		c.expires = r.Expires.UnixMilli()
	}
	return c
}
