package tidings

import (
	"context"
	"maps"
)

type hopKey struct{}

// hop is where a context comes from: the handling of an event, or what a caller said of a
// conversation before there was one.
type hop struct {
	service, group          string
	event                   *Event // being handled
	correlation             string
	traceParent, traceState string
	publisher               Publisher // of the service that handles
}

func hopOf(ctx context.Context) hop {
	if h, ok := ctx.Value(hopKey{}).(*hop); ok {
		return *h
	}
	return hop{}
}

// Handling is a context for the handling of e by a group of a service: what is published with it
// continues the conversation of e and names e as its cause. Services call it before handlers; it
// is for those who call handlers themselves.
func Handling(ctx context.Context, service, group string, e *Event) context.Context {
	return context.WithValue(ctx, hopKey{}, &hop{service: service, group: group, event: e,
		correlation: e.Correlation, traceParent: e.TraceParent, traceState: e.TraceState})
}

// WithCorrelation is a context in which published events belong to a conversation.
func WithCorrelation(ctx context.Context, id string) context.Context {
	h := hopOf(ctx)
	h.correlation = id
	return context.WithValue(ctx, hopKey{}, &h)
}

// WithTrace is a context in which published events carry a W3C trace context.
func WithTrace(ctx context.Context, traceParent, traceState string) context.Context {
	h := hopOf(ctx)
	h.traceParent, h.traceState = traceParent, traceState
	return context.WithValue(ctx, hopKey{}, &h)
}

// Current is the event whose handling ctx comes from.
func Current(ctx context.Context) (e Event, ok bool) {
	if h := hopOf(ctx); h.event != nil {
		return *h.event, true
	}
	return Event{}, false
}

// Group is the group whose handler ctx comes from, "" outside of one.
func Group(ctx context.Context) string { return hopOf(ctx).group }

// ExtSaga is the extension that leads answers back to the instance of a saga, see package saga. It
// is the one extension that what is published in a handler inherits.
const ExtSaga = "sagaid"

// Stamp sets what an event gets when it is published: source, correlation, causation, trace and
// ExtSaga, as far as they are not set. The source is that of ctx where source is "". An event that
// begins a conversation is named by its own id.
func Stamp(ctx context.Context, source string, e *Event) {
	h := hopOf(ctx)
	if source == "" {
		source = h.service
	}
	setEmpty(&e.Source, source)
	setEmpty(&e.Correlation, h.correlation)
	if h.event != nil {
		setEmpty(&e.Correlation, h.event.ID)
		setEmpty(&e.Causation, h.event.ID)
		inheritSaga(h.event, e)
	}
	setEmpty(&e.Correlation, e.ID)
	if e.TraceParent == "" {
		e.TraceParent, e.TraceState = h.traceParent, h.traceState
	}
}

// inheritSaga copies the map of extensions, which events may share.
func inheritSaga(cause, e *Event) {
	saga := cause.Extensions[ExtSaga]
	if saga == "" || e.Extensions[ExtSaga] != "" {
		return
	}
	e.Extensions = maps.Clone(e.Extensions)
	if e.Extensions == nil {
		e.Extensions = map[string]string{}
	}
	e.Extensions[ExtSaga] = saga
}

func setEmpty(field *string, value string) {
	if *field == "" {
		*field = value
	}
}
