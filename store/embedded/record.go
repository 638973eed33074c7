package embedded

import (
	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/transport/embedded"
)

// topicHeader holds the topic of an event, which is no attribute: streams have no topic.
const topicHeader = "ce_" + tidings.ExtOriginTopic

// encodeAll makes records of events as the transport does, and adds their topics.
func encodeAll(events []tidings.Event) []broker.Record {
	out := make([]broker.Record, len(events))
	for i := range events {
		e := &events[i]
		out[i] = embedded.Encode(e)
		if e.Topic != "" {
			topic := broker.Header{Key: topicHeader, Value: []byte(e.Topic)}
			out[i].Headers = append(out[i].Headers, topic)
		}
	}
	return out
}

// decode is the event of a record; its payload is a copy.
func decode(d *embedded.Decoder, rec *broker.Record) (tidings.Event, error) {
	topic := ""
	if n := len(rec.Headers); n > 0 && rec.Headers[n-1].Key == topicHeader {
		topic = string(rec.Headers[n-1].Value)
		rec.Headers = rec.Headers[:n-1]
	}
	e, err := d.Decode(rec)
	e.Topic = topic
	return e, err
}
