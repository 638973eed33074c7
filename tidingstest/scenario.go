package tidingstest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
)

// Scenario tells what a service does when something happens. Its methods are called by one
// goroutine, and end the test where what they say is not so.
type Scenario struct {
	t       testing.TB
	broker  *Transport
	service *tidings.Service
	seen    int             // events of broker.Published that have been looked at
	out     []tidings.Event // published since the last When or Then
	err     error           // of the handling since then
}

// Handle begins a scenario of a service that publishes through the broker. The service does not
// run: its handlers are called one by one, as tidings.Service.Handle does.
//
//	tidingstest.Handle(t, broker, billing).
//		Given(OrderPlaced.New(Placed{Order: "o-1"})).
//		When(OrderCancelled.New(Cancelled{Order: "o-1"})).
//		Then(InvoiceVoided.New(Voided{Order: "o-1"}))
func Handle(t testing.TB, broker *Transport, service *tidings.Service) *Scenario {
	return &Scenario{t: t, broker: broker, service: service, seen: len(broker.Published())}
}

// Given is what the service has handled before, without an error. What it published is forgotten.
func (s *Scenario) Given(events ...tidings.Event) *Scenario {
	s.t.Helper()
	s.When(events...)
	if s.err != nil {
		s.t.Fatalf("given %s: %v", describe(events[len(events)-1]), s.err)
	}
	s.reset()
	return s
}

// When has the service handle events. After an error it handles no more of them.
func (s *Scenario) When(events ...tidings.Event) *Scenario {
	s.t.Helper()
	s.look()
	s.reset()
	for _, e := range events {
		if s.err == nil {
			s.err = s.handle(e)
		}
	}
	return s
}

func (s *Scenario) handle(e tidings.Event) error {
	tidings.Stamp(s.t.Context(), "test", &e)
	err := s.service.Handle(s.t.Context(), e)
	s.out = append(s.out, s.look()...)
	return err
}

// look is what has been published since the last look.
func (s *Scenario) look() []tidings.Event {
	all := s.broker.Published()
	events := all[min(s.seen, len(all)):]
	s.seen = len(all)
	return events
}

func (s *Scenario) reset() { s.out, s.err = nil, nil }

// Advance lets time pass, which is virtual in a bubble of testing/synctest. What the service has
// scheduled becomes due on the way: it handles what it has a route for, and the rest counts as
// published.
func (s *Scenario) Advance(d time.Duration) *Scenario {
	s.t.Helper()
	for end := time.Now().Add(d); ; {
		next := end
		if due := s.broker.Scheduled(); len(due) > 0 && due[0].At.Before(end) {
			next = due[0].At
		}
		time.Sleep(time.Until(next))
		s.due(s.look())
		if !next.Before(end) {
			return s
		}
	}
}

func (s *Scenario) due(events []tidings.Event) {
	for _, e := range events {
		switch err := s.handle(e); {
		case errors.Is(err, tidings.ErrNoRoute):
			s.out = append(s.out, e)
		case s.err == nil:
			s.err = err
		}
	}
}

// Then wants the events to have been published since When, no other ones, in this order; without
// events nothing. They are equal when kind, topic, type, key and data are; of JSON the values
// count. Ids, times and sources do not.
func (s *Scenario) Then(want ...tidings.Event) *Scenario {
	s.t.Helper()
	if s.err != nil {
		s.t.Fatalf("the handler failed: %v", s.err)
	}
	s.compare("published", s.out, want)
	s.reset()
	return s
}

// ThenScheduled wants the events, and no other ones, to wait for their time, all of them due at d
// from now.
func (s *Scenario) ThenScheduled(d time.Duration, want ...tidings.Event) *Scenario {
	s.t.Helper()
	var waiting []tidings.Event
	for _, w := range s.broker.Scheduled() {
		waiting = append(waiting, w.Event)
		if ahead := time.Until(w.At); ahead != d {
			s.t.Fatalf("scheduled %s: got it in %s, want in %s", describe(w.Event), ahead, d)
		}
	}
	s.compare("scheduled", waiting, want)
	return s
}

// ThenError wants the handler to have failed with an error that errors.Is target. A Then behind it
// is about what was published before that.
func (s *Scenario) ThenError(target error) *Scenario {
	s.t.Helper()
	if s.err == nil || !errors.Is(s.err, target) {
		s.t.Fatalf("error of the handler\ngot  %v\nwant %v", s.err, target)
	}
	s.err = nil
	return s
}

func (s *Scenario) compare(what string, got, want []tidings.Event) {
	s.t.Helper()
	if diff := differ(lines(got), lines(want)); diff != "" {
		s.t.Fatalf("events %s (- missing, + not wanted)\n%s", what, diff)
	}
}

func lines(events []tidings.Event) (text []string) {
	for _, e := range events {
		text = append(text, describe(e))
	}
	return text
}

// describe is a line with what counts of an event.
func describe(e tidings.Event) string {
	key := ""
	if e.Key != "" {
		key = " key " + e.Key
	}
	return fmt.Sprintf("%s %s %s%s %s", e.Kind, e.Topic, e.Type, key, data(e.Payload))
}

// data is JSON with sorted members and without spaces, or else quoted.
func data(payload []byte) string {
	var v any
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	if d.Decode(&v) == nil && !d.More() {
		if text, err := json.Marshal(v); err == nil {
			return string(text)
		}
	}
	return fmt.Sprintf("%q", payload)
}

// differ is "" for equal lines, and else all of them, marked from the first that differs to the
// last.
func differ(got, want []string) string {
	if slices.Equal(got, want) {
		return ""
	}
	same := 0
	for same < min(len(got), len(want)) && got[same] == want[same] {
		same++
	}
	after := 0
	for after < min(len(got), len(want))-same && got[len(got)-1-after] == want[len(want)-1-after] {
		after++
	}
	var b strings.Builder
	mark := func(with string, lines []string) {
		for _, line := range lines {
			fmt.Fprintf(&b, "%s %s\n", with, line)
		}
	}
	mark(" ", want[:same])
	mark("-", want[same:len(want)-after])
	mark("+", got[same:len(got)-after])
	mark(" ", want[len(want)-after:])
	return b.String()
}
