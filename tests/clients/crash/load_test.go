package crash

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidings-io/tidings/tests/clients/history"
)

// patience bounds each wait for something that must happen.
const patience = 60 * time.Second

// load is the clients that work while the broker is killed.
type load struct {
	h      *history.History
	seed   string
	places places
	topics []string

	stop    context.CancelFunc
	workers sync.WaitGroup

	mu       sync.Mutex
	ackedNow int64
	progress chan struct{} // closed and replaced when something was acknowledged
	gaveUp   map[string]int
	failures []error
}

// startLoad makes topics and starts producers and consumers.
func startLoad(ctx context.Context, seed string, admin *kadm.Client) (*load, error) {
	l := &load{
		h: history.New(), seed: seed,
		progress: make(chan struct{}), gaveUp: make(map[string]int),
	}
	for topic, partitions := range map[string]int32{"wide": 6, "pair": 2, "single": 1} {
		if _, err := admin.CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
			return nil, fmt.Errorf("create %s: %w", topic, err)
		}
		l.h.TopicMade(topic, int(partitions))
		l.topics = append(l.topics, topic)
		for p := range partitions {
			l.places.fixed = append(l.places.fixed, history.Partition{Topic: topic, Number: p})
		}
	}
	work, stop := context.WithCancel(ctx)
	l.stop = stop
	for name, codec := range map[string]kgo.CompressionCodec{
		"kgo-none": kgo.NoCompression(), "kgo-lz4": kgo.Lz4Compression(),
		"kgo-zstd": kgo.ZstdCompression(),
	} {
		l.workers.Go(func() { l.fail(l.kgoProducer(work, name, codec)) })
	}
	l.workers.Go(func() { l.fail(l.saramaProducer(work, "sarama-once", history.Once)) })
	l.workers.Go(func() { l.fail(l.saramaProducer(work, "sarama-plain", history.AtLeastOnce)) })
	for range 2 {
		l.workers.Go(func() { l.fail(l.consumer(work)) })
	}
	return l, nil
}

// end stops the clients, after they have got their acknowledgements.
func (l *load) end() error {
	l.stop()
	l.workers.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.failures...)
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failures = append(l.failures, err)
		l.progressLocked()
	}
}

func (l *load) progressLocked() {
	close(l.progress)
	l.progress = make(chan struct{})
}

// awaitAcks waits until n more records are acknowledged.
func (l *load) awaitAcks(t *testing.T, n int64) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	l.mu.Lock()
	want := l.ackedNow + n
	l.mu.Unlock()
	for {
		l.mu.Lock()
		now, next, failed := l.ackedNow, l.progress, errors.Join(l.failures...)
		l.mu.Unlock()
		switch {
		case failed != nil:
			t.Fatalf("a client failed: %v", failed)
		case now >= want:
			return
		}
		select {
		case <-next:
		case <-limit.C:
			t.Fatalf("%d of %d records were acknowledged within %v", n-(want-now), n, patience)
		}
	}
}

// makeTopics makes a topic, and makes and deletes another.
func (l *load) makeTopics(ctx context.Context, admin *kadm.Client, round int) {
	made, gone := fmt.Sprintf("made-%d", round), fmt.Sprintf("gone-%d", round)
	l.h.TopicUncertain(made)
	if _, err := admin.CreateTopic(ctx, 2, 1, nil, made); err == nil {
		l.h.TopicMade(made, 2)
	}
	l.h.TopicUncertain(gone)
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, gone); err != nil {
		return
	}
	l.h.TopicMade(gone, 1)
	l.h.TopicUncertain(gone)
	if _, err := admin.DeleteTopic(ctx, gone); err == nil {
		l.h.TopicDeleted(gone)
	}
}
