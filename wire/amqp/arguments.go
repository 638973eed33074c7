package amqp

import (
	"fmt"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// toArgs makes the broker's arguments of a table. Both keep order and types.
func toArgs(t Table) broker.Args {
	if len(t) == 0 {
		return nil
	}
	args := make(broker.Args, len(t))
	for i, f := range t {
		args[i] = broker.Arg{Name: f.Name, Value: toArg(f.Value)}
	}
	return args
}

func toArg(v any) any {
	switch v := v.(type) {
	case Table:
		return toArgs(v)
	case Timestamp:
		return time.Unix(int64(v), 0).UTC()
	case Decimal:
		return broker.Decimal{Scale: v.Scale, Value: int32(v.Value)}
	case []any:
		all := make([]any, len(v))
		for i := range v {
			all[i] = toArg(v[i])
		}
		return all
	}
	return v
}

// typeName is what RabbitMQ calls the type of an argument in its replies.
func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "void"
	case bool:
		return "bool"
	case int8:
		return "byte"
	case uint8:
		return "unsignedbyte"
	case int16:
		return "short"
	case uint16:
		return "unsignedshort"
	case int32:
		return "signedint"
	case uint32:
		return "unsignedint"
	case int64:
		return "long"
	case float32:
		return "float"
	case float64:
		return "double"
	case string:
		return "longstr"
	case []byte:
		return "binary"
	case time.Time:
		return "timestamp"
	case broker.Decimal:
		return "decimal"
	case []any:
		return "array"
	}
	return "table"
}

// settings reads a queue's arguments one by one; after the first that is wrong, err is set.
type settings struct {
	queue broker.Name
	args  broker.Args
	err   error
}

func (s *settings) wrong(name, why string) {
	if s.err == nil {
		s.err = errorf(replyPreconditionFailed, "invalid arg '%s' for queue %s: %s",
			name, inVhost(s.queue), why)
	}
}

// number reads an argument of at least least; nil: it is not there.
func (s *settings) number(name string, least, most int64) *int64 {
	n, ok, err := s.args.Int(name)
	v, _ := s.args.Get(name)
	switch {
	case err != nil:
		s.wrong(name, fmt.Sprintf("expected integer, got %s", typeName(v)))
	case !ok:
	case n < least || n > most:
		s.wrong(name, fmt.Sprintf("%d is not within %d to %d", n, least, most))
	default:
		return &n
	}
	return nil
}

func (s *settings) text(name string) (string, bool) {
	v, ok, err := s.args.Text(name)
	if err != nil {
		s.wrong(name, "expected a string")
	}
	return v, ok
}

// oneOf reads an argument with few values; "" is not among them and means absent.
func (s *settings) oneOf(name string, values ...string) int {
	v, ok := s.text(name)
	if !ok {
		return 0
	}
	for i := range values {
		if values[i] == v {
			return i
		}
	}
	s.wrong(name, fmt.Sprintf("unknown value '%s'", v))
	return 0
}

// typeOf is what kind of queue the arguments ask for. Classic and quorum are the same durable queue, but
// for the delivery limit and the policies that are meant for one of them.
func typeOf(args broker.Args) broker.QueueType {
	if kind, _, _ := args.Text("x-queue-type"); kind == "quorum" {
		return broker.QuorumQueue
	}
	return broker.ClassicQueue
}

// settingsOf reads the arguments that say what a queue does; others are kept without effect.
func settingsOf(queue broker.Name, args broker.Args) (broker.QueueSettings, error) {
	s := settings{queue: queue, args: args}
	var q broker.QueueSettings
	if ms := s.number("x-message-ttl", 0, maxMillis); ms != nil {
		ttl := time.Duration(*ms) * time.Millisecond
		q.TTL = &ttl
	}
	if ms := s.number("x-expires", 1, maxMillis); ms != nil {
		q.Expires = time.Duration(*ms) * time.Millisecond
	}
	q.MaxLength = s.number("x-max-length", 0, 1<<53)
	q.MaxLengthBytes = s.number("x-max-length-bytes", 0, 1<<53)
	q.Overflow = broker.Overflow(s.oneOf("x-overflow", overflows...))
	_, q.OverflowSet = args.Get("x-overflow")
	q.DeadLetterTo, q.DeadLetters = s.text("x-dead-letter-exchange")
	if key, ok := s.text("x-dead-letter-routing-key"); ok {
		q.DeadLetterKey = &key
		if !q.DeadLetters {
			s.wrong("x-dead-letter-routing-key", "routing_key_but_no_dlx_defined")
		}
	}
	if p := s.number("x-max-priority", 0, 255); p != nil {
		q.MaxPriority = uint8(*p)
	}
	q.SingleActive, _, _ = args.Bool("x-single-active-consumer")
	s.number(timeoutArg, 1, maxMillis) // consumers ask for it
	q.DeliveryLimit = s.number("x-delivery-limit", -1, 1<<31)
	s.oneOf("x-queue-type", "classic", "quorum") // streams are told apart before
	return q, s.err
}

// overflows are the values of x-overflow, in the order of broker.Overflow.
var overflows = []string{"drop-head", "reject-publish", "reject-publish-dlx"}

// queueArgs are those that a redeclaration must repeat.
var queueArgs = []string{"x-expires", "x-message-ttl", "x-max-length", "x-max-length-bytes", "x-max-priority",
	"x-overflow", "x-queue-mode", "x-queue-type", "x-dead-letter-exchange", "x-dead-letter-routing-key",
	"x-single-active-consumer", "x-delivery-limit"}

// inequivalent is the answer to a redeclaration that differs.
func inequivalent(arg, what string, name broker.Name, got, have any) error {
	return errorf(replyPreconditionFailed, "inequivalent arg '%s' for %s %s: "+
		"received '%v' but current is '%v'", arg, what, inVhost(name), got, have)
}

func sameQueue(have, got broker.QueueSpec) error {
	name := broker.Name{Kind: broker.KindQueue, Namespace: have.Namespace, Name: have.Name}
	if (have.Owner != nil || got.Owner != nil) && have.Owner != got.Owner {
		return locked(name)
	}
	if have.Durable != got.Durable {
		return inequivalent("durable", "queue", name, got.Durable, have.Durable)
	}
	if have.AutoDelete != got.AutoDelete {
		return inequivalent("auto_delete", "queue", name, got.AutoDelete, have.AutoDelete)
	}
	return sameArgs("queue", name, have.Args, got.Args, queueArgs)
}

func sameExchange(have, got broker.ExchangeSpec) error {
	name := broker.Name{Kind: broker.KindExchange, Namespace: have.Namespace, Name: have.Name}
	for _, f := range []struct {
		arg       string
		got, have any
	}{
		{"type", got.Type, have.Type},
		{"durable", got.Durable, have.Durable},
		{"auto_delete", got.AutoDelete, have.AutoDelete},
		{"internal", got.Internal, have.Internal},
	} {
		if f.got != f.have {
			return inequivalent(f.arg, "exchange", name, f.got, f.have)
		}
	}
	return sameArgs("exchange", name, have.Args, got.Args, []string{"alternate-exchange"})
}

// sameArgs compares the arguments that matter. Integers are equal whatever their width.
func sameArgs(what string, name broker.Name, have, got broker.Args, names []string) error {
	for _, arg := range names {
		a, had := have.Get(arg)
		b, has := got.Get(arg)
		if had == has && (!had || broker.EqualValues(a, b)) {
			continue
		}
		return errorf(replyPreconditionFailed, "inequivalent arg '%s' for %s %s: received %s "+
			"but current is %s", arg, what, inVhost(name), describe(b, has), describe(a, had))
	}
	return nil
}

// describe is an argument as RabbitMQ's replies show it.
func describe(v any, there bool) string {
	if !there {
		return "none"
	}
	return fmt.Sprintf("the value '%v' of type '%s'", v, typeName(v))
}
