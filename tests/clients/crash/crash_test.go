package crash

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/tidings-io/tidings/tests/clients/server"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var kills = flag.Int("kills", 20, "how often the broker is killed")

func TestMain(m *testing.M) { os.Exit(server.Main(m)) }

const (
	partitions = 3
	producers  = 4
	window     = 200 // records of a producer that wait for an acknowledgement
)

// run is one broker that is killed while clients work.
type run struct {
	t    *testing.T
	s    *server.Server
	h    *history
	stop context.Context // ended when the last kill is over
	wg   sync.WaitGroup
}

// TestAcknowledgedRecordsSurviveSIGKILL kills the real program at random moments,
// while idempotent producers, one that is not, and a group of consumers work,
// and starts it again on the same data.
func TestAcknowledgedRecordsSurviveSIGKILL(t *testing.T) {
	stop, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := &run{t: t, s: server.Start(t), h: newHistory(), stop: stop}
	r.createTopic("crash")
	for p := range producers {
		r.wg.Go(func() { r.produce(fmt.Sprintf("franz-%d", p), "crash") })
	}
	r.wg.Go(r.produceWithSarama)
	for range 2 {
		r.wg.Go(r.consume)
	}
	slowest := r.killOften()
	cancel()
	r.wg.Wait()
	for _, broken := range r.h.check(r.look(), 10) {
		t.Error(broken)
	}
	t.Logf("%d kills, %d records acknowledged, slowest start %v", *kills, r.h.acknowledged(), slowest)
	if r.h.acknowledged() < 10**kills {
		t.Errorf("only %d records were acknowledged: the load was no load", r.h.acknowledged())
	}
}

// killOften kills and restarts, and lets a new topic be made by use each time.
func (r *run) killOften() (slowest time.Duration) {
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for n := range *kills {
		before := r.h.acknowledged()
		r.wg.Go(func() { r.produceSome(fmt.Sprintf("auto-%d", n), 20) })
		// A kill comes at a random moment after the broker was seen to work.
		if !r.h.await(before+50, 30*time.Second) {
			r.t.Fatalf("no progress after %d kills", n)
		}
		<-time.After(time.Duration(rng.IntN(400)) * time.Millisecond)
		r.s.Kill()
		slowest = max(slowest, r.s.Restart())
	}
	return slowest
}

func (r *run) client(opts ...kgo.Opt) *kgo.Client {
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(r.s.Kafka), kgo.AllowAutoTopicCreation(), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
		kgo.MetadataMinAge(50 * time.Millisecond), kgo.ProducerLinger(0),
	}, opts...)...)
	if err != nil {
		r.t.Error(err)
	}
	return c
}

func (r *run) createTopic(name string) {
	c := r.client()
	defer c.Close()
	if _, err := kadm.NewClient(c).CreateTopic(r.t.Context(), partitions, 1, nil, name); err != nil {
		r.t.Fatal(err)
	}
	r.h.topics[name] = true
}

// produce sends until the run stops and then waits for what is on its way.
func (r *run) produce(name, topic string) {
	c := r.client()
	defer c.Close()
	room := make(chan struct{}, window)
	r.markIdempotent(name)
	for n := 0; r.stop.Err() == nil; n++ {
		room <- struct{}{}
		r.sendOne(c, id{fmt.Sprintf("%s/%d", name, n%partitions), n}, topic, int32(n%partitions), func() { <-room })
	}
	r.flush(c)
}

// produceSome sends n records to a topic that does not exist yet.
func (r *run) produceSome(topic string, n int) {
	c := r.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer c.Close()
	for i := range n {
		r.sendOne(c, id{topic, i}, topic, 0, func() {})
	}
	r.flush(c)
}

func (r *run) markIdempotent(name string) {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	for p := range partitions {
		r.h.idempotent[fmt.Sprintf("%s/%d", name, p)] = true
	}
}

func (r *run) sendOne(c *kgo.Client, i id, topic string, partition int32, done func()) {
	r.h.send(i)
	value := fmt.Appendf(nil, "%s %d %s", i.producer, i.n, strings.Repeat("x", 300))
	rec := &kgo.Record{Topic: topic, Partition: partition, Value: value}
	c.Produce(context.Background(), rec, func(rec *kgo.Record, err error) {
		defer done()
		if err != nil {
			r.t.Errorf("%v was given up: %v", i, err)
			return
		}
		r.h.ack(i, place{rec.Topic, rec.Partition, rec.Offset})
	})
}

func (r *run) flush(c *kgo.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.Flush(ctx); err != nil {
		r.t.Errorf("flush: %v", err)
	}
}

// produceWithSarama is a producer that may repeat a record, one at a time.
func (r *run) produceWithSarama() {
	cfg := sarama.NewConfig()
	cfg.Producer.Return.Successes = true
	cfg.Producer.RequiredAcks = sarama.WaitForAll
	cfg.Producer.Partitioner = sarama.NewManualPartitioner
	cfg.Producer.Retry.Max, cfg.Producer.Retry.Backoff = 200, 50*time.Millisecond
	cfg.Metadata.Retry.Max, cfg.Metadata.Retry.Backoff = 200, 50*time.Millisecond
	p, err := sarama.NewSyncProducer([]string{r.s.Kafka}, cfg)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer p.Close()
	for n := 0; r.stop.Err() == nil; n++ {
		i := id{"sarama", n}
		r.h.send(i)
		partition, offset, err := p.SendMessage(&sarama.ProducerMessage{Topic: "crash", Partition: 0,
			Value: sarama.StringEncoder(fmt.Sprintf("%s %d ", i.producer, i.n))})
		if err == nil { // an error says nothing: the record may be there or not
			r.h.ack(i, place{"crash", partition, offset})
		}
	}
}

// consume is a member of a group that commits what it has read.
func (r *run) consume() {
	c := r.client(kgo.ConsumerGroup("readers"), kgo.ConsumeTopics("crash"), kgo.DisableAutoCommit(),
		kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(500*time.Millisecond))
	defer c.Close()
	for r.stop.Err() == nil {
		fetches := c.PollFetches(r.stop)
		if fetches.NumRecords() == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(r.stop, 3*time.Second)
		heads := map[cursor]int64{}
		fetches.EachRecord(func(rec *kgo.Record) {
			heads[cursor{"readers", rec.Topic, rec.Partition}] = rec.Offset + 1
		})
		if err := c.CommitRecords(ctx, fetches.Records()...); err == nil {
			for at, offset := range heads {
				r.h.commit(at, offset)
			}
		}
		cancel()
	}
}

// look reads everything that is there.
func (r *run) look() outcome {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c := r.client()
	defer c.Close()
	admin := kadm.NewClient(c)
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	o := outcome{topics: map[string]bool{}, cursors: map[cursor]int64{}}
	for _, name := range topics.Names() {
		o.topics[name] = true
	}
	offsets, err := admin.FetchOffsets(ctx, "readers")
	if err != nil {
		r.t.Fatal(err)
	}
	offsets.Each(func(x kadm.OffsetResponse) {
		o.cursors[cursor{"readers", x.Topic, x.Partition}] = x.At
	})
	ends, err := admin.ListEndOffsets(ctx, topics.Names()...)
	if err != nil {
		r.t.Fatal(err)
	}
	o.records = r.readAll(ctx, ends)
	return o
}

func (r *run) readAll(ctx context.Context, ends kadm.ListedOffsets) (all []found) {
	from := map[string]map[int32]kgo.Offset{}
	left := 0
	ends.Each(func(e kadm.ListedOffset) {
		if e.Offset > 0 {
			if from[e.Topic] == nil {
				from[e.Topic] = map[int32]kgo.Offset{}
			}
			from[e.Topic][e.Partition] = kgo.NewOffset().AtStart()
			left++
		}
	})
	c := r.client(kgo.ConsumePartitions(from))
	defer c.Close()
	for left > 0 {
		fetches := c.PollFetches(ctx)
		if err := errors.Join(fetches.Err(), ctx.Err()); err != nil {
			r.t.Fatal(err)
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			all = append(all, found{parseID(rec.Value), place{rec.Topic, rec.Partition, rec.Offset}})
			if end, _ := ends.Lookup(rec.Topic, rec.Partition); rec.Offset == end.Offset-1 {
				left--
			}
		})
	}
	slices.SortStableFunc(all, func(a, b found) int { return int(a.at.offset - b.at.offset) })
	return all
}

func parseID(value []byte) id {
	word := strings.SplitN(string(value), " ", 3)
	if len(word) < 2 {
		return id{"unreadable", 0}
	}
	n, _ := strconv.Atoi(word[1])
	return id{word[0], n}
}
