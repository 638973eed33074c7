package outbox_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/outbox"
)

func TestWhatCannotBeKeptIsNamedByItsPlaceInTheCall(t *testing.T) {
	unencodable := tidings.Define[chan int]("orders", "never").New(nil)
	latin := orderPlaced.New(placed{"o"})
	latin.Subject = "Gr\xfc\xdfe"
	sourceless := orderPlaced.New(placed{"o"})
	named := orderPlaced.New(placed{"o"})
	named.Source, named.Extensions = "shop", map[string]string{"Not-A-Name": "x"}
	good := orderPlaced.New(placed{"o"})
	good.Source, latin.Source = "shop", "shop"
	twice := orderPlaced.New(placed{"o"})
	twice.Source, twice.Extensions = "shop", map[string]string{"source": "elsewhere"}
	late := orderPlaced.New(placed{"o"}, tidings.WithTime(time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)))
	late.Source = "shop"
	_, err := outbox.Prepare(t.Context(), "",
		[]tidings.Event{good, unencodable, latin, sourceless, named, twice, late})
	some, ok := errors.AsType[*tidings.PublishError](err)
	if !ok || fmt.Sprint(some.Failed) != "[1 2 3 4 5 6]" || !tidings.IsPermanent(err) {
		t.Errorf("%v", err)
	}
	_, err = outbox.Prepare(t.Context(), "", []tidings.Event{sourceless})
	if want := "an event was not published: "; err == nil || !strings.HasPrefix(err.Error(), want) ||
		!strings.HasSuffix(err.Error(), "must be told one, by Source in its config") {
		t.Errorf("got %v, want %s… what to set", err, want)
	}
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	records, err := outbox.Prepare(t.Context(), "shop", []tidings.Event{orderPlaced.New(placed{"o"})})
	if err != nil {
		t.Fatal(err)
	}
	e, err := outbox.Decode("orders", records[0].JSON)
	equal(t, "event", []any{e, err}, []any{records[0].Event, nil})
	if _, err := outbox.Decode("orders", []byte(`{"id":"1"}`)); err == nil {
		t.Error("read what is no event")
	}
}

func TestARecordKeepsTheBytesOfItsData(t *testing.T) {
	for _, data := range []string{`{"n": 12345678901234567890.10, "html": "<a>&\u2028"}`, "null",
		"not JSON", "\xff"} {
		e := orderPlaced.New(placed{"o"})
		e.Source, e.Payload = "shop", []byte(data)
		records, err := outbox.Prepare(t.Context(), "", []tidings.Event{e})
		if err != nil {
			t.Fatal(err)
		}
		got, err := outbox.Decode("orders", records[0].JSON)
		equal(t, data, []any{string(got.Payload), err}, []any{data, nil})
	}
}
