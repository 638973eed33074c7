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
	"github.com/tidings-io/tidings/saga"
	"github.com/tidings-io/tidings/store/postgres"
)

// sagaEnv makes the test program a worker that moves sagas on the database that it names.
const sagaEnv = "TIDINGS_TEST_SAGAS"

const (
	sagaInstances = 4
	sagaMoves     = 40 // of each instance: a command for each step, and one timer
)

var (
	step = tidings.DefineCommand[int]("steps", "test.step")
	went = tidings.Define[int]("went", "test.went")
)

// counting is a saga of sagaMoves equal steps, each with a deadline, whose state counts the answers.
func counting() *saga.Definition[int] {
	d := saga.New[int]("counting", 1)
	answer := saga.On(went, func(n *int, _ tidings.Msg[int]) error { *n++; return nil })
	for i := range sagaMoves {
		d.Step(fmt.Sprint("step", i), func(n int) tidings.Event { return step.New(n) }, answer).Within(time.Hour)
	}
	return d
}

// runSagas answers instances, each by the event that its state wants next, as fast as it can until
// all have ended, or it is killed.
func runSagas(dsn string) int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadByte() // ends with the parent
		stop()
	}()
	if err := answerSagas(ctx, dsn); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func answerSagas(ctx context.Context, dsn string) error {
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return err
	}
	defer pool.Close()
	store, err := postgres.New(pool, postgres.Config{})
	if err != nil {
		return err
	}
	sagas, d := store.Sagas(postgres.OutboxConfig{Poll: time.Second}), counting()
	routes := saga.Routes(sagas, d)
	fmt.Println("running")
	for ended := 0; ended < sagaInstances; {
		ended = 0
		for i := range sagaInstances {
			id := fmt.Sprint(i)
			if _, err := d.Start(ctx, sagas, id, 0); err != nil {
				return err
			}
			in, err := d.Get(ctx, sagas, id)
			if err != nil {
				return err
			}
			if in.Status.Ended() {
				ended++
				continue
			}
			e := went.New(in.State, tidings.WithKey(id), tidings.WithID(fmt.Sprint(id, "/", in.State)))
			e.Source = "test"
			for _, r := range routes {
				if r.Topic != "went" {
					continue
				}
				if err := r.Handler.Handle(ctx, &tidings.Delivery{Event: e}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// TestAWorkerThatIsKilledAmidTransitionsLeavesStateAndOutboxInAgreement: each step that a record
// says was sent has its command and its timer in the outbox, and none that it does not say. After
// the kills, and at every moment between, nobody has moved an instance by half.
func TestAWorkerThatIsKilledAmidTransitionsLeavesStateAndOutboxInAgreement(t *testing.T) {
	dsn := freshDSN(t)
	pool := openPool(t, dsn)
	store, err := postgres.New(pool, postgres.Config{})
	if err == nil {
		err = store.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	kills := 0
	for ended := false; !ended; kills++ {
		if kills > 500 {
			t.Fatal("it does not end")
		}
		ended = runFor(t, dsn, rand.N(60*time.Millisecond))
		agree(t, pool)
	}
	for i := range sagaInstances {
		in, err := counting().Get(t.Context(), store.Sagas(postgres.OutboxConfig{}), fmt.Sprint(i))
		if err != nil || in.Status != saga.Completed || in.State != sagaMoves {
			t.Errorf("instance %d: %s with %d answers, %v", i, in.Status, in.State, err)
		}
	}
	t.Logf("%d kills", kills-1)
	if kills < 5 {
		t.Error("hardly anything was killed: the test shows nothing")
	}
}

// runFor kills a worker after a time, or sees it end.
func runFor(t *testing.T, dsn string, d time.Duration) (ended bool) {
	worker := exec.Command(os.Args[0])
	worker.Env = append(os.Environ(), sagaEnv+"="+dsn)
	worker.Stderr = t.Output()
	if _, err := worker.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := worker.StdoutPipe()
	if err == nil {
		err = worker.Start()
	}
	if err == nil {
		_, err = bufio.NewReader(out).ReadString('\n')
	}
	if err != nil {
		t.Fatalf("worker: %v", err)
	}
	late := time.AfterFunc(d, func() { _ = worker.Process.Kill() }) // it may have ended
	defer late.Stop()
	return worker.Wait() == nil
}

// agree compares, in one statement, records and what is in the outbox.
func agree(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	var sent, commands, timers int
	err := pool.QueryRow(t.Context(), `select
		(select count(*) from tidings_saga s, json_array_elements(s.record->'History') h
			where h->>'What' = 'sent'),
		(select count(*) from tidings_outbox where topic = 'steps'),
		(select count(*) from tidings_outbox where topic = 'counting.saga')`).Scan(&sent, &commands, &timers)
	if err != nil || commands != sent || timers != sent {
		t.Fatalf("%d commands and %d timers, want %d of each, %v", commands, timers, sent, err)
	}
}
