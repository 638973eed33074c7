package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetched asks for one partition and returns what came.
func fetched(c *client, version int16, q *kmsg.FetchRequest) kmsg.FetchResponseTopicPartition {
	c.t.Helper()
	return ask[*kmsg.FetchResponse](c, version, q).Topics[0].Partitions[0]
}

func TestFetchWaitsForRecords(t *testing.T) {
	r := serve(t)
	topic := r.topic("t", 1)
	c := r.dial()
	start := time.Now()
	q := pollRequest("t", 60*time.Millisecond)
	same(t, "nothing", values(t, fetched(c, 12, q).RecordBatches), []string{})
	if waited := time.Since(start); waited < 60*time.Millisecond {
		t.Fatalf("got an answer after %v, want 60 ms", waited)
	}
	poll := pollRequest("t", patience)
	c.send(poll)
	waitFor(t, func() bool { return r.server.Stats().Requests == 2 })
	r.write(topic, 0, "x")
	_, body := c.receive()
	got := c.decode(poll, body).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	same(t, "woken", values(t, got.RecordBatches), []string{"x"})
	same(t, "end", got.HighWatermark, int64(1))
}

func TestFetchMemoryReturnsFromAConnectionThatEnds(t *testing.T) {
	r := serve(t)
	topic := r.topic("t", 1)
	r.write(topic, 0, strings.Repeat("x", 1000))
	for name, minBytes := range map[string]int32{"with enough to send": 1, "waiting": 1 << 20} {
		c := newConn(r.server, r.dial().conn)
		q := versioned(12, fetchRequest("t", [16]byte{}, 0))
		q.MinBytes, q.MaxWaitMillis = minBytes, int32(patience.Milliseconds())
		f := c.fetch(&request{version: 12, arrived: time.Now()}, q)
		c.cancel()
		out := &output{conn: c.nc, timeout: patience, memory: r.server.fetchMemory}
		same(t, name, c.send(f, newWaiting(c.ctx, c.srv.drain), out), context.Canceled)
		same(t, name, r.server.fetchMemory.left, r.server.config.Limits.FetchMemory)
	}
}

// A fetch that panics while it is answered ends its connection like any handler.
func TestFetchMemoryReturnsAfterAPanic(t *testing.T) {
	r := serve(t)
	r.write(r.topic("t", 1), 0, "x")
	for name, spoil := range map[string]func(*fetching){
		"while it reads":  func(f *fetching) { f.parts = append(f.parts, fetchPart{}) },
		"while it writes": func(f *fetching) { f.query.Topics = append(f.query.Topics, f.query.Topics...) },
	} {
		c := newConn(r.server, r.dial().conn)
		f := c.fetch(&request{version: 12, arrived: time.Now()},
			versioned(12, fetchRequest("t", [16]byte{}, 0))).(*fetching)
		spoil(f)
		c.replies <- f
		c.writeLoop()
		same(t, name, r.server.fetchMemory.left, r.server.config.Limits.FetchMemory)
	}
	same(t, "panics", r.server.Stats().Panics, uint64(2))
}

func TestFetchHearsOfADeletionBetweenLookAndWatch(t *testing.T) {
	r := serve(t)
	r.topic("t", 1)
	c := newConn(r.server, r.dial().conn)
	f := c.fetch(&request{version: 12, arrived: time.Now()}, pollRequest("t", time.Minute)).(*fetching)
	f.read()
	f.release()
	if err := r.broker.DeleteTopic(context.Background(), "", "t"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if !f.watch(newWaiting(ctx, r.server.drain), 1) {
		t.Fatal("got nothing, want to hear of the deletion")
	}
}

// A search by time may take long: it ends with the connection of whoever asked.
func TestOffsetByTimeIsSoughtWhileTheClientStays(t *testing.T) {
	r := serve(t)
	r.write(r.topic("t", 1), 0, "a", "b")
	c := newConn(r.server, r.dial().conn)
	q := versioned(7, kmsg.NewPtrListOffsetsRequest())
	one := kmsg.NewListOffsetsRequestTopic()
	one.Topic = "t"
	part := kmsg.NewListOffsetsRequestTopicPartition()
	part.Timestamp = recordTime(1).UnixMilli()
	one.Partitions = append(one.Partitions, part)
	q.Topics = append(q.Topics, one)
	ask := func() *seeking {
		return c.listOffsets(&request{version: 7, arrived: time.Now()}, q).(*seeking)
	}
	w := newWaiting(c.ctx, r.server.drain)
	s := ask()
	same(t, "ready at once", s.ready(), false)
	same(t, "found", s.await(w), true)
	same(t, "offset", s.resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].Offset, int64(1))
	c.cancel()
	same(t, "found for nobody", ask().await(w), false)
}

func TestFetchWaitsForMinBytes(t *testing.T) {
	r := serve(t)
	topic := r.topic("t", 2)
	c := r.dial()
	q := pollRequest("t", patience)
	second := q.Topics[0].Partitions[0]
	second.Partition = 1
	q.Topics[0].Partitions = append(q.Topics[0].Partitions, second)
	q.MinBytes = 3000
	c.send(q)
	for i := range 4 { // in both partitions together
		r.write(topic, i%2, strings.Repeat("x", 1000))
	}
	_, body := c.receive()
	resp := c.decode(q, body).(*kmsg.FetchResponse)
	size := 0
	for _, p := range resp.Topics[0].Partitions {
		size += len(p.RecordBatches)
	}
	if size < 3000 {
		t.Fatalf("got %d bytes, want 3000 or more", size)
	}
}

func TestFetchIsWokenByDeletion(t *testing.T) {
	r := serve(t)
	topic := r.topic("t", 1)
	r.write(topic, 0, "a", "b")
	c := r.dial()
	q := pollRequest("t", patience)
	q.Topics[0].Partitions[0].FetchOffset = 2
	c.send(q)
	waitFor(t, func() bool { return r.server.Stats().Requests == 1 })
	if err := r.broker.DeleteTopic(context.Background(), "", "t"); err != nil {
		t.Fatal(err)
	}
	_, body := c.receive()
	got := c.decode(q, body).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	same(t, "code", got.ErrorCode, errUnknownTopicOrPartition)
}

func TestAnErrorEndsTheWaitForTheOthers(t *testing.T) {
	r := serve(t)
	r.topic("t", 1)
	q := pollRequest("t", patience)
	bad := q.Topics[0].Partitions[0]
	bad.Partition = 9
	q.Topics[0].Partitions = append(q.Topics[0].Partitions, bad)
	start := time.Now()
	resp := ask[*kmsg.FetchResponse](r.dial(), 12, q)
	same(t, "codes", errorCodes(valueOf(resp)), []code{errUnknownTopicOrPartition})
	if waited := time.Since(start); waited > patience/2 {
		t.Fatalf("got an answer after %v, want it at once", waited)
	}
}

func TestFirstBatchComesHoweverLargeItIs(t *testing.T) {
	r := serve(t)
	topic := r.topic("t", 2)
	for p := range 2 {
		r.write(topic, p, strings.Repeat("x", 50_000), "y")
	}
	q := fetchRequest("t", [16]byte{}, 0)
	second := q.Topics[0].Partitions[0]
	second.Partition = 1
	q.Topics[0].Partitions = append(q.Topics[0].Partitions, second)
	q.MaxBytes = 1000
	c := r.dial()
	got := map[string]int{}
	for range 4 {
		resp := ask[*kmsg.FetchResponse](c, 12, q)
		var sizes []int
		for _, p := range resp.Topics[0].Partitions {
			sizes = append(sizes, len(values(t, p.RecordBatches)))
		}
		got[fmt.Sprint(sizes)]++
	}
	// One batch of one partition, and each partition has its turn.
	same(t, "batches", got, map[string]int{"[1 0]": 2, "[0 1]": 2})
}

func TestPartitionLimitLeavesRoomForOthers(t *testing.T) {
	r := serve(t)
	topic := r.topic("t", 3)
	for p := range 3 {
		for range 5 {
			r.write(topic, p, strings.Repeat("x", 10_000))
		}
	}
	q := fetchRequest("t", [16]byte{}, 0)
	q.Topics[0].Partitions[0].PartitionMaxBytes = 25_000
	for p := range int32(2) {
		one := q.Topics[0].Partitions[0]
		one.Partition = p + 1
		q.Topics[0].Partitions = append(q.Topics[0].Partitions, one)
	}
	resp := ask[*kmsg.FetchResponse](r.dial(), 12, q)
	var got []int
	for _, p := range resp.Topics[0].Partitions {
		got = append(got, len(values(t, p.RecordBatches)))
	}
	same(t, "batches", got, []int{2, 2, 2})
}

func TestServerCapsAResponse(t *testing.T) {
	r := serve(t, func(c *Config) { c.Limits.FetchBytes = 30_000 })
	topic := r.topic("t", 1)
	for range 10 {
		r.write(topic, 0, strings.Repeat("x", 10_000))
	}
	q := fetchRequest("t", [16]byte{}, 0)
	q.MinBytes = 1 << 30 // capped as well, or this would wait
	q.MaxWaitMillis = int32(patience.Milliseconds())
	q.MaxBytes, q.Topics[0].Partitions[0].PartitionMaxBytes = 1<<30, 1<<30
	start := time.Now()
	got := fetched(r.dial(), 12, q)
	if n := len(got.RecordBatches); n > 30_000 || n < 20_000 {
		t.Fatalf("got %d bytes, want at most 30,000 and not much less", n)
	}
	if time.Since(start) > patience/2 {
		t.Fatal("got an answer late, want it at once: no more could have come")
	}
}

func TestFetchInsideABatchBeginsWithTheBatch(t *testing.T) {
	r := serve(t)
	r.topic("t", 1)
	c := r.dial()
	produced(c, "t", batch(t, "a", "b", "c"))
	got := fetched(c, 12, fetchRequest("t", [16]byte{}, 2))
	same(t, "values", values(t, got.RecordBatches), []string{"a", "b", "c"})
}

func TestZstdIsNotForOldClients(t *testing.T) {
	r := serve(t)
	r.topic("t", 1)
	rec := broker.Record{Value: []byte("a"), Time: recordTime(0)}
	raw, err := broker.EncodeBatch(nil, broker.Zstd, rec)
	if err != nil {
		t.Fatal(err)
	}
	c := r.dial()
	same(t, "produce", produced(c, "t", raw).ErrorCode, errNone)
	old := fetched(c, 9, fetchRequest("t", [16]byte{}, 0))
	same(t, "old", old.ErrorCode, errUnsupportedCompression)
	got := fetched(c, 10, fetchRequest("t", [16]byte{}, 0))
	same(t, "new", values(t, got.RecordBatches), []string{"a"})
}

func TestClientOfAnotherHistoryIsToldWhereItDiverges(t *testing.T) {
	r := serve(t)
	r.write(r.topic("t", 1), 0, "a", "b")
	q := fetchRequest("t", [16]byte{}, 2)
	q.MaxWaitMillis = 1
	q.Topics[0].Partitions[0].LastFetchedEpoch = 3
	got := fetched(r.dial(), 12, q)
	same(t, "divergence", got.DivergingEpoch, kmsg.FetchResponseTopicPartitionDivergingEpoch{
		Epoch: 0, EndOffset: 2,
	})
}

func TestSessionsAreNeverMade(t *testing.T) {
	r := serve(t)
	r.write(r.topic("t", 1), 0, "a")
	c := r.dial()
	for _, epoch := range []int32{0, -1} {
		q := fetchRequest("t", [16]byte{}, 0)
		q.SessionEpoch = epoch
		q.ForgottenTopics = append(q.ForgottenTopics, kmsg.FetchRequestForgottenTopic{
			Topic: "other", Partitions: []int32{1},
		})
		resp := ask[*kmsg.FetchResponse](c, 12, q)
		same(t, "session", resp.SessionID, int32(0))
		same(t, "values", values(t, resp.Topics[0].Partitions[0].RecordBatches), []string{"a"})
	}
}

func TestFetchOfNothingIsAnsweredAtOnce(t *testing.T) {
	r := serve(t)
	q := kmsg.NewPtrFetchRequest()
	q.MaxWaitMillis, q.MinBytes = int32(patience.Milliseconds()), 1
	start := time.Now()
	ask[*kmsg.FetchResponse](r.dial(), 12, q)
	if time.Since(start) > patience/2 {
		t.Fatal("got an answer late, want it at once")
	}
}

func TestManyBatchesAreFetchedWhole(t *testing.T) {
	r := serve(t)
	topic := r.topic("t", 1)
	var want []string
	for i := range 300 { // small ones are copied, large ones are not
		want = append(want, strings.Repeat("v", 1+i%7*1500)+fmt.Sprint(i))
	}
	for i, v := range want {
		rec := broker.Record{Value: []byte(v), Time: recordTime(i)}
		a, err := topic.Partition(0).Write(context.Background(), rec)
		if err != nil {
			t.Fatal(err)
		}
		if i == len(want)-1 {
			if err := a.Confirm.Wait(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := r.dial()
	var got []string
	for len(got) < len(want) {
		q := fetchRequest("t", [16]byte{}, int64(len(got)))
		q.MaxBytes, q.Topics[0].Partitions[0].PartitionMaxBytes = 200_000, 1<<20
		got = append(got, values(t, fetched(c, 12, q).RecordBatches)...)
	}
	if !slices.Equal(got, want) {
		t.Fatal("got other values than were written")
	}
}

// audience hears of deliveries.
type audience struct{ heard chan *broker.Delivered }

func (l *audience) Observe(e broker.Event) {
	if d, ok := e.(*broker.Delivered); ok {
		l.heard <- d
	}
}

func TestDeliveriesAreObserved(t *testing.T) {
	l := &audience{make(chan *broker.Delivered, 1)}
	r := serveObserved(t, l)
	topic := r.topic("t", 1)
	c := r.dial()
	produced(c, "t", batch(t, "a", "b", "c"))
	joined := joinAlone(c, 5, "g")
	sync := syncRequest("g", joined.MemberID, 1)
	sync.GroupAssignment[0].MemberAssignment = []byte{
		0, 0, 0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0,
	}
	ask[*kmsg.SyncGroupResponse](c, 3, sync)
	got := fetched(c, 12, fetchRequest("t", [16]byte{}, 1))
	same(t, "delivery", *<-l.heard, broker.Delivered{
		Partition: topic.Partition(0), From: 1, Count: 2, Bytes: len(got.RecordBatches),
		Client: "test-client", Group: "g",
	})
}
