package main

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/transport/kafka"
	"github.com/tidings-io/tidings/transport/rabbitmq"
)

// connect is the transport to the broker at an address, and how to close it.
func connect(ctx context.Context, address string) (t tidings.Transport, end func(), err error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, nil, fmt.Errorf("address of the broker: %w", err)
	}
	switch u.Scheme {
	case "kafka":
		// Whoever takes over from a service that was killed need not wait for long.
		t, err := kafka.New(kafka.Config{Seeds: []string{u.Host}, Options: []kgo.Opt{
			kgo.SessionTimeout(6 * time.Second), kgo.HeartbeatInterval(2 * time.Second)}})
		return t, func() { closing(ctx, t.Close) }, err
	case "amqp", "amqps":
		t, err := rabbitmq.Open(ctx, rabbitmq.Config{URL: address})
		return t, func() { closing(ctx, t.Close) }, err
	default:
		return nil, nil, fmt.Errorf("no broker speaks %q: use kafka://, amqp:// or amqps://", u.Scheme)
	}
}
