// Command server is the broker with its Kafka listener, set up much as cmd/tidings does, and
// with Go's profiles on a loopback address: for finding out where the time goes.
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
	"github.com/tidings-io/tidings/wire/kafka"
)

func main() {
	dir := flag.String("data", "", "data directory")
	profiles := flag.String("pprof", "127.0.0.1:6060", "loopback address for profiles")
	blocking := flag.Bool("blocking", false, "profile locks and waits too, which costs time")
	flag.Parse()
	if err := serve(*dir, *profiles, *blocking); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

func serve(dir, profiles string, blocking bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	tune()
	if blocking {
		runtime.SetMutexProfileFraction(10)
		runtime.SetBlockProfileRate(10_000)
	}
	l, err := net.Listen("tcp", profiles)
	if err != nil {
		return err
	}
	web := &http.Server{ReadHeaderTimeout: time.Second}
	go func() { _ = web.Serve(l) }() // until Close, below
	defer web.Close()

	b, err := broker.Open(dir, broker.Config{Observer: &console.Metrics{}})
	if err != nil {
		return err
	}
	s, err := kafka.Listen(b, kafka.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		return errors.Join(err, b.Close())
	}
	fmt.Printf("  Kafka  %s\n", s.Addr())
	<-ctx.Done()
	last, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(s.Close(last), b.Close())
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
