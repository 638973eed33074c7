// Package otel traces and measures services by OpenTelemetry's semantic conventions for messaging.
//
//	telemetry, err := otel.New(otel.Config{System: "kafka"})
//	svc := tidings.NewService("billing", transport, telemetry.Options()...)
//
// A publish is a span "send <topic>" of kind producer, whose context travels in the events as W3C
// Trace Context. Each attempt of a handler is a span "process <topic>" of kind consumer, a child of
// the span that sent the event: the trace of one action of a user is the tree of all that followed
// from it, over every hop and broker. What a handler puts into an outbox carries the context of its
// own span, so that the trace goes on when a relay publishes it; [Telemetry.Publisher] around the
// relay's publisher adds a span for that publish.
//
// # Metrics
//
//	messaging.client.sent.messages        events published
//	messaging.client.operation.duration   of a publish, in seconds
//	messaging.client.consumed.messages    deliveries received
//	messaging.process.duration            of an attempt, in seconds
//	tidings.retries                       attempts that follow a failed one
//	tidings.dead_letters                  events put aside
//	tidings.breaker.opened                times that a circuit breaker opened
//
// # Batches
//
// An attempt at a batch has no one parent: its span begins a trace, linked to those of its events.
//
// # Conventions
//
// Those for messaging are in development; their names are in one file, conventions.go, of version
// 1.43.0.
package otel
