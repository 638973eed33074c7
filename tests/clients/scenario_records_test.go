package clients

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidings-io/tidings/tests/clients/server"
)

// produceWith: 300 keyed records are stored as they were sent, compressed as was asked,
// and read back by the client and by the judge.
func produceWith(codec string) func(*testing.T, driver) {
	return func(t *testing.T, d driver) {
		s := server.Start(t)
		j := newJudge(t, s)
		j.makeTopic("orders", 3)
		sent := keyed("orders", 0, 300)
		send(t, d, s.Kafka, produceOptions{compression: codec, idempotent: true}, sent)
		stored := j.stored("orders", len(sent))
		wantInOrder(t, stored, sent)
		wantCodec(t, s.Kafka, "orders", len(sent), codec)
		wantSame(t, "read by the client (got) and by the judge (want)",
			read(t, d, s.Kafka, "orders", len(sent)), stored)
	}
}

// wantCodec checks how the batches are compressed. A client may leave a small batch as it is.
func wantCodec(t *testing.T, seed, topic string, n int, codec string) {
	t.Helper()
	found := make(map[string]int)
	err := franzRead(bounded(t), seed, topic, n, func(r *kgo.Record) {
		found[[]string{"none", "gzip", "snappy", "lz4", "zstd"}[r.Attrs.CompressionType()]]++
	})
	if err != nil {
		t.Fatal(err)
	}
	if found[codec] == 0 || found[codec]+found["none"] < n {
		t.Fatalf("compressed with %v, want %s", found, codec)
	}
}

// oddRecords: what is null stays null, what is empty stays empty, and any bytes travel.
func oddRecords(t *testing.T, d driver) {
	s := server.Start(t)
	j := newJudge(t, s)
	j.makeTopic("odd", 1)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	sent := []record{
		{Key: nil, Value: []byte("no key")},
		{Key: []byte("tombstone"), Value: nil},
		{Key: []byte("grüße"), Value: []byte("Ἡ λαλιὰ 世界")},
		{Key: []byte("bytes"), Value: every},
		{Key: []byte("large"), Value: []byte(strings.Repeat("0123456789abcdef", 56<<10))},
	}
	for i := range sent {
		sent[i].Topic = "odd"
		send(t, d, s.Kafka, produceOptions{compression: "none"}, sent[i:i+1])
	}
	wantPayloads(t, j, d, sent)
}

// wantPayloads compares a topic of one partition with what was sent to it, in order,
// except for times that the client chose.
func wantPayloads(t *testing.T, j judge, d driver, sent []record) {
	t.Helper()
	topic := sent[0].Topic
	stored := sorted(j.stored(topic, len(sent)))
	for i, want := range sent {
		got := payload(stored[i])
		if want.Millis == 0 {
			got.Millis = 0
		}
		if want = payload(want); !same(got, want) {
			t.Fatalf("record %d\n got  %s\n want %s", i, got.line(), want.line())
		}
	}
	wantSame(t, "read by the client (got) and by the judge (want)",
		read(t, d, j.seed, topic, len(sent)), stored)
}

func headersTravel(t *testing.T, d driver) {
	s := server.Start(t)
	j := newJudge(t, s)
	j.makeTopic("headers", 1)
	sent := []record{
		{Topic: "headers", Key: []byte("a"), Value: []byte("one"), Headers: []header{
			{"content-type", []byte("application/json")},
			{"traceparent", []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")},
		}},
		{Topic: "headers", Key: []byte("b"), Value: []byte("two"), Headers: []header{{"x", []byte("y")}}},
		{Topic: "headers", Key: []byte("c"), Value: []byte("none")},
	}
	for i := range sent {
		send(t, d, s.Kafka, produceOptions{compression: "none"}, sent[i:i+1])
	}
	wantPayloads(t, j, d, sent)
}

func timestampsTravel(t *testing.T, d driver) {
	s := server.Start(t)
	j := newJudge(t, s)
	j.makeTopic("times", 1)
	base := time.Now().Add(-time.Hour).UnixMilli()
	var sent []record
	for i := range 20 {
		r := keyed("times", i, 1)[0]
		r.Millis = base + int64(i*i%7*1000+i) // back and forth
		sent = append(sent, r)
	}
	send(t, d, s.Kafka, produceOptions{compression: "gzip"}, sent)
	wantPayloads(t, j, d, sent)
}

func unknownTopicIsCreated(t *testing.T, d driver) {
	s := server.Start(t)
	sent := keyed("brand-new", 0, 10)
	send(t, d, s.Kafka, produceOptions{compression: "none", idempotent: true}, sent)
	wantInOrder(t, newJudge(t, s).stored("brand-new", 10), sent)
}

// producerOutlivesKill: a producer that stays open goes on after the broker was
// killed; nothing acknowledged is missing.
func producerOutlivesKill(t *testing.T, d driver) {
	j, acked := sendAcrossKill(t, d, produceOptions{compression: "lz4"})
	stored, err := franz{}.read(bounded(t), j.seed, "orders", int(j.end("orders")))
	if err != nil {
		t.Fatal(err)
	}
	first := make([]record, 0, len(stored))
	seen := make(map[string]bool)
	for _, r := range sorted(stored) {
		if !seen[string(r.Value)] {
			first = append(first, r)
		}
		seen[string(r.Value)] = true
	}
	for _, r := range acked {
		if !seen[string(r.Value)] {
			t.Fatalf("lost: %s", r.line())
		}
	}
	if len(first) != len(acked) {
		t.Fatalf("got %d different records, want %d", len(first), len(acked))
	}
}

// idempotentProducerOutlivesKill: and with an idempotent producer, each is there once and in order.
func idempotentProducerOutlivesKill(t *testing.T, d driver) {
	j, acked := sendAcrossKill(t, d, produceOptions{compression: "none", idempotent: true})
	wantInOrder(t, j.stored("orders", len(acked)), acked)
}

// sendAcrossKill sends thirty batches with one producer, and kills and restarts the
// broker meanwhile. It returns what was acknowledged, which is all.
func sendAcrossKill(t *testing.T, d driver, o produceOptions) (judge, []record) {
	s := server.Start(t)
	newJudge(t, s).makeTopic("orders", 3)
	if o.compression != "none" && d.lacks()["produce and consume, "+o.compression] != "" {
		o.compression = "gzip"
	}
	p, err := d.open(s.Kafka, o)
	if err != nil {
		t.Fatalf("open a producer: %v", err)
	}
	acks, failed := make(chan int, 30), make(chan error, 1)
	var sent []record
	go func() {
		defer close(acks)
		for i := range 30 {
			batch := keyed("orders", i*20, 20)
			if err := p.send(bounded(t), batch); err != nil {
				failed <- fmt.Errorf("batch %d: %w", i, err)
				return
			}
			sent = append(sent, batch...)
			acks <- i
		}
	}()
	for i := range acks {
		if i == 5 {
			s.Kill()
			s.Restart()
		}
	}
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
	if err := p.close(); err != nil {
		t.Fatalf("close the producer: %v", err)
	}
	return newJudge(t, s), sent
}
