package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"

	"github.com/tidings-io/tidings/console"
)

// subSNS reads what is published to a topic of SNS from now on. That waits in a queue of its own, which is gone when
// this returns, however it ends.
func (a *app) subSNS(ctx context.Context, c client, topic string, f subFlags) error {
	api, err := queuesOf(c)
	if err != nil {
		return err
	}
	if err := f.checkSNS(a); err != nil {
		return err
	}
	write, err := a.queueRecordWriter(f.format)
	if err != nil {
		return err
	}
	own := newOwnQueue(api, topic, f.sns)
	defer own.close(ctx, a)
	// An interrupted request may still do what it asks for, behind the back of close.
	if err := own.open(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	a.note("subscribed to sns/%s: what is published from now on is read", topic)
	timed, cancel := f.bound(ctx)
	defer cancel()
	t := &taking{api: api, queue: own.name, f: f, out: bufio.NewWriter(a.out),
		write: func(w *bufio.Writer, r console.QueueRecord) {
			r.Queue, r.Exchange, r.Key = "sns/"+topic, "", "" // nobody wants to know of the queue
			write(w, r)
		}}
	got, err := t.run(timed)
	return f.verdict(timed, got, err)
}

func (f *subFlags) checkSNS(a *app) error {
	switch {
	case f.from != "":
		return usage("--from: a topic of SNS keeps no messages: what is published from now on is read")
	case f.exitAtEnd:
		return usage("--exit-at-end: a topic of SNS keeps no messages: use -n or --timeout")
	case f.take:
		return usage("--take: nobody else gets what this reads: leave it out")
	case f.group != "":
		return usage("--group: a topic of SNS has no groups").
			hint("share it", "tidings bind sns/NAME QUEUE, and tidings sub QUEUE --take")
	}
	if len(f.partitions) > 0 {
		return usage("--partition: a topic of SNS has none")
	}
	return f.checkQueue(a)
}

// ownQueue is a queue of SQS that is subscribed to a topic of SNS for one command.
type ownQueue struct {
	api  *apiClient
	name string
	sub  subscribing
}

func newOwnQueue(api *apiClient, topic string, f subscribeFlags) *ownQueue {
	var random [8]byte
	rand.Read(random[:]) // never fails: crypto/rand ends the program instead
	q := &ownQueue{api: api, name: "tidings-sub-" + hex.EncodeToString(random[:])}
	if snsKind(topic) == "fifo" {
		q.name += ".fifo"
	}
	q.sub = subscribing{topic: topic, protocol: protocolSQS, endpoint: q.name, flags: f}
	return q
}

// ownRetention bounds what waits, in seconds, where this process was killed and the queue is left over.
const ownRetention = "3600"

func (q *ownQueue) open(ctx context.Context) error {
	attributes := map[string]string{"MessageRetentionPeriod": ownRetention}
	if strings.HasSuffix(q.name, ".fifo") {
		attributes["FifoQueue"] = "true"
	}
	in := map[string]any{"QueueName": q.name, "Attributes": attributes}
	if err := q.api.AWS(ctx, "sqs", "CreateQueue", in, &struct{}{}); err != nil {
		return err
	}
	_, err := q.sub.make(ctx, q.api.AWS)
	return err
}

// closeTime is how long the server may take to forget a queue: nobody waits for ever for an end.
const closeTime = 5 * time.Second

// close ends the subscription and deletes the queue, also where ctx has ended, and where open did not come to its
// end.
func (q *ownQueue) close(ctx context.Context, a *app) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	found, err := q.sub.find(ctx, q.api.AWS)
	if found != nil {
		in := map[string]any{"SubscriptionArn": found.SubscriptionArn}
		err = actions(q.api.AWS).sns(ctx, "Unsubscribe", in, &struct{}{})
	}
	if gone := q.api.DeleteQueue(ctx, q.name, true); !isNotFound(gone) && gone != nil {
		err = gone
	}
	if err != nil && !isNotFound(err) {
		a.note("queue %s and its subscription to sns/%s may be left over: %s", q.name, q.sub.topic, err)
	}
}
