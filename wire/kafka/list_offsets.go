package kafka

// ListOffsets (key 2).
//
// Versions: 0 to 11. Version 0, which Kafka 4 has given up, is what kafkajs still sends.
//
// Behaviour: latest (-1) is the durable end, earliest (-2) the log start, which moves with
// DeleteRecords and retention, -3 the record with the greatest time (version 7), -4 the
// earliest local record, which is the log start (8). A time finds the first record at or after
// it, inside its batch; none is offset -1, time -1, no error. Searches end with their connection,
// and share room for two decoded batches.
//
// Differences from Apache Kafka: there is no tiered storage, so -5 (version 9) and -6 (11) are
// answered with offset -1, as Kafka does without it. In version 0 a time is answered with the
// one offset that version 1 would give, not with a list of segments.

import (
	"context"
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
	s := &seeking{promise: r.promise(resp, nil)}
	for i := range q.Topics {
		in := &q.Topics[i]
		t, err := c.srv.broker.Topic(c.srv.config.Namespace, in.Topic)
		out := kmsg.NewListOffsetsResponseTopic()
		out.Topic = in.Topic
		out.Partitions = make([]kmsg.ListOffsetsResponseTopicPartition, len(in.Partitions))
		for j := range in.Partitions {
			p := &in.Partitions[j]
			if repeated[partitionName{in.Topic, p.Partition}] > 1 {
				out.Partitions[j] = noOffset(p.Partition, errInvalidRequest)
				continue
			}
			one := seek{in: p, out: &out.Partitions[j]}
			*one.out = listOffset(t, codeOf(err), &one, q.Version)
			if one.part != nil {
				s.left = append(s.left, one)
			}
		}
		resp.Topics = append(resp.Topics, out)
	}
	if len(s.left) == 0 {
		return r.answer(resp)
	}
	s.heavy += partWeight * len(repeated)
	return s
}

// seeking is a request with times that have to be searched for, which may take long. The write
// loop does it, when nothing is in front of it any more: so the read loop notices a client that
// leaves, which ends the search.
type seeking struct {
	*promise
	left []seek
}

// seek is one search that is not done.
type seek struct {
	in   *kmsg.ListOffsetsRequestTopicPartition
	part *broker.Partition
	out  *kmsg.ListOffsetsResponseTopicPartition
}

func (s *seeking) ready() bool { return len(s.left) == 0 }

func (s *seeking) await(w *waiting) bool {
	for ; len(s.left) > 0; s.left = s.left[1:] {
		s.left[0].run(w.ctx)
		if w.ctx.Err() != nil {
			return false
		}
	}
	return true
}

func (s *seek) run(ctx context.Context) {
	var off, at int64
	var err error
	if s.in.Timestamp == timeGreatest {
		off, at, err = found(s.part.Latest(ctx))
	} else {
		off, at, err = found(s.part.OffsetAt(ctx, time.UnixMilli(s.in.Timestamp)))
	}
	if err != nil {
		*s.out = noOffset(s.in.Partition, codeOf(err))
		return
	}
	*s.out = withOffset(s.in, off, at)
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

func withOffset(
	in *kmsg.ListOffsetsRequestTopicPartition, off, at int64,
) kmsg.ListOffsetsResponseTopicPartition {
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

// listOffset answers for one partition, or sets the partition in which to search for the answer.
func listOffset(
	t *broker.Topic, missing code, s *seek, version int16,
) kmsg.ListOffsetsResponseTopicPartition {
	in := s.in
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
	start, end := part.Bounds()
	switch in.Timestamp {
	case timeLatest:
		return withOffset(in, int64(end), -1)
	case timeEarliest, timeEarliestLocal:
		return withOffset(in, int64(start), -1)
	case timeLatestTiered, timeNextUpload:
		return withOffset(in, -1, -1)
	}
	s.part = part
	return noOffset(in.Partition, errNone)
}

// found is an offset and its record's time in milliseconds, each -1 where there is none.
func found(off broker.Offset, at time.Time, ok bool, err error) (int64, int64, error) {
	if err != nil || !ok {
		return -1, -1, err
	}
	return int64(off), at.UnixMilli(), nil
}
