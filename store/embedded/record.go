package embedded

import (
	"bytes"
	"errors"
	"strings"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
)

// An event rests as a record in CloudEvents' binary mode of Kafka: headers "ce_<attribute>",
// "content-type", the partition key as the record's key. The topic, which is no attribute, is one
// more header: streams have no topic.
const (
	prefix      = "ce_"
	contentType = "content-type"
	topicHeader = "ce_origintopic"
)

func encodeAll(events []tidings.Event) []broker.Record {
	out := make([]broker.Record, len(events))
	for i := range events {
		out[i] = encode(&events[i])
	}
	return out
}

func encode(e *tidings.Event) broker.Record {
	rec := broker.Record{Value: e.Payload}
	if e.Key != "" {
		rec.Key = []byte(e.Key)
	}
	for name, value := range e.Attributes() {
		switch name {
		case "partitionkey": // the record's key
		case "datacontenttype":
			rec.Headers = append(rec.Headers, broker.Header{Key: contentType, Value: []byte(value)})
		default:
			rec.Headers = append(rec.Headers, broker.Header{Key: prefix + name, Value: []byte(value)})
		}
	}
	if e.Topic != "" {
		rec.Headers = append(rec.Headers, broker.Header{Key: topicHeader, Value: []byte(e.Topic)})
	}
	return rec
}

func decode(rec broker.Record) (e tidings.Event, err error) {
	e.Key, e.Payload = string(rec.Key), bytes.Clone(rec.Value)
	for _, h := range rec.Headers {
		name, ok := strings.CutPrefix(h.Key, prefix)
		switch {
		case h.Key == topicHeader:
			e.Topic = string(h.Value)
		case h.Key == contentType:
			e.ContentType = string(h.Value)
		case ok:
			if err := e.SetAttribute(name, string(h.Value)); err != nil {
				return e, err
			}
		}
	}
	if e.ID == "" || e.Type == "" {
		return e, errors.New("the record is no CloudEvent")
	}
	return e, nil
}
