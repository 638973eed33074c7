package otel

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
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
		mine := t.textOf(ctx)
		ctx = tidings.WithTrace(ctx, mine.Get("traceparent"), mine.Get("tracestate"))
		return record(span, next.Handle(ctx, d))
	})
}
