package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/transport/aws"
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
	case "http", "https":
		t, err := aws.New(aws.Config{AWS: account(address), FIFO: true})
		return t, func() {}, err // it keeps no connection of its own
	default:
		return nil, nil, fmt.Errorf("no broker speaks %q: use kafka://, amqp://, amqps://, or http:// for AWS",
			u.Scheme)
	}
}

// account is that of the environment's keys and region, or one that brokers on this machine take.
func account(endpoint string) sdk.Config {
	of := func(name, otherwise string) string { return cmp.Or(os.Getenv(name), otherwise) }
	return sdk.Config{BaseEndpoint: &endpoint, Region: of("AWS_REGION", "us-east-1"),
		Credentials: credentials.NewStaticCredentialsProvider(of("AWS_ACCESS_KEY_ID", "shop"),
			of("AWS_SECRET_ACCESS_KEY", "shop"), os.Getenv("AWS_SESSION_TOKEN"))}
}
