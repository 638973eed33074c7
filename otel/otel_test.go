package otel_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/otel"
	"github.com/tidings-io/tidings/tidingstest"
)

type order struct{ ID string }

var (
	placed = tidings.Define("orders", "placed", tidings.KeyBy(func(o order) string { return o.ID }))
	billed = tidings.Define("bills", "billed", tidings.KeyBy(func(o order) string { return o.ID }))
)

type world struct {
	*otel.Telemetry
	broker *tidingstest.Transport
	spans  *tracetest.SpanRecorder
	meters *metric.ManualReader
}

func newWorld(t *testing.T) world {
	w := world{broker: tidingstest.NewTransport(), spans: tracetest.NewSpanRecorder(), meters: metric.NewManualReader()}
	var err error
	w.Telemetry, err = otel.New(otel.Config{System: "kafka",
		Tracer: sdk.NewTracerProvider(sdk.WithSpanProcessor(w.spans)),
		Meter:  metric.NewMeterProvider(metric.WithReader(w.meters))})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// run has services handle until nothing is left to do.
func (w world) run(t *testing.T, services ...*tidings.Service) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	for _, s := range services {
		go func() { done <- s.Run(ctx) }()
		<-s.Ready()
	}
	t.Cleanup(func() {
		stop()
		for range services {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// begun are the spans in the order in which they began: in which they end depends on who is faster.
func (w world) begun() (all []sdk.ReadOnlySpan) {
	for _, s := range w.spans.Started() {
		all = append(all, s)
	}
	return all
}

// tree is each span under its parent, by name.
func (w world) tree() string {
	var lines []string
	var add func(parent string, depth int)
	add = func(parent string, depth int) {
		for _, s := range w.begun() {
			if s.Parent().SpanID().String() == parent {
				lines = append(lines, strings.Repeat(" ", depth)+s.Name())
				add(s.SpanContext().SpanID().String(), depth+1)
			}
		}
	}
	add("0000000000000000", 0)
	return strings.Join(lines, "\n")
}

func TestTheTraceOfOneActionIsTheTreeOfAllThatFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		tries := 0
		billing := tidings.NewService("billing", w.broker, w.Options()...)
		billing.Subscribe(tidings.Policy{}, tidings.On(placed, func(ctx context.Context, m tidings.Msg[order]) error {
			if tries++; tries == 1 {
				return errors.New("not yet")
			}
			return billing.Publish(ctx, billed.New(m.Data))
		}))
		mail := tidings.NewService("mail", w.broker, w.Options()...)
		mail.Subscribe(tidings.Policy{}, tidings.On(billed, func(context.Context, tidings.Msg[order]) error { return nil }))
		w.run(t, billing, mail)
		if err := mail.Publish(t.Context(), placed.New(order{"o-1"})); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := "send orders\n process orders\n process orders\n  send bills\n   process bills"
		if got := w.tree(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		failed := w.begun()[1]
		if failed.Status().Code != codes.Error || failed.Status().Description != "not yet" {
			t.Errorf("the failed attempt has the status %+v", failed.Status())
		}
		for _, want := range []string{"messaging.system=kafka", "messaging.operation.type=process", "messaging.destination.name=orders",
			"messaging.consumer.group.name=billing", "cloudevents.event_type=placed", "error.type=*errors.errorString", "tidings.attempt=1"} {
			if !slices.Contains(attributes(failed), want) {
				t.Errorf("no attribute %s in %v", want, attributes(failed))
			}
		}
		w.checkMetrics(t)
	})
}

func attributes(s sdk.ReadOnlySpan) (all []string) {
	for _, a := range s.Attributes() {
		all = append(all, fmt.Sprintf("%s=%s", a.Key, a.Value.String()))
	}
	return all
}

func (w world) checkMetrics(t *testing.T) {
	var got metricdata.ResourceMetrics
	if err := w.meters.Collect(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, m := range got.ScopeMetrics[0].Metrics {
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				counts[m.Name] += int(p.Value)
			}
		case metricdata.Histogram[float64]:
			for _, p := range data.DataPoints {
				counts[m.Name] += int(p.Count)
			}
		}
	}
	want := map[string]int{"messaging.client.sent.messages": 2, "messaging.client.operation.duration": 2,
		"messaging.client.consumed.messages": 2, "messaging.process.duration": 3, "tidings.retries": 1}
	if fmt.Sprint(counts) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", counts, want)
	}
}

// What was put aside in an outbox keeps the context of its handler, and the span of the relay's
// publish is linked to it.
func TestEventsOfAnOutboxKeepTheirContext(t *testing.T) {
	w := newWorld(t)
	stored := placed.New(order{"o-1"})
	stored.Source, stored.TraceParent = "shop", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	fresh := placed.New(order{"o-2"})
	fresh.Source = "shop"
	if err := w.Publisher(w.broker).Publish(t.Context(), stored, fresh); err != nil {
		t.Fatal(err)
	}
	published, span := w.broker.Published(), w.spans.Ended()[0]
	if got := published[0].TraceParent; got != stored.TraceParent {
		t.Errorf("got %s, want %s", got, stored.TraceParent)
	}
	if got := span.Links(); len(got) != 1 || got[0].SpanContext.SpanID().String() != "b7ad6b7169203331" {
		t.Errorf("links %+v", got)
	}
	if !strings.Contains(published[1].TraceParent, span.SpanContext().SpanID().String()) {
		t.Errorf("got %q, want the context of the span", published[1].TraceParent)
	}
	if !slices.Contains(attributes(span), "messaging.batch.message_count=2") {
		t.Errorf("attributes %v", attributes(span))
	}
}

func TestAFailedPublishIsAnErrorOfItsSpan(t *testing.T) {
	w := newWorld(t)
	broker := tidingstest.NewTransport(tidingstest.WithCapabilities(func(c *tidings.Capabilities) { c.MaxBytes = 10 }))
	big := placed.New(order{"o-1"})
	big.Source = "shop"
	if err := w.Publisher(broker).Publish(t.Context(), big); !errors.Is(err, tidings.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	span := w.spans.Ended()[0]
	if span.Status().Code != codes.Error || !slices.Contains(attributes(span), "error.type=too_large") {
		t.Errorf("status %+v, attributes %v", span.Status(), attributes(span))
	}
}

func TestAWrappedPublisherStillPublishesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e := placed.New(order{"o-1"})
		e.Source = "shop"
		later := w.Publisher(w.broker).(tidings.Scheduler)
		if err := later.PublishAt(t.Context(), time.Now().Add(time.Hour), e); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Minute)
		if n := len(w.broker.Published()); n != 0 {
			t.Error("it came before its time")
		}
		time.Sleep(time.Minute)
		if n := len(w.broker.Published()); n != 1 {
			t.Errorf("%d were published", n)
		}
	})
}

// A batch begins a trace of its own, linked to those of its events.
func TestABatchIsLinkedToTheSpansOfItsEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := tidings.NewService("billing", w.broker, w.Options()...)
		s.Subscribe(tidings.Policy{}, tidings.OnBatch(placed, 2, func(ctx context.Context, ms []tidings.Msg[order]) error {
			return s.Publish(ctx, billed.New(ms[0].Data))
		}))
		w.run(t, s)
		if err := s.Publish(t.Context(), placed.New(order{"o-1"}), placed.New(order{"o-2"})); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got, want := w.tree(), "send orders\nprocess orders\n send bills"; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		for _, span := range w.spans.Ended() {
			if span.Name() == "process orders" && len(span.Links()) != 2 {
				t.Errorf("links %+v", span.Links())
			}
		}
	})
}

// A span of the handler's own is between the attempt and what is published in it.
func TestWhatIsPublishedInASpanOfTheHandlerFollowsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := tidings.NewService("billing", w.broker, w.Options()...)
		s.Subscribe(tidings.Policy{}, tidings.On(placed, func(ctx context.Context, m tidings.Msg[order]) error {
			ctx, span := trace.SpanFromContext(ctx).TracerProvider().Tracer("own").Start(ctx, "work")
			defer span.End()
			return s.Publish(ctx, billed.New(m.Data))
		}), tidings.On(billed, func(context.Context, tidings.Msg[order]) error { return nil }))
		w.run(t, s)
		if err := s.Publish(t.Context(), placed.New(order{"o-1"})); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := "send orders\n process orders\n  work\n   send bills\n    process bills"
		if got := w.tree(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		for _, span := range w.begun() {
			if n := len(span.Links()); n != 0 {
				t.Errorf("%s has %d links, want none", span.Name(), n)
			}
		}
	})
}

// The context that a caller names is not lost where there is no span of it.
func TestTheContextOfACallerIsKept(t *testing.T) {
	w := newWorld(t)
	s := tidings.NewService("shop", w.broker, w.Options()...)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if err := s.Publish(tidings.WithTrace(t.Context(), parent, ""), placed.New(order{"o-1"})); err != nil {
		t.Fatal(err)
	}
	if got := w.broker.Published()[0].TraceParent; got != parent {
		t.Errorf("got %s, want %s", got, parent)
	}
}

// A handler that panics has failed, and its span says so.
func TestTheSpanOfAPanicIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := tidings.NewService("billing", w.broker, append(w.Options(), tidings.WithLogger(slog.New(slog.DiscardHandler)))...)
		once := tidings.Policy{Immediate: tidings.NoRetries, Delays: []time.Duration{}}
		s.Subscribe(once, tidings.On(placed, func(context.Context, tidings.Msg[order]) error { panic("oh") }),
			tidings.OnBatch(billed, 1, func(context.Context, []tidings.Msg[order]) error { panic("oh") }))
		w.run(t, s)
		if err := s.Publish(t.Context(), placed.New(order{"o-1"}), billed.New(order{"o-1"})); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, span := range w.spans.Ended()[1:] {
			if span.Status().Code != codes.Error || !slices.Contains(attributes(span), "error.type=panic") {
				t.Errorf("%s has the status %+v and attributes %v", span.Name(), span.Status(), attributes(span))
			}
		}
	})
}

// Of a publish that failed in part, what was published is counted as sent without an error.
func TestSentMessagesHaveTheErrorOfTheirOwn(t *testing.T) {
	w := newWorld(t)
	broker := tidingstest.NewTransport(tidingstest.WithCapabilities(func(c *tidings.Capabilities) { c.MaxBytes = 1000 }))
	s := tidings.NewService("shop", broker, w.Options()...)
	err := s.Publish(t.Context(), placed.New(order{"o-1"}), placed.New(order{strings.Repeat("o", 1000)}), billed.New(order{"o-1"}))
	if !errors.Is(err, tidings.ErrTooLarge) {
		t.Fatalf("got %v", err)
	}
	var all metricdata.ResourceMetrics
	if err := w.meters.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, m := range all.ScopeMetrics[0].Metrics {
		if data, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "messaging.client.sent.messages" {
			for _, p := range data.DataPoints {
				topic, _ := p.Attributes.Value("messaging.destination.name")
				kind, _ := p.Attributes.Value("error.type")
				got[topic.String()+" "+kind.String()] = p.Value
			}
		}
	}
	if want := map[string]int64{"orders ": 1, "orders too_large": 1, "bills ": 1}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
