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
	sent, err := s.send(c, q, r, []*message{&in.message})
	if err != nil {
		return nil, err
	}
	return &sent[0], nil
}

// send publishes messages to a queue, all or none, and waits until they are on disk.
func (s *Server) send(c *call, q *broker.Queue, r rules, all []*message) ([]sentMessage, error) {
	x, err := s.b.Exchange("", "")
	if err != nil {
		return nil, err
	}
	tx := s.b.Begin()
	defer tx.Release()
	out := make([]sentMessage, len(all))
	for i, m := range all {
		rec, id := s.record(c, q, r, m)
		tx.Publish(x, rec)
		out[i] = m.sent(id, rec.Body)
	}
	confirm, err := tx.Commit(c.ctx)
	if err != nil {
		return nil, err
	}
	if first := tx.Routed(0); first.Queues == 0 && !first.Delayed {
		return nil, s.unrouted(first)
	}
	if r.fifo {
		for i := range out {
			out[i].tell(tx.Routed(i))
		}
	}
	// A client that goes away now hears nothing, and the messages are there: it is no reason to stop.
	return out, confirm.Wait(context.WithoutCancel(c.ctx))
}

// tell says where a message is in its FIFO queue; a duplicate is told of the first.
func (m *sentMessage) tell(r broker.Routed) {
	m.SequenceNumber = sequenceNumber(r.Offset)
	if r.Original != nil {
		m.MessageId = formatUUID(r.Original.Note)
	}
}

// unrouted says why a queue took nothing: it is gone, or is full by a policy and refuses more.
func (s *Server) unrouted(r broker.Routed) error {
	if r.Refused {
		return errorf(throttled, "The queue is full.")
	}
	return noQueue()
}

func (s *Server) record(c *call, q *broker.Queue, r rules, m *message) (broker.QueueRecord, string) {
	now := s.config.Now()
	p := properties{sent: now.UnixMilli(), sender: c.sender, attributes: m.MessageAttributes}
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
	sent, err := s.send(c, q, r, right)
	if err != nil {
		return nil, err
	}
	for i := range sent {
		out.Successful[i].sentMessage = sent[i]
	}
	return out, nil
}
