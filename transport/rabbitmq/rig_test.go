package rabbitmq

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
	wire "github.com/tidings-io/tidings/wire/amqp"
	"go.uber.org/goleak"
)

// TestMain fails if a test leaves a goroutine behind.
// Tests wait for delays and quiet times and compute little: more of them than there are processors run
// side by side, unless -parallel says otherwise.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "16")
	goleak.VerifyTestMain(m)
}

// patience bounds every wait of these tests.
const patience = 20 * time.Second

// rig is a broker on a disk in memory that can be killed and started again at the same address.
type rig struct {
	t      testing.TB
	addr   string
	change func(*wire.Config)
	disk   *vfs.Mem
	broker *broker.Broker
	server *wire.Server
}

func serve(t testing.TB, change ...func(*wire.Config)) *rig {
	t.Helper()
	disk := vfs.NewMem()
	return serveOn(t, disk, disk, change...)
}

// serveOn starts one on a disk, or on what stands before it.
func serveOn(t testing.TB, disk *vfs.Mem, fs vfs.FS, change ...func(*wire.Config)) *rig {
	t.Helper()
	r := &rig{t: t, addr: "127.0.0.1:0", disk: disk, change: func(c *wire.Config) {
		for _, f := range change {
			f(c)
		}
	}}
	r.start(fs)
	r.addr = r.server.Addr().String()
	t.Cleanup(r.stop)
	return r
}

func (r *rig) start(fs vfs.FS) {
	r.t.Helper()
	bc := broker.Config{FS: fs, FromTopic: wire.FromTopic,
		Props: map[broker.PropsFormat]broker.PropsReader{broker.PropsAMQP: wire.Props{}}}
	bc.Storage.TailBytes, bc.Storage.JournalBytes, bc.Storage.CarryBytes = 1<<20, 4<<20, 8<<10
	b, err := broker.Open("test", bc)
	if err != nil {
		r.t.Fatal(err)
	}
	c := wire.Config{Addr: r.addr}
	r.change(&c)
	s, err := wire.Listen(b, c)
	if err != nil {
		b.Close()
		r.t.Fatal(err)
	}
	r.broker, r.server = b, s
}

func (r *rig) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.server.Close(ctx); err != nil {
		r.t.Error(err)
	}
	if n := r.server.Stats().Panics; n > 0 {
		r.t.Errorf("%d connections ended by a bug", n)
	}
	r.broker.Close()
}

// kill ends the broker as SIGKILL would, and starts another one on what it leaves on disk.
func (r *rig) kill() {
	r.t.Helper()
	r.crash()
	r.start(r.disk)
}

// crash takes the disk away from the broker before it looks at it, so that nothing is confirmed
// behind that.
func (r *rig) crash() {
	r.t.Helper()
	r.disk.CutAfter(0)
	disk := r.disk.Kill()
	r.stop()
	r.disk = disk
}

func (r *rig) url() string { return "amqp://guest:guest@" + r.addr + "/" }

func (r *rig) open(change ...func(*Config)) *Transport {
	r.t.Helper()
	c := Config{URL: r.url()}
	for _, f := range change {
		f(&c)
	}
	tr, err := Open(r.t.Context(), c)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := tr.Close(ctx); err != nil {
			r.t.Error(err)
		}
	})
	return tr
}

// soon is a context that ends after patience.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func subscribe(t testing.TB, tr *Transport, s tidings.Subscription) tidings.Consumer {
	t.Helper()
	c, err := tr.Subscribe(soon(t), s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func publish(t testing.TB, tr *Transport, events ...tidings.Event) {
	t.Helper()
	if err := tr.Publish(soon(t), events...); err != nil {
		t.Fatal(err)
	}
}

// receive waits for n deliveries.
func receive(t testing.TB, c tidings.Consumer, n int) (ds []*tidings.Delivery) {
	t.Helper()
	for len(ds) < n {
		some, err := c.Receive(soon(t), n-len(ds))
		if err != nil {
			t.Fatalf("after %d of %d: %v", len(ds), n, err)
		}
		ds = append(ds, some...)
	}
	return ds
}

// nothing fails where c receives something although what was published before it has gone through.
func nothing(t testing.TB, c tidings.Consumer, wait time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	if ds, err := c.Receive(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %d deliveries and error %v, want nothing", len(ds), err)
	}
}

func ack(t testing.TB, c tidings.Consumer, ds ...*tidings.Delivery) {
	t.Helper()
	for _, d := range ds {
		if err := d.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Commit(soon(t)); err != nil {
		t.Fatal(err)
	}
}

func closed(t testing.TB, c tidings.Consumer) {
	t.Helper()
	if err := c.Close(soon(t)); err != nil {
		t.Error(err)
	}
}

// event is one of topic "orders".
func event(id string) tidings.Event {
	return tidings.Event{Topic: "orders", ID: id, Source: "test", Type: "order.placed",
		Time: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), ContentType: "application/json",
		Key: "k", Payload: []byte(`{"n":1}`)}
}

func command(to, id string) tidings.Event {
	e := event(id)
	e.Kind, e.Topic = tidings.KindCommand, to
	return e
}

func ids(ds []*tidings.Delivery) (out []string) {
	for _, d := range ds {
		out = append(out, d.ID)
	}
	return out
}

func numbered(n int) (events []tidings.Event, names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("e%05d", i))
		events = append(events, event(names[i]))
	}
	return events, names
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s\ngot  %v\nwant %v", what, got, want)
	}
}

// logged is a log that a test reads, and that tells when something was written.
type logged struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{} // holds one
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.wrote <- struct{}{}:
	default:
	}
	return l.text.Write(p)
}

// to is a change of a Config that logs here.
func (l *logged) to(c *Config) {
	l.wrote = make(chan struct{}, 1)
	c.Logger = slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// until waits for a text in the log.
func (l *logged) until(t testing.TB, text string) {
	t.Helper()
	for !bytes.Contains([]byte(l.String()), []byte(text)) {
		select {
		case <-l.wrote:
		case <-soon(t).Done():
			t.Fatalf("the log does not say %q:\n%s", text, l)
		}
	}
}

// gate is a disk that can be made to hold its writes.
type gate struct {
	*vfs.Faulty
	mu   sync.Mutex
	held chan struct{} // nil: open
	met  chan struct{} // holds one: something is held
}

func newGate(under vfs.FS) *gate {
	g := &gate{Faulty: vfs.NewFaulty(under), met: make(chan struct{}, 1)}
	g.FailIf(func(c vfs.Call) error {
		if c.Op != vfs.OpSync && c.Op != vfs.OpWrite {
			return nil
		}
		g.mu.Lock()
		held := g.held
		g.mu.Unlock()
		if held != nil {
			select {
			case g.met <- struct{}{}:
			default:
			}
			<-held
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
