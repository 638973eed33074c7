package crash

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidings-io/tidings/tests/clients/history"
	"github.com/tidings-io/tidings/tests/clients/server"
)

var (
	kills   = flag.Int("kills", 20, "how often the program is killed")
	recover = flag.Duration("recover", 15*time.Second, "the longest start after a kill")
)

func TestMain(m *testing.M) { os.Exit(server.Main(m)) }

// TestAcknowledgedRecordsSurviveSIGKILL kills the program at random moments while five
// producers send, two consumers commit and topics come and go. After each start the
// committed offsets are checked, and at the end everything.
func TestAcknowledgedRecordsSurviveSIGKILL(t *testing.T) {
	s := server.Start(t)
	admin := newAdmin(t, s.Kafka)
	l, err := startLoad(t.Context(), s.Kafka, admin)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{t: t, s: s, admin: admin, load: l}
	for round := range *kills {
		r.round(round)
	}
	l.awaitAcks(t, 100)
	if err := l.end(); err != nil {
		t.Error(err)
	}
	s.Kill()
	r.starts = append(r.starts, s.Restart())
	r.judge()
}

func newAdmin(t *testing.T, seed string) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(seed), kgo.RetryBackoffFn(briefly),
		kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

// run is one test.
type run struct {
	t     *testing.T
	s     *server.Server
	admin *kadm.Client
	*load
	starts   []time.Duration // from the start of a process until it serves
	resumes  []time.Duration // until a client got an acknowledgement after that
	unserved int             // kills before the program served
	stops    []time.Duration // orderly ones, until the process has ended
}

// round lets the load get going, kills the program at some moment and starts it again.
// A third of the starts is killed as well; every tenth time it is told to stop.
func (r *run) round(n int) {
	r.t.Helper()
	r.places.setFresh(fmt.Sprintf("auto-%d", n))
	r.awaitAcks(r.t, 20)
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	made := make(chan struct{})
	go func() {
		defer close(made)
		r.makeTopics(ctx, r.admin, n)
	}()
	// The moment of the kill must not depend on anything that the program does.
	time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
	if n%10 == 9 {
		r.stops = append(r.stops, r.s.Stop())
	} else {
		r.s.Kill()
	}
	if n%3 == 2 {
		r.s.Launch()
		time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
		r.s.Kill()
		r.unserved++
	}
	r.restart(ctx)
	<-made
}

// restart starts the program, measures and looks at what was committed.
func (r *run) restart(ctx context.Context) {
	r.t.Helper()
	took := r.s.Restart()
	r.starts = append(r.starts, took)
	if took > *recover {
		r.t.Errorf("start after a kill: got %v, want at most %v", took, *recover)
	}
	serves := time.Now()
	r.awaitAcks(r.t, 1)
	r.resumes = append(r.resumes, time.Since(serves))
	if err := r.checkCommits(ctx, r.admin); err != nil {
		r.t.Fatalf("fetch committed offsets: %v", err)
	}
}

// judge compares what the clients saw with what the broker holds.
func (r *run) judge() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*patience)
	defer cancel()
	if err := r.checkCommits(ctx, r.admin); err != nil {
		r.t.Fatalf("fetch committed offsets: %v", err)
	}
	final, err := r.final(ctx)
	if err != nil {
		r.t.Fatalf("read what is there: %v", err)
	}
	found := r.h.Check(final)
	for _, v := range found[:min(len(found), 20)] {
		r.t.Error(v)
	}
	total := r.h.Totals()
	r.t.Logf("%d kills, %d of them before the program served, and %d orderly stops: %d violations",
		len(r.starts)-len(r.stops)+r.unserved, r.unserved, len(r.stops), len(found))
	r.t.Logf("%d records sent, %d acknowledged, %d read by consumers; %d topics; clients gave up %v",
		total.Sent, total.Acked, total.Read, len(final.Topics), r.gaveUp)
	r.t.Logf("start after a kill:    %s", spread(r.starts))
	r.t.Logf("then the first ack in: %s", spread(r.resumes))
	r.t.Logf("orderly stop:          %s", spread(r.stops))
}

// spread is the distribution of durations in a line.
func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "none"
	}
	d = slices.Sorted(slices.Values(d))
	at := func(q float64) time.Duration {
		return d[int(q*float64(len(d)-1))].Round(time.Millisecond)
	}
	return fmt.Sprintf("median %v, 95 %% %v, longest %v", at(0.5), at(0.95), at(1))
}

// final reads everything that the broker holds.
func (r *run) final(ctx context.Context) (history.Final, error) {
	f := history.Final{Topics: make(map[string]int), Logs: make(map[history.Partition][]history.Entry)}
	ends, err := r.admin.ListEndOffsets(ctx)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return f, err
	}
	wanted := make(map[string]map[int32]kgo.Offset)
	var left int64
	ends.Each(func(o kadm.ListedOffset) {
		f.Topics[o.Topic]++
		if o.Offset == 0 {
			return
		}
		left += o.Offset
		if wanted[o.Topic] == nil {
			wanted[o.Topic] = make(map[int32]kgo.Offset)
		}
		wanted[o.Topic][o.Partition] = kgo.NewOffset().AtStart()
	})
	return f, r.readAll(ctx, wanted, left, f.Logs)
}

// readAll reads n records into logs. Nothing is ever deleted from these topics, so there
// is a record at each offset.
func (r *run) readAll(
	ctx context.Context, wanted map[string]map[int32]kgo.Offset, n int64,
	logs map[history.Partition][]history.Entry,
) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(r.seed), kgo.ConsumePartitions(wanted))
	if err != nil {
		return err
	}
	defer client.Close()
	for n > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%d records are missing: %w", n, err)
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			at := history.Partition{Topic: rec.Topic, Number: rec.Partition}
			id, problem := parseValue(at, rec.Value)
			if problem != nil {
				err = errors.Join(err, fmt.Errorf("%v@%d: %w", at, rec.Offset, problem))
			}
			logs[at] = append(logs[at], history.Entry{Offset: rec.Offset, ID: id})
			n--
		})
	}
	return err
}
