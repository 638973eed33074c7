package main

import (
	"context"
	"errors"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/console"
	"github.com/tidings-io/tidings/wire/aws"
)

// noContext is where nothing can be interrupted.
var noContext = context.Background()

// declare makes the queues and topics of AWS and the bonds that were asked for, before anybody can publish. What is
// there stays as it is. The server is nil where none listens for AWS.
func (n *node) declare(ctx context.Context, s *aws.Server) error {
	in := nodeBinder{n.b, s}
	for i := range n.s.AWS.Queues {
		q := &n.s.AWS.Queues[i]
		if err := q.make(ctx, in.AWS); err != nil {
			return inEntry("queue "+q.Name, err)
		}
	}
	for i := range n.s.AWS.Topics {
		t := &n.s.AWS.Topics[i]
		if err := t.make(ctx, in.AWS); err != nil {
			return inEntry(kindTitle("sns")+" "+t.Name, err)
		}
	}
	for i := range n.s.Bind {
		if err := n.s.Bind[i].make(ctx, in); err != nil {
			return inEntry(n.s.Bind[i].String(), err)
		}
	}
	return nil
}

func (q *sqsEntry) make(ctx context.Context, do actions) error {
	if _, err := do.queueURL(ctx, q.Name); err == nil {
		return nil
	}
	_, err := q.flags().create(ctx, do, q.Name)
	return err
}

func (t *snsEntry) make(ctx context.Context, do actions) error {
	if do.sns(ctx, "GetTopicAttributes", map[string]any{"TopicArn": snsARN(t.Name)}, &struct{}{}) == nil {
		return nil
	}
	_, err := t.flags().create(ctx, do, t.Name)
	return err
}

func (e *bindEntry) make(ctx context.Context, in nodeBinder) error {
	b, err := e.bond(func(name string) bool { return in.SNS(ctx, name) == nil })
	if err != nil {
		return err
	}
	if b.subscribe != nil {
		if there, err := b.subscribe.find(ctx, in.AWS); there != nil || err != nil {
			return err
		}
	}
	_, err = b.make(ctx, in)
	return err
}

// nodeBinder makes bonds in this process, as the admin API does.
type nodeBinder struct {
	b *broker.Broker
	s *aws.Server // nil: none
}

// Bind leads from an exchange.
func (n nodeBinder) Bind(ctx context.Context, doc console.Binding) error {
	b := broker.Binding{Source: doc.Source, Key: doc.Key, Args: argsFrom(doc.Args)}
	if _, err := n.b.Exchange("", doc.Source); err != nil || doc.Source == "" {
		return notFound("exchange", doc.Source)
	}
	var err error
	if b.Destination, err = n.end(doc.Queue, doc.Topic, doc.ToExchange); err != nil {
		return err
	}
	return n.b.Bind(ctx, b)
}

// Link leads from a topic.
func (n nodeBinder) Link(ctx context.Context, doc console.Link) error {
	to, err := n.end(doc.Queue, "", doc.ToExchange)
	if err != nil {
		return err
	}
	if _, err := n.b.Topic("", doc.Topic); err != nil {
		return notFound("topic", doc.Topic)
	}
	return n.b.Link(ctx, broker.Link{Topic: doc.Topic, To: to, Key: doc.Key}, doc.From == "start")
}

// end is what one of the names is of.
func (n nodeBinder) end(queue, topic, exchange string) (broker.Name, error) {
	kind, name, title := broker.KindExchange, exchange, "exchange"
	_, err := n.b.Exchange("", exchange)
	switch {
	case queue != "":
		kind, name, title = broker.KindQueue, queue, "queue"
		_, err = n.b.Queue("", queue)
	case topic != "":
		kind, name, title = broker.KindTopic, topic, "topic"
		_, err = n.b.Topic("", topic)
	}
	if err != nil {
		return broker.Name{}, notFound(title, name)
	}
	return broker.Name{Kind: kind, Name: name}, nil
}

// argsFrom are arguments as addArgs reads them: texts, whole numbers, true and false.
func argsFrom(doc map[string]any) (args broker.Args) {
	for _, name := range sortedKeys(doc) {
		args = append(args, broker.Arg{Name: name, Value: doc[name]})
	}
	return args
}

// SNS looks for a topic of SNS.
func (n nodeBinder) SNS(_ context.Context, name string) error {
	if x, err := n.b.Exchange("", name); err != nil || x.Spec().Type != aws.TopicType {
		return notFound(kindTitle("sns"), name)
	}
	return nil
}

// AWS makes an action of the server in this process.
func (n nodeBinder) AWS(ctx context.Context, service, action string, in, out any) error {
	if n.s == nil {
		return usage("aws.listen is off")
	}
	err := n.s.Do(ctx, service, action, in, out)
	var told *aws.Error
	if errors.As(err, &told) {
		return awsFailure(awsError{Type: "#" + told.Code, Message: told.Message})
	}
	return err
}
