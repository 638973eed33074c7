package aws

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tidings-io/tidings/broker"
)

// announcement is what is published to a topic, as it stands in a request and in an entry of a batch.
type announcement struct {
	Message                string
	Subject                *string
	MessageStructure       string
	MessageAttributes      map[string]messageAttribute `query:"MessageAttributes.entry"`
	MessageDeduplicationId *string
	MessageGroupId         *string
}

// check refuses what a topic does not take, but for its size. at is where attributes are, for SNS's words.
func (m *announcement) check(r topicRules, at string) *Error {
	if m.Subject != nil && !isSubject(*m.Subject) {
		return badParameter("Subject")
	}
	if m.Message == "" {
		return badParameter("Empty message")
	}
	if err := m.checkIDs(r); err != nil {
		return err
	}
	return checkNoticeAttributes(m.MessageAttributes, at)
}

// isSubject says whether a text can be a subject: up to 100 characters on one line, with no space before
// them.
func isSubject(s string) bool {
	if s == "" || utf8.RuneCountInString(s) > 100 || s[0] == ' ' {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7F }) < 0
}

// size is what counts against the limits, in bytes.
func (m *announcement) size() int { return len(m.Message) + sizeOf(m.MessageAttributes) }

func sizeOf(attributes map[string]messageAttribute) (n int) {
	for name, a := range attributes {
		n += len(name) + len(a.DataType) + len(a.text()) + len(a.BinaryValue)
	}
	return n
}

// notice makes of it what goes to the topic.
func (s *Server) notice(c *call, r topicRules, m *announcement) (*notice, *Error) {
	n := &notice{message: m.Message}
	n.sent, n.sender, n.trace = s.config.Now().UnixMilli(), c.sender, c.trace
	n.attributes = m.MessageAttributes
	_, _ = rand.Read(n.id[:]) // never fails
	if m.Subject != nil {
		n.subject = *m.Subject
	}
	if m.MessageGroupId != nil {
		n.group = *m.MessageGroupId
	}
	if r.fifo {
		n.dedup = m.topicDedupID()
	}
	if m.MessageStructure == "json" { // SNS takes any other for none
		return n, n.structure()
	}
	return n, nil
}

// structure reads a message that has a text for each protocol, and one for all others.
func (n *notice) structure() *Error {
	var doc map[string]json.RawMessage
	if json.Unmarshal([]byte(n.message), &doc) != nil {
		return badParameter("Message Structure - JSON message body failed to parse")
	}
	n.texts = map[string]string{}
	for protocol, raw := range doc {
		var text string
		if json.Unmarshal(raw, &text) == nil { // what is no text does not count
			n.texts[protocol] = text
		}
	}
	message, ok := n.texts["default"]
	if !ok {
		return badParameter("Message Structure - No default entry in JSON message body")
	}
	n.message = message
	delete(n.texts, "default")
	return nil
}

type publishInput struct {
	TopicArn    string
	TargetArn   string
	PhoneNumber string
	announcement
}

type publishOutput struct {
	MessageId      string
	SequenceNumber string `json:"SequenceNumber,omitempty"`
}

// publish answers when every subscriber's queue has the message on disk.
func (s *Server) publish(c *call, in *publishInput) (*publishOutput, error) {
	p, err := s.target(in)
	if err != nil {
		return nil, err
	}
	r := p.rules()
	if err := in.check(r, "messageAttributes"); err != nil {
		return nil, err
	}
	d := p.declared()
	if in.size() > d.size() {
		return nil, badParameter("Message too long")
	}
	n, wrong := s.notice(c, r, &in.announcement)
	if wrong != nil {
		return nil, wrong
	}
	if err := s.announce(c, p, r, []*notice{n}); err != nil {
		return nil, err
	}
	return n.published(), nil
}

// target is the topic that a message is for.
func (s *Server) target(in *publishInput) (*topic, error) {
	switch {
	case in.PhoneNumber != "":
		return nil, badParameter("PhoneNumber Reason: %s is not valid to publish to: text messages are not built",
			short(in.PhoneNumber))
	case in.TargetArn != "" && strings.Contains(in.TargetArn, ":endpoint/"):
		return nil, badParameter("TargetArn Reason: No endpoint found for the target arn specified")
	case in.TargetArn != "":
		return s.topics.topic("TargetArn", in.TargetArn)
	}
	return s.topics.topic("TopicArn", in.TopicArn)
}

func (n *notice) published() *publishOutput {
	return &publishOutput{MessageId: formatUUID(n.id), SequenceNumber: n.sequenceNumber()}
}

// announce publishes to a topic, all or nothing, and waits until that is on disk. What a FIFO topic has had
// before becomes what it was then.
func (s *Server) announce(c *call, p *topic, r topicRules, all []*notice) error {
	tx := s.b.Begin()
	defer tx.Release()
	confirm, err := s.commitNotices(c.ctx, tx, p, r, all)
	if err != nil {
		return err
	}
	for i, n := range all {
		if again := tx.Routed(i).Original; again != nil {
			n.isAgain(again.Note)
		}
	}
	return confirm.Wait(context.WithoutCancel(c.ctx))
}

func (s *Server) commitNotices(ctx context.Context, tx *broker.Tx, p *topic, r topicRules, all []*notice) (
	confirm broker.Confirm, err error) {
	done, err := p.inOrder(ctx)
	if err != nil {
		return confirm, err
	}
	defer done()
	for _, n := range all {
		if !r.fifo {
			tx.Publish(p.x, n.record())
			continue
		}
		note := n.number(p, s.config.Now())
		rec := n.record()
		rec.Once = n.once(r, note)
		tx.Publish(p.x, rec)
	}
	return tx.Commit(ctx)
}

type publishBatchInput struct {
	TopicArn string
	Entries  []publishEntry `json:"PublishBatchRequestEntries" query:"PublishBatchRequestEntries.member"`
}

type publishEntry struct {
	Id string
	announcement
}

type publishBatchOutput struct {
	Successful []publishedEntry `query:"Successful.member"`
	Failed     []batchError     `query:"Failed.member"` // as SNS has it: what is wrong fails them all
}

type publishedEntry struct {
	Id string
	publishOutput
}

// publishBatch publishes all entries with one commit, or none: what is wrong with one refuses the batch, as
// SNS does.
func (s *Server) publishBatch(c *call, in *publishBatchInput) (*publishBatchOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	p, err := s.topics.topic("TopicArn", in.TopicArn)
	if err != nil {
		return nil, err
	}
	r, size := p.rules(), 0
	var all []*notice
	for i := range in.Entries {
		e := &in.Entries[i]
		at := fmt.Sprintf("publishBatchRequestEntries.%d.member.messageAttributes", i+1)
		if err := e.check(r, at); err != nil {
			return nil, err
		}
		size += e.size()
		n, wrong := s.notice(c, r, &e.announcement)
		if wrong != nil {
			return nil, wrong
		}
		all = append(all, n)
	}
	if d := p.declared(); size > d.size() {
		return nil, errorf(snsBatchTooLong, "The length of all the messages put together is more than the limit.")
	}
	if err := s.announce(c, p, r, all); err != nil {
		return nil, err
	}
	out := &publishBatchOutput{}
	for i, n := range all {
		out.Successful = append(out.Successful, publishedEntry{in.Entries[i].Id, *n.published()})
	}
	return out, nil
}

// check refuses a batch as a whole.
func (in *publishBatchInput) check() error {
	switch n := len(in.Entries); {
	case n == 0:
		return errorf(snsEmptyBatch, "The batch request doesn't contain any entries.")
	case n > maxEntries:
		return errorf(snsTooManyEntries, "The batch request contains more entries than permissible.")
	}
	seen := map[string]bool{}
	for i := range in.Entries {
		id := in.Entries[i].Id
		if seen[id] {
			return errorf(snsIDsNotDistinct, "Two or more batch entries in the request have the same Id.")
		}
		seen[id] = true
	}
	for i := range in.Entries {
		switch id := in.Entries[i].Id; {
		case len(id) > 80:
			return errorf(snsInvalidEntryID, "The Id of a batch entry in the batch request is too long: %s", short(id))
		case !queueName.MatchString(id): // names of queues and ids of entries are alike
			return errorf(snsInvalidEntryID, "The Id of a batch entry in the batch request contains an "+
				"impermissible character: %s", id)
		}
	}
	return nil
}
