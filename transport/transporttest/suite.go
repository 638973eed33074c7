package transporttest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
)

// suite is one check being made.
type suite struct {
	testing.TB
	h      Harness
	caps   tidings.Capabilities
	client tidings.Transport
	run    string // what all names of the check begin with
	events int    // made so far
}

const eventType = "tidings.transporttest.v1"

func newSuite(t testing.TB, h Harness) *suite {
	id := tidings.NewID()
	s := &suite{TB: t, h: h, run: "t" + id[len(id)-12:]}
	s.client = s.open(h.New(t))
	s.caps = s.client.Capabilities()
	return s
}

// open has a client closed at the end.
func (s *suite) open(client tidings.Transport) tidings.Transport {
	s.Cleanup(func() { s.close(client) })
	return client
}

// close closes a client, where it can be. A second time is harmless.
func (s *suite) close(client tidings.Transport) {
	switch c := client.(type) {
	case interface{ Close() error }:
		_ = c.Close() // a client that was cut off says so
	case interface{ Close(context.Context) error }:
		ctx, cancel := context.WithTimeout(context.Background(), s.h.Patience)
		defer cancel()
		_ = c.Close(ctx)
	}
}

// patience is a context for what must come.
func (s *suite) patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.Context(), s.h.Patience)
}

// name is one that only this check uses.
func (s *suite) name(what string) string { return s.h.Name(s.run + "-" + what) }

// event is the next event to a topic.
func (s *suite) event(topic, key string) tidings.Event {
	s.events++
	return tidings.Event{Topic: topic, Key: key, ID: fmt.Sprintf("%s-%d", s.run, s.events),
		Source: "transporttest", Type: eventType, Time: time.Now().UTC().Truncate(time.Millisecond),
		ContentType: "application/json", Payload: fmt.Appendf(nil, `{"n":%d}`, s.events)}
}

// command is the next event, as a command to a group.
func (s *suite) command(group string) tidings.Event {
	e := s.event(group, "")
	e.Kind = tidings.KindCommand
	return e
}

// several are the next n events, over keys, which are as many as given.
func (s *suite) several(topic string, n, keys int) (events []tidings.Event) {
	for i := range n {
		events = append(events, s.event(topic, fmt.Sprintf("k-%d", i%keys)))
	}
	return events
}

func (s *suite) publish(events ...tidings.Event) {
	s.Helper()
	ctx, cancel := s.patience()
	defer cancel()
	s.must("publish", s.client.Publish(ctx, events...))
}

func (s *suite) must(what string, err error) {
	s.Helper()
	if err != nil {
		s.Fatalf("%s: %v", what, err)
	}
}

// reader is a consumer whose check it is.
type reader struct {
	s *suite
	tidings.Consumer
}

// subscribe reads topics with the client of the check.
func (s *suite) subscribe(group string, topics ...string) *reader {
	s.Helper()
	return s.read(s.client, tidings.Subscription{Group: group, Topics: topics})
}

// another reads topics with a client of its own.
func (s *suite) another(group string, topics ...string) *reader {
	s.Helper()
	return s.read(s.open(s.h.New(s.TB)), tidings.Subscription{Group: group, Topics: topics})
}

func (s *suite) read(client tidings.Transport, sub tidings.Subscription) *reader {
	s.Helper()
	ctx, cancel := s.patience()
	defer cancel()
	c, err := client.Subscribe(ctx, sub)
	s.must("subscribe "+sub.Group, err)
	r := &reader{s, c}
	s.Cleanup(func() { _ = r.end() })
	return r
}

// end closes the consumer, also when the test is over.
func (r *reader) end() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.s.Context()), r.s.h.Patience)
	defer cancel()
	return r.Close(ctx)
}

// next waits for n deliveries.
func (r *reader) next(n int) (ds []*tidings.Delivery) {
	r.s.Helper()
	ctx, cancel := r.s.patience()
	defer cancel()
	for len(ds) < n {
		more, err := r.Receive(ctx, n-len(ds))
		if err != nil {
			r.s.Fatalf("received %d events of %d, then: %v", len(ds), n, err)
		}
		ds = append(ds, more...)
	}
	return ds
}

// nothing is what comes.
func (r *reader) nothing(why string) {
	r.s.Helper()
	ctx, cancel := context.WithTimeout(r.s.Context(), r.s.h.Quiet)
	defer cancel()
	ds, err := r.Receive(ctx, 10)
	if len(ds) > 0 {
		r.s.Fatalf("%s, but %s came", why, ids(ds))
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		r.s.Fatalf("receive nothing: got %v, want %v", err, context.DeadlineExceeded)
	}
}

// exactly are the events that come, in any order, and nothing else does. They are acknowledged.
func (r *reader) exactly(events ...tidings.Event) {
	r.s.Helper()
	got := r.next(len(events))
	r.ack(got...)
	had, want := slices.Sorted(slices.Values(ids(got))), slices.Sorted(slices.Values(eventIDs(events)))
	if !slices.Equal(had, want) {
		r.s.Fatalf("received\ngot  %v\nwant %v", had, want)
	}
	r.nothing("all events have come")
}

func (r *reader) ack(ds ...*tidings.Delivery) {
	r.s.Helper()
	ctx, cancel := r.s.patience()
	defer cancel()
	for _, d := range ds {
		r.s.must("ack "+d.ID, d.Ack(ctx))
	}
}

func (r *reader) nack(delay time.Duration, ds ...*tidings.Delivery) {
	r.s.Helper()
	ctx, cancel := r.s.patience()
	defer cancel()
	for _, d := range ds {
		r.s.must("nack "+d.ID, d.Nack(ctx, delay))
	}
}

func (r *reader) commit() {
	r.s.Helper()
	ctx, cancel := r.s.patience()
	defer cancel()
	r.s.must("commit", r.Commit(ctx))
}

func ids(ds []*tidings.Delivery) (ids []string) {
	for _, d := range ds {
		ids = append(ids, d.ID)
	}
	return ids
}

func eventIDs(events []tidings.Event) (ids []string) {
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

// gathering is what several readers get side by side.
type gathering struct {
	s       *suite
	mu      sync.Mutex
	missing map[string]bool
	came    []*tidings.Delivery // in the order in which they were in somebody's hands
}

// gather lets readers acknowledge what comes until all of the events have come, and for a quiet
// time more.
func (s *suite) gather(events []tidings.Event, readers ...*reader) []*tidings.Delivery {
	s.Helper()
	g := &gathering{s: s, missing: map[string]bool{}}
	for _, e := range events {
		g.missing[e.ID] = true
	}
	ctx, cancel := s.patience()
	defer cancel()
	var done sync.WaitGroup
	for _, r := range readers {
		done.Go(func() { g.read(ctx, cancel, r) })
	}
	done.Wait()
	if len(g.missing) > 0 {
		s.Fatalf("%d of %d events did not come, such as %s", len(g.missing), len(events),
			slices.Sorted(maps.Keys(g.missing))[0])
	}
	return g.came
}

func (g *gathering) read(ctx context.Context, stop func(), r *reader) {
	for ctx.Err() == nil {
		ds, err := r.Receive(ctx, 40) // so many that a key is several times among them
		if err != nil && ctx.Err() == nil {
			g.s.Errorf("receive: %v", err)
			return
		}
		for _, d := range ds {
			g.note(d, stop)
			if err := d.Ack(context.WithoutCancel(ctx)); err != nil {
				g.s.Errorf("ack %s: %v", d.ID, err)
			}
		}
	}
}

// note is called before the Ack, so that what comes after it in order is noted after it.
func (g *gathering) note(d *tidings.Delivery, stop func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.came = append(g.came, d)
	if !g.missing[d.ID] {
		return
	}
	delete(g.missing, d.ID)
	if len(g.missing) == 0 {
		time.AfterFunc(g.s.h.Quiet, stop)
	}
}
