package broker

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings/storage"
	"github.com/tidings-io/tidings/storage/vfs"
)

// queueWorld is a broker and what its queues must be. The queues a, b and dead are
// durable, m is in memory. Records come by the fanout x or by a queue's name, and dead
// gets the dead letters; it may send them back to a after a while.
type queueWorld struct {
	t      *testing.T
	d      *rand.Rand
	fs     *vfs.Mem
	b      *Broker
	queues map[string]*modelQueue
	bound  map[string]bool
	held   []*modelHeld
	round  bool // dead letters go round
	ruled  bool // there are policies
	serial int
	done   []string
	storm  *storm // while the power may go
}

// modelHeld is a delivery in someone's hands.
type modelHeld struct {
	q   *modelQueue
	sub *modelSub
	c   *modelCopy
	id  DeliveryID
}

func newQueueWorld(t *testing.T, d *rand.Rand) *queueWorld {
	w := &queueWorld{t: t, d: d, fs: vfs.NewMem(), queues: map[string]*modelQueue{},
		bound: map[string]bool{}, round: d.IntN(2) == 0, ruled: d.IntN(2) == 0}
	w.b = openOn(t, w.fs)
	w.topology()
	return w
}

// topology declares what is missing.
func (w *queueWorld) topology() {
	for _, x := range []string{"x", "dlx"} {
		spec := ExchangeSpec{Name: x, Type: "fanout", Durable: true}
		if _, _, err := w.b.DeclareExchange(ctx, spec); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "b", "dead", "m"} {
		if w.queues[name] == nil {
			w.declare(name)
		}
	}
}

func (w *queueWorld) note(format string, args ...any) {
	w.done = append(w.done, fmt.Sprintf(format, args...))
}

func (w *queueWorld) declare(name string) {
	s := w.settings(name)
	spec := QueueSpec{Name: name, Durable: name != "m", Settings: s}
	q, created, err := w.b.DeclareQueue(ctx, spec)
	if err != nil || !created {
		w.t.Errorf("declare %s: created %v, %v", name, created, err)
		return
	}
	w.queues[name] = &modelQueue{name: name, spec: spec, q: q}
	w.follow(w.queues[name])
	w.note("declare %s: %s", name, settingsText(&s))
	if name == "dead" {
		w.bind("dlx", name)
	} else if w.d.IntN(3) > 0 {
		w.bind("x", name)
	}
}

func (w *queueWorld) settings(name string) (s QueueSettings) {
	maybe := func(n int) bool { return w.d.IntN(n) == 0 }
	if name == "dead" {
		if w.round {
			s = QueueSettings{TTL: ptr(3377 * time.Millisecond), DeadLetters: true, DeadLetterKey: ptr("a")}
		}
		return s
	}
	if maybe(3) {
		s.TTL = ptr(time.Duration(w.d.IntN(4000)) * time.Millisecond)
	}
	if maybe(2) {
		s.MaxLength, s.Overflow = ptr(int64(w.d.IntN(7))), Overflow(w.d.IntN(3))
	}
	if maybe(3) {
		s.MaxLengthBytes, s.Overflow = ptr(int64(w.d.IntN(40))), Overflow(w.d.IntN(3))
	}
	if w.round && name == "a" { // whether it is full when they come depends on who comes first
		s.Overflow = DropHead
	}
	if s.DeadLetters = !maybe(3); s.DeadLetters {
		s.DeadLetterTo = "dlx"
	}
	if maybe(2) {
		s.MaxPriority = 3
	}
	if maybe(2) {
		s.DeliveryLimit = ptr(int64(w.d.IntN(3)))
	}
	s.SingleActive = maybe(4)
	return s
}

func settingsText(s *QueueSettings) string {
	text := fmt.Sprintf("dead letters %v, priorities %d, single %v",
		s.DeadLetters, s.MaxPriority, s.SingleActive)
	if s.TTL != nil {
		text += fmt.Sprintf(", ttl %v", *s.TTL)
	}
	if s.MaxLength != nil {
		text += fmt.Sprintf(", length %d overflow %d", *s.MaxLength, s.Overflow)
	}
	if s.MaxLengthBytes != nil {
		text += fmt.Sprintf(", bytes %d overflow %d", *s.MaxLengthBytes, s.Overflow)
	}
	if s.DeliveryLimit != nil {
		text += fmt.Sprintf(", limit %d", *s.DeliveryLimit)
	}
	return text
}

func (w *queueWorld) bind(x, name string) {
	bd := Binding{Source: x, Destination: Name{Kind: KindQueue, Name: name}}
	if err := w.b.Bind(ctx, bd); err != nil {
		w.t.Errorf("bind %s: %v", name, err)
	}
	w.bound[name] = true
	w.note("bind %s to %s", name, x)
}

func (w *queueWorld) unbind(name string) {
	bd := Binding{Source: "x", Destination: Name{Kind: KindQueue, Name: name}}
	if err := w.b.Unbind(ctx, bd); err != nil {
		w.t.Errorf("unbind %s: %v", name, err)
	}
	delete(w.bound, name)
	w.note("unbind %s", name)
}

func (w *queueWorld) names() []string { return slices.Sorted(maps.Keys(w.queues)) }

func (w *queueWorld) any() *modelQueue {
	names := w.names()
	return w.queues[names[w.d.IntN(len(names))]]
}

// pass lets time go by, and stops where something expires.
func (w *queueWorld) pass(d time.Duration) {
	w.note("%v pass", d)
	until := time.Now().Add(d)
	for {
		next := until
		for _, q := range w.queues {
			if ms := q.nextExpiry(); ms != 0 && timeOf(ms).Before(next) {
				next = timeOf(ms)
			}
		}
		time.Sleep(time.Until(next))
		w.quiet()
		if !next.Before(until) || w.t.Failed() {
			return
		}
	}
}

// quiet waits until the broker does nothing any more, and brings the model there.
func (w *queueWorld) quiet() {
	synctest.Wait()
	w.queues["a"].land()
	for changed := true; changed; {
		changed = false
		for _, name := range w.names() {
			q := w.queues[name]
			q.dispatch()
			changed = q.tidy(w.bury) || changed
			changed = w.queues["a"].land() || changed
		}
		changed = changed || w.adopt() // when all of them are known
	}
}

// land puts the dead letters that came from one queue into their order.
func (q *modelQueue) land() bool {
	came := q.coming
	q.coming = nil
	for _, c := range came {
		q.seen++
		q.arrive(c)
	}
	return len(came) > 0
}

// adopt puts the dead letters that came into the order in which they stand in the log:
// those of several queues come in any.
func (w *queueWorld) adopt() bool {
	q := w.queues["dead"]
	if q == nil || len(q.coming) == 0 {
		return false
	}
	var buf storage.Buffer
	defer buf.Release()
	for len(q.coming) > 0 {
		if err := q.q.lanes[0].log.Read(&buf, q.seen, 1); err != nil || len(buf.Entries) == 0 {
			w.t.Errorf("dead letters are lost: %v, %v", q.coming, err)
			q.coming = nil
			return false
		}
		r, _, err := decodeQueueRecord(buf.Entries[0].Bytes, w.b.start)
		got := copyOf(&r, 0).String()
		at := slices.IndexFunc(q.coming, func(c *modelCopy) bool { return c.String() == got })
		if err != nil || at < 0 {
			w.t.Errorf("dead letter %s came, want one of %v, %v", got, q.coming, err)
			q.coming = nil
			return false
		}
		q.arrive(q.coming[at])
		q.coming = slices.Delete(q.coming, at, at+1)
		q.seen++
	}
	return true
}
