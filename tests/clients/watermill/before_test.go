package watermill

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
)

type Placed struct {
	Order string `json:"order"`
	Total int64  `json:"total"`
}

// page {
func invoicing(sub message.Subscriber, pub message.Publisher) (*message.Router, error) {
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return nil, err
	}
	poison, err := middleware.PoisonQueue(pub, "orders_poison")
	if err != nil {
		return nil, err
	}
	retry := middleware.Retry{MaxRetries: 3, InitialInterval: time.Second, Multiplier: 5}
	router.AddMiddleware(middleware.CorrelationID, poison, retry.Middleware, middleware.Recoverer)
	router.AddHandler("invoicing", "orders", sub, "invoices", pub,
		func(msg *message.Message) ([]*message.Message, error) {
			var p Placed
			if err := json.Unmarshal(msg.Payload, &p); err != nil {
				return nil, err
			}
			payload, err := json.Marshal(Placed{p.Order, p.Total})
			if err != nil {
				return nil, err
			}
			return message.Messages{message.NewMessage(watermill.NewUUID(), payload)}, nil
		})
	return router, nil
}

// page }

func TestTheServiceBefore(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	channel := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
	router, err := invoicing(channel, channel)
	if err != nil {
		t.Fatal(err)
	}
	invoices, err := channel.Subscribe(ctx, "invoices")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- router.Run(ctx) }()
	<-router.Running()
	order := message.NewMessage("1", []byte(`{"order":"o-1","total":990}`))
	if err := channel.Publish("orders", order); err != nil {
		t.Fatal(err)
	}
	got := <-invoices
	got.Ack()
	if string(got.Payload) != `{"order":"o-1","total":990}` {
		t.Errorf("got %s", got.Payload)
	}
	if err := errors.Join(router.Close(), <-ended); err != nil {
		t.Error(err)
	}
}
