package broker

import (
	"slices"
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

// movePool is a full queue "dead", taken, and one to move to.
func movePool(t *testing.T, to QueueSpec, n int) (p *pool, q *Queue, ds []Delivery) {
	p = newPool(t, QueueSpec{Name: "dead", Durable: true})
	all := make([]string, n)
	for i := range all {
		all[i] = string(rune('a' + i))
	}
	p.publish(all...)
	to.Name = "jobs"
	q, _, err := p.b.DeclareQueue(ctx, to)
	if err != nil {
		t.Fatal(err)
	}
	return p, q, p.subscribe(SubscribeOptions{}).take(n)
}

func (p *pool) move(q *Queue, ds []Delivery) error {
	tx := p.b.Begin()
	for _, d := range ds {
		tx.Move(q, d.Record)
		tx.Settle(p.q, nil, d.ID, Accept)
	}
	c, err := tx.Commit(ctx)
	if err != nil {
		return err
	}
	return c.Wait(ctx)
}

func waitingIn(t *testing.T, q *Queue) (all []string) {
	t.Helper()
	ds, err := q.Browse(100)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range ds {
		all = append(all, string(d.Record.Body)+" of "+d.Record.Exchange+"/"+d.Record.Key)
	}
	return all
}

func TestMoveKeepsWhatARecordSaysOfItself(t *testing.T) {
	p, q, ds := movePool(t, QueueSpec{Durable: true}, 2)
	ds[0].Record.Exchange, ds[0].Record.Key = "shop", "order.created"
	if err := p.move(q, ds); err != nil {
		t.Fatal(err)
	}
	p.restart()
	q, _ = p.b.Queue("", "jobs")
	dead, _ := p.b.Queue("", "dead")
	if got, want := waitingIn(t, q), []string{"a of shop/order.created", "b of /dead"}; !slices.Equal(got, want) {
		t.Errorf("moved %q, want %q", got, want)
	}
	if got := waitingIn(t, dead); got != nil {
		t.Errorf("left behind %q", got)
	}
}

func TestMoveIsAllOrNothing(t *testing.T) {
	two := int64(2)
	p, q, ds := movePool(t, QueueSpec{Settings: QueueSettings{MaxLength: &two, Overflow: RejectPublish}}, 3)
	if err := p.move(q, ds); KindOf(err) != Full {
		t.Errorf("three into a queue for two: got %v, want kind full", err)
	}
	if got := q.Stats().Ready; got != 0 {
		t.Errorf("%d records were moved, want none", got)
	}
	if err := p.move(q, ds[:2]); err != nil {
		t.Errorf("two into a queue for two: %v", err)
	}
	if _, err := p.b.DeleteQueue(ctx, q, DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := p.move(q, ds[2:]); KindOf(err) != NotFound {
		t.Errorf("into a queue that is gone: got %v, want kind not found", err)
	}
	if s := p.q.Stats(); s.Leased != 1 || s.Counts.Accepted != 2 {
		t.Errorf("got %+v, want 1 leased and 2 accepted", s)
	}
}

// TestWhatIsRefusedTakesNoRoomFromAMove of the same Tx.
func TestWhatIsRefusedTakesNoRoomFromAMove(t *testing.T) {
	ten := int64(10)
	p, q, ds := movePool(t, QueueSpec{Settings: QueueSettings{MaxLengthBytes: &ten, Overflow: RejectPublish}}, 1)
	x, err := p.b.Exchange("", "")
	if err != nil {
		t.Fatal(err)
	}
	tx := p.b.Begin()
	tx.Publish(x, QueueRecord{Key: "jobs", Body: make([]byte, 11)})
	tx.Move(q, ds[0].Record)
	tx.Settle(p.q, nil, ds[0].ID, Accept)
	if _, err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if r, n := tx.Routed(0), q.Stats().Ready; !r.Refused || n != 1 {
		t.Errorf("the publish: %+v, %d records wait, want it refused and 1", r, n)
	}
}

func TestLookPassesOverWhatWasTakenMeanwhile(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	p := &pool{t: t, b: b}
	p.declare(QueueSpec{})
	p.publish("a", "b", "c")
	c := p.subscribe(SubscribeOptions{})
	c.settle(Requeue, c.take(3)...)
	c.s.Close()
	var seen []string
	err := p.q.Look(100, func(d *Delivery) bool {
		seen = append(seen, string(d.Record.Body))
		if len(seen) == 1 {
			c := p.subscribe(SubscribeOptions{})
			c.settle(Accept, c.take(3)...)
		}
		return true
	})
	if err != nil || !slices.Equal(seen, []string{"a"}) {
		t.Errorf("saw %q, %v, want only the first", seen, err)
	}
}

func TestPutBackCountsNoDelivery(t *testing.T) {
	none := int64(0) // a second delivery is one too many
	p := newPool(t, QueueSpec{Settings: QueueSettings{DeliveryLimit: &none}})
	p.publish("a", "b")
	for range 3 {
		d, _, err := p.q.Get(ctx, nil)
		if err != nil || d.Deliveries != 0 || string(d.Record.Body) != "a" {
			t.Fatalf("got %q after %d deliveries, %v, want a, 0", d.Record.Body, d.Deliveries, err)
		}
		p.q.PutBack(d.ID)
	}
	if s := p.q.Stats(); s.Ready != 2 || s.Leased != 0 {
		t.Errorf("got %+v, want 2 ready", s)
	}
}
