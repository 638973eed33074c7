package amqp

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// gate is a disk that can be made to hold its syncs.
type gate struct {
	*vfs.Faulty
	mu   sync.Mutex
	held chan struct{} // nil: open
	met  chan struct{} // capacity 1: something is held
}

func newGate(under vfs.FS) *gate {
	g := &gate{Faulty: vfs.NewFaulty(under), met: make(chan struct{}, 1)}
	g.FailIf(func(c vfs.Call) error {
		if c.Op == vfs.OpSync || c.Op == vfs.OpWrite {
			g.mu.Lock()
			held := g.held
			g.mu.Unlock()
			if held != nil {
				ring(g.met)
				<-held
			}
		}
		return nil
	})
	return g
}

// shut holds writes from now on, until open is called.
func (g *gate) shut() (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	held := make(chan struct{})
	g.held = held
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.held = nil
		close(held)
	}
}

// A client whose server is being closed hears of all that it published, and then why.
func TestCloseConfirmsWhatWasPublishedAndSaysWhy(t *testing.T) {
	disk := vfs.NewMem()
	slow := newGate(disk)
	r := serveOn(t, disk, slow)
	c := r.dial()
	c.queue(queueDeclare{queue: "q", durable: true})
	c.send(1, &confirmSelect{})
	want[*confirmSelectOk](c, 1)
	open := slow.shut()
	for range 3 {
		c.publish(1, &basicPublish{routingKey: "q"}, durably, "x")
	}
	c.sync(1) // they have been taken
	closed := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		closed <- r.server.Close(ctx)
	}()
	<-r.server.drain
	open()
	for tag := uint64(0); tag < 3; {
		tag = want[*basicAck](c, 1).deliveryTag
	}
	equal(t, "text", c.gone(replyConnectionForced, methodID{}),
		"CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'")
	c.nc.Close()
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// A client that does not read, and one that has not said hello, do not keep the server.
func TestCloseDoesNotWaitForClientsThatDoNotRead(t *testing.T) {
	t.Parallel()
	r := serve(t)
	r.raw()
	deaf, c := r.dial(), r.dial()
	c.queue(queueDeclare{queue: "q"})
	deaf.consume(1, basicConsume{queue: "q", noAck: true})
	big := string(make([]byte, 64<<10))
	for range 4 {
		c.put("q", repeat(big, 50)...)
	}
	c.bye()
	ctx, cancel := context.WithTimeout(context.Background(), 4*closeTime)
	defer cancel()
	if err := r.server.Close(ctx); err != nil {
		t.Error(err)
	}
}

// "Publishers wait while the process takes more than its memory limit, and hear connection.blocked."
func TestPublishersWaitForMemory(t *testing.T) {
	t.Parallel()
	r := serve(t)
	c, other := r.dial(), r.dial()
	c.queue(queueDeclare{queue: "q", durable: true})
	c.put("q", "before")
	r.server.SetMemoryLimit(1)
	c.send(1, &confirmSelect{})
	want[*confirmSelectOk](c, 1)
	c.publish(1, &basicPublish{routingKey: "q"}, durably, "x")
	if got := want[*connectionBlocked](c, 0).reason; got != "low on memory" {
		t.Errorf("got the reason %q, want low on memory", got)
	}
	if got := other.get("q"); got != "before" { // who does not publish is served
		t.Errorf("got %q, want before", got)
	}
	r.server.SetMemoryLimit(0)
	want[*connectionUnblocked](c, 0)
	if tag := want[*basicAck](c, 1).deliveryTag; tag != 1 {
		t.Errorf("got a confirm of %d, want 1", tag)
	}
}

// A full disk holds publishers back. They are told so, and told when it is over.
func TestAFullDiskBlocksPublishersForAWhile(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	small := &crowded{FS: disk}
	r := serveOn(t, disk, small)
	c := r.dial()
	c.queue(queueDeclare{queue: "q", durable: true})
	c.put("q", "before")
	small.set(true)
	c.send(1, &confirmSelect{})
	want[*confirmSelectOk](c, 1)
	n, acked := uint64(0), uint64(0)
	for blocked := false; !blocked; { // until the store has looked
		c.publish(1, &basicPublish{routingKey: "q"}, durably, "x")
		n++
		switch m := c.next().method.(type) {
		case *connectionBlocked:
			blocked = true
		case *basicAck:
			acked = m.deliveryTag
		default:
			t.Fatalf("got %+v", m)
		}
	}
	small.set(false)
	want[*connectionUnblocked](c, 0)
	for acked < n {
		acked = want[*basicAck](c, 1).deliveryTag
	}
}

// crowded is a disk that says that it is full.
type crowded struct {
	vfs.FS
	mu   sync.Mutex
	full bool
}

func (f *crowded) set(full bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.full = full
}

func (f *crowded) Space() (free, total int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full {
		return 0, 1 << 40, nil
	}
	return 1 << 40, 1 << 40, nil
}

// A client that asks and does not read is not read any more, and costs a bounded amount.
func TestAClientThatDoesNotReadIsNotRead(t *testing.T) {
	t.Parallel()
	r := serve(t, func(c *Config) { c.Limits.QueuedBytes = 64 << 10 })
	c := r.dial()
	body := string(make([]byte, 100<<10))
	var out []byte
	for range 10 {
		out = c.appendPublish(out, 1, &basicPublish{routingKey: "nowhere", mandatory: true}, Properties{}, body)
	}
	sent := 0
	c.nc.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	for ; sent < 200; sent++ {
		if _, err := c.nc.Write(out); err != nil {
			break
		}
	}
	if sent == 200 {
		t.Errorf("the server has read %d MB, and what it must answer is not read", 200)
	}
}

// Who declares an exchange again is answered when it is on disk, as who declared it first.
func TestARedeclaredExchangeIsOnDisk(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	slow := newGate(disk)
	r := serveOn(t, disk, slow)
	first, second := r.dial(), r.dial()
	m := exchangeDeclare{exchange: "x", kind: "direct", durable: true}
	open := slow.shut()
	first.send(1, &m)
	<-slow.met // it is on its way to the disk
	second.send(1, &m)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, _ = second.tryFrame()
	}()
	select {
	case <-answered:
		t.Error("answered before it is on disk")
	case <-time.After(200 * time.Millisecond):
	}
	open()
	<-answered
	want[*exchangeDeclareOk](first, 1)
}
