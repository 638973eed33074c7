package broker

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// queueSeeds is how many histories TestQueuesAreTheirModel plays;
// TIDINGS_QUEUE_SEEDS="first count" plays others.
const queueSeeds = 120

// TestQueuesAreTheirModel plays random histories of queues: publishes, deliveries,
// settles, time that passes, queues that are deleted and made again, restarts, killed
// processes and power cuts.
//
// While the power stays on, everything must be as in the model: who gets which
// record, in what order, how often it was delivered, where the dead letters are and
// why, and how many records wait. After a restart every persistent record of a
// durable queue that is not settled is there, once and in its place, and says so if
// it was delivered; no transient one is. After a power cut what was under way may
// have happened or not, each Tx as a whole: a record is in its queue or among the
// dead letters, never in both or in neither.
func TestQueuesAreTheirModel(t *testing.T) {
	all := seeds(t, "TIDINGS_QUEUE_SEEDS", queueSeeds)
	playHistories(t, all, func(t *testing.T, seed uint64) []string {
		w := newQueueWorld(t, rand.New(rand.NewPCG(seed, 11)))
		w.play()
		return w.done
	})
}

func (w *queueWorld) play() {
	for range 3 {
		for range 10 + w.d.IntN(30) {
			w.roll()
			w.quiet()
			w.check()
			if w.t.Failed() {
				return
			}
			w.pass(time.Duration(1+w.d.IntN(30)) * time.Millisecond)
		}
		switch w.d.IntN(4) {
		case 0:
			w.restart("close", func() { w.close() })
		case 1:
			w.restart("kill", func() { w.fs = w.fs.Kill(); w.close() })
		default:
			w.powerCut()
		}
		if w.t.Failed() {
			return
		}
	}
	w.end()
}

// close ends the broker; where the power was cut it cannot do so in order.
func (w *queueWorld) close() {
	if err := w.b.Close(); err != nil && w.storm == nil {
		w.t.Errorf("close: %v", err)
	}
}

// check compares what can be seen of each queue.
func (w *queueWorld) check() {
	for _, name := range w.names() {
		q := w.queues[name]
		s := q.q.Stats()
		got := [3]int{int(s.Ready), int(s.Leased), s.Subscriptions}
		if want := [3]int{q.waiting(), len(q.leased), len(q.subs)}; got != want {
			w.t.Errorf("%s: got ready, leased, subscriptions %v, want %v", name, got, want)
		}
		if s := q.q.Settings(); !reflect.DeepEqual(s, q.in) {
			w.t.Errorf("%s: in force is %s, want %s", name, settingsText(&s), settingsText(&q.in))
		}
		all, err := q.q.Browse(1000)
		var want []*modelCopy
		for _, c := range q.ready {
			if !q.expired(c) {
				want = append(want, c)
			}
		}
		w.checkBytes(q)
		if g, x := deliveryList(all), copyList(want); g != x || err != nil {
			w.t.Errorf("%s: got%s, %v\nwant%s", name, g, err, x)
		}
	}
}

// checkBytes compares the count of a queue that is bounded by bytes.
func (w *queueWorld) checkBytes(q *modelQueue) {
	if q.in.MaxLengthBytes == nil {
		return
	}
	q.q.mu.Lock()
	measured := q.q.measuredLocked()
	q.q.mu.Unlock()
	if !measured { // nothing has asked for it
		q.q.measure()
	}
	q.q.mu.Lock()
	defer q.q.mu.Unlock()
	if got, want := q.q.sizes.ready, q.waitingBytes(); got != want {
		w.t.Errorf("%s: %d bytes count, want %d", q.name, got, want)
	}
}

func deliveryList(ds []Delivery) (s string) {
	for i := range ds {
		s += fmt.Sprintf(" %v*%d", copyOf(&ds[i].Record, 0), ds[i].Deliveries)
	}
	return s
}

func copyList(cs []*modelCopy) (s string) {
	for _, c := range cs {
		s += fmt.Sprintf(" %v*%d", c, c.deliveries)
	}
	return s
}

// all is every record of a queue that is not settled, in its order.
func (q *modelQueue) all() []*modelCopy {
	all := slices.Concat(q.ready, q.leased)
	for _, s := range q.subs {
		all = append(all, s.assigned...)
	}
	slices.SortFunc(all, q.compare)
	return all
}

// restart goes on with what a broker leaves that had nothing to do.
func (w *queueWorld) restart(how string, end func()) {
	w.note("%s and open", how)
	end()
	before := w.queues
	w.open()
	got := w.queues
	w.queues = map[string]*modelQueue{}
	for name, q := range got {
		old := before[name]
		left := slices.DeleteFunc(old.all(), func(c *modelCopy) bool { return c.transient })
		w.queues[name] = &modelQueue{name: name, spec: old.spec, q: q.q, ready: left,
			next: old.next, seen: old.seen}
		w.follow(w.queues[name])
		for _, c := range left {
			c.waited = true
		}
	}
	w.quiet() // what was assigned in time may be too old now, or too much
	for name, q := range w.queues {
		w.came(q, got[name].ready)
	}
	w.topology()
	w.quiet()
	w.check()
}

// came compares records with those before the restart.
func (w *queueWorld) came(q *modelQueue, got []*modelCopy) {
	if g, x := fmt.Sprint(got), fmt.Sprint(q.ready); g != x {
		w.t.Errorf("%s after a restart: got %s, want %s", q.name, g, x)
		return
	}
	for i, old := range q.ready {
		least := max(min(old.deliveries, 1), old.noted)
		if old.handed {
			least = max(least, 1)
		}
		if n := got[i].deliveries; n < least {
			w.t.Errorf("%s after a restart: got %v delivered %d times, want at least %d", q.name, old, n, least)
		}
		old.deliveries = got[i].deliveries
	}
}

// open opens what is on the disk, and takes the durable queues as they are there.
func (w *queueWorld) open() {
	w.b = openOn(w.t, w.fs)
	synctest.Wait()
	before := w.queues
	w.queues, w.bound, w.held = map[string]*modelQueue{}, map[string]bool{}, nil
	for _, real := range w.b.Queues("") {
		name := real.name.Name
		q := &modelQueue{name: name, spec: before[name].spec, q: real}
		w.queues[name] = q
		if !real.spec.Durable {
			w.t.Errorf("%s came back from memory", name)
		}
		w.follow(q)
		w.readAll(q)
		for _, bd := range real.Bindings() {
			w.bound[name] = w.bound[name] || bd.Source != ""
		}
	}
	w.checkKeys()
}

// readAll reads all that is not settled in a queue that nobody uses.
func (w *queueWorld) readAll(q *modelQueue) {
	as := q.q.waitingAll()
	for _, a := range as {
		d, lost, err := q.q.peekRecord(a)
		if err != nil || lost {
			w.t.Errorf("%s@%d: lost at a restart %v, %v", q.name, a.off, lost, err)
			continue
		}
		q.arrive(copyOf(&d, a.deliveries))
	}
	_, _, q.seen = q.q.lanes[0].log.Bounds()
}

// waitingAll lists what is ready, without an end.
func (q *Queue) waitingAll() []assignment { return q.waiting(1 << 30) }

func (q *Queue) peekRecord(a assignment) (QueueRecord, bool, error) {
	var buf Buffer
	if err := a.lane.log.Read(&buf, a.off, 1); err != nil {
		return QueueRecord{}, false, err
	}
	return decodeQueueRecord(buf.Entries[0].Bytes, q.b.start)
}

// checkKeys finds keys that belong to no queue, record or binding.
func (w *queueWorld) checkKeys() {
	lanes, bindings := map[uint64]*lane{}, 0
	for _, q := range w.b.Queues("") {
		for _, l := range q.lanes {
			lanes[uint64(l.log.ID())] = l
		}
		bindings += len(q.Bindings())
	}
	for _, family := range []byte{familyHanded, familyTransient, familyDeliveries} {
		for key := range w.b.store.Scan([]byte{family}) {
			l := lanes[binary.BigEndian.Uint64(key[1:])]
			if l == nil || family == familyDeliveries &&
				l.settled.Has(Offset(binary.BigEndian.Uint64(key[9:]))) {
				w.t.Errorf("key %c%x is left over", family, key[1:])
			}
		}
	}
	for range w.b.store.Scan([]byte{familyBinding}) {
		bindings--
	}
	if bindings != 0 {
		w.t.Errorf("there are %d more bindings than keys for them", bindings)
	}
}

// end settles everything: then nothing is left in any log.
func (w *queueWorld) end() {
	w.note("end")
	for _, q := range w.queues {
		q.q.mu.Lock()
		subs := slices.Clone(q.q.subs)
		q.q.mu.Unlock()
		for _, s := range subs {
			s.Close()
		}
	}
	tx := w.b.Begin()
	for _, h := range w.held {
		tx.Settle(h.q.q, nil, h.id, Accept)
	}
	mustCommit(w.t, tx)
	for _, q := range w.queues {
		if _, err := q.q.Purge(ctx, nil); err != nil {
			w.t.Error(err)
		}
	}
	synctest.Wait()
	time.Sleep(2 * w.b.config.RetentionInterval)
	synctest.Wait()
	if err := w.b.store.Checkpoint(ctx); err != nil {
		w.t.Error(err)
	}
	for name, q := range w.queues {
		for _, l := range q.q.lanes {
			if start, _, end := l.log.Bounds(); start != end || l.log.SizeBytes() != 0 {
				w.t.Errorf("%s: all is settled, and the log is %d to %d, %d bytes",
					name, start, end, l.log.SizeBytes())
			}
		}
	}
	for key := range w.b.store.Scan([]byte{familyDeliveries}) {
		w.t.Errorf("all is settled, and key %x is there", key)
	}
	w.close()
}
