package projection_test

import (
	"context"
	"fmt"
	"log"
	"strconv"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/projection"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/store/embedded"
)

type Deposit struct{ Amount int }

var Deposited = tidings.Define[Deposit]("accounts", "example.deposited.v1")

// add makes a projection that keeps the sum of each stream under a prefix of its version.
func add(version int) *projection.Projection[*embedded.Tx] {
	return projection.Define("balances", version, projection.On(Deposited,
		func(_ context.Context, tx *embedded.Tx, d Deposit, r eventstore.Recorded) error {
			key := fmt.Sprintf("balances/v%d/%s", version, r.Stream)
			was, _ := tx.Get(key)
			n, _ := strconv.Atoi(string(was)) // 0 before the first
			tx.Put(key, []byte(strconv.Itoa(n+d.Amount)))
			return nil
		}))
}

var (
	Balances   = add(1)
	BalancesV2 = add(2)
)

func memory() (*embedded.Store, func() error) {
	b, err := broker.Open("data", broker.Config{FS: vfs.NewMem()})
	if err != nil {
		log.Fatal(err)
	}
	s, err := embedded.Open(context.Background(), b, embedded.Config{})
	if err != nil {
		log.Fatal(err)
	}
	return s, b.Close
}

func deposit(ctx context.Context, s *embedded.Store, stream string, amounts ...int) {
	for _, n := range amounts {
		if _, err := s.Append(ctx, stream, eventstore.Any, Deposited.New(Deposit{n})); err != nil {
			log.Fatal(err)
		}
	}
}

// CatchUp handles what there is; Run goes on with what comes.
func ExampleProjection_CatchUp() {
	ctx := context.Background()
	store, end := memory()
	defer end()
	deposit(ctx, store, "a-1", 5, 7)
	deposit(ctx, store, "a-2", 1)
	if err := Balances.CatchUp(ctx, store, store.Checkpoints(), projection.Options{}); err != nil {
		log.Fatal(err)
	}
	for key, value := range store.Values("balances/v1/") {
		fmt.Println(key, string(value))
	}
	// Output:
	// balances/v1/a-1 12
	// balances/v1/a-2 1
}

// Run goes on until its context ends.
func ExampleProjection_Run() {
	ctx, cancel := context.WithCancel(context.Background())
	store, end := memory()
	defer end()
	handled := projection.Define("handled", 1, projection.On(Deposited,
		func(_ context.Context, _ *embedded.Tx, d Deposit, r eventstore.Recorded) error {
			fmt.Println("position", r.Position, "amount", d.Amount)
			if r.Position == 2 {
				cancel()
			}
			return nil
		}))
	go deposit(context.Background(), store, "a-1", 5, 7)
	fmt.Println(handled.Run(ctx, store, store.Checkpoints(), projection.Options{}))
	// Output:
	// position 1 amount 5
	// position 2 amount 7
	// <nil>
}

// A new version is built beside the old one, and becomes the one that readers use.
func ExampleProjection_Rebuild() {
	ctx := context.Background()
	store, end := memory()
	defer end()
	checkpoints := store.Checkpoints()
	deposit(ctx, store, "a-1", 5, 7)
	for _, p := range []*projection.Projection[*embedded.Tx]{Balances, BalancesV2} {
		if err := p.Rebuild(ctx, store, checkpoints, projection.Options{}); err != nil {
			log.Fatal(err)
		}
		active, err := checkpoints.Active(ctx, "balances")
		if err != nil {
			log.Fatal(err)
		}
		balance, _ := store.Get(fmt.Sprintf("balances/v%d/a-1", active))
		fmt.Printf("version %d has %s\n", active, balance)
	}
	if err := checkpoints.Forget(ctx, Balances.ID()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// version 1 has 12
	// version 2 has 12
}

// Status tells how far a projection is behind.
func ExampleProjection_Status() {
	ctx := context.Background()
	store, end := memory()
	defer end()
	deposit(ctx, store, "a-1", 5, 7, 9)
	status, err := Balances.Status(ctx, store, store.Checkpoints())
	fmt.Println(status.ID, "at", status.Position, "of", status.Head, "lag", status.Lag, err)
	// Output: balances v1 at 0 of 3 lag 3 <nil>
}
