package asyncapi_test

import (
	"bytes"
	"context"
	"flag"
	"os"
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
