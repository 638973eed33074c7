package main

import (
	"context"
	"net"
	"strings"

	"github.com/tidings-io/tidings/console"
)

// client is what commands need of a server. It speaks in the admin API's
// documents, whichever way the server is reached: apiClient speaks to the admin
// API, kafkaClient to any Kafka. Errors are *failure.
type client interface {
	Info(ctx context.Context) (console.Info, error)

	Topics(ctx context.Context) ([]console.Topic, error)
	Topic(ctx context.Context, name string) (console.TopicDetail, error)
	CreateTopic(ctx context.Context, t console.NewTopic) error
	GrowTopic(ctx context.Context, name string, partitions int) error
	DeleteTopic(ctx context.Context, name string) error

	Groups(ctx context.Context) ([]console.Group, error)
	Group(ctx context.Context, name string) (console.GroupDetail, error)
	DeleteGroup(ctx context.Context, name string) error
	Lag(ctx context.Context, group, topic string) (console.Lags, error) // "": all
	Reset(ctx context.Context, group string, r console.Reset) (console.ResetPlan, error)

	// Publish stores records and returns when they are acknowledged.
	Publish(ctx context.Context, topic string, recs []console.NewRecord) ([]console.Place, error)
	// Read hands records to each, in order within a partition, until each or the
	// server says that it is over.
	Read(ctx context.Context, r readRequest, each func(console.Record) error) error
	// Kafka returns addresses where the same server speaks Kafka.
	Kafka(ctx context.Context) ([]string, error)

	Close()
}

// readRequest is what to read of a topic.
type readRequest struct {
	topic      string
	from       string                // a position: console.ParsePosition
	partitions []int                 // none: all
	follow     bool                  // go on at the end
	limit      int64                 // 0: none
	skipped    func(console.Skipped) // hears of records that are not there; may be nil
}

// connect reaches the server that flags or environment name. --kafka wins over
// --server, and flags over the environment.
func (a *app) connect(ctx context.Context) (client, error) {
	if a.target.kafka != "" && a.target.server != "" {
		return nil, usage("--kafka and --server name two different servers")
	}
	kafka := a.target.kafka
	if kafka == "" && a.target.server == "" && a.env("TIDINGS_SERVER") == "" {
		kafka = a.env("TIDINGS_KAFKA")
	}
	if kafka != "" {
		return newKafkaClient(ctx, splitAddrs(kafka, "9092"), a.now)
	}
	return newAPIClient(a.serverAddr()), nil
}

// serverAddr is the admin API's address as flags or environment name it.
func (a *app) serverAddr() string {
	addr := a.target.server
	if addr == "" {
		addr = a.env("TIDINGS_SERVER")
	}
	if addr == "" {
		addr = "127.0.0.1"
	}
	addr = strings.TrimSuffix(strings.TrimPrefix(addr, "http://"), "/")
	return withPort(addr, "7070")
}

func splitAddrs(list, port string) []string {
	addrs := strings.Split(list, ",")
	for i := range addrs {
		addrs[i] = withPort(strings.TrimSpace(addrs[i]), port)
	}
	return addrs
}

// withPort completes host, :port and host:port to an address one can dial.
func withPort(addr, port string) string {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		host, p = strings.Trim(addr, "[]"), port
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, p)
}
