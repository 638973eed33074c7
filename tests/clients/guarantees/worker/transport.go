package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/transport/aws"
	"github.com/tidings-io/tidings/transport/embedded"
	"github.com/tidings-io/tidings/transport/kafka"
	"github.com/tidings-io/tidings/transport/rabbitmq"
)

// lease is how long a delivery of a process that was killed is kept from others, where the broker
// goes by the clock: as short as it may be, since the tests wait for it.
const lease = 2 * time.Second

// session is the same for members of Kafka's groups; brokers want 6 s.
const session = 6 * time.Second

// open connects the worker to its broker, and returns what closes both.
func (w *worker) open(ctx context.Context) (end func(context.Context) error, err error) {
	if dir, ok := strings.CutPrefix(w.Address, "embedded:"); ok {
		w.broker, w.transport, end, err = openEmbedded(dir, w.log)
		return end, err
	}
	u, err := url.Parse(w.Address)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "kafka":
		t, err := kafka.New(kafka.Config{Seeds: []string{u.Host}, Partitions: 4, Logger: w.log,
			Options: []kgo.Opt{kgo.SessionTimeout(session), kgo.HeartbeatInterval(time.Second)}})
		w.transport = t
		return t.Close, err
	case "amqp":
		t, err := rabbitmq.Open(ctx, rabbitmq.Config{URL: w.Address, Logger: w.log,
			SingleActive: func(group string) bool { return group == Ordered }})
		w.transport = t
		return t.Close, err
	case "http":
		t, err := aws.New(aws.Config{AWS: account(u.Host), FIFO: u.Path == "/fifo",
			VisibilityTimeout: lease, Logger: w.log})
		w.transport = t
		return func(context.Context) error { return nil }, err
	}
	return nil, fmt.Errorf("no broker at %s", w.Address)
}

// account is one that brokers on this machine take.
func account(host string) sdk.Config {
	endpoint := "http://" + host
	return sdk.Config{BaseEndpoint: &endpoint, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("guarantees", "guarantees", "")}
}

func openEmbedded(dir string, log *slog.Logger) (
	*broker.Broker, *embedded.Transport, func(context.Context) error, error) {
	err := os.MkdirAll(dir, 0o700)
	if err != nil {
		return nil, nil, nil, err
	}
	b, err := broker.Open(dir, broker.Config{})
	if err != nil {
		return nil, nil, nil, err
	}
	t := embedded.New(b, embedded.Config{Partitions: 4, Lease: lease, Logger: log})
	end := func(ctx context.Context) error { return errors.Join(t.Close(ctx), b.Close()) }
	return b, t, end, nil
}
