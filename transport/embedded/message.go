package embedded

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
)

// message is an event as a record of a queue. One of a topic says which; after so many attempts.
func (s *scratch) message(queue string, e *tidings.Event, attempts int) broker.QueueRecord {
	var more [2][2]string
	n := 0
	if e.Kind == tidings.KindEvent {
		more[n] = [2]string{tidings.ExtOriginTopic, e.Topic}
		n++
	}
	if attempts > 0 {
		more[n] = [2]string{tidings.ExtAttempt, strconv.Itoa(attempts)}
		n++
	}
	rec := broker.QueueRecord{Key: queue, Group: groupOf(e), Format: broker.PropsAMQP,
		Props: s.properties(e, more[:n]...), Body: e.Payload}
	return rec
}

// groupOf is what keeps an event in order with others of its key. Without one it is alone.
func groupOf(e *tidings.Event) string {
	if e.Key == "" {
		return broker.KeyGroup([]byte(e.ID))
	}
	return broker.KeyGroup([]byte(e.Key))
}

// received is an event that came by a queue, and how often it was delivered before that.
func (r *reading) received(q *broker.Queue, d *broker.Delivery) (e tidings.Event, before int) {
	name := q.Name().Name
	place := func() (id, source string) {
		return fmt.Sprintf("%s/%d/%d", name, d.ID.Log, d.ID.Offset), "embedded:" + name
	}
	rec, err := recordOf(q, &d.Record)
	if err != nil {
		e = foreign(&rec, place, err)
	} else {
		e = r.event(&rec, place)
	}
	if e.Topic = name; e.Kind == tidings.KindEvent {
		e.Kind = tidings.KindCommand // whatever came by the address is for the group alone
	}
	if origin, ok := e.Extensions[tidings.ExtOriginTopic]; ok {
		e.Kind, e.Topic = tidings.KindEvent, origin
	}
	before, err = strconv.Atoi(e.Extensions[tidings.ExtAttempt])
	if err != nil || before < 0 {
		before = 0
	}
	strip(&e)
	return e, before
}

// strip takes off what travelled with an event for the transport alone.
func strip(e *tidings.Event) {
	delete(e.Extensions, tidings.ExtOriginTopic)
	delete(e.Extensions, tidings.ExtAttempt)
	if len(e.Extensions) == 0 {
		e.Extensions = nil
	}
}

// errNoTopic is of an event without a destination.
var errNoTopic = errors.New("an event needs a topic or an address")
