package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/outbox"
)

// Local is the broker of a store as a transport: transport/embedded.Transport is one.
type Local interface {
	tidings.Transport
	Publisher
}

// Outbox is a Publisher for Config where the events are for another broker: they wait in this one,
// committed with the transaction, until a relay has published them there. What package outbox
// promises of a table holds here too, but for ids: they are not compared, and what is published
// under one id twice is published twice. What is refused for good, or fails alone for three hours,
// waits among the dead letters of the outbox, from where tidings.Redrive puts it back.
type Outbox struct {
	local Local
	typ   *tidings.Command[waiting]
}

// waiting is an event on its way.
type waiting struct {
	Topic string         `json:"topic"`
	Event *tidings.Event `json:"event"`

	text []byte // of Event, to be encoded
}

// waitingCodec is JSON in which the bytes of an event's data stay as they are: encoding/json would
// escape and shorten them.
type waitingCodec struct{ tidings.Codec }

func (c waitingCodec) Encode(v any) ([]byte, error) {
	w := v.(waiting)
	topic, err := c.Codec.Encode(w.Topic)
	return fmt.Appendf(nil, `{"topic":%s,"event":%s}`, topic, w.text), err
}

// NewOutbox is an outbox in the group of a name, which is for nothing else.
func NewOutbox(local Local, name string) *Outbox {
	return &Outbox{local, tidings.DefineCommand(name, "tidings.outbox.v1", tidings.KeyBy(orderOf),
		tidings.WithCodec[waiting](waitingCodec{tidings.JSON}))}
}

// orderOf is what keeps its order: the topic and key of the event. One without a key has none.
func orderOf(w waiting) string {
	if w.Event.Key == "" {
		return ""
	}
	return fmt.Sprintf("%d/%s/%s", len(w.Topic), w.Topic, w.Event.Key)
}

// Enlist has events published after tx has been committed.
func (o *Outbox) Enlist(tx *broker.Tx, events ...tidings.Event) error {
	wrapped, err := o.wrap(events)
	if err != nil {
		return err
	}
	return o.local.Enlist(tx, wrapped...)
}

// EnlistAt has events published at a time, if tx has been committed.
func (o *Outbox) EnlistAt(tx *broker.Tx, at time.Time, events ...tidings.Event) error {
	wrapped, err := o.wrap(events)
	if err != nil {
		return err
	}
	return o.local.EnlistAt(tx, at, wrapped...)
}

// wrap makes commands to the outbox, which have the ids of what is in them. It refuses what outbox
// does, since the relay could not read it.
func (o *Outbox) wrap(events []tidings.Event) ([]tidings.Event, error) {
	records, err := outbox.Prepare(context.Background(), "", events)
	if err != nil {
		return nil, err
	}
	wrapped := make([]tidings.Event, len(records))
	for i := range records {
		e := &records[i].Event
		wrapped[i] = o.typ.New(waiting{e.Topic, e, records[i].JSON}, tidings.WithID(e.ID))
		tidings.Stamp(context.Background(), e.Source, &wrapped[i])
	}
	return wrapped, nil
}

// relayPolicy tries for hours before it puts an event aside: what keeps everything from being
// published opens the breaker instead, and is not counted against any event.
func relayPolicy() tidings.Policy {
	p := tidings.Policy{Concurrency: 64, Immediate: tidings.NoRetries,
		Breaker: tidings.Breaker{Failures: 20, Pause: time.Second}}
	for delay := 20 * time.Millisecond; len(p.Delays) < 200; delay = min(2*delay, time.Minute) {
		p.Delays = append(p.Delays, delay)
	}
	return p
}

// Relay is the service that publishes what waits, in the order of each topic and key: run it. An
// event is done when its publisher says that it is kept; a crash before that publishes it again,
// with the same id.
func (o *Outbox) Relay(to tidings.Publisher, opts ...tidings.Option) *tidings.Service {
	publish := tidings.Handle(o.typ, func(ctx context.Context, m tidings.Msg[waiting]) error {
		if m.Data.Event == nil {
			return tidings.Permanent(errors.New("there is no event in it"))
		}
		m.Data.Event.Topic = m.Data.Topic
		return final(to.Publish(ctx, *m.Data.Event))
	})
	return tidings.NewService(o.typ.Topic(), o.local, opts...).Subscribe(relayPolicy(), publish)
}

// final marks what trying again will not mend.
func final(err error) error {
	if outbox.ForGood(err) {
		return tidings.Permanent(err)
	}
	return err
}
