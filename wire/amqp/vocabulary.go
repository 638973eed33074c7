package amqp

import (
	"errors"
	"slices"

	"github.com/tidings-io/tidings/broker"
)

// Vocabulary lets a face that has no connection here declare queues and exchanges, and describe
// records, in the words of this protocol: what it makes, a client may declare again with the same
// arguments. Its errors are of the broker, with kind Invalid or Unsupported.
type Vocabulary struct {
	// Broker knows the types that namespaces give queues; nil: none do.
	Broker *broker.Broker
}

// Queue sets what the arguments of a queue mean: its type and settings. One that is told no type gets the
// argument that the namespace's gives it.
func (v Vocabulary) Queue(spec *broker.QueueSpec) (err error) {
	const op = "declare queue"
	if _, set := spec.Args.Get(queueTypeArg); !set && v.Broker != nil {
		lasting := spec.Durable && !spec.AutoDelete && spec.Owner == nil
		if kind := defaultType(v.Broker, spec.Namespace, lasting); kind != "" {
			spec.Args = append(slices.Clip(spec.Args), broker.Arg{Name: queueTypeArg, Value: kind})
		}
	}
	if IsStream(spec.Args) {
		return inBroker(op, spec.Name, errorf(replyNotImplemented,
			"a queue of type stream is a topic: create that"))
	}
	spec.Type = typeOf(spec.Args)
	name := broker.Name{Kind: broker.KindQueue, Namespace: spec.Namespace, Name: spec.Name}
	spec.Settings, err = settingsOf(name, spec.Args)
	return inBroker(op, spec.Name, err)
}

// Alternate returns the exchange that the arguments of an exchange name for what it leads nowhere;
// "": none.
func (Vocabulary) Alternate(args broker.Args) (string, error) {
	name, _, err := args.Text("alternate-exchange")
	return name, err
}

// Describe gives a record properties by their names in the specification, under the rules of
// Direct.Publish. Priority, expiry, durability and further routing keys of the record follow them.
func (Vocabulary) Describe(rec *broker.QueueRecord, properties broker.Args) error {
	return inBroker("describe record", "", describeWith(rec, properties))
}

func describeWith(rec *broker.QueueRecord, properties broker.Args) error {
	props, err := propertiesOf(properties)
	if err != nil {
		return err
	}
	if rec.Props, err = props.append(nil); err != nil {
		return err
	}
	x, err := indexProperties(rec.Props)
	if err != nil {
		return err
	}
	if string(x.replyTo()) == directReplyTo {
		return errorf(replyPreconditionFailed, "there is no connection that %s could lead to", directReplyTo)
	}
	return describeRecord(rec, &x)
}

// inBroker says with the broker's kinds what this protocol has codes for.
func inBroker(op, name string, err error) error {
	if err == nil || broker.KindOf(err) != 0 {
		return err
	}
	e := &broker.Error{Kind: broker.Invalid, Op: op, Name: name, Err: err}
	var ours *Error
	if errors.As(err, &ours) {
		e.Err = errors.New(ours.Text)
		if ours.Code == replyNotImplemented {
			e.Kind = broker.Unsupported
		}
	}
	return e
}
