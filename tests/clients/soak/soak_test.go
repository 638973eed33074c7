// Package soak fills the broker and measures what that costs: memory, and the
// time to start again.
package soak

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/tidings-io/tidings/tests/clients/server"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	records = flag.Int("records", 1_000_000, "records of 1 KiB to write")
	strict  = flag.Bool("strict", false, "times and memory decide, not only correctness")
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

// TestManyRecordsFillTheDiskAndNotMemory writes records of 1 KiB into one topic,
// starts the broker again after an orderly stop and after SIGKILL, and reads the
// first and the last of them each time.
func TestManyRecordsFillTheDiskAndNotMemory(t *testing.T) {
	began := time.Now()
	s := server.Start(t)
	judge(t, "empty start", time.Since(began), emptyStart)
	judge(t, "idle memory", s.Memory().Resident, idleMemory)
	write(t, s.Kafka, *records)
	t.Logf("%d records written in %v", *records, time.Since(began).Round(time.Millisecond))
	judge(t, "memory after writing", s.Memory().Peak, fullMemory)

	s.Stop()
	judge(t, "start after an orderly stop", s.Restart(), cleanStart)
	readEnds(t, s.Kafka, *records)
	write(t, s.Kafka, 100_000)
	s.Kill()
	judge(t, "start after SIGKILL", s.Restart(), killedStart)
	readEnds(t, s.Kafka, *records+100_000)
	judge(t, "memory after reading", s.Memory().Peak, fullMemory)
}

// judge prints a figure; only a strict run fails by it.
func judge[T int64 | time.Duration](t *testing.T, what string, got, most T) {
	t.Helper()
	t.Logf("%-30s %12v  at most %v", what, got, most)
	if *strict && got > most {
		t.Errorf("%s is %v, want at most %v", what, got, most)
	}
}

func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(addr), kgo.AllowAutoTopicCreation())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func write(t *testing.T, addr string, n int) {
	t.Helper()
	c := client(t, addr, kgo.ProducerLinger(5*time.Millisecond), kgo.MaxBufferedRecords(20_000),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	value := make([]byte, 1024)
	failed := make(chan error, 1)
	for range n {
		c.Produce(t.Context(), &kgo.Record{Topic: "many", Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
}

// readEnds reads the first and the last record.
func readEnds(t *testing.T, addr string, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ends, err := kadm.NewClient(client(t, addr)).ListEndOffsets(ctx, "many")
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup("many", 0)
	if end.Offset != int64(want) {
		t.Fatalf("the topic ends at %d, want %d", end.Offset, want)
	}
	for _, at := range []int64{0, end.Offset / 2, end.Offset - 1} {
		c := client(t, addr, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			"many": {0: kgo.NewOffset().At(at)}}))
		fetches := c.PollRecords(ctx, 1)
		if recs := fetches.Records(); len(recs) != 1 || recs[0].Offset != at || len(recs[0].Value) != 1024 {
			t.Fatalf("read at %d: %d records, %v", at, len(recs), fetches.Err())
		}
		c.Close()
	}
}
