package kafka

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// idempotent stamps a batch with a producer's id, epoch and sequence.
func idempotent(raw []byte, id int64, epoch int16, sequence int32) []byte {
	binary.BigEndian.PutUint64(raw[43:], uint64(id))
	binary.BigEndian.PutUint16(raw[51:], uint16(epoch))
	binary.BigEndian.PutUint32(raw[53:], uint32(sequence))
	return seal(raw)
}

// produced sends one batch to partition 0 and returns its answer.
func produced(c *client, topic string, raw []byte) kmsg.ProduceResponseTopicPartition {
	c.t.Helper()
	q := produceRequest(topic, [16]byte{}, raw)
	return ask[*kmsg.ProduceResponse](c, 9, q).Topics[0].Partitions[0]
}

func TestRepeatedBatchIsAnsweredWithTheOriginalsOffset(t *testing.T) {
	r := serve(t)
	topic := r.topic("t", 1)
	c := r.dial()
	id := ask[*kmsg.InitProducerIDResponse](c, 4, kmsg.NewPtrInitProducerIDRequest()).ProducerID
	first := idempotent(batch(t, "a", "b"), id, 0, 0)
	second := idempotent(batch(t, "c"), id, 0, 2)
	for i, want := range []int64{0, 2, 0, 2, 0} {
		raw := first
		if want == 2 {
			raw = second
		}
		got := produced(c, "t", append([]byte(nil), raw...))
		same(t, "error", got.ErrorCode, errNone)
		same(t, "offset", got.BaseOffset, want)
		if _, end := topic.Partition(0).Bounds(); i > 0 && end != 3 {
			t.Fatalf("got end %d, want 3: nothing is written twice", end)
		}
	}
	gap := produced(c, "t", idempotent(batch(t, "x"), id, 0, 7))
	same(t, "gap", gap.ErrorCode, errOutOfOrderSequence)
	newer := produced(c, "t", idempotent(batch(t, "d"), id, 1, 0))
	same(t, "newer epoch", newer.ErrorCode, errNone)
	older := produced(c, "t", idempotent(batch(t, "x"), id, 0, 3))
	same(t, "older epoch", older.ErrorCode, errInvalidProducerEpoch)
}

func TestProduceTellsTheBrokersTime(t *testing.T) {
	r := serve(t)
	r.topic("t", 1, func(c *broker.TopicConfig) { c.AppendTime = true })
	before := time.Now().UnixMilli()
	got := produced(r.dial(), "t", batch(t, "a"))
	if got.LogAppendTime < before || got.LogAppendTime > time.Now().UnixMilli() {
		t.Fatalf("got append time %d, want about %d", got.LogAppendTime, before)
	}
}

func TestProduceTellsTheLogStart(t *testing.T) {
	r := serve(t)
	r.write(r.topic("t", 1), 0, "a", "b", "c")
	c := r.dial()
	c.do(versioned(2, trimWrong("t", 0, 2)(nil)))
	got := produced(c, "t", batch(t, "d"))
	same(t, "offsets", []int64{got.BaseOffset, got.LogStartOffset}, []int64{3, 2})
}

func TestOnePartitionsErrorIsItsOwn(t *testing.T) {
	r := serve(t)
	r.topic("t", 2)
	q := produceRequest("t", [16]byte{}, batch(t, "a"))
	part := q.Topics[0].Partitions[0]
	bad, absent, good := part, part, part
	bad.Records = append([]byte(nil), bad.Records...)
	bad.Records[len(bad.Records)-2]++
	absent.Partition, good.Partition = 7, 1
	q.Topics[0].Partitions = append(q.Topics[0].Partitions, bad, absent, good)
	resp := ask[*kmsg.ProduceResponse](r.dial(), 9, q)
	var got []code
	for _, p := range resp.Topics[0].Partitions {
		got = append(got, p.ErrorCode)
		if (p.ErrorCode == errCorruptMessage) != (p.ErrorMessage != nil && *p.ErrorMessage != "") {
			t.Errorf("partition %d: got message %v for error %d",
				p.Partition, p.ErrorMessage, p.ErrorCode)
		}
	}
	same(t, "codes", got, []code{0, errCorruptMessage, errUnknownTopicOrPartition, 0})
}

// faulty is a rig whose disk can be made to fail.
func faulty(t *testing.T) (*rig, *vfs.Faulty) {
	t.Helper()
	disk := vfs.NewMem()
	fs := vfs.NewFaulty(disk)
	return serveOn(t, disk, openBroker(t, fs)), fs
}

func TestProduceIsNotConfirmedWhenTheDiskFails(t *testing.T) {
	r, disk := faulty(t)
	r.topic("t", 1)
	r.topic("u", 1)
	c := r.dial()
	same(t, "before", produced(c, "t", batch(t, "a")).ErrorCode, errNone)
	disk.FailFrom(vfs.OpWrite, 1, nil)
	disk.FailFrom(vfs.OpSync, 1, nil)
	same(t, "failing", produced(c, "t", batch(t, "b")).ErrorCode, errStorage)
	same(t, "failed", produced(c, "u", batch(t, "c")).ErrorCode, errStorage)
	commit := ask[*kmsg.OffsetCommitResponse](c, 8, commitRequest("g", "t", [16]byte{}, 1))
	same(t, "commit", commit.Topics[0].Partitions[0].ErrorCode, errCoordinatorNotAvailable)
	same(t, "end", endOfPartition(r, "t"), int64(1))
}

func endOfPartition(r *rig, topic string) int64 {
	t, err := r.broker.Topic("", topic)
	if err != nil {
		r.t.Fatal(err)
	}
	_, end := t.Partition(0).Bounds()
	return int64(end)
}

func TestProduceTimesOutWhenTheDiskIsSlow(t *testing.T) {
	r, disk := faulty(t)
	r.topic("t", 1)
	c := r.dial()
	disk.Delay(vfs.OpWrite, 300*time.Millisecond)
	disk.Delay(vfs.OpSync, 300*time.Millisecond)
	q := produceRequest("t", [16]byte{}, batch(t, "a"))
	q.TimeoutMillis = 20
	resp := ask[*kmsg.ProduceResponse](c, 9, q)
	same(t, "code", resp.Topics[0].Partitions[0].ErrorCode, errRequestTimedOut)
	disk.Heal()
	// It was written all the same, and the connection goes on.
	waitFor(t, func() bool { return endOfPartition(r, "t") == 1 })
	same(t, "next", produced(c, "t", batch(t, "b")).BaseOffset, int64(1))
}

func TestEveryKindOfErrorHasACode(t *testing.T) {
	for _, k := range broker.Kinds() {
		c, ok := kindCodes[k]
		if !ok || c == errNone {
			t.Errorf("%v has no code", k)
		}
		err := &broker.Error{Kind: k, Op: "test"}
		if got := produceCode(err); got == errNone || got == errUnknownServerError {
			t.Errorf("%v: got code %d for a produce", k, got)
		}
	}
	same(t, "nil", codeOf(nil), errNone)
	same(t, "foreign", codeOf(errShort), errUnknownServerError)
}
