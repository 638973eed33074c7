package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidings-io/tidings/tests/clients/history"
)

// burst is how many records a producer sends each tick, at most.
const (
	burst = 32
	tick  = 4 * time.Millisecond
)

// places says where the next records go. It is shared by the producers.
type places struct {
	mu    sync.Mutex
	fixed []history.Partition
	fresh string // a topic that nobody has made yet
}

// next is a partition of the topics that are there, or now and then of one that the
// broker will make because of this record.
func (p *places) next() history.Partition {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fresh != "" && rand.IntN(20) == 0 {
		return history.Partition{Topic: p.fresh}
	}
	return p.fixed[rand.IntN(len(p.fixed))]
}

func (p *places) setFresh(topic string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fresh = topic
}

// eachTick calls f up to burst times each tick, until the context ends.
func eachTick(ctx context.Context, f func()) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			for range rand.IntN(burst) + 1 {
				f()
			}
		}
	}
}

// kgoProducer sends with an idempotent franz-go client until the context ends, and
// returns when all that was sent is acknowledged. This client gives up only where an answer
// tells it to, such as that it knows a topic which is not there.
func (l *load) kgoProducer(ctx context.Context, name string, codec kgo.CompressionCodec) error {
	l.h.Producer(name, history.Once)
	client, err := kgo.NewClient(
		kgo.SeedBrokers(l.seed), kgo.ProducerBatchCompression(codec),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.AllowAutoTopicCreation(),
		kgo.UnknownTopicRetries(-1), kgo.AlwaysRetryEOF(), kgo.MaxBufferedRecords(1000),
		kgo.ProducerLinger(0),
		kgo.RetryBackoffFn(briefly), kgo.MetadataMinAge(50*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	eachTick(ctx, func() {
		at := l.places.next()
		n := l.h.Sent(name, at)
		r := &kgo.Record{
			Topic: at.Topic, Partition: at.Number,
			Value: makeValue(at, history.ID{Producer: name, N: n}),
		}
		client.Produce(context.Background(), r, func(r *kgo.Record, err error) {
			if err != nil {
				l.fail(fmt.Errorf("%s, which retries for ever, gave up: %w", name, err))
				return
			}
			l.acked(name, at, n, r.Offset)
		})
	})
	flush, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return client.Flush(flush)
}

// briefly keeps the pauses of clients short: the broker is back soon.
func briefly(int) time.Duration { return time.Duration(20+rand.IntN(60)) * time.Millisecond }

// saramaProducer does the same with sarama's asynchronous producer.
func (l *load) saramaProducer(ctx context.Context, name string, promise history.Promise) error {
	l.h.Producer(name, promise)
	c := sarama.NewConfig()
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Return.Successes = true
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.Retry.Max, c.Metadata.Retry.Max = 1000, 1000
	c.Producer.Retry.Backoff, c.Metadata.Retry.Backoff = 50*time.Millisecond, 50*time.Millisecond
	c.Net.MaxOpenRequests = 1
	c.Producer.Idempotent = promise == history.Once
	p, err := sarama.NewAsyncProducer([]string{l.seed}, c)
	if err != nil {
		return err
	}
	var answers sync.WaitGroup
	answers.Go(func() { l.saramaAcks(name, p.Successes()) })
	answers.Go(func() {
		for e := range p.Errors() {
			l.refused(name, e.Err)
		}
	})
	eachTick(ctx, func() {
		at := l.places.next()
		n := l.h.Sent(name, at)
		p.Input() <- &sarama.ProducerMessage{
			Topic: at.Topic, Partition: at.Number, Metadata: sentTo{at, n},
			Value: sarama.ByteEncoder(makeValue(at, history.ID{Producer: name, N: n})),
		}
	})
	p.AsyncClose()
	answers.Wait()
	return nil
}

// sentTo is what a sarama message is to us.
type sentTo struct {
	at history.Partition
	n  int64
}

func (l *load) saramaAcks(name string, successes <-chan *sarama.ProducerMessage) {
	for m := range successes {
		to := m.Metadata.(sentTo)
		l.acked(name, to.at, to.n, m.Offset)
	}
}

// acked tells the history and whoever waits for progress.
func (l *load) acked(name string, at history.Partition, n, offset int64) {
	l.h.Acked(name, at, n, offset)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ackedNow++
	l.progressLocked()
}

// refused counts what a client gave up. That is no fault, the record may be there or not.
func (l *load) refused(name string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gaveUp[name+": "+err.Error()]++
}
