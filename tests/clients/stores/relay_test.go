package stores

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/outbox"
	"github.com/tidings-io/tidings/store/postgres"
)

// relayEnv makes the test program a relay on the database that it names.
const relayEnv = "TIDINGS_TEST_RELAY"

// makeBroker is a broker that a test can read when its publishers are dead.
const makeBroker = `create table broker (n bigint generated always as identity, id text, key text)`

// tableBroker publishes to that table.
type tableBroker struct{ pool *pgxpool.Pool }

func (b tableBroker) Publish(ctx context.Context, events ...tidings.Event) error {
	for _, e := range events {
		if _, err := b.pool.Exec(ctx, `insert into broker (id, key) values ($1, $2)`, e.ID, e.Key); err != nil {
			return err
		}
	}
	return nil
}

// runRelay is the life of a relay in a process of its own; it ends by being killed, or with its parent.
func runRelay(dsn string) int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer pool.Close()
	store, err := postgres.New(pool, postgres.Config{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadByte() // ends with the parent
		stop()
	}()
	fmt.Println("running")
	_ = outbox.NewRelay(store.Outbox(postgres.OutboxConfig{}), tableBroker{pool}, outbox.WithBatch(32),
		outbox.WithLease(300*time.Millisecond)).Run(ctx)
	return 0
}

// killRelays runs two relays at a time, kills one after the other until ctx ends, and says how many.
func killRelays(ctx context.Context, t *testing.T, dsn string) (killed int) {
	var alive []*exec.Cmd
	defer func() {
		for _, relay := range alive {
			kill(t, relay)
		}
	}()
	for ctx.Err() == nil {
		for len(alive) < 2 {
			relay := startRelay(t, dsn)
			if relay == nil {
				return killed
			}
			alive = append(alive, relay)
		}
		select {
		case <-ctx.Done():
		case <-time.After(300*time.Millisecond + rand.N(700*time.Millisecond)):
			kill(t, alive[0])
			alive = alive[1:]
			killed++
		}
	}
	return killed
}

func startRelay(t *testing.T, dsn string) *exec.Cmd {
	relay := exec.Command(os.Args[0])
	relay.Env = append(os.Environ(), relayEnv+"="+dsn)
	relay.Stderr = t.Output()
	if _, err := relay.StdinPipe(); err != nil {
		t.Error(err)
		return nil
	}
	out, err := relay.StdoutPipe()
	if err == nil {
		err = relay.Start()
	}
	if err == nil {
		_, err = bufio.NewReader(out).ReadString('\n')
	}
	if err != nil {
		t.Errorf("relay: %v", err)
		return nil
	}
	return relay
}

func kill(t *testing.T, relay *exec.Cmd) {
	if err := relay.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = relay.Wait() // "signal: killed"
}
