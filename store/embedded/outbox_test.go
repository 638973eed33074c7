package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/store/embedded"
	"github.com/tidings-io/tidings/tidingstest"
	transport "github.com/tidings-io/tidings/transport/embedded"
)

var jotted = tidings.Define("notes", "jotted", tidings.KeyBy(func(n jotting) string { return n.Key }))

type jotting struct {
	Key string
	N   int
}

// place is a store on a disk with an outbox for another broker.
type place struct {
	t     *testing.T
	b     *broker.Broker
	local *transport.Transport
	out   *embedded.Outbox
	store *embedded.Store
}

func openPlace(t *testing.T, disk vfs.FS) *place {
	b, err := broker.Open("data", broker.Config{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, b: b, local: transport.New(b, transport.Config{Lease: time.Second})}
	p.out = embedded.NewOutbox(p.local, "out")
	p.store = openStore(t, b, embedded.Config{Publisher: p.out})
	t.Cleanup(p.close)
	return p
}

func (p *place) close() {
	p.local.Close(context.WithoutCancel(p.t.Context()))
	p.b.Close()
}

// relay runs the relay until the test ends or stop is called.
func (p *place) relay(to tidings.Publisher) (stop func()) {
	relay := p.out.Relay(to, tidings.WithLogger(slog.New(slog.DiscardHandler)))
	ctx, cancel := context.WithCancel(p.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := relay.Run(ctx); err != nil {
			p.t.Error(err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	p.t.Cleanup(stop)
	return stop
}

func (p *place) note(key string, n int) error {
	return p.store.Do(p.t.Context(), func(ctx context.Context, tx *embedded.Tx) error {
		tx.Put(key, []byte(fmt.Sprint(n)))
		if err := tx.Publish(ctx, jotted.New(jotting{key, n})); err != nil || n%3 != 2 {
			return err
		}
		return errRollback
	})
}

var errRollback = errors.New("rolled back")

// flaky fails often, before or after it was done.
type flaky struct {
	*tidingstest.Transport
	mu    sync.Mutex
	calls int
}

func (f *flaky) Publish(ctx context.Context, events ...tidings.Event) error {
	f.mu.Lock()
	f.calls++
	call := f.calls
	f.mu.Unlock()
	switch call % 7 {
	case 1:
		return errors.New("not now")
	case 2:
		return errors.Join(f.Transport.Publish(ctx, events...), errors.New("the answer was lost"))
	default:
		return f.Transport.Publish(ctx, events...)
	}
}

// An event exists if and only if its transaction has been committed; each is published at least
// once, in the order of its topic and key, also over a crash.
func TestAnOutboxPublishesWhatWasCommittedAndNothingElse(t *testing.T) {
	disk := vfs.NewMem()
	p := openPlace(t, disk)
	remote := &flaky{Transport: tidingstest.NewTransport()}
	const keys, each = 5, 18
	stop := p.relay(remote)
	for n := range each {
		if n == each/2 {
			stop()
			p.close()
			disk = disk.Kill()
			p = openPlace(t, disk)
			stop = p.relay(remote)
		}
		for k := range keys {
			if err := p.note(fmt.Sprint(k), n); err != nil && !errors.Is(err, errRollback) {
				t.Fatal(err)
			}
		}
	}
	awaitEvents(t, remote, keys*each*2/3)
	stop()
	seen := map[string][]int{}
	for _, e := range remote.Published("notes") {
		n, err := jotted.Decode(e)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(seen[n.Key], n.N) {
			seen[n.Key] = append(seen[n.Key], n.N)
		}
	}
	for k := range keys {
		var want []int
		for n := range each {
			if n%3 != 2 {
				want = append(want, n)
			}
		}
		if got := seen[fmt.Sprint(k)]; !slices.Equal(got, want) {
			t.Errorf("key %d\ngot  %v\nwant %v", k, got, want)
		}
	}
}

// awaitEvents waits for so many different events.
func awaitEvents(t *testing.T, remote *flaky, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var ids map[string]bool
	err := remote.Await(ctx, func() bool {
		ids = map[string]bool{}
		for _, e := range remote.Published() {
			ids[e.ID] = true
		}
		return len(ids) >= want
	})
	if err != nil || len(ids) > want {
		t.Fatalf("%d events were published, want %d: %v", len(ids), want, err)
	}
}

func TestWhatAnOutboxCannotPublishIsPutAside(t *testing.T) {
	p := openPlace(t, vfs.NewMem())
	remote := tidingstest.NewTransport(tidingstest.WithCapabilities(func(c *tidings.Capabilities) { c.MaxBytes = 10 }))
	p.relay(remote)
	if err := p.note("k", 1); err != nil {
		t.Fatal(err)
	}
	c, err := p.local.Subscribe(t.Context(), tidings.Subscription{Group: tidings.DeadLetters("out")})
	if err != nil {
		t.Fatal(err)
	}
	ds, err := c.Receive(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := ds[0].Extensions[tidings.ExtDeadReason]; len(ds) != 1 || got == "" {
		t.Errorf("got %+v", ds[0].Event)
	}
	c.Close(t.Context())
}

func TestAnOutboxKeepsTheTimeOfAnEvent(t *testing.T) {
	p := openPlace(t, vfs.NewMem())
	remote := &flaky{Transport: tidingstest.NewTransport(), calls: 2}
	p.relay(remote)
	due := time.Now().Add(300 * time.Millisecond)
	err := p.store.Do(t.Context(), func(ctx context.Context, tx *embedded.Tx) error {
		return tx.PublishAt(ctx, due, jotted.New(jotting{"k", 1}))
	})
	if err != nil {
		t.Fatal(err)
	}
	awaitEvents(t, remote, 1)
	if early := time.Until(due); early > 20*time.Millisecond {
		t.Errorf("it came %v early", early)
	}
}

// sent publishes one event through the outbox of a place.
func (p *place) sent(e tidings.Event) error {
	return p.store.Do(p.t.Context(), func(ctx context.Context, tx *embedded.Tx) error {
		return tx.Publish(ctx, e)
	})
}

func TestAnOutboxKeepsTheBytesOfDataAndTheKind(t *testing.T) {
	p := openPlace(t, vfs.NewMem())
	remote := &flaky{Transport: tidingstest.NewTransport(), calls: 2}
	p.relay(remote)
	want := jotted.New(jotting{"k", 1})
	want.Kind, want.Topic, want.Source = tidings.KindCommand, "somebody", "shop"
	want.Payload = []byte(`{"n": 12345678901234567890.10, "html": "<a>&\u2028"}`)
	if err := p.sent(want); err != nil {
		t.Fatal(err)
	}
	awaitEvents(t, remote, 1)
	got := remote.Published()[0]
	if string(got.Payload) != string(want.Payload) || got.Kind != want.Kind ||
		got.Topic != want.Topic {
		t.Errorf("got a %v to %s of %s", got.Kind, got.Topic, got.Payload)
	}
}

func TestAnOutboxRefusesWhatItsRelayCouldNotRead(t *testing.T) {
	p := openPlace(t, vfs.NewMem())
	for what, spoil := range map[string]func(e *tidings.Event){
		"a name":    func(e *tidings.Event) { e.Extensions = map[string]string{"Color": "red"} },
		"other id":  func(e *tidings.Event) { e.Extensions = map[string]string{"id": "another"} },
		"no topic":  func(e *tidings.Event) { e.Topic = "" },
		"not UTF-8": func(e *tidings.Event) { e.Subject = "\xff" },
	} {
		e := jotted.New(jotting{"k", 1})
		spoil(&e)
		if err := p.sent(e); !tidings.IsPermanent(err) {
			t.Errorf("%s: got %v, want a permanent error", what, err)
		}
	}
}
