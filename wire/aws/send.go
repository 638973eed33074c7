package aws

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/tidings-io/tidings/broker"
)

type sendMessageInput struct {
	QueueUrl string
	message
}

type sentMessage struct {
	MD5OfMessageAttributes       string `json:"MD5OfMessageAttributes,omitempty"`
	MD5OfMessageBody             string
	MD5OfMessageSystemAttributes string `json:"MD5OfMessageSystemAttributes,omitempty"`
	MessageId                    string
	SequenceNumber               string `json:"SequenceNumber,omitempty"` // of FIFO queues
}

// sendMessage answers when the message is on disk.
func (s *Server) sendMessage(c *call, in *sendMessageInput) (*sentMessage, error) {
	q, err := s.queue(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	r := rulesOf(q)
	if err := in.check(r); err != nil {
		return nil, err
	}
	if most := numberOf(q, attrSize); in.size() > most {
		return nil, errorf(invalidParameter, "One or more parameters are invalid. Reason: Message must be "+
			"shorter than %d bytes.", most)
	}
	sent, full, err := s.send(c, q, r, []*message{&in.message})
	switch {
	case err != nil:
		return nil, err
	case full != nil:
		return nil, queueFull()
	}
	return &sent[0], nil
}

// send publishes messages to a queue in one commit, and waits until they are on disk. full says which of
// them the queue has no room for, by a policy, and refuses; nil: it takes all.
func (s *Server) send(c *call, q *broker.Queue, r rules, all []*message) (out []sentMessage, full []bool, err error) {
	x, err := s.b.Exchange("", "")
	if err != nil {
		return nil, nil, err
	}
	tx := s.b.Begin()
	defer tx.Release()
	out = make([]sentMessage, len(all))
	for i, m := range all {
		rec, id := s.record(c, q, r, m)
		tx.Publish(x, rec)
		out[i] = m.sent(id, rec.Body)
	}
	confirm, err := tx.Commit(c.ctx)
	if err != nil {
		return nil, nil, err
	}
	for i := range out {
		switch to := tx.Routed(i); {
		case to.Queues > 0 || to.Delayed:
			out[i].tell(r, to)
		case to.Refused:
			if full == nil {
				full = make([]bool, len(all))
			}
			full[i] = true
		default:
			return nil, nil, noQueue()
		}
	}
	// A client that goes away now hears nothing, and the messages are there: it is no reason to stop.
	return out, full, confirm.Wait(context.WithoutCancel(c.ctx))
}

// tell says where a message is in its FIFO queue; a duplicate is told of the first.
func (m *sentMessage) tell(r rules, to broker.Routed) {
	if !r.fifo {
		return
	}
	m.SequenceNumber = sequenceNumber(to.Offset)
	if to.Original != nil {
		m.MessageId = formatUUID(to.Original.Note)
	}
}

// queueFull is for a queue that is full by a policy, and refuses more.
func queueFull() *Error { return errorf(throttled, "The queue is full.") }

func (s *Server) record(c *call, q *broker.Queue, r rules, m *message) (broker.QueueRecord, string) {
	now := s.config.Now()
	p := properties{sent: now.UnixMilli(), sender: c.sender, trace: c.trace, attributes: m.MessageAttributes}
	_, _ = rand.Read(p.id[:]) // never fails
	if a, ok := m.MessageSystemAttributes[sysTrace]; ok {
		p.trace = a.text()
	}
	rec := broker.QueueRecord{Key: q.Name().Name, Format: broker.PropsSQS, Body: []byte(m.MessageBody)}
	if m.MessageGroupId != nil {
		rec.Group = *m.MessageGroupId
	}
	switch {
	case r.fifo: // the delay is the queue's
		p.dedup = m.dedupID()
		rec.Once = r.once(rec.Group, &p)
	case m.DelaySeconds != nil:
		delay := time.Duration(*m.DelaySeconds) * time.Second
		rec.Delay = &delay
	}
	rec.Props = p.append(make([]byte, 0, 64))
	return rec, formatUUID(p.id)
}

func (m *message) sent(id string, body []byte) sentMessage {
	return sentMessage{MessageId: id, MD5OfMessageBody: bodyChecksum(body),
		MD5OfMessageAttributes:       attributesChecksum(m.MessageAttributes),
		MD5OfMessageSystemAttributes: attributesChecksum(m.MessageSystemAttributes)}
}

type sendMessageBatchInput struct {
	QueueUrl string
	Entries  []sendMessageBatchEntry `query:"SendMessageBatchRequestEntry"`
}

type sendMessageBatchEntry struct {
	Id string
	message
}

func (e sendMessageBatchEntry) id() string { return e.Id }

type sendMessageBatchOutput struct {
	Successful []sentEntry  `json:"Successful,omitempty" query:"SendMessageBatchResultEntry"`
	Failed     []batchError `json:"Failed,omitempty" query:"BatchResultErrorEntry"`
}

type sentEntry struct {
	Id string
	sentMessage
}

// sendMessageBatch sends what is right with one commit. An error of the whole request sends nothing.
func (s *Server) sendMessageBatch(c *call, in *sendMessageBatchInput) (*sendMessageBatchOutput, error) {
	q, err := s.queue(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if err := checkBatch(in.Entries, "SendMessageBatchRequestEntry"); err != nil {
		return nil, err
	}
	size := 0
	for i := range in.Entries {
		size += in.Entries[i].size()
	}
	if size > maxMessage {
		return nil, errorf(batchTooLong, "Batch requests cannot be longer than %d bytes. "+
			"You have sent %d bytes.", maxMessage, size)
	}
	r := rulesOf(q)
	for i := range in.Entries {
		if lacks := in.Entries[i].needIDs(r); lacks != nil {
			return nil, &Error{invalidParameter, lacks.Message} // SQS refuses them all
		}
	}
	out := &sendMessageBatchOutput{}
	var right []*message
	most := numberOf(q, attrSize)
	for i := range in.Entries {
		e := &in.Entries[i]
		err := e.check(r)
		if err == nil && e.size() > most {
			err = errorf(invalidParameter, "One or more parameters cannot be validated. Reason: "+
				"Message must be shorter than %d bytes.", most)
		}
		if err != nil {
			out.Failed = append(out.Failed, failedEntry(e.Id, err))
			continue
		}
		right = append(right, &e.message)
		out.Successful = append(out.Successful, sentEntry{Id: e.Id})
	}
	if len(right) == 0 {
		return out, nil
	}
	sent, full, err := s.send(c, q, r, right)
	if err != nil {
		return nil, err
	}
	out.tell(sent, full)
	return out, nil
}

// tell says what became of the entries that were right: those for which the queue had no room failed too.
func (o *sendMessageBatchOutput) tell(sent []sentMessage, full []bool) {
	right := o.Successful
	o.Successful = right[:0]
	for i := range sent {
		if full != nil && full[i] {
			o.Failed = append(o.Failed, failedEntry(right[i].Id, queueFull()))
			continue
		}
		o.Successful = append(o.Successful, sentEntry{right[i].Id, sent[i]})
	}
}
