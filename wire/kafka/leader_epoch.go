package kafka

// OffsetForLeaderEpoch (key 23).
//
// Versions: 2 to 4.
//
// Behaviour: every record was written in epoch 0, whose end is the durable end. That is what a
// consumer asks after it has reconnected, to see whether records it has read are gone
// (KIP-320): sarama, franz-go, librdkafka and the Java client do.
//
// Differences from Apache Kafka: none that a client sees; there is one epoch.

import (
	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (c *conn) offsetForLeaderEpoch(r *request, q *kmsg.OffsetForLeaderEpochRequest) reply {
	resp := q.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	for i := range q.Topics {
		in := &q.Topics[i]
		t, err := c.srv.broker.Topic(c.srv.config.Namespace, in.Topic)
		out := kmsg.NewOffsetForLeaderEpochResponseTopic()
		out.Topic = in.Topic
		for j := range in.Partitions {
			out.Partitions = append(out.Partitions, epochEnd(t, codeOf(err), &in.Partitions[j]))
		}
		resp.Topics = append(resp.Topics, out)
	}
	return r.answer(resp)
}

func epochEnd(
	t *broker.Topic, missing code, in *kmsg.OffsetForLeaderEpochRequestTopicPartition,
) kmsg.OffsetForLeaderEpochResponseTopicPartition {
	out := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
	out.Partition = in.Partition
	if missing != errNone {
		out.ErrorCode = missing
		return out
	}
	part := t.Partition(int(in.Partition))
	if out.ErrorCode = checkPart(part, in.CurrentLeaderEpoch); out.ErrorCode != errNone {
		return out
	}
	// The answer to a later epoch is the last one that is known, with its end.
	if in.LeaderEpoch >= leaderEpoch {
		_, end := part.Bounds()
		out.LeaderEpoch, out.EndOffset = leaderEpoch, int64(end)
	}
	return out
}
