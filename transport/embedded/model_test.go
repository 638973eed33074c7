package embedded

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/storage/vfs"
)

var (
	modelFrom  = flag.Uint64("model.from", 0, "the first history that TestTheTransportIsItsModel plays")
	modelSeeds = flag.Uint64("model.seeds", 30, "how many")
)

// TestTheTransportIsItsModel plays random histories of two groups and their consumers, with crashes and
// power cuts at any moment: nothing that a publisher was told is kept is lost, nothing that was committed
// comes back, nothing is in two hands, and keys are in order while nothing is given back.
func TestTheTransportIsItsModel(t *testing.T) {
	for seed := *modelFrom; seed < *modelFrom+*modelSeeds && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, seed)
			for range 4 {
				w.live()
				w.crash()
			}
			w.settleEverything()
			if t.Failed() {
				t.Logf("seed %d:\n%s", seed, strings.Join(w.story, "\n"))
			}
		})
	}
}

// world is a transport and what must be true of it.
type world struct {
	t     *testing.T
	dice  *rand.Rand
	fs    *vfs.Mem
	h     *host
	story []string
	epoch int
	bad   bool // the disk has failed

	events map[string]*fate
	next   map[string]int // number of the next event by topic and key
	groups []*modelGroup
}

// fate is what becomes of an event.
type fate struct {
	tidings.Event
	n     int
	kept  bool // a publisher was told so
	loose bool // it has no order: it is a command, has no key, or was published for later
	at    time.Time
}

type modelGroup struct {
	w         *world
	name      string
	topics    []string
	consumers []tidings.Consumer
	inHand    map[string]*tidings.Delivery
	holder    map[string]tidings.Consumer
	attempts  map[string]int // of the last delivery in this epoch
	notBefore map[string]time.Time
	acked     map[string]int // in which epoch
	done      map[string]bool
	first     map[string]int // by topic and key: the last number that came for the first time
	seen      map[string]bool
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, dice: rand.New(rand.NewPCG(seed, 3)), fs: vfs.NewMem(),
		events: map[string]*fate{}, next: map[string]int{}}
	for _, g := range []modelGroup{{name: "billing", topics: []string{"orders", "payments"}},
		{name: "shipping", topics: []string{"orders"}}} {
		g.w, g.acked, g.done = w, map[string]int{}, map[string]bool{}
		g.first, g.seen = map[string]int{}, map[string]bool{}
		w.groups = append(w.groups, &g)
	}
	w.open()
	for _, g := range w.groups {
		if err := w.h.t.Declare(t.Context(), g.subscription()); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (g *modelGroup) subscription() tidings.Subscription {
	return tidings.Subscription{Group: g.name, Topics: g.topics, Window: 1 + g.w.dice.IntN(20)}
}

func (w *world) tell(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf("  %v ", time.Now().Format("05.000"))+fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.tell("FAULT: "+format, args...)
	w.t.Errorf(format, args...)
}

func (w *world) open() {
	w.h = start(w.t, w.fs, Config{Partitions: 3, Lease: 5 * time.Second})
	w.epoch++
	w.bad = false
	for _, g := range w.groups {
		g.consumers, g.inHand = nil, map[string]*tidings.Delivery{}
		g.holder, g.attempts = map[string]tidings.Consumer{}, map[string]int{}
		g.notBefore = map[string]time.Time{}
	}
}

// crash ends the process or the machine.
func (w *world) crash() {
	var after *vfs.Mem
	if w.bad || w.dice.IntN(2) == 0 {
		after = w.fs.Crash(w.dice)
		w.tell("power cut")
	} else {
		after = w.fs.Kill()
		w.tell("kill")
	}
	w.h.close()
	w.fs = after
	w.open()
}

// live does what comes until the disk fails, or there was enough.
func (w *world) live() {
	if w.dice.IntN(2) == 0 {
		w.fs.CutAfter(10 + w.dice.IntN(200))
	}
	for range 120 {
		if w.bad || w.t.Failed() {
			return
		}
		g := w.groups[w.dice.IntN(len(w.groups))]
		switch n := w.dice.IntN(20); {
		case n < 4:
			w.publish(w.dice.IntN(3) == 0)
		case n < 10:
			g.receive()
		case n < 14:
			g.settle((*modelGroup).ack)
		case n < 15:
			g.settle((*modelGroup).nack)
		case n < 16:
			g.settle((*modelGroup).delay)
		case n < 17:
			g.commit()
		case n < 18:
			g.join()
		case n < 19 && w.dice.IntN(2) == 0:
			g.leave()
		default:
			time.Sleep(time.Duration(w.dice.IntN(200)) * time.Millisecond)
		}
	}
}

// failed says whether an error is the disk's; any other is a fault.
func (w *world) failed(what string, err error) bool {
	w.t.Helper()
	if err == nil {
		return false
	}
	if w.bad = w.h.b.Err() != nil; !w.bad {
		w.fail("%s: %v", what, err)
	}
	w.tell("%s: %v", what, err)
	return true
}

func (w *world) publish(later bool) {
	var all []*fate
	for range 1 + w.dice.IntN(6) {
		all = append(all, w.make())
	}
	at := time.Now()
	if later {
		at = at.Add(time.Duration(w.dice.IntN(3000)) * time.Millisecond)
	}
	events := make([]tidings.Event, len(all))
	for i, f := range all {
		f.loose, f.at = f.loose || later, at
		w.events[f.ID], events[i] = f, f.Event
	}
	var err error
	if later {
		err = w.h.t.PublishAt(w.t.Context(), at, events...)
	} else {
		err = w.h.t.Publish(w.t.Context(), events...)
	}
	for _, f := range all {
		f.kept = err == nil
		w.tell("publish %s to %s at %s: %v", f.ID, f.Topic, at.Format("05.000"), err)
	}
	w.failed("publish", err)
}

func (w *world) make() *fate {
	topic := []string{"orders", "payments"}[w.dice.IntN(2)]
	key := []string{"a", "b", "c", "d", ""}[w.dice.IntN(5)]
	w.next[topic+key]++
	f := &fate{n: w.next[topic+key], loose: key == ""}
	f.Event = event(topic, key, f.n)
	f.ID = fmt.Sprintf("%s-%s-%d", topic, key, f.n)
	if w.dice.IntN(6) == 0 {
		f.Kind, f.Topic, f.loose = tidings.KindCommand, w.groups[w.dice.IntN(2)].name, true
		w.next[topic+key]--
		w.next["commands"]++
		f.ID = fmt.Sprint("command-", w.next["commands"])
	}
	return f
}

func (g *modelGroup) join() {
	if len(g.consumers) == 3 {
		return
	}
	c, err := g.w.h.t.Subscribe(g.w.t.Context(), g.subscription())
	if !g.w.failed("subscribe "+g.name, err) {
		g.consumers = append(g.consumers, c)
		g.w.tell("%s: consumer %p joins", g.name, c)
	}
}

func (g *modelGroup) leave() {
	if len(g.consumers) == 0 {
		return
	}
	i := g.w.dice.IntN(len(g.consumers))
	c := g.consumers[i]
	g.consumers = slices.Delete(g.consumers, i, i+1)
	g.w.tell("%s: consumer %p leaves", g.name, c)
	for id, holder := range g.holder {
		if holder == c {
			delete(g.inHand, id)
			delete(g.holder, id)
		}
	}
	if !g.w.failed("close", c.Close(g.w.t.Context())) {
		g.noteCommit()
	}
}

func (g *modelGroup) receive() {
	if len(g.consumers) == 0 {
		g.join()
		return
	}
	c := g.consumers[g.w.dice.IntN(len(g.consumers))]
	ctx, cancel := context.WithTimeout(g.w.t.Context(), time.Millisecond)
	defer cancel()
	got, err := c.Receive(ctx, 1+g.w.dice.IntN(8))
	for _, d := range got {
		g.came(c, d)
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		g.w.failed("receive", err)
	}
}

func (g *modelGroup) came(c tidings.Consumer, d *tidings.Delivery) {
	w, id := g.w, d.ID
	w.tell("%s: %p got %s, attempt %d, %s@%d", g.name, c, id, d.Attempt, d.Lane, d.Offset)
	f := w.events[id]
	switch {
	case f == nil:
		w.fail("%s: nobody published %s", g.name, id)
		return
	case !g.wants(f):
		w.fail("%s: %s is not for it", g.name, id)
	case g.inHand[id] != nil:
		w.fail("%s: %s is in somebody's hands", g.name, id)
	case g.done[id]:
		w.fail("%s: %s was committed", g.name, id)
	case g.acked[id] == w.epoch:
		w.fail("%s: %s was acknowledged", g.name, id)
	case time.Now().Before(f.at), time.Now().Before(g.notBefore[id]):
		w.fail("%s: %s came before its time", g.name, id)
	case g.attempts[id] > 0 && d.Attempt <= g.attempts[id]:
		w.fail("%s: %s is attempt %d, after %d", g.name, id, d.Attempt, g.attempts[id])
	}
	if string(d.Payload) != string(f.Payload) || d.Topic != f.Topic || d.Kind != f.Kind || d.Key != f.Key {
		w.fail("%s: got %+v, want %+v", g.name, d.Event, f.Event)
	}
	if at := f.Topic + f.Key; !f.loose && !g.seen[id] {
		if f.n < g.first[at] {
			w.fail("%s: %s came after %d", g.name, id, g.first[at])
		}
		g.first[at] = f.n
	}
	g.seen[id] = true
	g.inHand[id], g.holder[id], g.attempts[id] = d, c, d.Attempt
}

// wants says whether an event is for the group.
func (g *modelGroup) wants(f *fate) bool {
	if f.Kind == tidings.KindCommand {
		return f.Topic == g.name
	}
	return slices.Contains(g.topics, f.Topic)
}

// settle settles something that is in hand.
func (g *modelGroup) settle(how func(*modelGroup, *tidings.Delivery)) {
	if len(g.inHand) == 0 {
		return
	}
	held := slices.Sorted(maps.Keys(g.inHand))
	d := g.inHand[held[g.w.dice.IntN(len(held))]]
	delete(g.inHand, d.ID)
	delete(g.holder, d.ID)
	how(g, d)
}

func (g *modelGroup) ack(d *tidings.Delivery) {
	if g.overdue(d) {
		return
	}
	g.w.tell("%s: ack %s", g.name, d.ID)
	if !g.w.failed("ack", d.Ack(g.w.t.Context())) {
		g.acked[d.ID] = g.w.epoch
	}
}

// overdue says whether a delivery's deadline is over: what its settlement does is not told.
func (g *modelGroup) overdue(d *tidings.Delivery) bool {
	return !d.Deadline.IsZero() && !time.Now().Before(d.Deadline)
}

func (g *modelGroup) nack(d *tidings.Delivery) {
	if g.overdue(d) {
		return
	}
	g.w.tell("%s: nack %s", g.name, d.ID)
	g.w.failed("nack", d.Nack(g.w.t.Context(), 0))
}

func (g *modelGroup) delay(d *tidings.Delivery) {
	if g.overdue(d) {
		return
	}
	delay := time.Duration(1+g.w.dice.IntN(1000)) * time.Millisecond
	g.w.tell("%s: nack %s for %v", g.name, d.ID, delay)
	at := time.Now().Add(delay)
	if !g.w.failed("nack", d.Nack(g.w.t.Context(), delay)) {
		g.notBefore[d.ID] = at
	}
}

func (g *modelGroup) commit() {
	if len(g.consumers) == 0 {
		return
	}
	for _, c := range g.consumers {
		if g.w.failed("commit", c.Commit(g.w.t.Context())) {
			return
		}
	}
	g.w.tell("%s: commit", g.name)
	g.noteCommit()
}

// noteCommit: all consumers of the group have committed, or the one that did had all that matters.
func (g *modelGroup) noteCommit() {
	if len(g.consumers) > 0 {
		for _, c := range g.consumers {
			if g.w.failed("commit", c.Commit(g.w.t.Context())) {
				return
			}
		}
	}
	for id, epoch := range g.acked {
		if epoch == g.w.epoch {
			g.done[id] = true
		}
	}
}

// settleEverything has all that must come come, and nothing else.
func (w *world) settleEverything() {
	time.Sleep(time.Minute) // what was delayed, scheduled or leased
	for _, g := range w.groups {
		g.join()
		missing := map[string]bool{}
		for id, f := range w.events {
			if _, acked := g.acked[id]; f.kept && g.wants(f) && !acked {
				missing[id] = true
			}
		}
		g.drain(missing)
		if len(missing) > 0 {
			w.fail("%s: %v did not come", g.name, slices.Sorted(maps.Keys(missing)))
		}
		for _, at := range w.lag(g) {
			w.fail("%s is not at the end of %s", g.name, at)
		}
	}
}

func (g *modelGroup) drain(missing map[string]bool) {
	c := g.consumers[0]
	ctx, cancel := context.WithTimeout(g.w.t.Context(), time.Minute)
	defer cancel()
	for {
		got, err := c.Receive(ctx, 10)
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if g.w.failed("drain", err) {
			return
		}
		for _, d := range got {
			g.came(c, d)
			delete(missing, d.ID)
			delete(g.inHand, d.ID)
			g.ack(d)
		}
	}
	g.w.failed("commit", c.Commit(g.w.t.Context()))
}

// lag lists where a group that has settled everything is not at the end.
func (w *world) lag(g *modelGroup) (behind []string) {
	stored, err := w.h.b.Group("", g.name)
	if err != nil {
		return []string{err.Error()}
	}
	for _, name := range g.topics {
		topic, err := w.h.b.Topic("", name)
		if err != nil {
			return []string{err.Error()}
		}
		for i := range topic.Partitions() {
			_, end := topic.Partition(i).Bounds()
			if c, _ := stored.Cursor(name, i); c.Offset != end || c.Metadata != "" {
				behind = append(behind, fmt.Sprintf("%s: %d of %d", topic.Partition(i), c.Offset, end))
			}
		}
	}
	q, err := w.h.b.Queue("", g.name)
	if err != nil {
		return []string{err.Error()}
	}
	if s := q.Stats(); s.Ready+s.Leased+s.Delayed > 0 {
		behind = append(behind, fmt.Sprintf("its address: %+v", s))
	}
	return behind
}
