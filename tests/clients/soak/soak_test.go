package soak

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidings-io/tidings/tests/clients/server"
)

var (
	records = flag.Int64("records", 1_000_000, "records of 1 KiB to write")
	strict  = flag.Bool("strict", false, "times decide, not only memory and correctness")
)

func TestMain(m *testing.M) { os.Exit(server.Main(m)) }

// The figures that are promised.
const (
	emptyStart  = 50 * time.Millisecond
	cleanStart  = time.Second
	killedStart = 3 * time.Second
	idleMemory  = 40 << 20
	fullMemory  = 512 << 20
)

const topic = "many"

// TestAnEmptyBrokerIsSmallAndStartsAtOnce starts five brokers on nothing and looks at one that
// has nothing to do.
func TestAnEmptyBrokerIsSmallAndStartsAtOnce(t *testing.T) {
	var took []time.Duration
	var s *server.Server
	for range 5 {
		began := time.Now()
		s = server.Start(t)
		took = append(took, time.Since(began))
	}
	wantTime(t, "empty start (median of 5)", slices.Sorted(slices.Values(took))[2], emptyStart)
	time.Sleep(2 * time.Second) // idle is a state that lasts
	wantMemory(t, "idle memory", s.Memory().Resident, idleMemory)
}

// TestManyRecordsFillTheDiskAndNotMemory writes records of 1 KiB into one topic, stops the
// broker in order, starts it and reads all of them; then it kills the broker while more
// are being written, and starts it again.
func TestManyRecordsFillTheDiskAndNotMemory(t *testing.T) {
	s := server.Start(t)
	began := time.Now()
	w := newWriter(t, s.Kafka)
	w.send(t.Context(), *records)
	w.wait(*records)
	rate(t, "written", *records, began)
	wantMemory(t, "peak memory, writing", s.Memory().Peak, fullMemory)

	t.Logf("%-34s %v", "orderly stop", s.Stop().Round(time.Millisecond))
	wantTime(t, "start after an orderly stop", s.Restart(), cleanStart)
	began = time.Now()
	readAll(t, s.Kafka, *records)
	rate(t, "read", *records, began)
	wantMemory(t, "peak memory, started and read", s.Memory().Peak, fullMemory)

	more := max(*records/10, 50_000)
	load, stop := context.WithCancel(t.Context())
	var sender sync.WaitGroup
	sender.Go(func() { w.send(load, 100*more) })
	w.wait(*records + more)
	s.Kill()
	wantTime(t, "start after SIGKILL under load", s.Restart(), killedStart)
	stop()
	sender.Wait()
	w.flush()
	readSome(t, s.Kafka, w.acked.Load())
	wantMemory(t, "peak memory, after SIGKILL", s.Memory().Peak, fullMemory)
}

func wantTime(t *testing.T, what string, got, most time.Duration) {
	t.Helper()
	t.Logf("%-34s %-10v at most %v", what, got.Round(time.Millisecond), most)
	if *strict && got > most {
		t.Errorf("%s: got %v, want at most %v", what, got, most)
	}
}

func wantMemory(t *testing.T, what string, got, most int64) {
	t.Helper()
	t.Logf("%-34s %-10s at most %d MiB", what, fmt.Sprintf("%d MiB", got>>20), most>>20)
	if got > most {
		t.Errorf("%s: got %d bytes, want at most %d", what, got, most)
	}
}

func rate(t *testing.T, what string, n int64, began time.Time) {
	t.Helper()
	took := time.Since(began)
	t.Logf("%-34s %d records in %v, %.0f k/s", what, n, took.Round(100*time.Millisecond),
		float64(n)/1000/took.Seconds())
}

// writer is one idempotent producer that stays open. Records go to partition 0 and hold their
// number.
type writer struct {
	t      *testing.T
	client *kgo.Client
	sent   int64 // by the goroutine that sends
	acked  atomic.Int64
	failed atomic.Pointer[error]
	wake   chan struct{} // capacity 1: something was acknowledged, or failed
}

func newWriter(t *testing.T, seed string) *writer {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(seed), kgo.AllowAutoTopicCreation(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.AlwaysRetryEOF(),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedRecords(20_000),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &writer{t: t, client: client, wake: make(chan struct{}, 1)}
}

// send hands n records to the client, which makes it wait when 20,000 are on their way.
func (w *writer) send(ctx context.Context, n int64) {
	for range n {
		if ctx.Err() != nil {
			return
		}
		value := make([]byte, 1024)
		binary.BigEndian.PutUint64(value, uint64(w.sent))
		w.sent++
		w.client.Produce(context.Background(), &kgo.Record{Topic: topic, Value: value}, w.done)
	}
}

func (w *writer) done(_ *kgo.Record, err error) {
	if err != nil {
		w.failed.Store(&err)
	} else {
		w.acked.Add(1)
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// wait returns when n records are acknowledged.
func (w *writer) wait(n int64) {
	w.t.Helper()
	for w.acked.Load() < n {
		<-w.wake
		if err := w.failed.Load(); err != nil {
			w.t.Fatalf("after %d records: %v", w.acked.Load(), *err)
		}
	}
}

// flush waits for what is on its way.
func (w *writer) flush() {
	w.t.Helper()
	if err := w.client.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// readAll reads from the start and checks that record k is at offset k.
func readAll(t *testing.T, seed string, n int64) {
	t.Helper()
	c := reader(t, seed, 0)
	defer c.Close()
	for next := int64(0); next < n; {
		fetches := c.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d records: %v", next, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			wantRecord(t, r, next)
			next++
		})
	}
}

// readSome reads the first record, some in between and the last of n.
func readSome(t *testing.T, seed string, n int64) {
	t.Helper()
	admin := kadm.NewClient(reader(t, seed, 0))
	defer admin.Close()
	ends, err := admin.ListEndOffsets(t.Context(), topic)
	if err == nil {
		err = ends.Error()
	}
	if end, _ := ends.Lookup(topic, 0); err != nil || end.Offset != n {
		t.Fatalf("the topic ends at %d (error %v), want %d", end.Offset, err, n)
	}
	for _, at := range []int64{0, n / 3, n / 2, n - 1} {
		c := reader(t, seed, at)
		fetches := c.PollRecords(t.Context(), 1)
		if len(fetches.Records()) != 1 {
			t.Fatalf("read at %d: got %d records, %v", at, fetches.NumRecords(), fetches.Err())
		}
		wantRecord(t, fetches.Records()[0], at)
		c.Close()
	}
}

func reader(t *testing.T, seed string, from int64) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(seed), kgo.ConsumePartitions(
		map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(from)}}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantRecord(t *testing.T, r *kgo.Record, n int64) {
	t.Helper()
	if r.Offset != n || len(r.Value) != 1024 || binary.BigEndian.Uint64(r.Value) != uint64(n) {
		t.Fatalf("got %d bytes, %x..., at %d, want record %d",
			len(r.Value), r.Value[:min(8, len(r.Value))], r.Offset, n)
	}
}
