package kafka

// Produce (key 0).
//
// Versions: 3 to 13. Versions 0 to 2 are advertised, because librdkafka before 2.8 stops
// compressing where they are not, and answered with UNSUPPORTED_VERSION (KAFKA-18659).
//
// Behaviour: exactly one record batch of magic 2 for each partition, appended as it came. The
// response waits until all of them are on disk; acks=1 means the same as acks=-1, since there
// is one node. acks=0 has no response, and an error closes the connection, so that the client
// asks for metadata again. Repeated batches of an idempotent producer are answered with the
// original's offset. A batch that is not on disk within the request's timeout is answered with
// REQUEST_TIMED_OUT; it may still be written.
//
// Differences from Apache Kafka: below version 3 it closes the connection. When the disk is
// nearly full producers get NOT_ENOUGH_REPLICAS, which they retry, and a throttle time.
// Transactional batches and ids are refused with TRANSACTIONAL_ID_AUTHORIZATION_FAILED.

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fullThrottle is how long a client is told to pause when the disk is nearly full.
const fullThrottle = time.Second

func (c *conn) produce(r *request, q *kmsg.ProduceRequest) reply {
	resp := q.ResponseKind().(*kmsg.ProduceResponse)
	p := producing{conn: c, request: r, query: q, resp: resp}
	p.all()
	if q.Acks == 0 {
		return p.silent()
	}
	answer := r.promise(resp, p.open)
	answer.heavy = partWeight * p.parts
	if q.TimeoutMillis > 0 {
		answer.limit = r.arrived.Add(time.Duration(q.TimeoutMillis) * time.Millisecond)
	}
	return answer
}

// producing is one produce request being handled.
type producing struct {
	conn    *conn
	request *request
	query   *kmsg.ProduceRequest
	resp    *kmsg.ProduceResponse
	open    []pledge
	parts   int
	refused code // of the last partition that was refused
}

func (p *producing) all() {
	p.resp.Topics = make([]kmsg.ProduceResponseTopic, len(p.query.Topics))
	for i := range p.query.Topics {
		in, out := &p.query.Topics[i], &p.resp.Topics[i]
		out.Topic, out.TopicID = in.Topic, in.TopicID
		p.topic(in, out)
	}
}

func (p *producing) topic(in *kmsg.ProduceRequestTopic, out *kmsg.ProduceResponseTopic) {
	t, missing := p.find(in)
	out.Partitions = make([]kmsg.ProduceResponseTopicPartition, len(in.Partitions))
	for i := range in.Partitions {
		out.Partitions[i] = kmsg.NewProduceResponseTopicPartition()
		res := &out.Partitions[i]
		res.Partition, res.BaseOffset = in.Partitions[i].Partition, -1
		p.parts++
		if missing != errNone {
			p.refuse(res, missing, nil)
			continue
		}
		p.partition(t, in.Partitions[i].Records, res)
	}
}

// find returns the topic, or what is wrong with the whole of its part.
func (p *producing) find(in *kmsg.ProduceRequestTopic) (*broker.Topic, code) {
	q := p.query
	switch {
	case q.Version < 3:
		return nil, errUnsupportedVersion
	case q.Acks < -1 || q.Acks > 1:
		return nil, errInvalidRequiredAcks
	case q.TransactionID != nil:
		return nil, errTransactionalID
	}
	if q.Version >= 13 {
		t, err := p.conn.srv.topicByID(in.TopicID)
		if err != nil {
			return nil, errUnknownTopicID
		}
		return t, errNone
	}
	t, err := p.conn.srv.broker.Topic(p.conn.srv.config.Namespace, in.Topic)
	if err != nil {
		return nil, topicCode(in.Topic, err)
	}
	return t, errNone
}

// partition appends one batch.
func (p *producing) partition(
	t *broker.Topic, raw []byte, res *kmsg.ProduceResponseTopicPartition,
) {
	part := t.Partition(int(res.Partition))
	if part == nil {
		p.refuse(res, errUnknownTopicOrPartition, nil)
		return
	}
	if bad, why := checkBatch(raw, p.query.Version); bad != errNone {
		p.refuse(res, bad, text(why))
		return
	}
	done, err := part.Append(p.conn.ctx, raw)
	if err != nil {
		p.refuse(res, produceCode(err), sentence(err))
		return
	}
	res.BaseOffset, res.LogStartOffset = int64(done.Base), int64(done.Start)
	if !done.Time.IsZero() {
		res.LogAppendTime = done.Time.UnixMilli()
	}
	p.open = append(p.open, pledge{done.Confirm, func(c code) { p.refuse(res, c, nil) }})
}

// refuse sets a partition's error. Its message is not sent before version 8.
func (p *producing) refuse(res *kmsg.ProduceResponseTopicPartition, c code, why *string) {
	res.ErrorCode, res.ErrorMessage = c, why
	res.BaseOffset, res.LogAppendTime, res.LogStartOffset = -1, -1, -1
	p.refused = c
	if c == errNotEnoughReplicas {
		p.resp.ThrottleMillis = int32(fullThrottle.Milliseconds())
	}
}

// silent ends a request with acks=0.
func (p *producing) silent() reply {
	if p.refused != errNone {
		return hangUp{refusedSilently(p.refused)}
	}
	return nil
}

type refusedSilently code

func (e refusedSilently) Error() string {
	return fmt.Sprintf("produce with acks=0 refused with error %d", code(e))
}

// Bytes of a record batch that are looked at here; the engine checks the rest.
const (
	batchLengthAt = 8 // after which the length counts
	batchHead     = 12
	magicAt       = 16
	attributesAt  = 21
	batchOverhead = 61
	codecBits     = 0x07
	zstdCodec     = 4
	transactional = 0x10
)

// checkBatch says what is wrong with the batches of one partition, as far as the protocol and
// not the log is concerned.
func checkBatch(raw []byte, version int16) (code, string) {
	if len(raw) == 0 {
		return errInvalidRecord, "a produce request needs one record batch for each partition"
	}
	if len(raw) <= magicAt {
		return errCorruptMessage, "record batch ends early"
	}
	if raw[magicAt] != 2 {
		return errInvalidRecord, "only record batches of magic 2 are accepted"
	}
	if len(raw) < batchOverhead {
		return errCorruptMessage, "record batch ends early"
	}
	length := int(int32(binary.BigEndian.Uint32(raw[batchLengthAt:])))
	if length > 0 && batchHead+length < len(raw) {
		return errInvalidRecord, "a produce request has exactly one record batch for each partition"
	}
	attributes := binary.BigEndian.Uint16(raw[attributesAt:])
	if attributes&transactional != 0 {
		return errTransactionalID, "transactions are not served"
	}
	if version < 7 && attributes&codecBits == zstdCodec {
		return errUnsupportedCompression, "zstd needs version 7 of Produce"
	}
	return errNone, ""
}
