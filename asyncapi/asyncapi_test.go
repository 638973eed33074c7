package asyncapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/asyncapi"
	"github.com/tidings-io/tidings/tidingstest"
)

var update = flag.Bool("update", false, "write testdata/shop.json anew")

type placed struct {
	Order string    `json:"order" jsonschema:"the number of the order"`
	Lines []line    `json:"lines"`
	At    time.Time `json:"at"`
}

type line struct {
	Item  string `json:"item"`
	Count int    `json:"count,omitempty"`
}

func shop() *tidings.Service {
	key := tidings.KeyBy(func(p placed) string { return p.Order })
	orderPlaced := tidings.Define("orders", "shop.order.placed.v1", key)
	invoiced := tidings.Define[string]("invoices", "shop.invoice.issued.v1")
	quote := tidings.DefineCommand[string]("billing", "shop.quote.v1")
	price := tidings.Define[int]("prices", "shop.price.v1")
	s := tidings.NewService("billing", tidingstest.NewTransport())
	return s.Subscribe(tidings.Policy{Delays: []time.Duration{time.Second}},
		tidings.On(orderPlaced, func(context.Context, tidings.Msg[placed]) error { return nil }),
		tidings.Replier(quote, price, func(context.Context, tidings.Msg[string]) (int, error) { return 1, nil }),
		tidings.OnAny("audit", func(context.Context, *tidings.Delivery) error { return nil }),
	).Produces(invoiced)
}

// The file is checked by AsyncAPI's own parser in tests/clients/asyncapi.
func TestADocumentTellsWhatAServiceReadsAndPublishes(t *testing.T) {
	var got bytes.Buffer
	err := asyncapi.Write(&got, asyncapi.Info{Version: "1.2.3", Description: "Bills <orders>.",
		Servers: map[string]asyncapi.Server{"local": {Host: "localhost:9092", Protocol: "kafka"}}}, shop())
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/shop.json", got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/shop.json")
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("it differs from testdata/shop.json, see -update\n%s", got.String())
	}
}

func TestATypeWithoutASchemaIsAnError(t *testing.T) {
	s := tidings.NewService("s", tidingstest.NewTransport()).Produces(tidings.Define[chan int]("t", "n"))
	err := asyncapi.Write(&bytes.Buffer{}, asyncapi.Info{}, s)
	if err == nil || !strings.Contains(err.Error(), "service s: n: ") {
		t.Errorf("got %v", err)
	}
}

// read is the document of a service as its readers see it.
func read(t *testing.T, s *tidings.Service) (d struct {
	Channels map[string]struct {
		Address  *string
		Messages map[string]ref
	}
	Operations map[string]struct {
		Channel  ref
		Messages []ref
		Reply    *struct {
			Channel  ref
			Messages []ref
		}
	}
	Components struct {
		Messages map[string]struct {
			Name    string
			Payload ref
		}
	}
}) {
	t.Helper()
	var text bytes.Buffer
	if err := asyncapi.Write(&text, asyncapi.Info{}, s); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

type ref struct {
	Ref string `json:"$ref"`
}

// An operation tells which of all answers of the service is its own.
func TestARequestNamesItsAnswer(t *testing.T) {
	s := tidings.NewService("billing", tidingstest.NewTransport())
	for _, name := range []string{"quote", "refund"} {
		command := tidings.DefineCommand[string]("billing", name)
		answer := tidings.Define[string](name+"s", name+"d")
		s.Subscribe(tidings.Policy{}, tidings.Replier(command, answer,
			func(context.Context, tidings.Msg[string]) (string, error) { return "", nil }))
	}
	for id, op := range read(t, s).Operations {
		name := strings.TrimPrefix(id, "billing-receives-to-billing-")
		want := []ref{{"#/channels/replies/messages/" + name + "d"}}
		if !reflect.DeepEqual(op.Reply.Messages, want) {
			t.Errorf("%s: got the answers %v, want %v", id, op.Reply.Messages, want)
		}
	}
}

// What has different names in a service has different names in its document, also where those of the
// document have fewer characters.
func TestWhatIsDifferentIsSoInTheDocument(t *testing.T) {
	s := tidings.NewService("s", tidingstest.NewTransport())
	topics := []string{"a/b", "a_b", "replies", "to-s"}
	for _, topic := range topics {
		s.Produces(tidings.Define[string](topic, "n"), tidings.Define[int](topic, "n/1"), tidings.Define[int](topic, "n_1"))
	}
	s.Produces(tidings.Define[bool]("a/b", "n")) // another of the name
	s.Subscribe(tidings.Policy{}, tidings.Replier(tidings.DefineCommand[string]("s", "ask"), tidings.Define[string]("x", "answer"),
		func(context.Context, tidings.Msg[string]) (string, error) { return "", nil }))
	d := read(t, s)
	var addresses []string
	for _, ch := range d.Channels {
		if ch.Address != nil {
			addresses = append(addresses, *ch.Address)
		}
	}
	slices.Sort(addresses)
	if want := []string{"a/b", "a_b", "replies", "s", "to-s"}; !slices.Equal(addresses, want) || len(d.Channels) != 6 {
		t.Errorf("%d channels with the addresses %q, want 6 with %q", len(d.Channels), addresses, want)
	}
	if n := len(d.Operations); n != 14 {
		t.Errorf("%d operations, want 14", n)
	}
	if n := len(d.Components.Messages); n != 6 {
		t.Errorf("%d messages, want 6", n)
	}
}
