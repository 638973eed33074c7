package aws

import (
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/tidings-io/tidings"
)

func TestEventsAndCommandsArriveUnchanged(t *testing.T) {
	for _, fifo := range []bool{false, true} {
		r := newRig(t)
		tr, _ := r.transport(Config{FIFO: fifo})
		c := r.subscribe(tr, "shop.billing", "shop.orders", "shop.returns")
		e := event("shop.orders", "o 1\t", "e-1")
		e.Subject, e.Correlation, e.Causation, e.Schema = "s", "c", "d", "https://example.com/s"
		e.Extensions = map[string]string{"color": "blue & <red>\x01"}
		e.Payload = []byte("{\"a\": \"\uFFFEü\"}")
		odd := event("shop.returns", "", "e-2")
		odd.ContentType, odd.Payload = "application/octet-stream", []byte{0, 1, 255}
		order := command("shop.billing", "k", "e-3")
		r.publish(tr, e, odd, order)
		got := map[string]tidings.Event{}
		for _, d := range c.next(3) {
			if d.Attempt != 1 || d.Offset != -1 || d.Lane != "" || d.Deadline.IsZero() {
				t.Errorf("fifo %v: %s: attempt %d, offset %d, lane %q, deadline %v", fifo, d.ID, d.Attempt,
					d.Offset, d.Lane, d.Deadline)
			}
			got[d.ID] = d.Event
			r.check(d.Ack(bounded(t)))
		}
		r.check(c.Commit(bounded(t)))
		e.Payload = []byte(`{"a": "\ufffeü"}`)
		if want := map[string]tidings.Event{"e-1": e, "e-2": odd, "e-3": order}; !reflect.DeepEqual(got, want) {
			t.Errorf("fifo %v\ngot  %#v\nwant %#v", fifo, got, want)
		}
	}
}

func TestEqualKeysStayInOrderAmongConsumers(t *testing.T) {
	r := newRig(t)
	tr, _ := r.transport(Config{FIFO: true})
	a, b := r.subscribe(tr, "g", "orders"), r.subscribe(tr, "g", "orders")
	var events []tidings.Event
	for i := range 40 {
		events = append(events, event("orders", string(rune('a'+i%4)), string(rune('A'+i))))
	}
	r.publish(tr, events...)
	got := map[string][]string{}
	for i := 0; i < 40; {
		c := []*reader{a, b}[i%2]
		ds, err := c.Receive(bounded(t), 3)
		r.check(err)
		for _, d := range ds {
			got[d.Key] = append(got[d.Key], d.ID)
			r.check(d.Ack(bounded(t)))
			i++
		}
		r.check(c.Commit(bounded(t)))
	}
	for key := range maps.Keys(got) {
		if !slices.IsSorted(got[key]) || len(got[key]) != 10 {
			t.Errorf("key %s: got %v", key, got[key])
		}
	}
}

func TestLogsGoWhereThoseOfServicesGo(t *testing.T) {
	c, err := Config{AWS: sdk.Config{Region: "us-east-1"}}.checked()
	if err != nil || c.Logger != slog.Default() {
		t.Errorf("got %v, %v, want the default of slog", c.Logger, err)
	}
}
