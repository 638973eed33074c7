package broker

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// notary publishes records once, under a clock that the test sets.
type notary struct {
	t     *testing.T
	fs    *vfs.Mem
	clock *clock
	b     *Broker
	q     *Queue
	most  int
}

func newNotary(t *testing.T, spec QueueSpec) *notary {
	t.Helper()
	n := &notary{t: t, fs: vfs.NewMem(), clock: clockAt(1000)}
	n.open()
	n.declare(spec)
	return n
}

func (n *notary) open() {
	n.b = openOn(n.t, n.fs, n.clock.use, func(c *Config) { c.Limits.Once = n.most })
}

func (n *notary) declare(spec QueueSpec) {
	n.t.Helper()
	spec.Name, spec.Settings.Once = "once", 5*time.Minute
	var err error
	if n.q, _, err = n.b.DeclareQueue(ctx, spec); err != nil {
		n.t.Fatal(err)
	}
}

// restart goes on with what fs has become.
func (n *notary) restart(fs *vfs.Mem) {
	n.t.Helper()
	n.b.Close()
	n.fs = fs
	n.open()
	var err error
	if n.q, err = n.b.Queue("", "once"); err != nil {
		n.t.Fatal(err)
	}
}

func key(s string) (k [16]byte) { copy(k[:], s); return k }

// onceRecord has the body for a note too.
func onceRecord(k, body string) QueueRecord {
	return QueueRecord{Key: "once", Body: []byte(body), Once: &Once{Key: key(k), Note: key(body)}}
}

// publish publishes a body under each key, in one Tx: "k body".
func (n *notary) publish(all ...string) (routed []Routed) {
	n.t.Helper()
	tx := n.begin(all...)
	mustCommit(n.t, tx)
	for i := range all {
		routed = append(routed, tx.Routed(i))
	}
	return routed
}

func (n *notary) begin(all ...string) *Tx {
	n.t.Helper()
	x, err := n.b.Exchange("", "")
	if err != nil {
		n.t.Fatal(err)
	}
	tx := n.b.Begin()
	for _, s := range all {
		var k, body string
		if _, err := fmt.Sscan(s, &k, &body); err != nil {
			n.t.Fatal(err)
		}
		tx.Publish(x, onceRecord(k, body))
	}
	return tx
}

// wantOriginal wants a duplicate of a body that was published at a time, in seconds.
func (n *notary) wantOriginal(what string, r Routed, body string, at Offset, sec int64) {
	n.t.Helper()
	want := Original{Offset: at, Time: time.Unix(sec, 0), Note: key(body)}
	if r.Original == nil || r.Original.Offset != at || r.Original.Note != want.Note ||
		!r.Original.Time.Equal(want.Time) || r.Queues != 1 || r.Offset != at {
		n.t.Errorf("%s: got %+v of %+v, want %+v", what, r, r.Original, want)
	}
}

func (n *notary) wantNew(what string, r Routed, at Offset) {
	n.t.Helper()
	if r.Original != nil || r.Offset != at || r.Queues != 1 {
		n.t.Errorf("%s: got %+v, want a new record at %d", what, r, at)
	}
}

func (n *notary) wantReady(what string, want int64) {
	n.t.Helper()
	if got := n.q.Stats().Ready; got != want {
		n.t.Errorf("%s: %d are ready, want %d", what, got, want)
	}
}

// TestRecordsArePublishedOnce in the same Tx and in later ones, whatever becomes of the first.
func TestRecordsArePublishedOnce(t *testing.T) {
	for name, spec := range bothKinds {
		t.Run(name, func(t *testing.T) {
			n := newNotary(t, spec)
			all := n.publish("a 1", "b 2", "a 3")
			n.wantNew("first", all[0], 0)
			n.wantNew("another key", all[1], 1)
			n.wantOriginal("in the same Tx", all[2], "1", 0, 1000)
			n.clock.advance(time.Minute)
			n.wantOriginal("in a later one", n.publish("b 4")[0], "2", 1, 1000)
			n.wantReady("two", 2)
			ds, err := n.q.Receive(ctx, ReceiveOptions{Max: 1, Lease: time.Minute})
			if err != nil || len(ds) != 1 {
				t.Fatalf("received %v, %v", ds, err)
			}
			tx := n.b.Begin()
			tx.Discard(n.q, ds[0].ID)
			mustCommit(t, tx)
			n.wantOriginal("after the settle", n.publish("a 5")[0], "1", 0, 1000)
			if _, err := n.q.Purge(ctx, nil); err != nil {
				t.Fatal(err)
			}
			n.wantOriginal("after a purge", n.publish("b 6")[0], "2", 1, 1000)
			n.wantReady("nothing", 0)
			if _, err := n.q.PurgeAll(ctx, nil); err != nil {
				t.Fatal(err)
			}
			n.wantNew("after all is forgotten", n.publish("b 7")[0], 2)
		})
	}
}

// TestPurgeAllForgetsWhatItTakes and nothing else, whatever is published meanwhile.
func TestPurgeAllForgetsWhatItTakes(t *testing.T) {
	n := newNotary(t, QueueSpec{Durable: true})
	for round := range 2000 {
		k := fmt.Sprintf("k%d %d", round, round)
		tx, done := n.begin(k), make(chan error)
		go func() {
			_, err := tx.Commit(ctx)
			done <- err
		}()
		if _, err := n.q.PurgeAll(ctx, nil); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		n.publish(k)
		if n.wantReady(k, 1); t.Failed() {
			return
		}
	}
}

// TestOnceIsFromTheFirstPublish: duplicates do not prolong it, and at its end it is over.
func TestOnceIsFromTheFirstPublish(t *testing.T) {
	for name, spec := range bothKinds {
		t.Run(name, func(t *testing.T) {
			n := newNotary(t, spec)
			n.publish("a 1")
			n.clock.advance(5*time.Minute - time.Millisecond)
			n.wantOriginal("just before", n.publish("a 2")[0], "1", 0, 1000)
			n.clock.advance(time.Millisecond)
			n.wantNew("at the end", n.publish("a 3")[0], 1)
			n.wantOriginal("of the new one", n.publish("a 4")[0], "3", 1, 1300)
		})
	}
}

// TestAClockThatIsSetBackForgets what it then knows nothing of: a record is published rather
// than lost.
func TestAClockThatIsSetBackForgets(t *testing.T) {
	n := newNotary(t, QueueSpec{Durable: true})
	n.clock.advance(time.Hour)
	n.publish("a 1", "b 2")
	n.clock.advance(-time.Minute)
	n.wantOriginal("a little", n.publish("a 3")[0], "1", 0, 4600)
	n.clock.advance(-time.Hour)
	n.wantNew("far", n.publish("a 4")[0], 2)
	n.wantOriginal("and from then on", n.publish("a 5")[0], "4", 2, 940)
}

// TestOnceSurvives a restart, a kill and a power cut, with the trimmed log.
func TestOnceSurvives(t *testing.T) {
	n := newNotary(t, QueueSpec{Durable: true})
	for i := range 300 {
		n.publish(fmt.Sprintf("old%d x", i))
	}
	n.clock.advance(5 * time.Minute)
	n.publish("a 1", "b 2")
	if start, _, _ := n.q.ledger.log.Bounds(); start == 0 {
		t.Error("what is old was not trimmed")
	}
	for what, fs := range map[string]func() *vfs.Mem{
		"restart": func() *vfs.Mem { n.b.Close(); return n.fs },
		"kill":    func() *vfs.Mem { return n.fs.Kill() },
		"cut":     func() *vfs.Mem { return n.fs.Crash(seeded(1)) },
	} {
		n.restart(fs())
		n.wantOriginal(what, n.publish("b 3")[0], "2", 301, 1300)
		n.wantOriginal(what, n.publish("a 4")[0], "1", 300, 1300)
		n.wantReady(what, 302)
	}
	n.restart(n.fs.Kill())
	n.clock.advance(5 * time.Minute)
	if err := n.b.retain(ctx); err != nil {
		t.Fatal(err)
	}
	n.b.drain()
	n.clock.advance(-time.Minute)
	n.wantNew("after the retention loop", n.publish("a 5")[0], 302)
}

// TestRetentionEmptiesALedger of a queue that nobody publishes to, in memory and on disk.
func TestRetentionEmptiesALedger(t *testing.T) {
	n := newNotary(t, QueueSpec{Durable: true})
	n.publish("a 1", "b 2")
	n.clock.advance(5 * time.Minute)
	if err := n.b.retain(ctx); err != nil {
		t.Fatal(err)
	}
	g := n.q.ledger
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.first != 2 || g.trimmed != 2 || g.places != nil || len(g.kept) != 0 {
		t.Errorf("it begins at %d, is trimmed to %d, and has %v and %v",
			g.first, g.trimmed, g.places, g.kept)
	}
}

// TestALedgerHasALimit beyond which nothing is published; duplicates are answered.
func TestALedgerHasALimit(t *testing.T) {
	n := newNotary(t, QueueSpec{Durable: true})
	n.most = 3
	n.restart(n.fs.Kill())
	n.publish("a 1", "b 2")
	_, err := n.begin("c 3", "d 4").Commit(ctx)
	wantKind(t, "two more", err, Full)
	n.wantReady("none of them", 2)
	n.publish("c 3", "a 4")
	n.wantOriginal("duplicate", n.publish("b 5")[0], "2", 1, 1000)
	_, err = n.begin("d 6").Commit(ctx)
	wantKind(t, "one more", err, Full)
	n.clock.advance(5 * time.Minute)
	n.publish("d 7", "e 8", "f 9")
}

// TestADeletedQueueDropsItsLedger.
func TestADeletedQueueDropsItsLedger(t *testing.T) {
	for name, spec := range bothKinds {
		t.Run(name, func(t *testing.T) {
			n := newNotary(t, spec)
			n.publish("a 1")
			was := n.q.ledger
			if _, err := n.b.DeleteQueue(ctx, n.q, DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			if !was.log.Dropped() {
				t.Error("the log is there")
			}
			if r := n.publish("a 1")[0]; r.Queues != 0 || r.Offset != -1 {
				t.Errorf("published to no queue: %+v", r)
			}
			n.declare(spec)
			n.wantNew("in the new queue", n.publish("a 2")[0], 0)
		})
	}
}

// TestDuplicatesWaitForTheirOriginal: their confirm covers its durability.
func TestDuplicatesWaitForTheirOriginal(t *testing.T) {
	g := newGate(vfs.NewMem())
	b := openOn(t, g)
	n := &notary{t: t, b: b, clock: clockAt(0)}
	n.declare(QueueSpec{Durable: true})
	resume := g.stop()
	if _, err := n.begin("a 1").Commit(ctx); err != nil {
		t.Fatal(err)
	}
	tx := n.begin("a 2")
	confirm, err := tx.Commit(ctx)
	if err != nil || confirm.Done() || tx.Routed(0).Confirm.Done() || tx.Routed(0).Original == nil {
		t.Errorf("the original is not on disk, and the duplicate is: %v, %v, %+v",
			confirm, err, tx.Routed(0))
	}
	resume()
	if err := confirm.Wait(ctx); err != nil {
		t.Error(err)
	}
	again, err := n.begin("a 3").Commit(ctx)
	if err != nil || !again.Done() {
		t.Errorf("the original is on disk, and the duplicate waits: %v, %v", again, err)
	}
}

// TestOnceIsOfOneQueue: what another queue has not seen it takes, also of the same publish, and who
// does not ask for it is not bound.
func TestOnceIsOfOneQueue(t *testing.T) {
	n := newNotary(t, QueueSpec{Durable: true})
	x, err := n.b.Exchange("", "amq.fanout")
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := n.b.DeclareQueue(ctx, QueueSpec{Name: "other", Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []*Queue{n.q, other} {
		if err := n.b.Bind(ctx, Binding{Source: "amq.fanout", Destination: q.Name()}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		tx := n.b.Begin()
		tx.Publish(x, onceRecord("a", "1"))
		mustCommit(t, tx)
		if r := tx.Routed(0); r.Queues != 2 {
			t.Errorf("routed %+v", r)
		}
	}
	n.wantReady("once", 1)
	if s := other.Stats(); s.Ready != 2 {
		t.Errorf("a queue that remembers nothing has %d", s.Ready)
	}
	tx := n.b.Begin()
	tx.Publish(x, QueueRecord{Body: []byte("1")})
	mustCommit(t, tx)
	n.wantReady("without asking", 2)
	tx = n.b.Begin()
	tx.Move(n.q, onceRecord("a", "1"))
	mustCommit(t, tx)
	n.wantReady("a move", 3)
}

// TestWhatIsReadyLaterIsPublishedOnce too: its place is not known yet.
func TestWhatIsReadyLaterIsPublishedOnce(t *testing.T) {
	n := newNotary(t, QueueSpec{Durable: true, Settings: QueueSettings{Delay: time.Hour}})
	all := n.publish("a 1", "a 2")
	if r := all[0]; r.Offset != -1 || !r.Delayed || r.Original != nil {
		t.Errorf("the first is %+v", r)
	}
	if r := all[1]; r.Offset != -1 || !r.Delayed || r.Original == nil || r.Original.Note != key("1") {
		t.Errorf("the second is %+v", r)
	}
	if s := n.q.Stats(); s.Delayed != 1 {
		t.Errorf("%d wait", s.Delayed)
	}
	n.restart(n.fs.Kill())
	if r := n.publish("a 3")[0]; r.Original == nil || r.Original.Offset != -1 {
		t.Errorf("after a restart it is %+v", r)
	}
}

// TestOnceStaysAsItWasDeclared.
func TestOnceStaysAsItWasDeclared(t *testing.T) {
	n := newNotary(t, QueueSpec{Durable: true})
	_, err := n.b.ChangeQueue(n.q, nil, QueueSettings{})
	wantKind(t, "without", err, Invalid)
	_, err = n.b.ChangeQueue(n.q, nil, QueueSettings{Once: 5 * time.Minute, Delay: time.Second})
	wantKind(t, "another delay", err, 0)
	_, _, err = n.b.DeclareQueue(ctx, QueueSpec{Name: "x", Settings: QueueSettings{Once: -1}})
	wantKind(t, "negative", err, Invalid)
}
