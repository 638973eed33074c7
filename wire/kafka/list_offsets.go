package kafka

// ListOffsets (key 2).
//
// Versions: 0 to 11. Version 0, which Kafka 4 has given up, is what kafkajs still sends.
//
// Behaviour: latest (-1) is the durable end, earliest (-2) the log start, which moves with
// DeleteRecords and retention, -3 the record with the greatest time (version 7), -4 the
// earliest local record, which is the log start (8). A time finds the first record at or after
// it, inside its batch; none is offset -1, time -1, no error.
//
// Differences from Apache Kafka: there is no tiered storage, so -5 (version 9) and -6 (11) are
// answered with offset -1, as Kafka does without it. In version 0 a time is answered with the
// one offset that version 1 would give, not with a list of segments.

import (
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The times with a meaning, and the first version that knows each.
const (
	timeLatest        = -1
	timeEarliest      = -2
	timeGreatest      = -3
	timeEarliestLocal = -4
	timeLatestTiered  = -5
	timeNextUpload    = -6
)

var specialTimes = map[int64]int16{
	timeLatest: 0, timeEarliest: 0, timeGreatest: 7,
	timeEarliestLocal: 8, timeLatestTiered: 9, timeNextUpload: 11,
}

func (c *conn) listOffsets(r *request, q *kmsg.ListOffsetsRequest) reply {
	resp := q.ResponseKind().(*kmsg.ListOffsetsResponse)
	repeated := repeatedPartitions(q)
	for i := range q.Topics {
		in := &q.Topics[i]
		t, err := c.srv.broker.Topic(c.srv.config.Namespace, in.Topic)
		out := kmsg.NewListOffsetsResponseTopic()
		out.Topic = in.Topic
		for j := range in.Partitions {
			p := &in.Partitions[j]
			if repeated[partitionName{in.Topic, p.Partition}] > 1 {
				out.Partitions = append(out.Partitions, noOffset(p.Partition, errInvalidRequest))
				continue
			}
			out.Partitions = append(out.Partitions, listOffset(t, codeOf(err), p, q.Version))
		}
		resp.Topics = append(resp.Topics, out)
	}
	return r.answer(resp)
}

// partitionName names a partition across the topics of a request.
type partitionName struct {
	topic string
	index int32
}

func repeatedPartitions(q *kmsg.ListOffsetsRequest) map[partitionName]int {
	n := make(map[partitionName]int)
	for i := range q.Topics {
		for j := range q.Topics[i].Partitions {
			n[partitionName{q.Topics[i].Topic, q.Topics[i].Partitions[j].Partition}]++
		}
	}
	return n
}

func noOffset(partition int32, c code) kmsg.ListOffsetsResponseTopicPartition {
	out := kmsg.NewListOffsetsResponseTopicPartition()
	out.Partition, out.ErrorCode = partition, c
	return out
}

func listOffset(
	t *broker.Topic, missing code, in *kmsg.ListOffsetsRequestTopicPartition, version int16,
) kmsg.ListOffsetsResponseTopicPartition {
	if missing != errNone {
		return noOffset(in.Partition, missing)
	}
	part := t.Partition(int(in.Partition))
	if bad := checkPart(part, in.CurrentLeaderEpoch); bad != errNone {
		return noOffset(in.Partition, bad)
	}
	if first, known := specialTimes[in.Timestamp]; in.Timestamp < 0 && (!known || version < first) {
		return noOffset(in.Partition, errUnsupportedVersion)
	}
	off, at, err := offsetFor(part, in.Timestamp)
	if err != nil {
		return noOffset(in.Partition, codeOf(err))
	}
	out := noOffset(in.Partition, errNone)
	out.Offset, out.Timestamp = off, at
	if off >= 0 {
		out.LeaderEpoch = leaderEpoch
		if in.MaxNumOffsets > 0 {
			out.OldStyleOffsets = []int64{off}
		}
	}
	return out
}

// offsetFor returns the offset that a time stands for, and that record's time in milliseconds,
// each -1 where there is none.
func offsetFor(p *broker.Partition, t int64) (off, at int64, err error) {
	start, end := p.Bounds()
	switch t {
	case timeLatest:
		return int64(end), -1, nil
	case timeEarliest, timeEarliestLocal:
		return int64(start), -1, nil
	case timeLatestTiered, timeNextUpload:
		return -1, -1, nil
	case timeGreatest:
		return found(p.Latest())
	default:
		return found(p.OffsetAt(time.UnixMilli(t)))
	}
}

func found(off broker.Offset, at time.Time, ok bool, err error) (int64, int64, error) {
	if err != nil || !ok {
		return -1, -1, err
	}
	return int64(off), at.UnixMilli(), nil
}
