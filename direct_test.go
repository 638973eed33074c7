package tidings_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

var noted = tidings.Define[string]("notes", "shop.noted.v1")

func TestAServiceHandlesOneEventWithoutABroker(t *testing.T) {
	broker := tidingstest.NewTransport()
	boom := errors.New("boom")
	var s *tidings.Service
	wrapped := 0
	count := func(h tidings.Handler) tidings.Handler { wrapped++; return h }
	s = tidings.NewService("billing", broker, tidings.WithMiddleware(count))
	s.Subscribe(tidings.Policy{},
		tidings.On(orderPlaced, func(ctx context.Context, m tidings.Msg[placed]) error {
			if m.Data.Total < 0 {
				panic("no total")
			}
			return errors.Join(s.Publish(ctx, noted.New("copy")), boom)
		}),
		tidings.OnBatch(noted, 10, func(context.Context, []tidings.Msg[string]) error {
			return &tidings.BatchError{Failed: map[int]error{0: boom}}
		}))

	cause := order("a", 1)
	if err := s.Handle(t.Context(), cause); !errors.Is(err, boom) {
		t.Errorf("got %v, want %v", err, boom)
	}
	equal(t, "wrapped", wrapped > 0, true)
	published := broker.Published()
	equal(t, "published", []any{len(published), published[0].Source, published[0].Causation},
		[]any{1, "billing", cause.ID})
	if err := s.Handle(t.Context(), order("a", -1)); err == nil {
		t.Error("a handler that panics has no error")
	}
	if err := s.Handle(t.Context(), noted.New("x")); !errors.Is(err, boom) {
		t.Errorf("batch: got %v, want %v", err, boom)
	}
	other := order("a", 1)
	other.Topic = "elsewhere"
	if err := s.Handle(t.Context(), other); !errors.Is(err, tidings.ErrNoRoute) {
		t.Errorf("got %v, want %v", err, tidings.ErrNoRoute)
	}
	s.Subscribe(tidings.Policy{}, tidings.OnAny("", nil))
	if err := s.Handle(t.Context(), cause); err == nil || errors.Is(err, boom) {
		t.Errorf("got %v, want what Run would say", err)
	}
}

func ExampleService_Handle() {
	s := tidings.NewService("billing", tidingstest.NewTransport())
	s.Subscribe(tidings.Policy{}, tidings.On(orderPlaced,
		func(_ context.Context, m tidings.Msg[placed]) error {
			fmt.Println("bill", m.Data.Order)
			return nil
		}))
	fmt.Println(s.Handle(context.Background(), orderPlaced.New(placed{Order: "o-1"})))
	// Output:
	// bill o-1
	// <nil>
}

// A *BatchError that is wrapped is about another batch: the event has failed.
func TestHandleTellsTheErrorOfAnotherBatch(t *testing.T) {
	s := tidings.NewService("billing", tidingstest.NewTransport()).Subscribe(tidings.Policy{},
		tidings.OnBatch(orderPlaced, 5, func(context.Context, []tidings.Msg[placed]) error {
			return fmt.Errorf("downstream: %w", &tidings.BatchError{Failed: map[int]error{7: errFlaky}})
		}), tidings.Route{Topic: "bills", Batch: tidings.BatchHandlerFunc(func(context.Context, []*tidings.Delivery) error {
			return fmt.Errorf("downstream: %w", &tidings.BatchError{Failed: map[int]error{7: errFlaky}})
		})})
	if err := s.Handle(t.Context(), order("a", 1)); err == nil {
		t.Error("OnBatch: no error")
	}
	e := order("a", 1)
	e.Topic = "bills"
	if err := s.Handle(t.Context(), e); err == nil {
		t.Error("raw: no error")
	}
}
