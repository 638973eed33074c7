package tidings

import "time"

// Kind says who gets what is published.
type Kind uint8

const (
	// KindEvent is a fact: every group that reads Topic gets it.
	KindEvent Kind = iota
	// KindCommand is an instruction: the group named by Topic gets it, and nobody else. The
	// address is made where it is not there yet, so that a command can wait for its handler.
	KindCommand
	// KindReply goes to the address that a request named. Publishing one to an address that is
	// gone is ErrUnroutable.
	KindReply
)

// String is "event", "command" or "reply".
func (k Kind) String() string {
	switch k {
	case KindCommand:
		return "command"
	case KindReply:
		return "reply"
	default:
		return "event"
	}
}

// Event is a CloudEvents 1.0 envelope with encoded data; commands and replies travel in one too.
// Its zero value is not valid: [Type.New] and [Command.New] make events.
type Event struct {
	// Kind and Topic are the destination and no attributes of CloudEvents: the topic of an event,
	// the group that a command or reply is for.
	Kind  Kind
	Topic string

	ID          string    // id: what an idempotent consumer keys by; stable over redelivery
	Source      string    // source: the service that published it
	Type        string    // type, such as "shop.order.placed.v1"
	Subject     string    // subject, such as the id of an aggregate
	Time        time.Time // time of the fact, UTC
	ContentType string    // datacontenttype
	Schema      string    // dataschema, a URI
	Key         string    // partitionkey: order is promised among events of one key; "" none
	Correlation string    // correlationid: the conversation
	Causation   string    // causationid: the id of the event that caused this one
	ReplyTo     string    // replyto: the address that waits for an answer
	TraceParent string    // traceparent of W3C Trace Context
	TraceState  string    // tracestate of W3C Trace Context

	// Extensions are other extension attributes, by name: lower-case letters and digits only.
	Extensions map[string]string
	// Payload is the encoded data.
	Payload []byte

	err error
}

// Err is why the payload could not be encoded. Every publisher returns it.
func (e *Event) Err() error { return e.err }

// Msg is an event with its data decoded.
type Msg[T any] struct {
	Event
	Data    T
	Attempt int // 1 for the first, as far as the transport can tell
}
