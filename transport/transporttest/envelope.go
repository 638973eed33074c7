package transporttest

import (
	"maps"
	"slices"
	"time"

	"github.com/tidings-io/tidings"
)

// golden are events with everything that an envelope can hold, and with nothing that it must not.
func (s *suite) golden(topic string) []tidings.Event {
	full := s.event(topic, "key of Zoë")
	full.Subject, full.Schema = "order 1/ü \"x\"", "https://example.com/schemas/placed.json"
	full.Correlation, full.Causation, full.ReplyTo = "c-1", "c-0", "answers"
	full.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	full.TraceState = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
	full.Time = time.Date(2026, 2, 28, 23, 59, 59, 123456789, time.UTC)
	full.Extensions = map[string]string{"tenant": "北京", "n0": "7", "flag": "true",
		"spaces": " a  b ", "twentycharactersname": "%2F=+&"}
	full.Payload = []byte(`{"a": [1, 2.50, "ü\u00fc<&>"],` + "\n" + ` "z": null}`)

	bare := s.event(topic, "")
	bare.Time, bare.ContentType, bare.Payload = time.Time{}, "", nil
	empty := s.event(topic, "k")
	empty.Payload = nil
	binary := s.event(topic, "k")
	binary.ContentType, binary.Payload = "application/octet-stream", allBytes()
	untyped := s.event(topic, "k")
	untyped.ContentType, untyped.Payload = "", []byte("\xff no type")
	text := s.event(topic, "k")
	text.ContentType, text.Payload = "text/plain; charset=utf-8", []byte("a \"b\" 🎉\n{}")
	torn := s.event(topic, "k")
	torn.Payload = []byte(`{"torn":`)
	return []tidings.Event{full, bare, empty, binary, untyped, text, torn}
}

func allBytes() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func eventsArriveUnchanged(s *suite) {
	topic := s.name("orders")
	r := s.subscribe(s.name("billing"), topic)
	events := s.golden(topic)
	s.publish(events...)
	command := s.golden(s.name("billing"))[0]
	command.Kind = tidings.KindCommand
	s.publish(command)

	want := map[string]tidings.Event{}
	for _, e := range append(events, command) {
		want[e.ID] = e
	}
	ds := r.next(len(want))
	for _, d := range ds {
		s.same(d.Event, want[d.ID])
		delete(want, d.ID)
	}
	if len(want) > 0 {
		s.Errorf("%d events did not come, duplicates did", len(want))
	}
	r.ack(ds...)
}

// same compares events as CloudEvents does: an attribute without a value is none, and data of no
// bytes is no data.
func (s *suite) same(got, want tidings.Event) {
	s.Helper()
	g, w := parts(got), parts(want)
	names := maps.Clone(g)
	maps.Copy(names, w)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if g[name] != w[name] {
			s.Errorf("event %s, %s\ngot  %q\nwant %q", want.ID, name, g[name], w[name])
		}
	}
}

// parts are all that an event consists of, by name.
func parts(e tidings.Event) map[string]string {
	all := maps.Collect(e.Attributes())
	all["kind"], all["topic"], all["payload"] = e.Kind.String(), e.Topic, string(e.Payload)
	return all
}
