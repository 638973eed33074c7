// Command server is the broker with its Kafka, AMQP and SQS listeners, set up much as cmd/tidings
// does, and with Go's profiles on a loopback address: for finding out where the time goes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof" // on the default mux, which only the loopback listener serves
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/console"
	"github.com/tidings-io/tidings/wire/amqp"
	"github.com/tidings-io/tidings/wire/aws"
	"github.com/tidings-io/tidings/wire/kafka"
)

func main() {
	dir := flag.String("data", "", "data directory")
	queues := flag.String("amqp", "127.0.0.1:0", "loopback address for AMQP")
	sqs := flag.String("aws", "127.0.0.1:0", "loopback address for SQS")
	profiles := flag.String("pprof", "127.0.0.1:6060", "loopback address for profiles")
	blocking := flag.Bool("blocking", false, "profile locks and waits too, which costs time")
	flag.Parse()
	if err := serve(*dir, addrs{*queues, *sqs, *profiles}, *blocking); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

// addrs are those that are not chosen by the server.
type addrs struct{ amqp, aws, profiles string }

func serve(dir string, at addrs, blocking bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	tune()
	if blocking {
		runtime.SetMutexProfileFraction(10)
		runtime.SetBlockProfileRate(10_000)
	}
	l, err := net.Listen("tcp", at.profiles)
	if err != nil {
		return err
	}
	web := &http.Server{ReadHeaderTimeout: time.Second}
	go func() { _ = web.Serve(l) }() // until Close, below
	defer web.Close()

	topics, err := aws.NewTopics(aws.TopicsConfig{})
	if err != nil {
		return err
	}
	b, err := broker.Open(dir, broker.Config{
		Observer: &console.Metrics{},
		Props: map[broker.PropsFormat]broker.PropsReader{
			broker.PropsAMQP: amqp.Props{}, broker.PropsSQS: aws.Props{}},
		Relays: map[string]func(*broker.Broker) broker.Relay{aws.TopicType: topics.Relay},
	})
	if err != nil {
		return err
	}
	return errors.Join(listen(ctx, b, topics, at), b.Close())
}

// listen opens all faces until the context ends.
func listen(ctx context.Context, b *broker.Broker, topics *aws.Topics, at addrs) error {
	if err := topics.Deliver(); err != nil {
		return err
	}
	a, err := amqp.Listen(b, amqp.Config{Addr: at.amqp})
	if err != nil {
		return err
	}
	closers := []func(context.Context) error{a.Close}
	q, err := aws.Listen(b, aws.Config{Addr: at.aws, Topics: topics})
	if err == nil {
		closers = append(closers, q.Close)
		var k *kafka.Server
		if k, err = kafka.Listen(b, kafka.Config{Addr: "127.0.0.1:0"}); err == nil {
			closers = append(closers, k.Close)
			fmt.Printf("  Kafka  %s\n  AMQP  %s\n  SQS  %s\n", k.Addr(), a.Addr(), q.Addr())
			<-ctx.Done()
		}
	}
	last, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, closes := range append(closers, topics.Close) {
		err = errors.Join(err, closes(last))
	}
	return err
}

// tune does about what cmd/tidings does at its start. That keeps the heap small by a limit which
// follows what is alive; here a lower GOGC has much the same effect.
func tune() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(50)
	}
}
