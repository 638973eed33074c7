package aws

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// System attributes of a message.
const (
	sysSender       = "SenderId"
	sysSent         = "SentTimestamp"
	sysReceiveCount = "ApproximateReceiveCount"
	sysFirstReceive = "ApproximateFirstReceiveTimestamp"
	sysTrace        = "AWSTraceHeader"
	sysGroup        = "MessageGroupId"
	sysSource       = "DeadLetterQueueSourceArn"
	sysDedup        = "MessageDeduplicationId"
	sysSequence     = "SequenceNumber"
)

// systemAttributes are those that can be asked for; messages of FIFO queues alone have the last two.
var systemAttributes = []string{sysSender, sysSent, sysReceiveCount, sysFirstReceive, sysTrace,
	sysGroup, sysSource, sysDedup, sysSequence}

type receiveMessageInput struct {
	QueueUrl                    string
	AttributeNames              []string `query:"AttributeName"`
	MessageSystemAttributeNames []string `query:"MessageSystemAttributeName"`
	MessageAttributeNames       []string `query:"MessageAttributeName"`
	MaxNumberOfMessages         *int32
	VisibilityTimeout           *int32
	WaitTimeSeconds             *int32
	ReceiveRequestAttemptId     string
}

type receiveMessageOutput struct {
	Messages []receivedMessage `json:"Messages,omitempty" query:"Message"`
}

type receivedMessage struct {
	MessageId              string
	ReceiptHandle          string
	MD5OfBody              string
	Body                   string
	Attributes             map[string]string           `json:"Attributes,omitempty" query:"Attribute"`
	MD5OfMessageAttributes string                      `json:"MD5OfMessageAttributes,omitempty"`
	MessageAttributes      map[string]messageAttribute `json:"MessageAttributes,omitempty" query:"MessageAttribute"`
}

// receiveMessage waits for messages, for as long as the request or the queue says.
func (s *Server) receiveMessage(c *call, in *receiveMessageInput) (*receiveMessageOutput, error) {
	q, err := s.queue(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	o, err := receiveOptions(q, in)
	if err != nil {
		return nil, err
	}
	x, wrong := attemptOf(q, in)
	if wrong != nil {
		return nil, wrong
	}
	if x == nil {
		got, err := s.receive(c, q, o)
		ids := idsOf(got)
		c.unheard = func() { giveBack(q, ids) }
		return s.messages(q, got, in, s.config.Now()), err
	}
	got, err := s.receiveOnce(c, q, x, o)
	if err != nil {
		return nil, err // what the attempt got before stays with whoever has it
	}
	c.unheard = func() {
		s.attempts.forget(x.key)
		giveBack(q, x.ids)
	}
	return s.messages(q, got, in, x.at), nil
}

// messages are what was received at a time.
func (s *Server) messages(q *broker.Queue, got []broker.Delivery, in *receiveMessageInput, at time.Time) (
	out *receiveMessageOutput) {
	out = &receiveMessageOutput{}
	for i := range got {
		out.Messages = append(out.Messages, s.received(q, &got[i], in, at))
	}
	return out
}

func idsOf(ds []broker.Delivery) (ids []broker.DeliveryID) {
	for i := range ds {
		ids = append(ids, ds[i].ID)
	}
	return ids
}

// giveBack makes messages visible at once that their receiver never saw: else their time runs out.
func giveBack(q *broker.Queue, ids []broker.DeliveryID) {
	for _, id := range ids {
		_ = q.Extend(id, 0)
	}
}

func receiveOptions(q *broker.Queue, in *receiveMessageInput) (o broker.ReceiveOptions, err error) {
	o = broker.ReceiveOptions{Max: 1, Lease: secondsOf(q, attrVisibility), Wait: secondsOf(q, attrWait)}
	for _, names := range [][]string{in.AttributeNames, in.MessageSystemAttributeNames} {
		for _, name := range names {
			if name != all && !slices.Contains(systemAttributes, name) {
				return o, unknownAttribute(name)
			}
		}
	}
	if n := in.MaxNumberOfMessages; n != nil {
		if *n < 1 || *n > maxEntries {
			return o, wrong(*n, "MaxNumberOfMessages", "Must be between 1 and 10, if provided.")
		}
		o.Max = int(*n)
	}
	if n := in.VisibilityTimeout; n != nil {
		if *n < 0 || *n > maxVisibility {
			return o, wrong(*n, attrVisibility, "Must be >= 0 and <= 43200, if provided.")
		}
		o.Lease = time.Duration(*n) * time.Second
	}
	if n := in.WaitTimeSeconds; n != nil {
		if *n < 0 || *n > 20 {
			return o, wrong(*n, "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided.")
		}
		o.Wait = time.Duration(*n) * time.Second
	}
	return o, nil
}

// receive waits until the client goes, the server closes, or the time is over. A client that has gone takes
// nothing: what came for it goes back at once.
func (s *Server) receive(c *call, q *broker.Queue, o broker.ReceiveOptions) ([]broker.Delivery, error) {
	if n := q.Stats().Leased; n >= int64(s.config.Limits.InFlight) {
		return nil, tooManyInFlight(q)
	}
	ctx, stop := context.WithCancel(c.ctx)
	defer stop()
	defer context.AfterFunc(s.closing, stop)()
	s.polls.Add(1)
	defer s.polls.Add(-1)
	got, err := q.Receive(ctx, o)
	switch {
	case c.ctx.Err() != nil:
		giveBack(q, idsOf(got))
		return nil, c.ctx.Err()
	case errors.Is(err, context.Canceled):
		return nil, nil // the server closes: there was no message
	case broker.KindOf(err) == broker.Full:
		return nil, tooManyInFlight(q)
	}
	return got, err
}

// tooManyInFlight is what SQS says of a standard queue. A FIFO one just gives nothing more.
func tooManyInFlight(q *broker.Queue) error {
	if isFIFO(q.Name().Name) {
		return nil
	}
	return errorf(overLimit, "Too many messages in flight.")
}

func (s *Server) received(q *broker.Queue, d *broker.Delivery, in *receiveMessageInput, now time.Time) (
	m receivedMessage) {
	text, encoded := bodyText(d.Record.Body)
	p := s.messageOf(q, d, encoded)
	m.MessageId, m.ReceiptHandle = formatUUID(p.id), receipt{d.ID, now.UnixMilli()}.handle(q)
	m.Body, m.MD5OfBody = text, bodyChecksum(d.Record.Body)
	if encoded {
		m.MD5OfBody = bodyChecksum([]byte(text))
	}
	m.Attributes = s.systemAttributesOf(q, d, &p, in)
	m.MessageAttributes = wanted(p.attributes, in.MessageAttributeNames)
	m.MD5OfMessageAttributes = attributesChecksum(m.MessageAttributes)
	return m
}

// messageOf reads the properties of a record, whose body was encoded or was text.
func (s *Server) messageOf(q *broker.Queue, d *broker.Delivery, encoded bool) properties {
	if d.Record.Format == broker.PropsSQS {
		if p, err := parseProperties(d.Record.Props); err == nil {
			p.noteEncoding(encoded)
			return p
		}
	}
	return s.foreign(q, d, encoded)
}

func (s *Server) systemAttributesOf(q *broker.Queue, d *broker.Delivery, p *properties,
	in *receiveMessageInput) map[string]string {
	if len(in.AttributeNames)+len(in.MessageSystemAttributeNames) == 0 {
		return nil
	}
	receives, first := receivesOf(d)
	every := map[string]string{
		sysSender:       p.sender,
		sysSent:         strconv.FormatInt(p.sent, 10),
		sysReceiveCount: strconv.FormatUint(receives, 10),
		sysFirstReceive: strconv.FormatInt(first.UnixMilli(), 10),
		sysTrace:        p.trace,
		sysGroup:        d.Record.Group,
	}
	if isFIFO(q.Name().Name) {
		every[sysDedup], every[sysSequence] = p.dedup, sequenceNumber(d.ID.Offset)
	}
	if deaths := d.Record.Deaths; len(deaths) > 0 {
		every[sysSource] = s.arn(deaths[0].Queue)
	}
	for name, value := range every {
		if value == "" || !asked(name, in.AttributeNames) && !asked(name, in.MessageSystemAttributeNames) {
			delete(every, name)
		}
	}
	return every
}

// receivesOf is how often a message was received, and when first: in this queue and in those that it came
// from as a dead letter.
func receivesOf(d *broker.Delivery) (n uint64, first time.Time) {
	n, first = uint64(d.Receives), d.FirstReceive
	for i := range d.Record.Deaths {
		if x := &d.Record.Deaths[i]; x.Receives > 0 {
			n += uint64(x.Receives)
			if x.FirstReceive.Before(first) {
				first = x.FirstReceive
			}
		}
	}
	return n, first
}

func asked(name string, names []string) bool {
	return slices.Contains(names, name) || slices.Contains(names, all)
}

// wanted are the attributes that were asked for: by name, by a prefix as in foo.*, or all, which is * too.
func wanted(attributes map[string]messageAttribute, names []string) map[string]messageAttribute {
	if len(attributes) == 0 {
		return nil
	}
	out := map[string]messageAttribute{}
	for name, a := range attributes {
		for _, n := range names {
			prefix, many := strings.CutSuffix(n, ".*")
			if n == name || n == all || n == "*" || many && strings.HasPrefix(name, prefix) {
				out[name] = a
			}
		}
	}
	return out
}
