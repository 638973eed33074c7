package asyncapi

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/tidings-io/tidings"
)

const (
	version  = "3.0.0"
	trait    = "cloudevent"
	jsonType = "application/json"
)

// describe is the document of a topology.
func describe(info Info, t tidings.Topology) (*document, error) {
	d := &document{AsyncAPI: version, ID: "urn:tidings:service:" + name(t.Service), DefaultContentType: jsonType,
		Info:    infoObject{cmp.Or(info.Title, t.Service), cmp.Or(info.Version, "0.0.0"), info.Description},
		Servers: info.Servers, Channels: map[string]*channel{}, Operations: map[string]operation{},
		Components: components{Messages: map[string]message{}, Schemas: map[string]*jsonschema.Schema{},
			Traits: map[string]messageTrait{trait: cloudEvent()}},
		channelKeys: newKeys(), messageKeys: newKeys(), operationKeys: newKeys()}
	for _, r := range t.Receives {
		if err := d.receives(r); err != nil {
			return nil, err
		}
	}
	for _, s := range t.Sends {
		if err := d.sends(s); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// receives adds a route.
func (d *document) receives(r tidings.Receives) error {
	ch := d.channel(r.Kind, r.Topic)
	op := operation{Action: "receive", Channel: toChannel(ch), Tidings: handlingOf(r)}
	for _, t := range r.Describes {
		ref, err := d.message(ch, t)
		if err != nil {
			return err
		}
		op.Messages = append(op.Messages, ref)
	}
	if r.Reply != nil {
		answers := d.channel(tidings.KindReply, "")
		ref, err := d.message(answers, r.Reply)
		if err != nil {
			return err
		}
		op.Reply = &reply{replyAddress{"$message.header#/ce_replyto"}, toChannel(answers), []reference{ref}}
	}
	text, of := []string{r.Group, "receives", ch}, receiveOf{group: r.Group, channel: ch}
	if len(r.Types) > 0 {
		text, of.typ = append(text, r.Types[0]), r.Types[0]
	}
	id, _ := d.operationKeys.key(of, strings.Join(text, "-"))
	d.Operations[id] = op
	return nil
}

// sends adds what a service declared to produce.
func (d *document) sends(t tidings.Described) error {
	ch := d.channel(t.Kind(), t.Topic())
	ref, err := d.message(ch, t)
	if err != nil {
		return err
	}
	id, _ := d.operationKeys.key(sendOf{ch, ref.Ref}, "sends-"+ch+"-"+t.Name())
	d.Operations[id] = operation{Action: "send", Channel: toChannel(ch), Messages: []reference{ref}}
	return nil
}

// channel finds or makes a channel, and returns its name.
func (d *document) channel(kind tidings.Kind, address string) string {
	text, what := address, "Events, which every group that reads the topic gets."
	switch kind {
	case tidings.KindCommand:
		text, what = "to-"+address, "Commands to the group of this name, and to nobody else."
	case tidings.KindReply:
		text, what = "replies", "Answers, to the address that the request names."
	}
	ch, known := d.channelKeys.key(channelOf{kind, address}, text)
	if !known {
		d.Channels[ch] = &channel{Description: what, Messages: map[string]reference{}}
	}
	if kind != tidings.KindReply { // those of replies are not known before there is a request
		d.Channels[ch].Address = &address
	}
	return ch
}

// message adds a type to the components and to a channel, and returns its reference in the channel.
func (d *document) message(ch string, t tidings.Described) (reference, error) {
	id, known := d.messageKeys.key(messageOf{t.Name(), t.ContentType(), t.Data()}, t.Name())
	if !known {
		payload, err := d.payload(id, t)
		if err != nil {
			return reference{}, err
		}
		d.Components.Messages[id] = message{Name: t.Name(), Title: t.Name(), ContentType: t.ContentType(),
			Traits: []reference{{"#/components/messageTraits/" + trait}}, Payload: payload}
	}
	d.Channels[ch].Messages[id] = reference{"#/components/messages/" + id}
	return reference{"#/channels/" + ch + "/messages/" + id}, nil
}

// payload is the schema of a type's data, by the key of its message.
func (d *document) payload(id string, t tidings.Described) (any, error) {
	if t.ContentType() != jsonType {
		return &jsonschema.Schema{Description: fmt.Sprintf("%s, of Go type %s", t.ContentType(), t.Data())}, nil
	}
	s, err := schemaOf(t.Data())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Name(), err)
	}
	if named := t.Data(); named.Kind() == reflect.Struct && named.Name() != "" {
		s.Title = named.Name()
	}
	d.Components.Schemas[id] = s
	return reference{"#/components/schemas/" + id}, nil
}

func toChannel(ch string) reference { return reference{"#/channels/" + ch} }

func handlingOf(r tidings.Receives) *handling {
	p := r.Policy
	h := &handling{Group: r.Group, DeadLetters: r.DeadLetters, Delivery: "at least once",
		Order: "per key", Concurrency: p.Concurrency, Immediate: max(p.Immediate, 0)}
	if p.Ack == tidings.BeforeHandle {
		h.Delivery = "at most once"
	}
	if p.StepAside {
		h.Order = "per key, but for events that are tried again"
	}
	for _, delay := range p.Delays {
		h.Delays = append(h.Delays, delay.String())
	}
	return h
}

// cloudEvent is the envelope, as headers of binary mode.
func cloudEvent() messageTrait {
	text := func(description string) *jsonschema.Schema {
		return &jsonschema.Schema{Type: "string", Description: description}
	}
	return messageTrait{CorrelationID: correlation{"$message.header#/ce_correlationid"},
		Headers: &jsonschema.Schema{Type: "object", Required: []string{"ce_specversion", "ce_id", "ce_source", "ce_type"},
			Properties: map[string]*jsonschema.Schema{
				"ce_specversion": {Type: "string", Const: jsonschema.Ptr[any](tidings.SpecVersion)},
				"ce_id":          text("what an idempotent consumer keys by"), "ce_source": text("the service that published it"),
				"ce_type": text("the name of the message"), "ce_subject": text("what it is about"),
				"ce_time": {Type: "string", Format: "date-time"}, "ce_partitionkey": text("order is kept among equal ones"),
				"ce_correlationid": text("the conversation"), "ce_causationid": text("the id of its cause"),
				"ce_replyto": text("who waits for an answer"), "ce_traceparent": text("W3C Trace Context"),
			}}}
}
