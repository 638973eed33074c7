package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// groupedSeeds is how many histories TestGroupedQueuesAreTheirModel plays;
// TIDINGS_GROUPED_SEEDS="first count" plays others.
const groupedSeeds = 200

// TestGroupedQueuesAreTheirModel plays random histories of ordered and fair queues: records
// of some groups, receivers, consumers that subscribe or get, and settle, leases that end, are
// extended and discarded, purges of both kinds, other delays, bounds of bytes that come and go,
// small windows; restarts, killed processes and power cuts.
//
// What is handed out is the oldest of its group that waits, in an ordered queue never while
// something older of it is in hands, unless it goes with it, and never before its delay is
// over; of groups that were in nobody's hands the oldest comes first; where nothing is handed out there is nothing. What waits, is in hands, delayed or a
// dead letter is as in the model, also after a restart; after a power cut what was confirmed
// is there once or settled.
func TestGroupedQueuesAreTheirModel(t *testing.T) {
	all := seeds(t, "TIDINGS_GROUPED_SEEDS", groupedSeeds)
	playHistories(t, all, func(t *testing.T, seed uint64) []string {
		w := newGroupedWorld(t, rand.New(rand.NewPCG(seed, 33)))
		w.play()
		return w.done
	})
}

// groupedWorld is a broker with the queues jobs and dead, and what jobs must be.
type groupedWorld struct {
	t        *testing.T
	d        *rand.Rand
	fs       *vfs.Mem
	b        *Broker
	jobs     *Queue
	dead     *Queue
	spec     QueueSpec
	window   int
	records  []*groupedRecord // in the order of their publishes
	letters  []string
	ids      []groupedID
	serial   int
	done     []string
	storming bool
	reopened bool
	bytes    bool            // a policy bounds them: no groups take turns
	mixed    bool            // one did, and who had a record then gives it back to no group
	sure     []func()        // what must be where a confirm was done
	known    map[string]bool // groups of which something was in hands, and may have come back
}

// groupedRecord is one that is in jobs.
type groupedRecord struct {
	body, group  string
	time, ends   time.Time
	state        leasedState // not isDelayed: see due
	id           DeliveryID
	receives     uint32
	discarded    bool // while it is held
	leaves, away bool // somebody settled it in a storm; and that was confirmed
	sure         bool // its publish was confirmed
}

type groupedID struct {
	r   *groupedRecord
	id  DeliveryID
	cut bool // of before a power cut
}

func newGroupedWorld(t *testing.T, d *rand.Rand) *groupedWorld {
	w := &groupedWorld{t: t, d: d, fs: vfs.NewMem(), known: map[string]bool{}}
	w.spec = QueueSpec{Name: "jobs", Durable: true,
		Settings: QueueSettings{Groups: OrderedGroups, DeadLetters: true, DeadLetterKey: ptr("dead")}}
	s := &w.spec.Settings
	if d.IntN(3) == 0 {
		s.Groups = FairGroups
	} else if d.IntN(3) == 0 {
		s.Delay = time.Duration(d.IntN(3000)) * time.Millisecond
	}
	if d.IntN(2) == 0 {
		s.MaxReceives = ptr(int64(1 + d.IntN(3)))
	}
	if d.IntN(3) == 0 {
		s.Retention = time.Duration(5000+d.IntN(20000)) * time.Millisecond
	}
	if d.IntN(3) == 0 {
		w.window = 3 + d.IntN(10)
	}
	w.note("groups %d, window %d, receives %v, delay %v, retention %v",
		s.Groups, w.window, orZero(s.MaxReceives), s.Delay, s.Retention)
	w.open()
	return w
}

func (w *groupedWorld) note(format string, args ...any) {
	w.done = append(w.done, fmt.Sprintf(format, args...))
}

func (w *groupedWorld) open() {
	w.reopened = w.b != nil
	w.b = openOn(w.t, w.fs, func(c *Config) { c.Limits.GroupWindow = w.window })
	var err error
	if w.jobs, _, err = w.b.DeclareQueue(ctx, w.spec); err == nil {
		w.dead, _, err = w.b.DeclareQueue(ctx, QueueSpec{Name: "dead", Durable: true})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *groupedWorld) play() {
	for range 4 {
		for range 10 + w.d.IntN(40) {
			w.roll()
			w.check()
			if w.t.Failed() {
				return
			}
		}
		switch w.d.IntN(4) {
		case 0:
			w.restart("close", func() { w.b.Close() })
		case 1:
			w.restart("kill", func() { w.fs = w.fs.Kill(); w.b.Close() })
		default:
			w.powerCut()
		}
		w.check()
		if w.t.Failed() {
			return
		}
	}
	w.end()
}

func (w *groupedWorld) roll() {
	switch n := w.d.IntN(100); {
	case n < 28:
		w.publish()
	case n < 52:
		w.receive()
	case n < 60:
		w.extend()
	case n < 74:
		w.discard()
	case n < 80:
		w.get()
	case n < 87:
		w.settle()
	case n < 88:
		w.purge()
	case n < 89:
		w.purgeAll()
	case n < 91:
		w.changeDelay()
	case n < 94:
		w.subscribe()
	case n < 96:
		w.changeBytes()
	default:
		w.pass(time.Duration(w.d.IntN(4000)) * time.Millisecond)
	}
}

func (w *groupedWorld) ordered() bool { return w.spec.Settings.Groups == OrderedGroups }

func (w *groupedWorld) publish() {
	x, err := w.b.Exchange("", "")
	if err != nil {
		w.t.Fatal(err)
	}
	tx := w.b.Begin()
	var all []*groupedRecord
	for range 1 + w.d.IntN(4) {
		w.serial++
		r := &groupedRecord{group: []string{"A", "B", "C", ""}[w.d.IntN(4)], time: time.Now().Truncate(time.Millisecond)}
		r.body = fmt.Sprint(r.group, w.serial)
		tx.Publish(x, QueueRecord{Key: "jobs", Group: r.group, Body: []byte(r.body)})
		w.note("publish %s", r.body)
		all = append(all, r)
	}
	confirm, err := tx.Commit(ctx)
	w.failed(err)
	w.records = append(w.records, all...)
	w.whenSure(confirm, err, func() {
		for _, r := range all {
			r.sure = true
		}
	})
}

func (w *groupedWorld) whenSure(c Confirm, err error, then func()) {
	if w.storming && err == nil {
		w.sure = append(w.sure, func() {
			if c.Done() {
				then()
			}
		})
	}
}

// failed judges an error: while the power may go there may be any.
func (w *groupedWorld) failed(err error) {
	if err != nil && !w.storming {
		w.t.Errorf("got %v", err)
	}
}

func (w *groupedWorld) forget(r *groupedRecord) {
	w.records = slices.DeleteFunc(w.records, func(x *groupedRecord) bool { return x == r })
}

func (w *groupedWorld) find(body string) *groupedRecord {
	for _, r := range w.records {
		if r.body == body {
			return r
		}
	}
	return nil
}

// due lists what a delay does not hold back: nothing passes the first that it does.
func (w *groupedWorld) due() []*groupedRecord {
	for i, r := range w.records {
		if r.state == waits && w.ordered() && time.Now().Before(r.time.Add(w.spec.Settings.Delay)) {
			return w.records[:i]
		}
	}
	return w.records
}

// available lists what may be handed out: the first that waits of each group, unless
// something older of it is in hands that was not taken together with it.
func (w *groupedWorld) available(together []*groupedRecord) (all []*groupedRecord) {
	seen := map[string]bool{}
	for _, r := range w.due() {
		switch {
		case seen[r.group] && !w.mixed:
		case r.state == waits:
			seen[r.group] = true
			all = append(all, r)
		case w.ordered() && !slices.Contains(together, r):
			seen[r.group] = true
		}
	}
	return all
}

// mayBeFirst says whether a record may be handed out before all others that are available: what
// was in hands may come back, and later than it was.
func (w *groupedWorld) mayBeFirst(body string, all []*groupedRecord) bool {
	fresh := slices.DeleteFunc(slices.Clone(all), func(r *groupedRecord) bool { return w.known[r.group] })
	r := w.find(body)
	return len(fresh) == 0 || fresh[0] == r || r != nil && w.known[r.group]
}

func (w *groupedWorld) tooOld(r *groupedRecord) bool {
	d := w.spec.Settings.Retention
	return d > 0 && !time.Now().Before(r.time.Add(d))
}

func (w *groupedWorld) spent(r *groupedRecord) bool {
	most := w.spec.Settings.MaxReceives
	return most != nil && int64(r.receives) >= *most
}

func (w *groupedWorld) receive() {
	most, lease := 1+w.d.IntN(5), time.Duration(w.d.IntN(4000))*time.Millisecond
	oldest := w.available(nil)
	ds, err := w.jobs.Receive(ctx, ReceiveOptions{Max: most, Lease: lease})
	w.failed(err)
	bodies := []string{}
	for i := range ds {
		bodies = append(bodies, string(ds[i].Record.Body))
	}
	w.note("receive %d for %v: %v", most, lease, bodies)
	if w.storming {
		w.receivedInStorm(ds)
		return
	}
	buried := w.bury()
	if w.ordered() && buried == 0 && len(ds) > 0 && !w.mayBeFirst(bodies[0], oldest) {
		w.t.Errorf("received %v, of %s", bodies, oldest[0].body)
	}
	var together []*groupedRecord
	for i := range ds {
		r := w.find(bodies[i])
		if r == nil || !slices.Contains(w.available(together), r) {
			w.t.Errorf("received %v, and %s was not to be had", bodies, bodies[i])
			return
		}
		if r.receives++; r.receives != ds[i].Receives {
			w.t.Errorf("%s was received %d times, want %d", r.body, ds[i].Receives, r.receives)
		}
		r.state, r.ends, r.id = isLeased, time.Now().Truncate(time.Millisecond).Add(lease), ds[i].ID
		w.known[r.group] = true
		together = append(together, r)
		w.ids = append(w.ids, groupedID{r: r, id: r.id})
	}
	// What is not sorted is read piece by piece, until there is something.
	whole := len(ds) == 0 && !w.hidden() || w.window == 0 && !w.reopened
	if left := w.available(nil); whole && len(ds)+buried < most && len(left) > 0 {
		w.t.Errorf("received %v of %d, and left %v", bodies, most, left[0].body)
	}
}

// hidden says whether something may lie beyond the window.
func (w *groupedWorld) hidden() bool {
	n := 0
	for _, r := range w.records {
		if r.state == waits {
			n++
		}
	}
	return w.window > 0 && n > w.window
}

// bury takes what became a dead letter out of the queue: it was received too often, and
// those of a group come in order.
func (w *groupedWorld) bury() (n int) {
	synctest.Wait()
	all, err := w.dead.Browse(1000)
	w.failed(err)
	for i := len(w.letters); i < len(all); i++ {
		body := string(all[i].Record.Body)
		r := w.find(body)
		if r == nil || r.state != waits || !w.spent(r) || all[i].Record.Group != r.group {
			w.t.Errorf("%s of %q is a dead letter: %+v", body, all[i].Record.Group, r)
			return n
		}
		w.forget(r)
		w.letters = append(w.letters, body)
		n++
	}
	return n
}

// receivedInStorm: what has reached whom is in the answer.
func (w *groupedWorld) receivedInStorm(ds []Delivery) {
	for i := range ds {
		if r := w.find(string(ds[i].Record.Body)); r != nil {
			r.state, r.id, r.receives = isLeased, ds[i].ID, ds[i].Receives
			w.known[r.group] = true
			w.ids = append(w.ids, groupedID{r: r, id: r.id})
		}
	}
	for _, r := range w.records { // it may be a dead letter, or be on its way there
		r.leaves = r.leaves || w.spent(r)
	}
}

func (w *groupedWorld) anyID() (x groupedID, ok bool) {
	if len(w.ids) == 0 {
		return x, false
	}
	return w.ids[len(w.ids)-1-w.d.IntN(min(len(w.ids), 12))], true
}

func (w *groupedWorld) extend() {
	x, ok := w.anyID()
	if !ok || x.cut {
		return
	}
	d := time.Duration(w.d.IntN(3)) * 1500 * time.Millisecond
	err := w.jobs.Extend(x.id, d)
	w.note("extend %d of %s to %v: %v", x.id.Receive, x.r.body, d, err)
	if w.storming {
		return
	}
	holds := slices.Contains(w.records, x.r) && x.r.state == isLeased && x.r.id == x.id
	switch {
	case holds && err == nil:
		x.r.ends = time.Now().Truncate(time.Millisecond).Add(d)
	case holds || KindOf(err) != NotFound:
		w.t.Errorf("extend %v of %s, which holds %v: %v", x.id, x.r.body, holds, err)
	}
}

// discard settles some with ids that hold or do not.
func (w *groupedWorld) discard() {
	tx := w.b.Begin()
	var all []*groupedRecord
	for range 1 + w.d.IntN(3) {
		x, ok := w.anyID()
		if !ok || x.cut && x.r.receives == 0 && x.r.state == isHeld {
			continue // the queue does not know any more that it was received
		}
		tx.Discard(w.jobs, x.id)
		all = append(all, x.r)
		w.note("discard %s", x.r.body)
	}
	confirm, err := tx.Commit(ctx)
	w.failed(err)
	for _, r := range all {
		switch {
		case w.storming:
			r.leaves = true
		case r.state == isHeld:
			r.discarded = true
		default:
			w.forget(r)
		}
	}
	w.whenSure(confirm, err, func() {
		for _, r := range all {
			r.away = true
		}
	})
}

func (w *groupedWorld) get() {
	if w.storming {
		return
	}
	d, ok, err := w.jobs.Get(ctx, nil)
	w.failed(err)
	body := string(d.Record.Body)
	w.note("get: %s", body)
	all := w.available(nil)
	at := slices.IndexFunc(all, func(r *groupedRecord) bool { return r.body == body })
	switch {
	case !ok:
		if len(all) > 0 && !w.hidden() {
			w.t.Errorf("got nothing, and there is %s", all[0].body)
		}
	case at < 0 || w.ordered() && !w.mayBeFirst(body, all):
		w.t.Errorf("got %s, of %s", body, all[0].body)
	default:
		all[at].state, all[at].id = isHeld, d.ID
		w.known[all[at].group] = true
	}
}

// settle ends what Get has taken.
func (w *groupedWorld) settle() {
	for _, r := range w.records {
		if r.state != isHeld || w.d.IntN(2) == 0 {
			continue
		}
		o := Outcome(1 + w.d.IntN(3))
		w.note("settle %s: %d", r.body, o)
		tx := w.b.Begin()
		tx.Settle(w.jobs, nil, r.id, o)
		_, err := tx.Commit(ctx)
		w.failed(err)
		switch {
		case w.storming:
			r.leaves = r.leaves || o != Requeue
			r.state = isLeased
		case o == Requeue && !r.discarded:
			r.state = waits
		default:
			w.forget(r)
			if o == Reject && !r.discarded {
				w.letters = append(w.letters, r.body)
			}
		}
		return
	}
}

func (w *groupedWorld) purge() {
	if w.storming {
		return
	}
	w.note("purge")
	_, err := w.jobs.Purge(ctx, nil)
	w.failed(err)
	w.records = slices.DeleteFunc(w.records, func(r *groupedRecord) bool { return r.state == waits })
}

func (w *groupedWorld) purgeAll() {
	if w.storming {
		return
	}
	w.note("purge all")
	_, err := w.jobs.PurgeAll(ctx, nil)
	w.failed(err)
	w.records = slices.DeleteFunc(w.records, func(r *groupedRecord) bool { return r.state != isHeld })
}

// subscribe has a consumer take what it gets, and leave.
func (w *groupedWorld) subscribe() {
	if w.storming {
		return
	}
	c := new(Credit)
	c.SetLimit(1 + w.d.IntN(5))
	s, err := w.jobs.Subscribe(SubscribeOptions{Credits: []*Credit{c}})
	w.failed(err)
	synctest.Wait()
	for _, r := range w.available(nil) {
		w.known[r.group] = true // also those that it is to have, and does not take
	}
	var all []string
	for range 1 + w.d.IntN(4) {
		ds, err := s.Take(nil, 1+w.d.IntN(3))
		w.failed(err)
		for i := range ds {
			r := w.find(string(ds[i].Record.Body))
			all = append(all, string(ds[i].Record.Body))
			if r == nil || !slices.Contains(w.available(nil), r) {
				w.t.Errorf("a consumer took %v, which was not to be had", all)
				return
			}
			r.state, r.id = isHeld, ds[i].ID
		}
	}
	s.Close()
	w.note("a consumer takes %v", all)
}

// changeBytes puts a bound of bytes in force that is never reached, or ends it.
func (w *groupedWorld) changeBytes() {
	if w.storming {
		return
	}
	w.bytes, w.mixed = !w.bytes, !w.ordered()
	w.note("bound of bytes: %v", w.bytes)
	if !w.bytes {
		w.failed(w.b.DeletePolicy(ctx, "", "bytes", false))
		return
	}
	o := Overflow(w.d.IntN(2))
	_, err := w.b.SetPolicy(ctx, Policy{Name: "bytes", Pattern: "jobs", ApplyTo: AllQueues,
		Queue: QueueSettings{MaxLengthBytes: ptr[int64](1 << 20), Overflow: o}})
	w.failed(err)
}

func (w *groupedWorld) changeDelay() {
	if w.storming || !w.ordered() {
		return
	}
	w.spec.Settings.Delay = time.Duration(w.d.IntN(3)*w.d.IntN(4000)) * time.Millisecond
	w.note("delay %v", w.spec.Settings.Delay)
	_, err := w.b.ChangeQueue(w.jobs, nil, w.spec.Settings)
	w.failed(err)
}

// pass lets time go by, and stops where something comes to its end.
func (w *groupedWorld) pass(d time.Duration) {
	w.note("%v pass", d)
	if w.storming {
		return
	}
	for until := time.Now().Add(d); ; {
		next := until
		for _, r := range w.records {
			for _, at := range []time.Time{r.ends, r.time.Add(w.spec.Settings.Retention)} {
				if at.After(time.Now()) && at.Before(next) {
					next = at
				}
			}
		}
		time.Sleep(time.Until(next))
		synctest.Wait()
		w.turn()
		if !next.Before(until) {
			return
		}
	}
}

// turn does what time does.
func (w *groupedWorld) turn() {
	for _, r := range w.records {
		if r.state == isLeased && !r.ends.After(time.Now()) {
			r.state = waits
		}
	}
	w.records = slices.DeleteFunc(w.records, func(r *groupedRecord) bool {
		return r.state == waits && w.tooOld(r) // no older one waits that is not
	})
}

// check compares all that can be seen.
func (w *groupedWorld) check() {
	synctest.Wait()
	w.turn()
	s := w.jobs.Stats()
	got := fmt.Sprint("ready ", s.Ready, " leased ", s.Leased, " delayed ", s.Delayed)
	ready, held, waiting, texts := 0, 0, 0, ""
	for i, r := range w.records {
		if r.state != waits {
			held++
			continue
		}
		if waiting++; i < len(w.due()) {
			ready++
			texts += " " + r.body
		}
	}
	want := fmt.Sprint("ready ", ready, " leased ", held, " delayed ", waiting-ready, texts, "; dead letters: ", w.letters)
	all, err := w.jobs.Browse(1000)
	for i := range all {
		got += " " + string(all[i].Record.Body)
	}
	letters, late := w.dead.Browse(1000)
	bodies := []string{}
	for i := range letters {
		bodies = append(bodies, string(letters[i].Record.Body))
	}
	if got += fmt.Sprint("; dead letters: ", bodies); got != want || err != nil || late != nil {
		w.t.Errorf("got %s, %v, %v\nwant %s", got, err, late, want)
	}
	w.jobs.mu.Lock()
	defer w.jobs.mu.Unlock()
	if g := w.jobs.lanes[0].groups; w.jobs.receiving != 0 || g != nil && g.gathering != nil {
		w.t.Errorf("%d are on their way, or somebody reads", w.jobs.receiving)
	}
}

// restart goes on with what a broker leaves that had nothing to do.
func (w *groupedWorld) restart(how string, end func()) {
	w.note("%s and open", how)
	synctest.Wait()
	end()
	w.open()
	for _, r := range slices.Clone(w.records) {
		switch {
		case r.state == isHeld && r.discarded:
			w.forget(r)
		case r.state == isHeld:
			r.state = waits
		}
	}
}

// powerCut lets the power go while much is under way that nobody waits for.
func (w *groupedWorld) powerCut() {
	w.note("storm")
	w.storming, w.sure = true, nil
	for _, r := range w.records {
		r.sure, r.leaves, r.away = true, r.discarded, r.discarded
	}
	w.receivedInStorm(nil)
	before := slices.Clone(w.letters)
	w.fs.CutAfter(1 + w.d.IntN(25))
	for range 3 + w.d.IntN(12) {
		w.roll()
	}
	if w.d.IntN(2) == 0 {
		synctest.Wait()
	}
	for _, judge := range w.sure {
		judge()
	}
	w.b.Close()
	w.fs = w.fs.Crash(w.d)
	w.storming = false
	w.open()
	synctest.Wait()
	w.survived(before)
}

// survived judges what a power cut left, and goes on with that.
func (w *groupedWorld) survived(before []string) {
	there := map[string]int{}
	letters, err := w.dead.Browse(1000)
	w.failed(err)
	w.letters = nil
	for i := range letters {
		w.letters = append(w.letters, string(letters[i].Record.Body))
		there[w.letters[i]]++
	}
	for _, body := range before {
		if there[body] != 1 {
			w.t.Errorf("the dead letter %s is there %d times", body, there[body])
		}
	}
	place := w.placesNow(there)
	w.records = slices.DeleteFunc(w.records, func(r *groupedRecord) bool {
		at, inQueue := place[r.body]
		if n := there[r.body]; n > 1 || n == 0 && r.sure && !r.leaves && !w.tooOld(r) || inQueue && r.away {
			w.t.Errorf("%s is there %d times, in the queue %v: %+v", r.body, n, inQueue, r)
		}
		if inQueue {
			w.adopt(r, at)
		}
		return !inQueue
	})
	for i := range w.ids {
		w.ids[i].cut = true
	}
}

func (w *groupedWorld) placesNow(there map[string]int) map[string]Offset {
	place := map[string]Offset{}
	l := w.jobs.lanes[0]
	start, end, _ := l.log.Bounds()
	for o := l.settled.Next(start); o < end; o = l.settled.Next(o + 1) {
		rec, _, err := w.jobs.peekRecord(assignment{lane: l, off: o})
		if err != nil {
			w.t.Errorf("@%d: %v", o, err)
		}
		place[string(rec.Body)] = o
		there[string(rec.Body)]++
	}
	return place
}

// adopt takes a record as it is.
func (w *groupedWorld) adopt(r *groupedRecord, at Offset) {
	w.jobs.mu.Lock()
	defer w.jobs.mu.Unlock()
	l := w.jobs.lanes[0]
	r.state, r.receives, r.discarded = waits, 0, false
	if x := l.received[at]; x != nil {
		r.receives, r.id = x.receives, DeliveryID{l.log.ID(), at, x.receive}
		if x.index != notLeased {
			r.state, r.ends = isLeased, timeOf(x.ends)
		}
	}
}

// end lets all go: then nothing is left.
func (w *groupedWorld) end() {
	w.note("end")
	w.pass(time.Minute)
	w.check()
	for _, r := range slices.Clone(w.records) {
		if r.state == isHeld {
			settle(w.t, w.jobs, nil, Requeue, Delivery{ID: r.id})
		}
	}
	if _, err := w.jobs.Purge(ctx, nil); err != nil {
		w.t.Error(err)
	}
	synctest.Wait()
	if s := w.jobs.Stats(); s.Ready+s.Leased+s.Delayed != 0 {
		w.t.Errorf("all is settled, and there are %+v", s)
	}
	for key := range w.b.store.Scan([]byte{familyDeliveries}) {
		w.t.Errorf("all is settled, and key %x is there", key)
	}
	w.jobs.mu.Lock()
	l := w.jobs.lanes[0]
	if g := l.groups; l.back != nil || g != nil && (g.groups != nil || g.homes != nil || g.coming != nil || g.waiting != 0) {
		w.t.Errorf("all is settled, and in memory are %v, %+v", l.back, g)
	}
	w.jobs.mu.Unlock()
	w.b.Close()
}
