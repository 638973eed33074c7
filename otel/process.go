package otel

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidings-io/tidings"
)

// Middleware makes a span of each attempt, a child of the span whose context the event carries.
// What the handler publishes carries the context of the attempt.
func (t *Telemetry) Middleware(next tidings.Handler) tidings.Handler {
	return tidings.HandlerFunc(func(ctx context.Context, d *tidings.Delivery) error {
		if parent := t.spanOf(&d.Event); parent.IsValid() {
			ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
		}
		attributes := append(operation(t.system, opProcess), of(&d.Event)...)
		attributes = append(attributes, group(tidings.Group(ctx)), attribute.Int("tidings.attempt", d.Attempt))
		ctx, span := t.tracer.Start(ctx, opProcess+" "+d.Topic, trace.WithSpanKind(trace.SpanKindConsumer),
			trace.WithAttributes(attributes...))
		defer span.End()
		return attempt(span, func() error { return next.Handle(t.within(ctx), d) })
	})
}

// BatchMiddleware makes a span of each attempt at a batch, which begins a trace of its own and is
// linked to the span of each event. What the handler publishes carries the context of the batch.
func (t *Telemetry) BatchMiddleware(next tidings.BatchHandler) tidings.BatchHandler {
	return tidings.BatchHandlerFunc(func(ctx context.Context, ds []*tidings.Delivery) error {
		attributes := append(operation(t.system, opProcess), destination(ds[0].Topic), batchSize(len(ds)),
			group(tidings.Group(ctx)))
		links := make([]trace.Link, 0, len(ds))
		for _, d := range ds {
			if of := t.spanOf(&d.Event); of.IsValid() {
				links = append(links, trace.Link{SpanContext: of})
			}
		}
		ctx, span := t.tracer.Start(ctx, opProcess+" "+ds[0].Topic, trace.WithSpanKind(trace.SpanKindConsumer),
			trace.WithAttributes(attributes...), trace.WithLinks(links...), trace.WithNewRoot())
		defer span.End()
		return attempt(span, func() error { return next.HandleBatch(t.within(ctx), ds) })
	})
}

// attempt enters what became of a handler into its span; a panic, which the service makes an error of,
// goes on.
func attempt(span trace.Span, handle func() error) error {
	returned := false
	defer func() {
		if !returned {
			span.SetAttributes(panicked())
			span.SetStatus(codes.Error, "handler panicked")
		}
	}()
	err := handle()
	returned = true
	return record(span, err)
}

// within is a context in which published events carry the span of ctx.
func (t *Telemetry) within(ctx context.Context) context.Context {
	mine := t.textOf(ctx)
	return tidings.WithTrace(ctx, mine.Get("traceparent"), mine.Get("tracestate"))
}
