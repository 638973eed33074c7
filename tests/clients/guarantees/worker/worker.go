package worker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
)

// Variable is the one of the environment that makes a program a worker: a Plan as JSON.
const Variable = "TIDINGS_GUARANTEES_PLAN"

// Role is a part of what a worker does.
type Role string

// The roles. Those of one Plan run side by side.
const (
	Send    Role = "send"    // publishes, at once and through an outbox
	Receive Role = "receive" // the groups in which order is not looked at
	InOrder Role = "inorder" // the group in which it is
	Hands   Role = "hands"   // does the steps of sagas
	Trips   Role = "trips"   // runs sagas
	Keep    Role = "keep"    // appends to an event store, follows it and projects it
)

// Plan is what a worker does, and where.
type Plan struct {
	Roles []Role
	// Address of the broker: kafka://host:port, amqp://user:password@host:port/, http://host:port/standard
	// or http://host:port/fifo for SQS and SNS, embedded:directory.
	Address string
	// Dir is where files are, and Sender and Receiver the databases of both sides: a file, or a
	// postgres:// URL.
	Dir, Sender, Receiver string
	// Store is that of Keep: embedded, sqlite, or a postgres:// URL.
	Store string
	Seed  uint64
}

// worker is a running Plan.
type worker struct {
	Plan
	transport tidings.Transport
	broker    *broker.Broker // of an embedded transport, else nil
	enough    chan struct{}  // closed when nothing more is to be begun
	log       *slog.Logger
	ready     sync.WaitGroup // of what reads

	mu  sync.Mutex
	rng *rand.Rand
}

// Main runs the plan until its standard input ends or SIGTERM comes, and returns the exit code. A
// line on standard input says that nothing more is to be begun.
func Main(plan string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	w := &worker{enough: make(chan struct{}), log: slog.New(slog.NewTextHandler(os.Stderr,
		&slog.HandlerOptions{Level: slog.LevelWarn}))}
	if err := json.Unmarshal([]byte(plan), &w.Plan); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	w.rng = rand.New(rand.NewPCG(w.Seed, 0))
	go w.obey(os.Stdin, stop)
	if err := w.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 1
	}
	return 0
}

func (w *worker) obey(in io.Reader, stop func()) {
	lines := bufio.NewScanner(in)
	for began := true; lines.Scan(); began = false {
		if began {
			close(w.enough)
		}
	}
	stop()
}

// run opens what roles need, runs them until ctx ends or one fails, and closes everything.
func (w *worker) run(ctx context.Context) (err error) {
	if w.Address != "" {
		var end func(context.Context) error
		if end, err = w.open(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closing(end)) }()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	errs := make([]error, len(w.Roles))
	for i, role := range w.Roles {
		arrived := func() {}
		if role != Send {
			w.ready.Add(1)
			arrived = sync.OnceFunc(w.ready.Done)
		}
		all.Go(func() {
			defer stop()
			defer arrived()
			errs[i] = w.role(role)(ctx, arrived)
		})
	}
	all.Go(func() {
		w.ready.Wait()
		w.note("ready")
	})
	all.Wait()
	return errors.Join(errs...)
}

// role is what runs a role until ctx ends, and says when it has arrived.
func (w *worker) role(r Role) func(ctx context.Context, arrived func()) error {
	return map[Role]func(context.Context, func()) error{Send: w.send, Receive: w.receive, InOrder: w.inOrder,
		Hands: w.hands, Trips: w.trips, Keep: w.keep}[r]
}

// note says something to the outside.
func (w *worker) note(words ...any) { fmt.Fprintln(os.Stdout, words...) }

// serve runs a service and says when it is ready.
func serve(ctx context.Context, s *tidings.Service, arrived func()) error {
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-s.Ready():
		arrived()
		return <-ended
	}
}

// service is one whose failures are wanted, and which notes what becomes of events.
func (w *worker) service(name string) *tidings.Service {
	done := func(next tidings.Handler) tidings.Handler {
		return tidings.HandlerFunc(func(ctx context.Context, d *tidings.Delivery) error {
			err := next.Handle(ctx, d)
			if err == nil {
				w.note("done", tidings.Group(ctx), d.ID)
			}
			return err
		})
	}
	dead := func(d tidings.DeadLettered) { w.note("dead", d.Group, d.Delivery.ID) }
	return tidings.NewService(name, w.transport, tidings.WithMiddleware(done),
		tidings.WithObserver(tidings.Observer{DeadLettered: dead}), tidings.WithLogger(quiet),
		tidings.WithDrain(10*time.Second))
}

var quiet = slog.New(slog.DiscardHandler)

var errFlaky = errors.New("this attempt fails")

// flaky fails in some of a hundred calls.
func (w *worker) flaky(percent int) error {
	if w.chance(100) < percent {
		return errFlaky
	}
	return nil
}

// chance is a number below n.
func (w *worker) chance(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

func closing(end func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return end(ctx)
}
