package broker

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// leaseSeeds is how many histories TestLeasesAreTheirModel plays;
// TIDINGS_LEASE_SEEDS="first count" plays others.
const leaseSeeds = 150

// TestLeasesAreTheirModel plays random histories of a queue with receivers: what they
// receive, extend and discard, with the newest ids and with old ones, beside consumers that
// get and settle; delays, leases and records that come to their end; restarts, killed
// processes and power cuts.
//
// While the power stays on everything is as in the model: what a Receive gives, in what
// order, how often it was received and when first, what waits, is leased, delayed or a dead
// letter. The same after a restart: who has a lease has it still. After a power cut each
// record that was confirmed is there once, in the queue, delayed or a dead letter, unless
// somebody settled it, and a discard that was confirmed holds; what was received is off by
// what was under way.
func TestLeasesAreTheirModel(t *testing.T) {
	all := seeds(t, "TIDINGS_LEASE_SEEDS", leaseSeeds)
	playHistories(t, all, func(t *testing.T, seed uint64) []string {
		w := newLeaseWorld(t, rand.New(rand.NewPCG(seed, 12)))
		w.play()
		return w.done
	})
}

// leaseWorld is a broker with the queues jobs and dead, and what jobs must be.
type leaseWorld struct {
	t         *testing.T
	d         *rand.Rand
	fs        *vfs.Mem
	b         *Broker
	jobs      *Queue
	dead      *Queue
	spec      QueueSpec
	records   []*leased // those that are in jobs, or will be
	letters   []string  // in dead
	ids       []leasedID
	serial    int
	places    int
	done      []string
	storming  bool
	confirmed []func() // what must be where its confirm was done
}

// leased is one record of jobs.
type leased struct {
	body       string
	time       time.Time
	due        time.Time // of a delayed one, which has no place yet
	order      int       // of the publish
	place      int
	state      leasedState
	ends       time.Time
	id         DeliveryID
	receives   uint32
	first      time.Time
	discarded  bool // while it is held
	leaves     bool // somebody settled it while the power could go
	least      uint32
	sure, away bool // its publish, or its discard, was confirmed before the power went
}

type leasedState uint8

const (
	waits leasedState = iota
	isDelayed
	isLeased
	isHeld // by Get
)

// leasedID is one that a receiver has or had.
type leasedID struct {
	r   *leased
	id  DeliveryID
	cut bool // of before a power cut: nobody knows whether its number comes again
}

func newLeaseWorld(t *testing.T, d *rand.Rand) *leaseWorld {
	w := &leaseWorld{t: t, d: d, fs: vfs.NewMem()}
	w.spec = QueueSpec{Name: "jobs", Durable: true,
		Settings: QueueSettings{DeadLetters: true, DeadLetterKey: ptr("dead")}}
	s := &w.spec.Settings
	if d.IntN(2) == 0 {
		s.MaxReceives = ptr(int64(1 + d.IntN(3)))
	}
	if d.IntN(3) == 0 {
		s.Delay = time.Duration(d.IntN(5000)) * time.Millisecond
	}
	if d.IntN(3) == 0 {
		s.Retention = time.Duration(5000+d.IntN(20000)) * time.Millisecond
	}
	w.note("receives %v, delay %v, retention %v", orZero(s.MaxReceives), s.Delay, s.Retention)
	w.open()
	return w
}

func (w *leaseWorld) note(format string, args ...any) {
	w.done = append(w.done, fmt.Sprintf(format, args...))
}

func (w *leaseWorld) open() {
	w.b = openOn(w.t, w.fs)
	var err error
	if w.jobs, _, err = w.b.DeclareQueue(ctx, w.spec); err == nil {
		w.dead, _, err = w.b.DeclareQueue(ctx, QueueSpec{Name: "dead", Durable: true})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *leaseWorld) play() {
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

func (w *leaseWorld) roll() {
	switch n := w.d.IntN(100); {
	case n < 25:
		w.publish()
	case n < 50:
		w.receive()
	case n < 60:
		w.extend()
	case n < 72:
		w.discard()
	case n < 78:
		w.get()
	case n < 85:
		w.settle()
	case n < 86:
		w.purge()
	case n < 87:
		w.purgeAll()
	default:
		w.pass(time.Duration(w.d.IntN(4000)) * time.Millisecond)
	}
}

// publish is one Tx of some records, which wait or do not.
func (w *leaseWorld) publish() {
	x, err := w.b.Exchange("", "")
	if err != nil {
		w.t.Fatal(err)
	}
	tx := w.b.Begin()
	now := time.Now().Truncate(time.Millisecond)
	var all []*leased
	for range 1 + w.d.IntN(3) {
		w.serial++
		r := &leased{body: fmt.Sprint("r", w.serial), time: now, order: w.serial}
		rec, delay := QueueRecord{Key: "jobs", Body: []byte(r.body)}, w.spec.Settings.Delay
		if w.d.IntN(3) == 0 {
			delay = time.Duration(w.d.IntN(3000)) * time.Millisecond
			rec.Delay = &delay
		}
		if delay > 0 {
			r.state, r.due = isDelayed, now.Add(delay)
		} else {
			w.arrive(r)
		}
		w.note("publish %s after %v", r.body, delay)
		tx.Publish(x, rec)
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

func (w *leaseWorld) arrive(r *leased) {
	w.places++
	r.place, r.state, r.due = w.places, waits, time.Time{}
}

// whenSure notes what must be where the power goes after a confirm.
func (w *leaseWorld) whenSure(c Confirm, err error, then func()) {
	if w.storming && err == nil {
		w.confirmed = append(w.confirmed, func() {
			if c.Done() {
				then()
			}
		})
	}
}

// failed judges an error: while the power may go there may be any.
func (w *leaseWorld) failed(err error) {
	if err != nil && !w.storming {
		w.t.Errorf("got %v", err)
	}
}

// ready lists what waits, in its order.
func (w *leaseWorld) ready() (all []*leased) {
	for _, r := range w.records {
		if r.state == waits {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *leased) int { return cmp.Compare(a.place, b.place) })
	return all
}

func (w *leaseWorld) tooOld(r *leased) bool {
	d := w.spec.Settings.Retention
	return d > 0 && !time.Now().Before(r.time.Add(d))
}

func (w *leaseWorld) forget(r *leased) {
	w.records = slices.DeleteFunc(w.records, func(x *leased) bool { return x == r })
}

func (w *leaseWorld) receive() {
	max, lease := 1+w.d.IntN(4), time.Duration(w.d.IntN(4000))*time.Millisecond
	ds, err := w.jobs.Receive(ctx, ReceiveOptions{Max: max, Lease: lease})
	w.failed(err)
	w.note("receive %d for %v: %d", max, lease, len(ds))
	if w.storming {
		w.receivedInStorm(ds)
		return
	}
	got, want := "", ""
	for i := range ds {
		got += fmt.Sprintf(" %s*%d since %v", ds[i].Record.Body, ds[i].Receives, ds[i].FirstReceive.UnixMilli())
	}
	for i, r := range w.expect(max) {
		r.receives++
		if r.receives == 1 {
			r.first = time.Now()
		}
		r.state, r.ends = isLeased, time.Now().Truncate(time.Millisecond).Add(lease)
		want += fmt.Sprintf(" %s*%d since %v", r.body, r.receives, r.first.UnixMilli())
		if i < len(ds) {
			r.id = ds[i].ID
			w.ids = append(w.ids, leasedID{r: r, id: r.id})
		}
	}
	if got != want {
		w.t.Errorf("received%s, want%s", got, want)
	}
}

// expect is what a Receive gives. What was received too often becomes a dead letter.
func (w *leaseWorld) expect(max int) (live []*leased) {
	for ready := w.ready(); len(live) == 0 && len(ready) > 0; ready = w.ready() {
		for _, r := range ready[:min(max, len(ready))] {
			switch most := w.spec.Settings.MaxReceives; {
			case w.tooOld(r):
				w.forget(r)
			case most != nil && int64(r.receives) >= *most:
				w.forget(r)
				w.letters = append(w.letters, r.body)
			default:
				live = append(live, r)
			}
		}
	}
	return live
}

// receivedInStorm: what has reached whom is in the answer.
func (w *leaseWorld) receivedInStorm(ds []Delivery) {
	for i := range ds {
		for _, r := range w.records {
			if r.body == string(ds[i].Record.Body) {
				r.state, r.id, r.receives = isLeased, ds[i].ID, ds[i].Receives
				w.ids = append(w.ids, leasedID{r: r, id: r.id})
			}
		}
	}
	for _, r := range w.records { // it may be a dead letter, or be on its way there
		most := w.spec.Settings.MaxReceives
		r.leaves = r.leaves || most != nil && int64(r.receives) >= *most
	}
}

func (w *leaseWorld) anyID() (x leasedID, ok bool) {
	if len(w.ids) == 0 {
		return x, false
	}
	return w.ids[len(w.ids)-1-w.d.IntN(min(len(w.ids), 12))], true
}

func (w *leaseWorld) extend() {
	x, ok := w.anyID()
	if !ok || x.cut {
		return
	}
	d := time.Duration(w.d.IntN(3)) * 1500 * time.Millisecond
	err := w.jobs.Extend(x.id, d)
	w.note("extend %s of %s to %v: %v", fmt.Sprint(x.id.Receive), x.r.body, d, err)
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
func (w *leaseWorld) discard() {
	tx := w.b.Begin()
	var all []*leased
	for range 1 + w.d.IntN(3) {
		x, ok := w.anyID()
		if ok && x.cut && x.r.receives == 0 && x.r.state == isHeld {
			continue // the queue does not know any more that it was received
		}
		if ok {
			tx.Discard(w.jobs, x.id)
			all = append(all, x.r)
			w.note("discard %s", x.r.body)
		}
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

func (w *leaseWorld) get() {
	if w.storming {
		return
	}
	d, ok, err := w.jobs.Get(ctx, nil)
	w.failed(err)
	var want *leased
	for _, r := range w.ready() {
		if !w.tooOld(r) {
			want = r
			break
		}
		w.forget(r)
	}
	if ok != (want != nil) || ok && want.body != string(d.Record.Body) {
		w.t.Errorf("got %s, %v, want %v", d.Record.Body, ok, want)
		return
	}
	if ok {
		want.state, want.id = isHeld, d.ID
		w.note("get %s", want.body)
	}
}

// settle ends what Get has taken.
func (w *leaseWorld) settle() {
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

func (w *leaseWorld) purge() {
	if w.storming {
		return
	}
	w.note("purge")
	if _, err := w.jobs.Purge(ctx, nil); err != nil {
		w.failed(err)
	}
	for _, r := range w.ready() {
		w.forget(r)
	}
}

// purgeAll leaves nothing but what Get has taken.
func (w *leaseWorld) purgeAll() {
	if w.storming {
		return
	}
	w.note("purge all")
	if _, err := w.jobs.PurgeAll(ctx, nil); err != nil {
		w.failed(err)
	}
	for _, r := range slices.Clone(w.records) {
		if r.state != isHeld {
			w.forget(r)
		}
	}
}

// pass lets time go by, and stops where something comes to its end.
func (w *leaseWorld) pass(d time.Duration) {
	w.note("%v pass", d)
	if w.storming {
		return
	}
	for until := time.Now().Add(d); ; {
		next := until
		for _, r := range w.records {
			for _, at := range []time.Time{r.ends, r.due, r.time.Add(w.spec.Settings.Retention)} {
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
func (w *leaseWorld) turn() {
	now := time.Now()
	var due []*leased
	for _, r := range w.records {
		if r.state == isLeased && !r.ends.After(now) {
			r.state = waits
		}
		if r.state == isDelayed && !r.due.After(now) {
			due = append(due, r)
		}
	}
	slices.SortFunc(due, func(a, b *leased) int {
		return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.order, b.order))
	})
	for _, r := range due {
		w.arrive(r)
	}
	for ready := w.ready(); len(ready) > 0 && w.tooOld(ready[0]); ready = ready[1:] {
		w.forget(ready[0])
	}
}

// check compares all that can be seen.
func (w *leaseWorld) check() {
	synctest.Wait()
	w.turn()
	s := w.jobs.Stats()
	got := fmt.Sprint("ready ", s.Ready, " leased ", s.Leased, " delayed ", s.Delayed)
	ready := w.ready()
	held, delayed, want := 0, 0, ""
	for _, r := range w.records {
		switch r.state {
		case isDelayed:
			delayed++
		case isLeased, isHeld:
			held++
		}
	}
	want = fmt.Sprint("ready ", len(ready), " leased ", held, " delayed ", delayed)
	for _, r := range ready {
		if !w.tooOld(r) {
			want += " " + r.body
		}
	}
	want += fmt.Sprint("; dead letters: ", w.letters)
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
	if n := w.jobs.receiving; n != 0 {
		w.t.Errorf("%d are on their way", n)
	}
}

// restart goes on with what a broker leaves that had nothing to do.
func (w *leaseWorld) restart(how string, end func()) {
	w.note("%s and open", how)
	synctest.Wait()
	end()
	w.open()
	records := slices.Clone(w.records)
	for _, r := range records {
		switch {
		case r.state == isHeld && r.discarded:
			w.forget(r)
		case r.state == isHeld:
			r.state = waits
		}
	}
}

// powerCut lets the power go while much is under way that nobody waits for.
func (w *leaseWorld) powerCut() {
	w.note("storm")
	w.storming, w.confirmed = true, nil
	for _, r := range w.records {
		r.least, r.sure, r.leaves, r.away = r.receives, true, r.discarded, r.discarded
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
	for _, judge := range w.confirmed {
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
func (w *leaseWorld) survived(before []string) {
	there := map[string]int{}
	w.letters = nil
	letters, err := w.dead.Browse(1000)
	for i := range letters {
		body := string(letters[i].Record.Body)
		there[body]++
		w.letters = append(w.letters, body)
	}
	for _, body := range before {
		if there[body] != 1 {
			w.t.Errorf("the dead letter %s is there %d times", body, there[body])
		}
	}
	place := w.placesNow(there)
	delayed := int(w.jobs.Stats().Delayed)
	records := slices.Clone(w.records)
	w.records = nil
	for _, r := range records {
		n := there[r.body]
		at, inQueue := place[r.body]
		// One that is delayed is not seen: it is there if it is nowhere else.
		if n == 0 && r.state == isDelayed && delayed > 0 && (r.sure || r.due.After(time.Now())) {
			delayed--
			n, r.state = 1, isDelayed
			w.records = append(w.records, r)
		}
		if n > 1 || n == 0 && r.sure && !r.leaves && !w.tooOld(r) || n > 0 && r.away && inQueue {
			w.t.Errorf("%s is there %d times, in the queue %v: its publish was sure %v, its discard %v; %+v",
				r.body, n, inQueue, r.sure, r.away, r)
		}
		if inQueue {
			w.survivedOne(r, at)
		}
	}
	for i := range w.ids {
		w.ids[i].cut = true
	}
	if err != nil || delayed != 0 {
		w.t.Errorf("%d more are delayed, %v", delayed, err)
	}
}

// placesNow finds the places of what is in the queue.
func (w *leaseWorld) placesNow(there map[string]int) map[string]Offset {
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

// survivedOne takes a record as it is.
func (w *leaseWorld) survivedOne(r *leased, at Offset) {
	l := w.jobs.lanes[0]
	most := r.receives
	r.state, r.place, r.receives = waits, int(at)-1<<30, 0 // before all that come now
	if x := l.received[at]; x != nil {
		r.receives, r.first, r.id = x.receives, timeOf(x.first), DeliveryID{l.log.ID(), at, x.receive}
		if x.index != notLeased {
			r.state, r.ends = isLeased, timeOf(x.ends)
		}
	}
	if r.receives < r.least || r.receives > most {
		w.t.Errorf("%s was received %d times, want %d to %d", r.body, r.receives, r.least, most)
	}
	r.discarded = false
	w.records = append(w.records, r)
}

// end discards all that was received, and lets the others go: then nothing is left.
func (w *leaseWorld) end() {
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
	if w.jobs.leases != nil || l.received != nil || l.back != nil {
		w.t.Errorf("all is settled, and in memory are %v, %v, %v", w.jobs.leases, l.received, l.back)
	}
	w.jobs.mu.Unlock()
	w.b.Close()
}
