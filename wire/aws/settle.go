package aws

import (
	"errors"
	"slices"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// maxVisibility is how long a message can be invisible after one receive, in seconds, however often that is
// extended.
const maxVisibility = 12 * 60 * 60

type deleteMessageInput struct {
	QueueUrl      string
	ReceiptHandle string
}

// deleteMessage deletes by any receipt handle that the message ever had, and does so again. In a FIFO queue
// the receipt handle must be the one under which the message is invisible.
func (s *Server) deleteMessage(c *call, in *deleteMessageInput) (*nothing, error) {
	q, err := s.queue(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	x, wrong := receiptOf(q, in.ReceiptHandle)
	if wrong != nil {
		return nil, wrong
	}
	over, err := s.discard(c, q, x)
	if err == nil && over[0] {
		return nil, expiredReceipt(in.ReceiptHandle)
	}
	return &nothing{}, err
}

func expiredReceipt(handle string) *Error {
	return wrong(handle, "ReceiptHandle", "The receipt handle has expired.")
}

func receiptOf(q *broker.Queue, handle string) (receipt, *Error) {
	if handle == "" {
		return receipt{}, missing("ReceiptHandle")
	}
	return parseReceipt(q, handle)
}

// discard answers when it is on disk that the messages are gone; over says of which the receipt handle has
// expired, and they stay.
func (s *Server) discard(c *call, q *broker.Queue, all ...receipt) (over []bool, err error) {
	tx := s.b.Begin()
	defer tx.Release()
	fifo := isFIFO(q.Name().Name)
	for _, x := range all {
		if fifo {
			tx.DiscardLeased(q, x.id)
		} else {
			tx.Discard(q, x.id)
		}
	}
	if err := commit(c.ctx, tx); err != nil {
		return nil, err
	}
	for i := range all {
		over = append(over, tx.LeaseOver(i))
	}
	return over, nil
}

type deleteMessageBatchInput struct {
	QueueUrl string
	Entries  []deleteMessageBatchEntry `query:"DeleteMessageBatchRequestEntry"`
}

type deleteMessageBatchEntry struct {
	Id            string
	ReceiptHandle string
}

func (e deleteMessageBatchEntry) id() string { return e.Id }

type deleteMessageBatchOutput struct {
	Successful []doneEntry  `json:"Successful,omitempty" query:"DeleteMessageBatchResultEntry"`
	Failed     []batchError `json:"Failed,omitempty" query:"BatchResultErrorEntry"`
}

func (s *Server) deleteMessageBatch(c *call, in *deleteMessageBatchInput) (*deleteMessageBatchOutput, error) {
	q, err := s.queue(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if err := checkBatch(in.Entries, "DeleteMessageBatchRequestEntry"); err != nil {
		return nil, err
	}
	out := &deleteMessageBatchOutput{}
	var right []receipt
	var entries []deleteMessageBatchEntry
	for _, e := range in.Entries {
		x, wrong := receiptOf(q, e.ReceiptHandle)
		if wrong != nil {
			out.Failed = append(out.Failed, failedEntry(e.Id, wrong))
			continue
		}
		right, entries = append(right, x), append(entries, e)
	}
	if len(right) == 0 {
		return out, nil
	}
	over, err := s.discard(c, q, right...)
	for i := range over {
		if e := &entries[i]; over[i] {
			out.Failed = append(out.Failed, failedEntry(e.Id, expiredReceipt(e.ReceiptHandle)))
		} else {
			out.Successful = append(out.Successful, doneEntry{e.Id})
		}
	}
	slices.SortFunc(out.Failed, func(a, b batchError) int { return in.place(a.Id) - in.place(b.Id) })
	return out, err
}

// place is where the entry with an id is.
func (in *deleteMessageBatchInput) place(id string) int {
	return slices.IndexFunc(in.Entries, func(e deleteMessageBatchEntry) bool { return e.Id == id })
}

type changeVisibilityInput struct {
	QueueUrl          string
	ReceiptHandle     string
	VisibilityTimeout *int32
}

func (s *Server) changeMessageVisibility(c *call, in *changeVisibilityInput) (*nothing, error) {
	q, err := s.queue(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if err := s.extend(q, in.ReceiptHandle, in.VisibilityTimeout); err != nil {
		return nil, err
	}
	return &nothing{}, nil
}

// extend says for how long a message stays invisible from now on; with 0 it is visible at once.
func (s *Server) extend(q *broker.Queue, handle string, seconds *int32) *Error {
	x, err := receiptOf(q, handle)
	switch {
	case err != nil:
		return err
	case seconds == nil:
		return missing(attrVisibility)
	case *seconds < 0 || *seconds > maxVisibility:
		return wrong(*seconds, attrVisibility, "Must be >= 0 and <= 43200, if provided.")
	}
	d := time.Duration(*seconds) * time.Second
	until := s.config.Now().Add(d).Sub(time.UnixMilli(x.received))
	if d > 0 && until > (maxVisibility+1)*time.Second { // a second for the way here
		return wrong(*seconds, attrVisibility, "Total VisibilityTimeout for the message is beyond "+
			"the limit [43200 seconds]")
	}
	switch failed := q.Extend(x.id, d); {
	case failed == nil:
		return nil
	case errors.Is(failed, broker.ErrSettled):
		return wrong(short(handle), "ReceiptHandle", "Message does not exist or is not available for visibility "+
			"timeout change.")
	case broker.KindOf(failed) == broker.NotFound:
		return errorf(notInflight, "Message with this receipt handle is not in flight.")
	default:
		return asError(failed)
	}
}

type changeVisibilityBatchInput struct {
	QueueUrl string
	Entries  []changeVisibilityEntry `query:"ChangeMessageVisibilityBatchRequestEntry"`
}

type changeVisibilityEntry struct {
	Id                string
	ReceiptHandle     string
	VisibilityTimeout *int32
}

func (e changeVisibilityEntry) id() string { return e.Id }

type changeVisibilityBatchOutput struct {
	Successful []doneEntry  `json:"Successful,omitempty" query:"ChangeMessageVisibilityBatchResultEntry"`
	Failed     []batchError `json:"Failed,omitempty" query:"BatchResultErrorEntry"`
}

func (s *Server) changeMessageVisibilityBatch(c *call, in *changeVisibilityBatchInput) (
	*changeVisibilityBatchOutput, error) {
	q, err := s.queue(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if err := checkBatch(in.Entries, "ChangeMessageVisibilityBatchRequestEntry"); err != nil {
		return nil, err
	}
	out := &changeVisibilityBatchOutput{}
	for _, e := range in.Entries {
		if wrong := s.extend(q, e.ReceiptHandle, e.VisibilityTimeout); wrong != nil {
			out.Failed = append(out.Failed, failedEntry(e.Id, wrong))
			continue
		}
		out.Successful = append(out.Successful, doneEntry{e.Id})
	}
	return out, nil
}
