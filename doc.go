// Package tidings is the library: events, commands and the services that handle them, on any
// broker for which there is a [Transport].
//
// An event is a fact about the past, read by any number of groups. A command is an instruction to
// exactly one. Both are declared once, as a package variable that carries topic, name, key and
// codec, so that order is decided by the owner of the type and not by each publisher:
//
//	var OrderPlaced = tidings.Define("orders", "shop.order.placed.v1",
//		tidings.KeyBy(func(p Placed) string { return p.Order }))
//
//	svc := tidings.NewService("billing", transport)
//	svc.Subscribe(tidings.Policy{}, tidings.On(OrderPlaced,
//		func(ctx context.Context, m tidings.Msg[Placed]) error { return bill(ctx, m.Data) }))
//	err := svc.Run(ctx) // until ctx ends, then drains
//
//	err := svc.Publish(ctx, OrderPlaced.New(Placed{Order: "o-1"})) // nil: durable
//
// # What is promised
//
// Publish returns nil only when the broker has said that it keeps the events; how durable that is
// depends on the broker and is written in docs/guarantees.md. A subscription handles every event
// at least once, those of one key one after the other and in their order, also when some fail;
// [Policy] changes that. Nothing is degraded silently: what a transport cannot do is missing from
// its [Capabilities], and asking for it is [ErrUnsupported] before any event is handled.
//
// # What becomes of an event
//
// [Service.Run] reads the groups of its subscriptions. Equal keys are handled one after the other,
// distinct ones in parallel. A handler that fails is called again at once, then after the delays of
// its policy, while its key is held and others go on; with Policy.StepAside the event waits at the
// broker instead, and others of its key pass. What has failed for good, at once where the error is
// [Permanent], is published to the dead letters and only then settled; [Redrive] puts it back to its
// group, as it was. [RetryAfter] chooses the delay. A [Breaker] pauses while everything fails. When
// the context of Run ends, handlers in progress finish, and the rest is given back.
//
// [Request] sends a command and waits for the answer of its [Replier]. [Service.Health] and an
// [Observer] tell what happens.
//
// # Envelope
//
// [Event] is a CloudEvents 1.0 envelope. Its partitionkey is the unit of order, correlationid the
// conversation, causationid the event that caused it, traceparent and tracestate W3C Trace
// Context. Handlers get a context that carries them, and what is published with that context
// continues the conversation.
//
// # Imports
//
// The package imports the standard library only. Transports, stores and observability are packages
// of their own.
package tidings
