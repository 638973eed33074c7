package engines

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestKafkaKeepsAcknowledgedRecordsOverSIGKILL produces with acks=all and reads after a restart.
func TestKafkaKeepsAcknowledgedRecordsOverSIGKILL(t *testing.T) {
	began := time.Now()
	k := Kafka(t)
	ready := time.Since(began)
	var want []string
	writer := kafkaClient(t, k, kgo.AllowAutoTopicCreation())
	for i := range 100 {
		want = append(want, fmt.Sprintf("record %d", i))
		r := &kgo.Record{Topic: "orders", Value: []byte(want[i])}
		if err := writer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	k.Kill()
	t.Logf("kafka was ready in %v, and after SIGKILL in %v", ready, k.Restart())
	if got := readKafka(t, k, len(want)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func kafkaClient(t *testing.T, k *KafkaEngine, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(k.Addr))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func readKafka(t *testing.T, k *KafkaEngine, n int) (values []string) {
	t.Helper()
	reader := kafkaClient(t, k, kgo.ConsumeTopics("orders"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for len(values) < n {
		fetches := reader.PollFetches(bounded(t))
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d records: %v", len(values), err)
		}
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}
