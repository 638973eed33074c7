package kafka

// DeleteRecords (key 21).
//
// Versions: 0 to 2.
//
// Behaviour: the records before the offset, or all of them for -1, are gone for every reader
// when the response is sent; low_watermark is the new log start, which survives a restart. An
// offset below the log start changes nothing. Beyond the end it is OFFSET_OUT_OF_RANGE.
//
// Differences from Apache Kafka: none that a client sees.

import (
	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (c *conn) deleteRecords(r *request, q *kmsg.DeleteRecordsRequest) reply {
	resp := q.ResponseKind().(*kmsg.DeleteRecordsResponse)
	for i := range q.Topics {
		in := &q.Topics[i]
		t, err := c.srv.broker.Topic(c.srv.config.Namespace, in.Topic)
		out := kmsg.NewDeleteRecordsResponseTopic()
		out.Topic = in.Topic
		for j := range in.Partitions {
			p := kmsg.NewDeleteRecordsResponseTopicPartition()
			p.Partition, p.LowWatermark = in.Partitions[j].Partition, -1
			if p.ErrorCode = codeOf(err); err == nil {
				low, err := c.trim(t.Partition(int(p.Partition)), in.Partitions[j].Offset)
				p.LowWatermark, p.ErrorCode = low, codeOf(err)
			}
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return r.answer(resp)
}

// trim deletes what is before an offset and returns the new start, -1 with an error.
func (c *conn) trim(p *broker.Partition, to int64) (int64, error) {
	if p == nil {
		return -1, &broker.Error{Kind: broker.NotFound, Op: "delete records"}
	}
	start, err := p.Trim(c.ctx, broker.Offset(to))
	if err != nil {
		return -1, err
	}
	return int64(start), nil
}
