package docs_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

// page {
func invoicing(t tidings.Transport) *tidings.Service {
	svc := tidings.NewService("invoicing", t)
	policy := tidings.Policy{Immediate: tidings.NoRetries,
		Delays: []time.Duration{time.Second, 5 * time.Second, 25 * time.Second}}
	return svc.Subscribe(policy, tidings.On(OrderPlaced,
		func(ctx context.Context, m tidings.Msg[Placed]) error {
			id := tidings.WithID(tidings.DerivedID("invoice", m.Source, m.ID))
			return svc.Publish(ctx, InvoiceSent.New(Placed{m.Data.Order, m.Data.Total}, id))
		}))
}

// page }

func TestTheServiceAfter(t *testing.T) {
	broker := tidingstest.NewTransport()
	tidingstest.Handle(t, broker, invoicing(broker)).
		When(OrderPlaced.New(Placed{"o-1", 990})).
		Then(InvoiceSent.New(Placed{"o-1", 990}))
}

// page {
// both handles events, and what Watermill still publishes to the topic: it has no type.
func both(bill func(context.Context, Placed) error) []tidings.Route {
	return []tidings.Route{
		tidings.On(OrderPlaced, func(ctx context.Context, m tidings.Msg[Placed]) error {
			return bill(ctx, m.Data)
		}),
		tidings.OnAny("orders", func(ctx context.Context, d *tidings.Delivery) error {
			var p Placed
			if err := json.Unmarshal(d.Payload, &p); err != nil {
				return tidings.Permanent(err) // it will not become JSON
			}
			return bill(ctx, p)
		}),
	}
}

// page }

func TestBothAreHandled(t *testing.T) {
	var got []Placed
	routes := both(func(_ context.Context, p Placed) error {
		got = append(got, p)
		return nil
	})
	foreign := tidings.Event{Topic: "orders", ID: "orders/0/7", Payload: []byte(`{"order":"o-2","total":10}`)}
	for _, e := range []tidings.Event{OrderPlaced.New(Placed{"o-1", 990}), foreign} {
		if err := tidingstest.Deliver(t.Context(), e, routes...); err != nil {
			t.Error(err)
		}
	}
	if len(got) != 2 || got[0] != (Placed{"o-1", 990}) || got[1] != (Placed{"o-2", 10}) {
		t.Errorf("got %v", got)
	}
	foreign.Payload = []byte("?")
	if err := tidingstest.Deliver(t.Context(), foreign, routes...); !tidings.IsPermanent(err) {
		t.Errorf("got %v", err)
	}
}
