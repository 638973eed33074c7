package otel

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidings-io/tidings"
)

// Publisher makes a span of each publish, whose context the events carry. Events that carry one of
// another span already, as those of an outbox do, keep it: the new span is linked to it. What a
// handler publishes does not, also where the handler has begun a span of its own. The result is a
// tidings.Scheduler where p is one.
func (t *Telemetry) Publisher(p tidings.Publisher) tidings.Publisher {
	own := publisher{t, p}
	if s, ok := p.(tidings.Scheduler); ok {
		return scheduler{own, s}
	}
	return own
}

type publisher struct {
	t  *Telemetry
	to tidings.Publisher
}

type scheduler struct {
	publisher
	at tidings.Scheduler
}

func (p publisher) Publish(ctx context.Context, events ...tidings.Event) error {
	return p.t.send(ctx, events, p.to.Publish)
}

func (p scheduler) PublishAt(ctx context.Context, at time.Time, events ...tidings.Event) error {
	return p.t.send(ctx, events, func(ctx context.Context, events ...tidings.Event) error {
		return p.at.PublishAt(ctx, at, events...)
	})
}

func (t *Telemetry) send(ctx context.Context, events []tidings.Event,
	publish func(context.Context, ...tidings.Event) error) error {
	if len(events) == 0 {
		return publish(ctx)
	}
	before := ctx
	ctx, span := t.startSend(ctx, events)
	defer span.End()
	mine := t.textOf(ctx)
	events = slices.Clone(events)
	for i := range events {
		e := &events[i]
		if t.foreign(before, e) {
			span.AddLink(trace.Link{SpanContext: t.spanOf(e)})
			continue
		}
		e.TraceParent, e.TraceState = mine.Get("traceparent"), mine.Get("tracestate")
	}
	return record(span, publish(ctx, events...))
}

// foreign says whether an event carries the context of a span that ctx does not come from. That of the
// attempt, with which the service has stamped it, is above a span that the handler has begun since.
func (t *Telemetry) foreign(ctx context.Context, e *tidings.Event) bool {
	if e.TraceParent == "" || e.TraceParent == t.textOf(ctx).Get("traceparent") {
		return false
	}
	var stamped tidings.Event
	tidings.Stamp(ctx, "", &stamped)
	return e.TraceParent != stamped.TraceParent ||
		t.spanOf(e).TraceID() != trace.SpanContextFromContext(ctx).TraceID()
}

func (t *Telemetry) startSend(ctx context.Context, events []tidings.Event) (context.Context, trace.Span) {
	name, attributes := opSend, operation(t.system, opSend)
	one := !slices.ContainsFunc(events, func(e tidings.Event) bool { return e.Topic != events[0].Topic })
	if one {
		name += " " + events[0].Topic
	}
	switch {
	case len(events) == 1:
		attributes = append(attributes, of(&events[0])...)
	case one:
		attributes = append(attributes, destination(events[0].Topic), batchSize(len(events)))
	default:
		attributes = append(attributes, batchSize(len(events)))
	}
	return t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(attributes...))
}

// textOf is the context of the span of ctx as it travels.
func (t *Telemetry) textOf(ctx context.Context) propagation.MapCarrier {
	text := propagation.MapCarrier{}
	t.w3c.Inject(ctx, text)
	return text
}

// spanOf is the span that an event carries the context of; not valid where it carries none.
func (t *Telemetry) spanOf(e *tidings.Event) trace.SpanContext {
	text := propagation.MapCarrier{"traceparent": e.TraceParent, "tracestate": e.TraceState}
	return trace.SpanContextFromContext(t.w3c.Extract(context.Background(), text))
}

// record enters an error into a span, and returns it.
func record(span trace.Span, err error) error {
	if err != nil {
		span.SetAttributes(errorType(err))
		span.SetStatus(codes.Error, err.Error())
	}
	return err
}
