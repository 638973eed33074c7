package amqp

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// Topics are streams: queues of type stream, whose consumers take nothing from each other. Every
// topic of the namespace is one, whoever made it, unless a queue has its name.

// find returns the queue that a method names, or where there is none the topic.
func (ch *channel) find(name string) (q *broker.Queue, t *broker.Topic, err error) {
	if name, err = ch.queueName(name); err != nil {
		return nil, nil, err
	}
	if ch.kindOf(name) == broker.KindTopic {
		if t, err := ch.c.s.broker.Topic(ch.c.namespace, name); err == nil {
			return nil, t, nil
		}
	}
	q, err = ch.queue(name)
	return q, nil, err
}

// kindOf says what a client means by the name of a queue.
func (ch *channel) kindOf(name string) broker.Kind {
	b := ch.c.s.broker
	if _, err := b.Queue(ch.c.namespace, name); err == nil {
		return broker.KindQueue
	}
	if _, err := b.Topic(ch.c.namespace, name); err == nil {
		return broker.KindTopic
	}
	return broker.KindQueue
}

// IsStream says that a queue's arguments ask for a stream.
func IsStream(args broker.Args) bool {
	kind, _, _ := args.Text("x-queue-type")
	return kind == "stream"
}

// StreamArgs are the arguments of a topic as a stream. One that a Kafka client made has no others.
func StreamArgs(t *broker.Topic) broker.Args {
	if args := t.Args(); len(args) > 0 {
		return args
	}
	return broker.Args{{Name: "x-queue-type", Value: "stream"}}
}

// Messages is how many records a topic has.
func Messages(t *broker.Topic) (n int64) {
	for i := range t.Partitions() {
		start, end := t.Partition(i).Bounds()
		n += int64(end - start)
	}
	return n
}

func (ch *channel) declareStream(m *queueDeclare, args broker.Args) error {
	name := ch.queueNamed(m.queue)
	b := ch.c.s.broker
	if t, err := b.Topic(name.Namespace, name.Name); err == nil {
		return ch.redeclareStream(m, t, args)
	}
	config, err := ch.streamConfig(m, args)
	if err != nil {
		return err
	}
	t, err := b.CreateTopic(ch.c.ctx, broker.TopicSpec{Namespace: name.Namespace, Name: name.Name,
		Config: config, Args: args})
	if errors.Is(err, broker.Exists) { // someone was faster
		if t, err = b.Topic(name.Namespace, name.Name); err == nil {
			return ch.redeclareStream(m, t, args)
		}
	}
	if err != nil {
		return failed(err)
	}
	return ch.declaredStream(m, t)
}

func (ch *channel) redeclareStream(m *queueDeclare, t *broker.Topic, args broker.Args) error {
	name := ch.queueNamed(t.Name().Name)
	switch {
	case m.exclusive:
		return locked(name)
	case !m.durable:
		return inequivalent("durable", "queue", name, false, true)
	case m.autoDelete:
		return inequivalent("auto_delete", "queue", name, true, false)
	}
	if err := sameArgs("queue", name, StreamArgs(t), args, streamArgs); err != nil {
		return err
	}
	if err := ch.c.s.broker.AwaitCatalog(ch.c.ctx); err != nil {
		return failed(err)
	}
	return ch.declaredStream(m, t)
}

func (ch *channel) declaredStream(m *queueDeclare, t *broker.Topic) error {
	ch.lastQueue = t.Name().Name
	return ch.answerUnless(m.noWait, &queueDeclareOk{queue: ch.lastQueue,
		messageCount: uint32(min(Messages(t), math.MaxUint32)), consumerCount: uint32(t.Followers())})
}

func (ch *channel) deleteStream(m *queueDelete, t *broker.Topic) error {
	n, name := Messages(t), ch.queueNamed(t.Name().Name)
	switch {
	case m.ifUnused && t.Followers() > 0:
		return errorf(replyPreconditionFailed, "queue %s in use", inVhost(name))
	case m.ifEmpty && n > 0:
		return errorf(replyPreconditionFailed, "queue %s not empty", inVhost(name))
	}
	own := ch.c.out.detach(t)
	err := ch.c.s.broker.DeleteTopicByID(ch.c.ctx, t.ID())
	defer ch.c.out.attach(own) // they hear that the stream is gone behind delete-ok
	if err != nil && !errors.Is(err, broker.NotFound) {
		return failed(err)
	}
	return ch.answerUnless(m.noWait, &queueDeleteOk{messageCount: uint32(min(n, math.MaxUint32))})
}

// streamArgs are those that a redeclaration of a stream must repeat.
var streamArgs = []string{"x-queue-type", "x-max-length-bytes", "x-max-age",
	"x-stream-max-segment-size-bytes", "x-initial-cluster-size", "x-queue-leader-locator"}

// notOfStreams are the arguments that mean something to other types of queues only.
var notOfStreams = []string{"x-expires", "x-message-ttl", "x-dead-letter-exchange",
	"x-dead-letter-routing-key", "x-dead-letter-strategy", "x-max-length", "x-max-in-memory-length", "x-max-in-memory-bytes",
	"x-max-priority", "x-overflow", "x-queue-mode", "x-queue-version", "x-single-active-consumer",
	"x-quorum-initial-group-size", "x-delivery-limit"}

func notOfStream(arg string, queue broker.Name) error {
	return errorf(replyPreconditionFailed, "invalid arg '%s' for queue %s of queue type rabbit_stream_queue",
		arg, inVhost(queue))
}

// noGet: messages of a stream are not taken out.
func noGet(t *broker.Topic) error {
	return errorf(replyNotImplemented, "basic.get not supported by stream queues queue %s", inVhost(t.Name()))
}

// maxSegmentBytes is RabbitMQ's largest segment of a stream.
const maxSegmentBytes = 3_000_000_000

// streamConfig reads the arguments of a stream to be. What it does not read is kept and shown.
func (ch *channel) streamConfig(m *queueDeclare, args broker.Args) (c broker.TopicConfig, err error) {
	s := settings{queue: ch.queueNamed(m.queue), args: args}
	for _, arg := range notOfStreams {
		if _, set := args.Get(arg); set {
			return c, notOfStream(arg, s.queue)
		}
	}
	for _, x := range []struct {
		wrong bool
		name  string
	}{{m.autoDelete, "auto-delete"}, {m.exclusive, "exclusive-owner"}, {!m.durable, "non-durable"}} {
		if x.wrong {
			return c, errorf(replyPreconditionFailed, "invalid property '%s' for queue %s", x.name, inVhost(s.queue))
		}
	}
	// Without arguments RabbitMQ keeps all, and a message is as large as any.
	c = broker.TopicConfig{RetentionTime: broker.Forever, RetentionBytes: -1,
		BatchBytes: int(min(ch.c.s.config.Limits.MessageBytes+streamRecordBytes, math.MaxInt32))}
	if n := s.number("x-max-length-bytes", 0, math.MaxInt64); n != nil {
		c.RetentionBytes = max(*n, 1)
	}
	if n := s.number("x-stream-max-segment-size-bytes", 0, math.MaxInt64); n != nil {
		if *n > maxSegmentBytes {
			return c, errorf(replyPreconditionFailed, "Exceeded max value for x-stream-max-segment-size-bytes")
		}
		c.SegmentBytes = *n
	}
	if text, ok := s.text("x-max-age"); ok {
		if c.RetentionTime, ok = parseAge(text); !ok {
			s.wrong("x-max-age", "invalid_max_age")
		}
	}
	s.number(timeoutArg, 1, maxMillis) // consumers ask for it
	return c, s.err
}

// streamRecordBytes is what a record of a stream may have beside the body of its message.
const streamRecordBytes = 1 << 20

// units are those of RabbitMQ's ages.
var units = map[string]time.Duration{"Y": 365 * 24 * time.Hour, "M": 30 * 24 * time.Hour, "D": 24 * time.Hour,
	"h": time.Hour, "m": time.Minute, "s": time.Second}

// parseAge reads "7D" or "1h".
func parseAge(text string) (time.Duration, bool) {
	digits := strings.TrimRight(text, "YMDhms")
	n, err := strconv.ParseUint(digits, 10, 63)
	unit := units[text[len(digits):]]
	if err != nil || unit == 0 || n == 0 || n > uint64(math.MaxInt64/unit) {
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// streamSource follows a topic.
type streamSource struct {
	x     *consumer
	f     *broker.Follower
	room  []broker.Followed // the write loop's
	limit int               // of the properties of a message, which are one frame
}

// follow begins to consume a stream.
func (x *consumer) follow(m *basicConsume, t *broker.Topic) (err error) {
	ch, name := x.ch, inVhost(t.Name())
	switch {
	case ch.prefetch == 0:
		return errorf(replyPreconditionFailed, "consumer prefetch count is not set for stream queue %s", name)
	case m.noAck:
		return errorf(replyNotImplemented, "automatic acknowledgement not supported by stream queue %s", name)
	}
	if x.timeout, err = ch.timeoutOf(t.Name(), StreamArgs(t), m.arguments); err != nil {
		return err
	}
	o, err := followOptions(t, toArgs(m.arguments))
	if err != nil {
		return err
	}
	o.Wake, o.Credits = ch.c.out.wake, []*broker.Credit{&x.credit, &ch.credit}
	f, err := t.Follow(ch.c.ctx, o)
	switch {
	case errors.Is(err, broker.NotFound):
		return noQueue(t.Name())
	case err != nil:
		return failed(err)
	}
	x.src = &streamSource{x: x, f: f, limit: int(ch.c.frameMax) - streamFrameBytes}
	return nil
}

// streamFrameBytes is what a content header has beside the properties and headers of a record: its
// frame, and what the crossing adds.
const streamFrameBytes = 1 << 10

func followOptions(t *broker.Topic, args broker.Args) (o broker.FollowOptions, err error) {
	s := settings{queue: t.Name(), args: args}
	if _, set := args.Get("x-priority"); set {
		return o, notOfStream("x-priority", t.Name())
	}
	o.Partition = broker.EveryPartition
	if n := s.number("x-stream-partition", 0, int64(t.Partitions())-1); n != nil {
		o.Partition = int(*n)
	}
	o.From = s.start(o.Partition == broker.EveryPartition && t.Partitions() > 1)
	return o, s.err
}

// start reads x-stream-offset. One that is a number means nothing in several partitions.
func (s *settings) start(several bool) broker.Start {
	const arg = "x-stream-offset"
	v, set := s.args.Get(arg)
	if !set {
		return broker.FromNext
	}
	switch v := v.(type) {
	case string:
		return s.namedStart(v)
	case time.Time:
		return broker.FromTime(v)
	}
	if several {
		s.wrong(arg, "it is an offset of one partition: name that in x-stream-partition")
	}
	if n := s.number(arg, 0, math.MaxInt64); n != nil {
		return broker.FromOffset(broker.Offset(*n))
	}
	return broker.FromNext
}

func (s *settings) namedStart(text string) broker.Start {
	switch text {
	case "first":
		return broker.FromFirst
	case "last":
		return broker.FromLast
	case "next":
		return broker.FromNext
	}
	age, ok := parseAge(text)
	if !ok {
		s.wrong("x-stream-offset", fmt.Sprintf("'%s' is not first, last, next or an age as 1h", text))
	}
	return broker.FromTime(time.Now().Add(-age))
}

func (s *streamSource) of() any { return s.f.Topic() }

func (s *streamSource) name() broker.Name { return s.f.Topic().Name() }

func (s *streamSource) take(dst []broker.Delivery, max int) ([]broker.Delivery, error) {
	got, err := s.f.Take(s.room[:0], max)
	several := s.f.Topic().Partitions() > 1
	for i := range got {
		more := Table{{"x-stream-offset", int64(got[i].Record.Offset)}}
		if several {
			more = append(more, Field{"x-stream-partition", int64(got[i].Partition)})
		}
		dst = append(dst, broker.Delivery{Record: fromTopic(&got[i].Record, s.limit, more)})
	}
	clear(got)
	s.room = got[:0]
	return dst, err
}

func (s *streamSource) rest() { s.f.Rest() }

func (s *streamSource) idle() {}

func (s *streamSource) props(d *broker.Delivery) []byte { return d.Record.Props }

func (s *streamSource) unsettled(tag uint64, _ *broker.Delivery) unacked {
	return unacked{tag: tag, follower: s.f}
}

func (s *streamSource) kick() { ring(s.x.ch.c.out.wake) }

func (s *streamSource) stop() {} // what it has is nobody's who comes after it

func (s *streamSource) close(*conn) { s.f.Close() }
