package otel

import (
	"errors"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/messagingconv"

	"github.com/tidings-io/tidings"
)

// Everything that the semantic conventions name is in this file: messaging is still in development
// there, and a later version changes it here.

const schemaURL = semconv.SchemaURL

// Names of operations, which are their types as well.
const (
	opSend    = "send"
	opReceive = "receive"
	opProcess = "process"
)

// Instruments of the conventions.
type (
	sentMessages      = messagingconv.ClientSentMessages
	consumedMessages  = messagingconv.ClientConsumedMessages
	operationDuration = messagingconv.ClientOperationDuration
	processDuration   = messagingconv.ProcessDuration
	system            = messagingconv.SystemAttr
)

var (
	newSent     = messagingconv.NewClientSentMessages
	newConsumed = messagingconv.NewClientConsumedMessages
	newClient   = messagingconv.NewClientOperationDuration
	newProcess  = messagingconv.NewProcessDuration
)

// seconds are the bounds that the conventions advise for durations.
var seconds = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}

func destination(name string) attribute.KeyValue { return semconv.MessagingDestinationName(name) }
func group(name string) attribute.KeyValue       { return semconv.MessagingConsumerGroupName(name) }
func batchSize(n int) attribute.KeyValue         { return semconv.MessagingBatchMessageCount(n) }

// operation are the attributes of every span.
func operation(system, name string) []attribute.KeyValue {
	return []attribute.KeyValue{semconv.MessagingSystemKey.String(system), semconv.MessagingOperationName(name),
		semconv.MessagingOperationTypeKey.String(name)}
}

// of are the attributes of a span about one event.
func of(e *tidings.Event) []attribute.KeyValue {
	all := []attribute.KeyValue{destination(e.Topic), semconv.MessagingMessageID(e.ID),
		semconv.MessagingMessageBodySize(len(e.Payload)), semconv.CloudEventsEventID(e.ID),
		semconv.CloudEventsEventSource(e.Source), semconv.CloudEventsEventSpecVersion(tidings.SpecVersion),
		semconv.CloudEventsEventType(e.Type)}
	if e.Subject != "" {
		all = append(all, semconv.CloudEventsEventSubject(e.Subject))
	}
	if e.Correlation != "" {
		all = append(all, semconv.MessagingMessageConversationID(e.Correlation))
	}
	return all
}

var errorTypes = []struct {
	err  error
	name string
}{
	{tidings.ErrUnsupported, "unsupported"}, {tidings.ErrUnroutable, "unroutable"},
	{tidings.ErrTooLarge, "too_large"}, {tidings.ErrClosed, "closed"}, {tidings.ErrLost, "lost"},
}

// errorType is of low cardinality: a kind that the library knows, or the type of the error.
func errorType(err error) attribute.KeyValue {
	for _, known := range errorTypes {
		if errors.Is(err, known.err) {
			return semconv.ErrorTypeKey.String(known.name)
		}
	}
	return semconv.ErrorType(err)
}

func panicked() attribute.KeyValue { return semconv.ErrorTypeKey.String("panic") }
