package broker

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings/storage"
	"github.com/tidings-io/tidings/storage/vfs"
)

// inBubble runs a test of queues where time is faked and nothing goes on beside it
// after synctest.Wait.
func inBubble(t *testing.T, spec QueueSpec, do func(t *testing.T, p *pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, spec)
		do(t, p)
		if err := p.b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// put publishes one record to the queue and waits until it is there.
func (p *pool) put(rec QueueRecord) {
	p.t.Helper()
	x, err := p.b.Exchange("", "")
	if err != nil {
		p.t.Fatal(err)
	}
	rec.Key = p.q.name.Name
	tx := p.b.Begin()
	tx.Publish(x, rec)
	mustCommit(p.t, tx)
	synctest.Wait()
}

// again goes on with what a kill leaves, and waits until nothing happens any more.
func (p *pool) again() {
	p.t.Helper()
	fs := p.fs.Kill()
	if err := p.b.Close(); err != nil {
		p.t.Fatal(err)
	}
	p.fs, p.b = fs, openIn(p.t, fs)
	synctest.Wait()
	q, err := p.b.Queue(p.q.name.Namespace, p.q.name.Name)
	if err != nil {
		p.t.Fatal(err)
	}
	p.q = q
}

func (p *pool) wantReady(what string, n int64) {
	p.t.Helper()
	if got := p.q.Stats().Ready; got != n {
		p.t.Errorf("%s: %d ready, want %d", what, got, n)
	}
}

// drain takes all that a new subscription gets at once.
func (p *pool) drain() string {
	p.t.Helper()
	c := p.subscribe(SubscribeOptions{})
	var all []string
	for {
		ds, err := c.s.Take(nil, 10)
		if err != nil {
			p.t.Fatal(err)
		}
		if len(ds) == 0 {
			return strings.Join(all, " ")
		}
		for _, d := range ds {
			all = append(all, string(d.Record.Body))
		}
	}
}

// TestRecordCountsAsReadyUntilItIsTaken, and as leased from then on, never as both.
func TestRecordCountsAsReadyUntilItIsTaken(t *testing.T) {
	inBubble(t, QueueSpec{Durable: true}, func(t *testing.T, p *pool) {
		c := p.subscribe(SubscribeOptions{})
		p.publish("a", "b")
		synctest.Wait()
		if s := p.q.Stats(); s.Ready != 2 || s.Leased != 0 {
			t.Errorf("assigned: %+v", s)
		}
		c.take(2)
		if s := p.q.Stats(); s.Ready != 0 || s.Leased != 2 {
			t.Errorf("taken: %+v", s)
		}
	})
}

// TestRedeliveriesAreCountedOnce, when they happen, also those of Get.
func TestRedeliveriesAreCountedOnce(t *testing.T) {
	p := newPool(t, QueueSpec{Durable: true})
	p.publish("a")
	c := p.subscribe(SubscribeOptions{})
	c.settle(Requeue, c.take(1)...)
	c.settle(Requeue, c.take(1)...)
	c.s.Close()
	if _, ok, err := p.q.Get(ctx, nil); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if n := p.q.Stats().Counts; n.Delivered != 3 || n.Redelivered != 2 {
		t.Errorf("got %+v, want 3 deliveries, 2 of them again", n)
	}
}

// TestRecordThatExpiredBehindTheHeadIsNotDelivered to the first subscription that
// comes: it has waited although nobody was there.
func TestRecordThatExpiredBehindTheHeadIsNotDelivered(t *testing.T) {
	for _, restart := range []bool{false, true} {
		inBubble(t, QueueSpec{Durable: true}, func(t *testing.T, p *pool) {
			p.put(QueueRecord{Body: []byte("head")})
			p.put(QueueRecord{Body: []byte("old"), Expires: time.Now().Add(time.Second)})
			time.Sleep(time.Minute)
			if restart {
				p.again()
			}
			p.put(QueueRecord{Body: []byte("new")})
			if got := p.drain(); got != "head new" {
				t.Errorf("restart %v: got %q", restart, got)
			}
		})
	}
}

// TestExpiredRecordsLeaveOnceTheyAreAtTheHead, however they got there.
func TestExpiredRecordsLeaveOnceTheyAreAtTheHead(t *testing.T) {
	inBubble(t, QueueSpec{}, func(t *testing.T, p *pool) {
		soon := func() time.Time { return time.Now().Add(time.Second) }
		p.put(QueueRecord{Body: []byte("head")})
		p.put(QueueRecord{Body: []byte("next"), Expires: soon()})
		time.Sleep(time.Minute)
		d, _, _ := p.q.Get(ctx, nil)
		synctest.Wait()
		p.wantReady("after a get", 0)
		settle(t, p.q, nil, Accept, d)

		var credit Credit
		credit.SetLimit(1)
		c := p.subscribe(SubscribeOptions{Credits: []*Credit{&credit}})
		p.put(QueueRecord{Body: []byte("taken")})
		p.put(QueueRecord{Body: []byte("kept"), Expires: soon()})
		time.Sleep(time.Minute)
		synctest.Wait()
		p.wantReady("after a subscription took the head", 1) // which it has not fetched
		c.settle(Accept, c.take(1)...)
		c.s.Close()
		synctest.Wait()

		p.put(QueueRecord{Body: []byte("given back"), Expires: soon()})
		d, _, _ = p.q.Get(ctx, nil)
		time.Sleep(time.Minute)
		settle(t, p.q, nil, Requeue, d)
		synctest.Wait()
		p.wantReady("after a requeue", 0)

		p.put(QueueRecord{Body: []byte("in time"), Expires: soon()})
		d, _, _ = p.q.Get(ctx, nil)
		settle(t, p.q, nil, Requeue, d)
		time.Sleep(time.Minute)
		synctest.Wait()
		p.wantReady("some time after a requeue", 0)
	})
}

// TestARestartForgetsNoTime: what expires does so after it, also where nobody looks.
func TestARestartForgetsNoTime(t *testing.T) {
	settings := QueueSettings{TTL: ptr(time.Second), Expires: time.Hour}
	inBubble(t, QueueSpec{Durable: true, Settings: settings}, func(t *testing.T, p *pool) {
		p.put(QueueRecord{})
		p.again()
		p.wantReady("after a restart", 1)
		time.Sleep(2 * time.Second)
		p.wantReady("after its time", 0)
		time.Sleep(2 * time.Hour)
		if q, err := p.b.Queue("", "jobs"); err == nil {
			t.Errorf("%s is still there", q)
		}
	})
}

// TestTransientRecordsAreGoneAfterARestart: they do not count, and are no dead letters.
func TestTransientRecordsAreGoneAfterARestart(t *testing.T) {
	settings := QueueSettings{MaxLength: ptr[int64](2), DeadLetters: true, DeadLetterTo: "dlx"}
	inBubble(t, QueueSpec{Durable: true, Settings: settings}, func(t *testing.T, p *pool) {
		p.deadEnd()
		p.put(QueueRecord{Transient: true})
		p.again()
		p.wantReady("transient at the head", 0)
		p.put(QueueRecord{Body: []byte("a")})
		p.put(QueueRecord{Transient: true})
		p.again()
		p.wantReady("transient behind the head", 1)
		for range 3 {
			p.put(QueueRecord{Body: []byte("b")})
		}
		q, _ := p.b.Queue("", "dead")
		dead := pool{t: t, q: q, b: p.b}
		if got := dead.drain(); got != "a b" {
			t.Errorf("dead: got %q", got)
		}
	})
}

// TestWhatAllHaveSettledLeavesTheLog, the last of it as well, soon or at a restart.
func TestWhatAllHaveSettledLeavesTheLog(t *testing.T) {
	for _, restart := range []bool{false, true} {
		inBubble(t, QueueSpec{Durable: true}, func(t *testing.T, p *pool) {
			p.publish("a", "b")
			c := p.subscribe(SubscribeOptions{})
			c.settle(Accept, c.take(2)...)
			if restart {
				p.again()
			} else {
				time.Sleep(2 * p.b.config.RetentionInterval)
			}
			synctest.Wait()
			if start, _, end := p.q.lanes[0].log.Bounds(); start != end {
				t.Errorf("restart %v: the log is %d to %d", restart, start, end)
			}
		})
	}
}

// TestPurgeTakesAnyNumberOfRecords, also in pieces, and how often they were delivered.
func TestPurgeTakesAnyNumberOfRecords(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	p := &pool{t: t, b: b, fs: fs}
	p.declare(QueueSpec{Durable: true, Settings: QueueSettings{DeliveryLimit: ptr[int64](9)}})
	p.publish(numbered(6000)...)
	c := p.subscribe(SubscribeOptions{})
	ds := c.take(6000)
	c.s.Close()
	var back []Delivery
	for i := 0; i < len(ds); i += 2 {
		back = append(back, ds[i])
	}
	for len(back) > 0 {
		n := min(500, len(back))
		settle(t, p.q, nil, Requeue, back[:n]...)
		back = back[n:]
	}
	if n, err := p.q.Purge(ctx, nil); n != 3000 || err != nil {
		t.Errorf("purged %d, %v", n, err)
	}
	for key := range b.store.Scan([]byte{familyDeliveries}) {
		t.Fatalf("key %x is left", key)
	}
	p.wantReady("after a purge", 0)
}

// TestGetEndsWithTheDisk: it does not wait for what can never come.
func TestGetEndsWithTheDisk(t *testing.T) {
	fs := vfs.NewFaulty(vfs.NewMem())
	p := &pool{t: t, b: openOn(t, fs)}
	p.declare(QueueSpec{Durable: true})
	p.publish(numbered(2 * stride)...)
	fs.FailIf(func(c vfs.Call) error {
		if c.Op == vfs.OpWrite || c.Op == vfs.OpSync {
			return errors.New("no more")
		}
		return nil
	})
	for range 3 * stride {
		if _, ok, err := p.q.Get(ctx, nil); err != nil || !ok {
			wantKind(t, "get", err, Storage)
			return
		}
	}
	t.Error("everything was handed out")
}

// TestTooLargeTransactionLeavesNoTrace in the queues that it would have reached.
func TestTooLargeTransactionLeavesNoTrace(t *testing.T) {
	p := newPool(t, QueueSpec{Durable: true})
	x, _ := p.b.Exchange("", "")
	tx, body := p.b.Begin(), make([]byte, 64<<20)
	for range 5 {
		tx.Publish(x, QueueRecord{Key: "jobs", Body: body})
	}
	_, err := tx.Commit(ctx)
	wantKind(t, "commit", err, TooLarge)
	p.wantReady("after it", 0)
}

// TestFullDiskKeepsWhatShouldBeADeadLetter: it waits where it is until there is room.
func TestFullDiskKeepsWhatShouldBeADeadLetter(t *testing.T) {
	settings := QueueSettings{TTL: ptr(10 * time.Second), DeadLetters: true, DeadLetterTo: "dlx"}
	inBubble(t, QueueSpec{Durable: true, Settings: settings}, func(t *testing.T, p *pool) {
		dead := p.deadEnd()
		p.publish("a")
		p.fs.SetCapacity(16 << 20)
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := p.q.Stats(); s.Ready != 1 || s.Leased != 0 {
			t.Errorf("on a full disk: %+v", s)
		}
		p.fs.SetCapacity(1 << 40)
		time.Sleep(time.Minute)
		synctest.Wait()
		p.wantReady("with room again", 0)
		dead.wantReady("the dead letters", 1)
	})
}

// TestDamagedRecordIsPassedOver: it takes no credit, and nobody's dead letter with it.
func TestDamagedRecordIsPassedOver(t *testing.T) {
	settings := QueueSettings{MaxLength: ptr[int64](2), DeadLetters: true, DeadLetterTo: "dlx"}
	inBubble(t, QueueSpec{Durable: true, Settings: settings}, func(t *testing.T, p *pool) {
		dead := p.deadEnd()
		damage := func() {
			var batch storage.Batch
			p.q.mu.Lock()
			defer p.q.mu.Unlock()
			l := p.q.lanes[0]
			batch.Append(l.log, storage.Entry{Count: 1, Bytes: []byte{valueVersion, recordCC}})
			if _, err := p.b.store.Submit(&batch); err != nil {
				t.Fatal(err)
			}
			l.end++
		}
		damage()
		p.publish("a")
		var credit Credit
		credit.SetLimit(1)
		c := p.subscribe(SubscribeOptions{Credits: []*Credit{&credit}})
		_, err := c.s.Take(nil, 1)
		wantKind(t, "take", err, Corrupt)
		if got := bodies(c.take(1)); got != "a" {
			t.Errorf("after the damaged one: got %q", got)
		}
		c.s.Close()
		p.publish("b")
		damage()
		p.publish("c", "d", "e")
		synctest.Wait()
		p.publish("f")
		synctest.Wait()
		if got := dead.drain(); got != "b c d" {
			t.Errorf("dropped %q", got)
		}
		if got := p.drain(); got != "e f" {
			t.Errorf("kept %q", got)
		}
	})
}

// TestTakeGoesOnBehindExpiredRecords: nothing would wake who is told that there are
// no more.
func TestTakeGoesOnBehindExpiredRecords(t *testing.T) {
	inBubble(t, QueueSpec{}, func(t *testing.T, p *pool) {
		p.put(QueueRecord{Body: []byte("1")})
		p.put(QueueRecord{Body: []byte("2"), Expires: time.Now().Add(time.Second)})
		p.put(QueueRecord{Body: []byte("3")})
		time.Sleep(time.Minute)
		c := p.subscribe(SubscribeOptions{})
		for _, want := range []string{"1", "3", ""} {
			ds, err := c.s.Take(nil, 1)
			if got := bodies(ds); got != want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		}
	})
}
