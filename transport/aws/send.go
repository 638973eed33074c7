package aws

import (
	"context"
	"strconv"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// entries is what an answer says of each entry of a batch. Their ids are their places in it.
type entries []error

func newEntries(n int) entries {
	all := make(entries, n)
	for i := range all {
		all[i] = errNoAnswer
	}
	return all
}

func entryID(i int) *string { return sdk.String(strconv.Itoa(i)) }

func (e entries) set(id *string, err error) {
	if i, bad := strconv.Atoi(sdk.ToString(id)); bad == nil && i >= 0 && i < len(e) {
		e[i] = err
	}
}

// failed enters those that SQS says have failed.
func (e entries) failed(some []sqstypes.BatchResultErrorEntry) entries {
	for _, entry := range some {
		e.fail(entry.Id, entry.Code, entry.Message, entry.SenderFault)
	}
	return e
}

func (e entries) fail(id, code, message *string, sender bool) {
	e.set(id, &entryError{code: sdk.ToString(code), message: sdk.ToString(message), sender: sender})
}

func (d *destination) toTopic(ctx context.Context, batch []*message) ([]error, error) {
	arn, err := d.t.places.topic(ctx, d.name)
	if err != nil {
		return nil, err
	}
	in := &sns.PublishBatchInput{TopicArn: &arn}
	for i, m := range batch {
		entry := snstypes.PublishBatchRequestEntry{Id: entryID(i), Message: &m.body,
			MessageAttributes: map[string]snstypes.MessageAttributeValue{}}
		for name, value := range m.attributes {
			entry.MessageAttributes[name] = snstypes.MessageAttributeValue{
				DataType: sdk.String(stringType), StringValue: &value}
		}
		if d.t.config.FIFO {
			entry.MessageGroupId, entry.MessageDeduplicationId = &m.group, &m.dedup
		}
		in.PublishBatchRequestEntries = append(in.PublishBatchRequestEntries, entry)
	}
	out, err := d.t.sns.PublishBatch(ctx, in)
	if err != nil {
		return nil, err
	}
	all := newEntries(len(batch))
	for _, entry := range out.Successful {
		all.set(entry.Id, nil)
	}
	for _, entry := range out.Failed {
		all.fail(entry.Id, entry.Code, entry.Message, entry.SenderFault)
	}
	return all, nil
}

func (d *destination) toQueue(ctx context.Context,
	find func(context.Context, string) (string, error), batch []*message) ([]error, error) {
	url, err := find(ctx, d.name)
	if err != nil {
		return nil, err
	}
	in := &sqs.SendMessageBatchInput{QueueUrl: &url}
	for i, m := range batch {
		entry := sqstypes.SendMessageBatchRequestEntry{Id: entryID(i), MessageBody: &m.body,
			DelaySeconds: seconds(d.delay), MessageAttributes: map[string]sqstypes.MessageAttributeValue{}}
		for name, value := range m.attributes {
			entry.MessageAttributes[name] = sqstypes.MessageAttributeValue{
				DataType: sdk.String(stringType), StringValue: &value}
		}
		if d.t.config.FIFO {
			entry.MessageGroupId, entry.MessageDeduplicationId = &m.group, &m.dedup
		}
		in.Entries = append(in.Entries, entry)
	}
	out, err := d.t.sqs.SendMessageBatch(ctx, in)
	if err != nil {
		return nil, err
	}
	all := newEntries(len(batch))
	for _, entry := range out.Successful {
		all.set(entry.Id, nil)
	}
	return all.failed(out.Failed), nil
}

// remove deletes what was received, and returns what became of each.
func (c *consumer) remove(ctx context.Context, batch []change) ([]error, error) {
	in := &sqs.DeleteMessageBatchInput{QueueUrl: &c.group.url}
	for i := range batch {
		in.Entries = append(in.Entries, sqstypes.DeleteMessageBatchRequestEntry{
			Id: entryID(i), ReceiptHandle: &batch[i].receipt})
	}
	out, err := c.t.sqs.DeleteMessageBatch(ctx, in)
	if err != nil {
		return nil, err
	}
	all := newEntries(len(batch))
	for _, entry := range out.Successful {
		all.set(entry.Id, nil)
	}
	return all.failed(out.Failed), nil
}

// show makes what was received visible after the seconds of each change.
func (c *consumer) show(ctx context.Context, batch []change) ([]error, error) {
	in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &c.group.url}
	for i := range batch {
		in.Entries = append(in.Entries, sqstypes.ChangeMessageVisibilityBatchRequestEntry{
			Id: entryID(i), ReceiptHandle: &batch[i].receipt, VisibilityTimeout: batch[i].seconds})
	}
	out, err := c.t.sqs.ChangeMessageVisibilityBatch(ctx, in)
	if err != nil {
		return nil, err
	}
	all := newEntries(len(batch))
	for _, entry := range out.Successful {
		all.set(entry.Id, nil)
	}
	return all.failed(out.Failed), nil
}
