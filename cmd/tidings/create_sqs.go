package main

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidings-io/tidings/console"
)

// sqsFlags are the attributes of a queue of SQS as flags.
type sqsFlags struct {
	visibility, delay, wait, retention string

	maxSize        int64
	deadQueue      string
	maxReceives    int
	contentDedup   bool
	highThroughput bool
	attributes     map[string]string
	tags           map[string]string
	given          func(flag string) bool
}

func (a *app) createSQSCommand() *cobra.Command {
	var f sqsFlags
	var attributes, tags []string
	cmd := &cobra.Command{
		Use:   "sqs NAME",
		Short: "Create a queue of SQS",
		Long: `Create a queue as CreateQueue of SQS does: one whose name ends with .fifo gives the messages
of a group in order and takes each once. The flags are its attributes; --attribute gives any of
them. A queue that is there with the same is no error.`,
		Example: "  tidings create sqs jobs --visibility 1m --dead-letter-queue dead --max-receives 5\n" +
			"  tidings create sqs orders.fifo --content-dedup",
		Args:              between(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.given = cmd.Flags().Changed
			var err error
			if f.attributes, err = pairs("attribute", attributes); err != nil {
				return err
			}
			if f.tags, err = pairs("tag", tags); err != nil {
				return err
			}
			return a.with(func(ctx context.Context, c client, args []string) error {
				return a.createSQS(ctx, c, nameOf("queue", args[0]), f)
			})(cmd, args)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.visibility, "visibility", "", "how long a message that was received is invisible (30s)")
	fs.StringVar(&f.delay, "delay", "", "how long a message waits before it is visible (0)")
	fs.StringVar(&f.wait, "wait", "", "how long a receive waits for a message (0)")
	fs.StringVar(&f.retention, "retention", "", "how long a message is kept: 1m to 14d (4d)")
	fs.Int64Var(&f.maxSize, "max-size", 0, "largest message, in bytes (1 MiB)")
	fs.StringVar(&f.deadQueue, "dead-letter-queue", "", "what was received too often goes there")
	fs.IntVar(&f.maxReceives, "max-receives", usualReceives, "how often, before it goes there")
	fs.BoolVar(&f.contentDedup, "content-dedup", false, "of a FIFO queue: equal bodies are sent once in five minutes")
	fs.BoolVar(&f.highThroughput, "high-throughput", false, "of a FIFO queue: deduplication and limits for each group")
	fs.StringArrayVar(&attributes, "attribute", nil, "any attribute, NAME=VALUE; repeatable")
	fs.StringArrayVar(&tags, "tag", nil, "tag, NAME=VALUE; repeatable")
	_ = cmd.RegisterFlagCompletionFunc("dead-letter-queue", a.completeQueues)
	a.addTarget(cmd)
	return cmd
}

func (a *app) createSQS(ctx context.Context, c client, name string, f sqsFlags) error {
	api, err := queuesOf(c)
	if err != nil {
		return err
	}
	url, err := f.create(ctx, api.AWS, name)
	if err != nil {
		return err
	}
	a.note("queue %s is there: %s", name, url)
	return nil
}

// usualReceives is how often a message is received before it is a dead letter, where nothing is said.
const usualReceives = 10

// create makes the queue, and returns its URL.
func (f *sqsFlags) create(ctx context.Context, do actions, name string) (url string, err error) {
	attributes, err := f.plain(name)
	if err != nil {
		return "", err
	}
	if _, given := f.attributes[redriveAttribute]; f.deadQueue != "" && !given {
		attributes[redriveAttribute], err = do.redrivePolicy(ctx, nameOf("queue", f.deadQueue), f.maxReceives)
		if err != nil {
			return "", err
		}
	}
	in := map[string]any{"QueueName": name, "Attributes": attributes, "tags": f.tags}
	var out struct{ QueueUrl string }
	err = do(ctx, "sqs", "CreateQueue", in, &out)
	return out.QueueUrl, hintAttribute(err, name)
}

// attributeWords are the attributes that flags and configuration files have words for, and what SQS allows.
var attributeWords = []struct{ attribute, allowed string }{
	{"VisibilityTimeout", "visibility: 0 to 12h"},
	{"DelaySeconds", "delay: 0 to 15m"},
	{"ReceiveMessageWaitTimeSeconds", "wait: 0 to 20s"},
	{"MessageRetentionPeriod", "retention: 1m to 14d"},
	{"MaximumMessageSize", "max-size: 1,024 to 1,048,576 bytes"},
	{"ContentBasedDeduplication", "content-dedup: of a queue whose name ends with .fifo"},
	{"DeduplicationScope", "high-throughput: of a queue whose name ends with .fifo"},
	{"FifoThroughputLimit", "high-throughput: of a queue whose name ends with .fifo"},
}

// hintAttribute says what is allowed where SQS names an attribute that it does not take.
func hintAttribute(err error, name string) error {
	var f *failure
	if !errors.As(err, &f) {
		return err
	}
	if f.exit == exitConflict {
		return f.hint("see it", "tidings show queue/"+name)
	}
	for _, w := range attributeWords {
		if strings.Contains(f.msg, w.attribute) {
			return f.hint("allowed", w.allowed)
		}
	}
	return err
}

const redriveAttribute = "RedrivePolicy"

// plain are the attributes that the flags stand for, but for a dead letter queue. --attribute goes before a flag.
func (f *sqsFlags) plain(name string) (map[string]string, error) {
	out := map[string]string{}
	if strings.HasSuffix(name, ".fifo") {
		out["FifoQueue"] = "true"
	}
	for _, t := range []struct{ flag, text, attribute string }{
		{"visibility", f.visibility, "VisibilityTimeout"}, {"delay", f.delay, "DelaySeconds"},
		{"wait", f.wait, "ReceiveMessageWaitTimeSeconds"}, {"retention", f.retention, "MessageRetentionPeriod"},
	} {
		if !f.given(t.flag) {
			continue
		}
		d, err := console.ParseAge(t.text)
		if err != nil {
			return nil, usage("--" + t.flag + ": " + quote(t.text) + " is no time: 30s, 5m, 4d")
		}
		out[t.attribute] = strconv.FormatInt(int64(d/time.Second), 10)
	}
	if f.given("max-size") {
		out["MaximumMessageSize"] = plain(f.maxSize)
	}
	if f.contentDedup {
		out["ContentBasedDeduplication"] = "true"
	}
	if f.highThroughput {
		out["DeduplicationScope"], out["FifoThroughputLimit"] = "messageGroup", "perMessageGroupId"
	}
	maps.Copy(out, f.attributes)
	return out, nil
}

// redrivePolicy names a dead letter queue, which must be there, by its ARN.
func (do actions) redrivePolicy(ctx context.Context, name string, receives int) (string, error) {
	arn, err := do.queueARN(ctx, name)
	if err != nil {
		return "", err
	}
	policy, err := json.Marshal(map[string]any{"deadLetterTargetArn": arn, "maxReceiveCount": receives})
	return string(policy), err
}

// queueURL finds a queue of SQS by its name.
func (do actions) queueURL(ctx context.Context, name string) (string, error) {
	var out struct{ QueueUrl string }
	err := do(ctx, "sqs", "GetQueueUrl", map[string]any{"QueueName": name}, &out)
	if isNotFound(err) {
		err = withHint(err, "make it", "tidings create sqs "+name)
	}
	return out.QueueUrl, err
}

func (do actions) queueARN(ctx context.Context, name string) (string, error) {
	url, err := do.queueURL(ctx, name)
	if err != nil {
		return "", err
	}
	var out struct{ Attributes map[string]string }
	in := map[string]any{"QueueUrl": url, "AttributeNames": []string{"QueueArn"}}
	err = do(ctx, "sqs", "GetQueueAttributes", in, &out)
	return out.Attributes["QueueArn"], err
}

// pairs reads NAME=VALUE of a repeatable flag.
func pairs(flag string, given []string) (map[string]string, error) {
	all := map[string]string{}
	for _, text := range given {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, usage("--" + flag + ": " + quote(text) + " is not NAME=VALUE")
		}
		all[name] = value
	}
	return all, nil
}
