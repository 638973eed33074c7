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
// Differences from Apache Kafka: below version 3 it closes the connection. So does a topic name
// of more than 249 bytes, where Kafka answers INVALID_TOPIC_EXCEPTION; Metadata, which clients ask
// first, answers it here as well. When the disk is nearly full producers get
// NOT_ENOUGH_REPLICAS, which they retry, and a throttle time. Transactional batches and ids are
// refused with TRANSACTIONAL_ID_AUTHORIZATION_FAILED.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxTopicName is the length of the longest legal name, in bytes.
const maxTopicName = 249

var errTopicName = errors.New("topic name is longer than any topic's")

// fullThrottle is how long a client is told to pause when the disk is nearly full.
const fullThrottle = time.Second

// produce reads a request as it arrives and appends each batch as soon as it is there: so a
// connection holds one batch at a time, and the disk has begun before the request is whole. A
// request that turns out to be broken has been appended up to there; it is not answered.
func (c *conn) produce(r *request) reply {
	p := producing{conn: c, request: r, in: c.in, resp: kmsg.NewPtrProduceResponse()}
	p.resp.Version = r.version
	p.head()
	p.array(p.topic)
	p.tags()
	switch {
	case p.in.err != nil:
		return hangUp{p.in.err}
	case p.acks == 0:
		return p.silent()
	}
	answer := r.promise(p.resp, p.open)
	answer.heavy = p.texts + partWeight*p.parts
	if p.timeout > 0 {
		answer.limit = r.arrived.Add(p.timeout)
	}
	return answer
}

// producing is one produce request being handled.
type producing struct {
	conn    *conn
	request *request
	in      *frames
	resp    *kmsg.ProduceResponse

	transaction bool
	acks        int16
	timeout     time.Duration
	open        []pledge
	parts       int
	texts       int  // bytes of names and messages in resp
	refused     code // of the last partition that was refused
}

func (p *producing) head() {
	if p.request.version >= 3 {
		if n := p.in.stringLen(p.request.flexible); n != -1 {
			p.transaction = true
			p.in.skip(n)
		}
	}
	p.acks = p.in.i16()
	p.timeout = time.Duration(p.in.i32()) * time.Millisecond
}

// array reads the elements of an array, of which the whole request may have a limited number.
func (p *producing) array(element func()) {
	n := p.in.longLen(p.request.flexible)
	if n < 0 && p.in.err == nil {
		p.in.err = errNull
	}
	for ; n > 0 && p.in.err == nil; n-- {
		element()
		if p.parts > p.conn.srv.config.Limits.Elements && p.in.err == nil {
			p.in.err = errTooMany
		}
	}
}

func (p *producing) tags() {
	if p.request.flexible {
		p.in.tags()
	}
}

func (p *producing) topic() {
	p.parts++
	out := kmsg.NewProduceResponseTopic()
	if p.request.version >= 13 {
		copy(out.TopicID[:], p.in.take(len(out.TopicID)))
	} else {
		out.Topic = p.name()
	}
	t, missing := p.find(&out)
	at := len(p.resp.Topics)
	p.resp.Topics = append(p.resp.Topics, out)
	p.array(func() { p.partition(t, missing, at) })
	p.tags()
}

// name reads a topic's name, which the response repeats. It takes none that no topic can have: a
// request is not held as a whole, so nothing else bounds what its names hold.
func (p *producing) name() string {
	n := p.in.stringLen(p.request.flexible)
	if n > maxTopicName && p.in.err == nil {
		p.in.err = errTopicName
	}
	p.texts += max(n, 0)
	return string(p.in.take(n))
}

// find returns the topic, or what is wrong with the whole of its part.
func (p *producing) find(out *kmsg.ProduceResponseTopic) (*broker.Topic, code) {
	switch {
	case p.request.version < 3:
		return nil, errUnsupportedVersion
	case p.acks < -1 || p.acks > 1:
		return nil, errInvalidRequiredAcks
	case p.transaction:
		return nil, errTransactionalID
	}
	if p.request.version >= 13 {
		t, err := p.conn.srv.topicByID(out.TopicID)
		if err != nil {
			return nil, errUnknownTopicID
		}
		return t, errNone
	}
	t, err := p.conn.srv.broker.Topic(p.conn.srv.config.Namespace, out.Topic)
	if err != nil {
		return nil, topicCode(out.Topic, err)
	}
	return t, errNone
}

// partition reads one batch and appends it, and adds what came of it to the response.
func (p *producing) partition(t *broker.Topic, missing code, topic int) {
	p.parts++
	res := kmsg.NewProduceResponseTopicPartition()
	res.Partition = p.in.i32()
	size := p.in.longLen(p.request.flexible)
	var confirm broker.Confirm
	if missing != errNone {
		p.in.skip(size)
		p.refuse(&res, missing, nil)
	} else {
		confirm = p.batch(t.Partition(int(res.Partition)), size, &res)
	}
	p.tags()
	out := &p.resp.Topics[topic]
	at := len(out.Partitions)
	out.Partitions = append(out.Partitions, res)
	if res.ErrorCode == errNone {
		p.open = append(p.open, pledge{confirm, func(c code) {
			p.refuse(&p.resp.Topics[topic].Partitions[at], c, nil)
		}})
	}
}

// batch appends one batch of size bytes. What cannot be accepted is not held.
func (p *producing) batch(
	part *broker.Partition, size int, res *kmsg.ProduceResponseTopicPartition,
) (confirm broker.Confirm) {
	switch {
	case part == nil:
		p.in.skip(size)
		p.refuse(res, errUnknownTopicOrPartition, nil)
		return confirm
	case size > pooledBuffer && size > part.Topic().Effective().BatchBytes:
		p.in.skip(size)
		p.refuse(res, errMessageTooLarge, text("the record batch is larger than the topic accepts"))
		return confirm
	}
	var raw []byte
	if size >= 0 {
		raw = p.in.take(size)
	}
	if p.in.err != nil {
		return confirm
	}
	if bad, why := checkBatch(raw, p.request.version); bad != errNone {
		p.refuse(res, bad, text(why))
		return confirm
	}
	done, err := part.Append(p.conn.ctx, raw)
	if err != nil {
		p.refuse(res, produceCode(err), sentence(err))
		return confirm
	}
	res.BaseOffset, res.LogStartOffset = int64(done.Base), int64(done.Start)
	if !done.Time.IsZero() {
		res.LogAppendTime = done.Time.UnixMilli()
	}
	return done.Confirm
}

// refuse sets a partition's error. Its message is not sent before version 8.
func (p *producing) refuse(res *kmsg.ProduceResponseTopicPartition, c code, why *string) {
	res.ErrorCode, res.ErrorMessage = c, why
	res.BaseOffset, res.LogAppendTime, res.LogStartOffset = -1, -1, -1
	p.refused = c
	p.texts += len(name(why))
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
