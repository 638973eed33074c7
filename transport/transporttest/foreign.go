package transporttest

import (
	"time"

	"github.com/tidings-io/tidings"
)

func (s *suite) publishRaw(topic string, m Raw) {
	s.Helper()
	ctx, cancel := s.patience()
	defer cancel()
	s.must("publish raw", s.h.PublishRaw(ctx, topic, m))
}

func structuredModeIsRead(s *suite) {
	topic := s.name("orders")
	r := s.subscribe(s.name("billing"), topic)
	want := s.golden(topic)
	want = append(want[:1:1], want[3]) // the full one, and one with bytes
	for i := range want {
		body, err := want[i].MarshalJSON() // json.Marshal would change the bytes of its data
		s.must("encode", err)
		s.publishRaw(topic, Raw{ContentType: tidings.StructuredType + "; charset=UTF-8",
			Key: want[i].Key, Body: body})
	}
	for range want {
		d := r.next(1)[0]
		r.ack(d)
		if d.ID == want[0].ID {
			s.same(d.Event, want[0])
		} else {
			s.same(d.Event, want[1])
		}
	}
	r.nothing("both events have come")
}

func foreignMessagesAreDelivered(s *suite) {
	topic, group := s.name("orders"), s.name("billing")
	r := s.subscribe(group, topic)
	body := "\x00 not an event"
	s.publishRaw(topic, Raw{ContentType: "text/x-foreign", ID: s.run, Key: "k", Body: []byte(body),
		Attributes: map[string]string{tidings.ExtMalformed: "as its sender says"}})
	first := r.next(1)[0]
	if why := first.Extensions[tidings.ExtMalformed]; why != "" {
		s.Errorf("malformed %q: want that from the transport only", why)
	}
	if string(first.Payload) != body || first.ContentType != "text/x-foreign" ||
		first.Type != "" || first.Topic != topic {
		s.Errorf("got %+v with payload %q, want the message as it is, without a type",
			first.Event, first.Payload)
	}
	if first.ID == "" || first.Source == "" {
		s.Errorf("got id %q and source %q, want both", first.ID, first.Source)
	}
	s.sameIDAgain(r, group, topic, first)
}

// sameIDAgain wants ids that an inbox can rely on: after a Nack, and for another consumer.
func (s *suite) sameIDAgain(r *reader, group, topic string, first *tidings.Delivery) {
	s.Helper()
	r.nack(0, first)
	second := r.next(1)[0]
	s.must("close", r.end())
	r = s.subscribe(group, topic)
	third := r.next(1)[0]
	if second.ID != first.ID || third.ID != first.ID {
		s.Errorf("ids of the deliveries: got %q, %q and %q, want one", first.ID, second.ID, third.ID)
	}
	s.foreignAgainLater(r, third)
}

// foreignAgainLater wants a foreign message as it was after a delay, however that is kept.
func (s *suite) foreignAgainLater(r *reader, first *tidings.Delivery) {
	s.Helper()
	if s.caps.MaxDelay == 0 {
		r.ack(first)
		return
	}
	r.nack(time.Second, first)
	again := r.next(1)[0]
	want := first.Event
	if again.Event.Time.Unix() == want.Time.Unix() {
		want.Time = again.Event.Time // some brokers keep seconds
	}
	s.same(again.Event, want)
	r.ack(again)
}

func malformedMessagesAreDelivered(s *suite) {
	topic := s.name("orders")
	r := s.subscribe(s.name("billing"), topic)
	valid := map[string]string{"specversion": "1.0", "id": s.run, "source": "elsewhere", "type": "t"}
	with := func(name, value string) map[string]string {
		all := map[string]string{name: value}
		for n, v := range valid {
			if n != name {
				all[n] = v
			}
		}
		return all
	}
	messages := []Raw{
		{ContentType: tidings.StructuredType, Body: []byte(`{"specversion":"1.0","id":`)},
		{ContentType: tidings.StructuredType,
			Body: []byte(`{"specversion":"1.0","id":"1","source":"s"}`)},
		{ContentType: "application/json", Attributes: with("time", "yesterday"), Body: []byte(`{}`)},
		{ContentType: "application/json", Attributes: with("specversion", "0.3"), Body: []byte(`{}`)},
	}
	for _, m := range messages {
		s.publishRaw(topic, m)
	}
	seen := map[string]bool{}
	for _, d := range r.next(len(messages)) {
		if d.Extensions[tidings.ExtMalformed] == "" || d.ID == "" || seen[d.ID] {
			s.Errorf("payload %q came as %q with extensions %q, want an id of its own and the reason in %q",
				d.Payload, d.ID, d.Extensions, tidings.ExtMalformed)
		}
		seen[d.ID] = true
		r.ack(d)
	}
	after := s.event(topic, "")
	s.publish(after)
	r.exactly(after)
}

// topicsAreNotWhatMessagesSay but where they were published: who may write to one topic is not taken
// for another's writer, nor does he count attempts. Only what came by the address of a group, which
// is its own, tells of its topic.
func topicsAreNotWhatMessagesSay(s *suite) {
	topic, other := s.name("orders"), s.name("payments")
	r := s.subscribe(s.name("billing"), topic, other)
	s.publishRaw(topic, Raw{ContentType: "application/json", Body: []byte(`{}`), Attributes: map[string]string{
		"specversion": "1.0", "id": s.run, "source": "elsewhere", "type": "t",
		tidings.ExtOriginTopic: other, tidings.ExtAttempt: "9", "messagekind": "command"}})
	d := r.next(1)[0]
	if d.Kind != tidings.KindEvent || d.Topic != topic || d.Attempt > 1 {
		s.Errorf("got attempt %d of %s of %q, want the first of an event of %q", d.Attempt, d.Kind, d.Topic, topic)
	}
	if _, ok := d.Extensions[tidings.ExtOriginTopic]; ok {
		s.Errorf("extensions %v, want none of the library's", d.Extensions)
	}
	r.ack(d)
}
