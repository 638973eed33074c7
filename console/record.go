package console

import (
	"time"
	"unicode/utf8"

	"github.com/tidings-io/tidings/broker"
)

// recordDocument copies a record into its document: rec may lie in a buffer
// that is about to be reused.
func recordDocument(topic string, partition int, rec broker.Record) Record {
	doc := Record{
		Topic: topic, Partition: partition, Offset: int64(rec.Offset), Time: rec.Time.UTC(),
	}
	doc.Key, doc.KeyBase64 = TextOrBytes(rec.Key)
	doc.Value, doc.ValueBase64 = TextOrBytes(rec.Value)
	for _, h := range rec.Headers {
		header := Header{Key: h.Key}
		header.Value, header.ValueBase64 = TextOrBytes(h.Value)
		doc.Headers = append(doc.Headers, header)
	}
	return doc
}

// TextOrBytes splits bytes into the two fields of a document: text if they are
// valid UTF-8, else bytes (base64 in JSON), neither for nil.
func TextOrBytes(b []byte) (text *string, raw []byte) {
	switch {
	case b == nil:
		return nil, nil
	case utf8.Valid(b):
		s := string(b)
		return &s, nil
	}
	return nil, append([]byte{}, b...)
}

// Bytes is the reverse of TextOrBytes.
func Bytes(text *string, raw []byte) []byte {
	if text != nil {
		return []byte(*text)
	}
	return raw
}

// brokerRecord checks a document and turns it into a record.
func brokerRecord(doc NewRecord, now time.Time) (broker.Record, error) {
	if doc.Key != nil && doc.KeyBase64 != nil || doc.Value != nil && doc.ValueBase64 != nil {
		return broker.Record{}, invalid("a key or value is text or base64, not both")
	}
	rec := broker.Record{
		Key:   Bytes(doc.Key, doc.KeyBase64),
		Value: Bytes(doc.Value, doc.ValueBase64),
		Time:  doc.Time,
	}
	if rec.Time.IsZero() {
		rec.Time = now
	}
	for _, h := range doc.Headers {
		rec.Headers = append(rec.Headers,
			broker.Header{Key: h.Key, Value: Bytes(h.Value, h.ValueBase64)})
	}
	return rec, nil
}
