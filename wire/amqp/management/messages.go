package management

import (
	"encoding/base64"
	"unicode/utf8"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/amqp"
)

// publish publishes one message, and says whether a queue has got it.
func (s *Server) publish(r *request) (any, error) {
	x, err := s.exchangeNamed(r)
	if err != nil {
		return nil, err
	}
	var want struct {
		Key        *string    `json:"routing_key"`
		Properties *arguments `json:"properties"`
		Payload    *string    `json:"payload"`
		Encoding   string     `json:"payload_encoding"`
	}
	if err := r.decode(&want); err != nil {
		return nil, err
	}
	if want.Key == nil || want.Properties == nil || want.Payload == nil || want.Encoding == "" {
		return nil, badRequest("key_missing: routing_key, properties, payload and payload_encoding " +
			"are needed")
	}
	body, err := payload(*want.Payload, want.Encoding)
	if err != nil {
		return nil, err
	}
	routed, err := s.direct(r).Publish(amqp.Message{Exchange: x.Name().Name, Key: *want.Key,
		Properties: broker.Args(*want.Properties), Body: body})
	if err != nil {
		return nil, err
	}
	return object{"routed": routed}, nil
}

func payload(text, encoding string) ([]byte, error) {
	switch encoding {
	case "string":
		return []byte(text), nil
	case "base64":
		body, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, badRequest("payload is not base64: %v", err)
		}
		return body, nil
	}
	return nil, badRequest("unsupported_encoding: %s", encoding)
}

// ackModes say what becomes of messages that were taken out to be looked at.
var ackModes = map[string]broker.Outcome{
	"ack_requeue_true":     broker.Requeue,
	"reject_requeue_true":  broker.Requeue,
	"ack_requeue_false":    broker.Accept,
	"reject_requeue_false": broker.Reject,
}

// take takes messages out of a queue, and shows them.
func (s *Server) take(r *request) (any, error) {
	if _, _, err := s.someQueue(r); err != nil {
		return nil, err
	}
	var want struct {
		AckMode  string `json:"ackmode"`
		Count    *count `json:"count"`
		Encoding string `json:"encoding"`
		Truncate *count `json:"truncate"`
	}
	if err := r.decode(&want); err != nil {
		return nil, err
	}
	then, known := ackModes[want.AckMode]
	switch {
	case !known || want.Count == nil || *want.Count < 0:
		return nil, badRequest("key_missing: ackmode, count and encoding are needed")
	case want.Encoding != "auto" && want.Encoding != "base64":
		return nil, badRequest("Unsupported encoding. Please use auto or base64.")
	}
	l := &s.config.Limits
	got, err := s.direct(r).Get(r.PathValue("q"), min(int(*want.Count), l.GetMessages), l.GetBytes, then)
	if err != nil {
		return nil, err
	}
	list := []object{}
	for i := range got {
		list = append(list, showMessage(&got[i], want.Encoding, want.Truncate))
	}
	return list, nil
}

func showMessage(m *amqp.Message, encoding string, truncate *count) object {
	body := m.Body
	if truncate != nil && *truncate >= 0 && int(*truncate) < len(body) {
		body = body[:*truncate]
	}
	doc := object{"payload_bytes": len(m.Body), "redelivered": m.Redelivered, "exchange": m.Exchange,
		"routing_key": m.Key, "message_count": m.Remaining, "properties": showArgs(m.Properties),
		"payload": string(body), "payload_encoding": "string"}
	if encoding == "base64" || !utf8.Valid(body) {
		doc["payload"], doc["payload_encoding"] = base64.StdEncoding.EncodeToString(body), "base64"
	}
	return doc
}
