package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidings-io/tidings/console"
)

// awsFlags are for messages of SQS and SNS.
type awsFlags struct {
	group, dedup, subject string
}

// awsEntries is how many messages one batch of AWS has at most.
const awsEntries = 10

// awsAttribute is a message attribute.
type awsAttribute struct {
	DataType    string
	StringValue string `json:",omitempty"`
	BinaryValue []byte `json:",omitempty"`
}

// sentMessage is one message that SQS or SNS has taken, for the rows that pub writes.
type sentMessage struct {
	To             string `json:"to"`
	MessageID      string `json:"messageId"`
	SequenceNumber string `json:"sequenceNumber,omitempty"`
}

// batchAnswer is what SendMessageBatch and PublishBatch say of each entry.
type batchAnswer struct {
	Successful []struct{ Id, MessageId, SequenceNumber string }
	Failed     []struct{ Id, Code, Message string }
}

// sender sends a batch of messages to a queue or topic of AWS.
type sender struct {
	to   destination
	send func(ctx context.Context, entries []map[string]any) (batchAnswer, error)
	body string // what the member with the text is called
	most int    // bytes of a batch
}

// pubAWS sends all that arguments and files give, or what comes on standard input.
func (a *app) pubAWS(ctx context.Context, s sender, values []string, f pubFlags) error {
	if err := f.checkAWS(s.to); err != nil {
		return err
	}
	given, err := f.given(values)
	if err != nil {
		return err
	}
	total := int64(0)
	each := func(recs []console.NewRecord) error {
		sent, err := s.all(ctx, recs, f)
		total += int64(len(sent))
		if len(given) > 0 || a.output != "" || a.quiet {
			err = errors.Join(err, a.writeSent(sent))
		}
		return err
	}
	if len(given) > 0 {
		return each(given)
	}
	if a.term.in.tty {
		a.note("sending each line you type; Ctrl-D ends")
	}
	start := a.now()
	if err = f.chunks(ctx, a.in, each); err == nil || total > 0 {
		a.note("sent %s to %s in %s", plural(total, "message"), s.to, a.now().Sub(start).Round(time.Millisecond))
	}
	return err
}

func (f pubFlags) checkAWS(to destination) error {
	switch {
	case f.timeout <= 0:
		return usage("--timeout: must be more than 0")
	case f.partition != -1 || f.null || f.priority != 0 || f.ttl != 0 || f.transient || f.mandatory:
		return usage("--partition, --null, --priority, --ttl, --transient and --mandatory mean nothing to " + to.String())
	case f.key != "" || f.keySep != "":
		return usage("messages of AWS have no key").hint("in order", "--group NAME")
	case f.aws.subject != "" && to.kind == "queue":
		return usage("--subject is for topics of SNS")
	}
	return nil
}

// all sends records in batches, and stops at the first that is refused.
func (s sender) all(ctx context.Context, recs []console.NewRecord, f pubFlags) (sent []sentMessage, err error) {
	for len(recs) > 0 {
		n, bytes := 0, 0
		var entries []map[string]any
		for n < len(recs) && n < awsEntries {
			entry, size, err := s.entry(strconv.Itoa(n), recs[n], f)
			if err != nil {
				return sent, err
			}
			if bytes += size; n > 0 && bytes > s.most {
				break
			}
			entries = append(entries, entry)
			n++
		}
		done, err := s.batch(ctx, entries, f)
		if sent = append(sent, done...); err != nil {
			return sent, err
		}
		recs = recs[n:]
	}
	return sent, nil
}

func (s sender) entry(id string, r console.NewRecord, f pubFlags) (entry map[string]any, size int, err error) {
	body := console.Bytes(r.Value, r.ValueBase64)
	if !utf8.Valid(body) {
		return nil, 0, usage("messages of AWS are text, and this is not UTF-8").hint("as text", "base64")
	}
	entry = map[string]any{"Id": id, s.body: string(body)}
	size = len(body)
	if len(r.Headers) > 0 {
		attributes := map[string]awsAttribute{}
		for _, h := range r.Headers {
			attributes[h.Key] = awsAttribute{DataType: "String", StringValue: textOf(h.Value, h.ValueBase64)}
			size += len(h.Key) + len("String") + len(attributes[h.Key].StringValue)
		}
		entry["MessageAttributes"] = attributes
	}
	for name, value := range map[string]string{"MessageGroupId": f.aws.group,
		"MessageDeduplicationId": f.aws.dedup, "Subject": f.aws.subject} {
		if value != "" {
			entry[name] = value
		}
	}
	return entry, size, nil
}

func (s sender) batch(ctx context.Context, entries []map[string]any, f pubFlags) (sent []sentMessage, err error) {
	limited, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	answer, err := s.send(limited, entries)
	if err != nil {
		if limited.Err() != nil && ctx.Err() == nil {
			err = &failure{exit: exitUnmet, code: "timeout", msg: fmt.Sprintf(
				"%s did not acknowledge within %s: messages may be stored, or not", s.to, f.timeout)}
		}
		return nil, hintParameter(err)
	}
	for _, e := range answer.Successful {
		sent = append(sent, sentMessage{s.to.String(), e.MessageId, e.SequenceNumber})
	}
	if len(answer.Failed) > 0 {
		e := answer.Failed[0]
		return sent, hintParameter(&failure{exit: exitUsage, code: e.Code, msg: e.Message})
	}
	return sent, nil
}

// hintParameter says which flag is meant where AWS's words name a parameter that a FIFO queue or topic
// wants.
func hintParameter(err error) error {
	var f *failure
	switch {
	case !errors.As(err, &f):
		return err
	case strings.Contains(f.msg, "MessageGroupId"):
		return f.hint("like this", "--group NAME: messages of a group stay in order")
	case strings.Contains(f.msg, "MessageDeduplicationId provided"):
		return f.hint("like this", "--dedup-id ID, or a queue or topic with --content-dedup")
	}
	return err
}

func (a *app) pubSQS(ctx context.Context, c client, queue string, values []string, f pubFlags) error {
	api, err := queuesOf(c)
	if err != nil {
		return err
	}
	s, err := api.sqsSender(ctx, queue)
	if err != nil {
		return err
	}
	return a.pubAWS(ctx, s, values, f)
}

// sqsSender sends to a queue of SQS.
func (c *apiClient) sqsSender(ctx context.Context, queue string) (sender, error) {
	url, err := actions(c.AWS).queueURL(ctx, queue)
	return sender{to: destination{kind: "queue", name: queue}, body: "MessageBody", most: 1 << 20,
		send: func(ctx context.Context, entries []map[string]any) (out batchAnswer, err error) {
			err = c.AWS(ctx, "sqs", "SendMessageBatch", map[string]any{"QueueUrl": url, "Entries": entries}, &out)
			return out, err
		}}, err
}

func (a *app) writeSent(rows []sentMessage) error {
	if len(rows) == 0 {
		return nil
	}
	return render(a, listing[sentMessage]{columns: sentColumns, rows: rows, doc: rows,
		name: func(m sentMessage) string { return m.MessageID }})
}

var sentColumns = []column[sentMessage]{
	{title: "TO", show: func(m sentMessage) string { return m.To }},
	{title: "MESSAGE", show: func(m sentMessage) string { return m.MessageID }},
	{title: "SEQUENCE", show: func(m sentMessage) string { return m.SequenceNumber }},
}

func (a *app) pubSNS(ctx context.Context, c client, topic string, values []string, f pubFlags) error {
	api, err := queuesOf(c)
	if err != nil {
		return err
	}
	s, err := api.snsSender(ctx, topic)
	if err != nil {
		return err
	}
	return a.pubAWS(ctx, s, values, f)
}

// usualSNSBytes is how much a batch has at most where a topic of SNS does not say.
const usualSNSBytes = 256 << 10

// snsSender publishes to a topic of SNS.
func (c *apiClient) snsSender(ctx context.Context, topic string) (sender, error) {
	d, err := c.SNSTopic(ctx, topic)
	s := sender{to: destination{kind: "sns", name: topic}, body: "Message", most: usualSNSBytes,
		send: func(ctx context.Context, entries []map[string]any) (out batchAnswer, err error) {
			in := map[string]any{"TopicArn": d.ARN, "PublishBatchRequestEntries": entries}
			err = actions(c.AWS).sns(ctx, "PublishBatch", in, &out)
			return out, err
		}}
	if most, wrong := strconv.Atoi(d.Attributes["MaximumMessageSize"]); wrong == nil {
		s.most = most
	}
	return s, err
}
