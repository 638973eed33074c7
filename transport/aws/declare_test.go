package aws

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
)

func TestAClosedTransportIsErrClosed(t *testing.T) {
	r := newRig(t)
	tr, _ := r.transport(Config{})
	r.check(tr.Close(t.Context()))
	r.check(tr.Close(t.Context()))
	sub := tidings.Subscription{Group: "billing"}
	_, subscribed := tr.Subscribe(bounded(t), sub)
	for what, err := range map[string]error{
		"publish":    tr.Publish(bounded(t), event("orders", "", "1")),
		"publish at": tr.PublishAt(bounded(t), time.Now().Add(time.Minute), command("billing", "", "2")),
		"declare":    tr.Declare(bounded(t), sub),
		"subscribe":  subscribed,
	} {
		if !errors.Is(err, tidings.ErrClosed) {
			t.Errorf("%s: got %v, want %v", what, err, tidings.ErrClosed)
		}
	}
}

// On one Tidings the same service may have run over AMQP before.
func TestAQueueOfAnotherProtocolIsNamedAsWhatIsInTheWay(t *testing.T) {
	r := newRig(t)
	tr, _ := r.transport(Config{})
	_, _, err := r.broker.DeclareQueue(t.Context(), broker.QueueSpec{Name: "billing", Durable: true})
	r.check(err)
	err = tr.Declare(bounded(t), tidings.Subscription{Group: "billing"})
	if err == nil || !strings.Contains(err.Error(), `make queue "billing": `) ||
		!strings.HasSuffix(err.Error(), "A queue already exists with the same name, which is not one of SQS.") {
		t.Errorf("got %v, want what is in the way", err)
	}
}

func TestNamesThatAWSHasNotAreRefusedAndTwoThatWouldBeOneToo(t *testing.T) {
	r := newRig(t)
	tr, _ := r.transport(Config{})
	declare := func(tr *Transport, group string, topics ...string) error {
		return tr.Declare(bounded(t), tidings.Subscription{Group: group, Topics: topics})
	}
	r.check(declare(tr, "shop.billing", "shop.orders"))
	r.check(declare(tr, "shop.billing", "shop.orders"))
	other, _ := r.transport(Config{}) // which remembers nothing
	r.check(declare(other, "shop.billing", "shop.orders"))
	for what, c := range map[string]struct {
		err  error
		says string
	}{
		"group that is another":    {declare(tr, "shop_billing"), `"shop_billing" would be called "shop_billing", which is "shop.billing" already`},
		"topic that is another":    {declare(tr, "g", "shop_orders"), `which is "shop.orders" already`},
		"command to it":            {tr.Publish(bounded(t), command("shop_billing", "", "1")), `which is "shop.billing" already`},
		"event to it":              {other.Publish(bounded(t), event("shop_orders", "", "1")), `which is "shop.orders" already`},
		"group with a space":       {declare(tr, "a b"), "want letters, digits"},
		"topic with a slash":       {declare(tr, "g", "a/b"), "want letters, digits"},
		"group without a name":     {declare(tr, ""), "without a name"},
		"topic without a name":     {tr.Publish(bounded(t), event("", "", "1")), "without a name"},
		"group with 81 characters": {declare(tr, strings.Repeat("x", 81)), "longer than 80"},
		"temporary":                {tr.Declare(bounded(t), tidings.Subscription{Group: "t", Temporary: true}), "lives with its consumer"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s\ngot  %v\nwant %s", what, c.err, c.says)
		}
	}
	fifo, _ := r.transport(Config{FIFO: true})
	if err := declare(fifo, strings.Repeat("x", 76)); err == nil {
		t.Error("a name of 81 characters with .fifo is taken")
	}
	r.check(declare(fifo, "shop.billing", "shop.orders")) // beside the standard ones
}

func TestWhatOthersMadeHasTheNameThatItShowsOrItsTag(t *testing.T) {
	r := newRig(t)
	queues, topics := r.raw()
	for _, name := range []string{"orders", "eu_orders", "us_orders"} {
		url, err := queues.CreateQueue(bounded(t), &sqs.CreateQueueInput{QueueName: &name})
		r.check(err)
		_, err = topics.CreateTopic(bounded(t), &sns.CreateTopicInput{Name: &name})
		r.check(err)
		if name == "us_orders" {
			_, err = queues.TagQueue(bounded(t), &sqs.TagQueueInput{QueueUrl: url.QueueUrl,
				Tags: map[string]string{nameTag: "us.orders"}})
			r.check(err)
		}
	}
	tr, _ := r.transport(Config{})
	r.check(tr.Declare(bounded(t), tidings.Subscription{Group: "orders", Topics: []string{"orders"}}))
	r.publish(tr, command("us.orders", "", "1"), command("eu_orders", "", "1"), event("eu_orders", "", "1"))
	for _, e := range []tidings.Event{command("eu.orders", "", "1"), event("eu.orders", "", "1")} {
		if err := tr.Publish(bounded(t), e); err == nil || !strings.Contains(err.Error(), nameTag+"=eu.orders") {
			t.Errorf("%s: got %v, want a hint at the tag", e.Kind, err)
		}
	}
}

func TestASubscriptionThatIsThereStaysAsItIs(t *testing.T) {
	r := newRig(t)
	tr, _ := r.transport(Config{})
	r.check(tr.Declare(bounded(t), tidings.Subscription{Group: "wrapped"}))
	_, topics := r.raw()
	arn, err := tr.places.topic(bounded(t), "orders")
	r.check(err)
	_, err = topics.Subscribe(bounded(t), &sns.SubscribeInput{TopicArn: &arn, Protocol: sdk.String("sqs"),
		Endpoint: sdk.String("arn:aws:sqs:us-east-1:000000000000:wrapped"), Attributes: map[string]string{
			"FilterPolicy": `{"type": ["wanted.v1"]}`}})
	r.check(err)
	c := r.subscribe(tr, "wrapped", "orders", "returns")
	wanted := event("orders", "", "2")
	wanted.Type = "wanted.v1"
	r.publish(tr, event("orders", "", "1"), wanted)
	d := c.next(1)[0]
	if d.ID != "2" || d.Topic != "orders" || d.Kind != tidings.KindEvent || string(d.Payload) != string(wanted.Payload) {
		t.Errorf("got %+v", d.Event)
	}
	c.nothing(50 * time.Millisecond)
}

func TestAQueueAdmitsTopicsBesideWhatItsPolicySays(t *testing.T) {
	r := newRig(t)
	tr, _ := r.transport(Config{})
	queues, _ := r.raw()
	url, err := tr.places.queue(bounded(t), "g")
	r.check(err)
	set := func(policy string) {
		_, err := queues.SetQueueAttributes(bounded(t), &sqs.SetQueueAttributesInput{QueueUrl: &url,
			Attributes: map[string]string{"Policy": policy}})
		r.check(err)
	}
	get := func() (p struct{ Statement []map[string]any }) {
		out, err := queues.GetQueueAttributes(bounded(t), &sqs.GetQueueAttributesInput{QueueUrl: &url,
			AttributeNames: []sqsName{"Policy"}})
		r.check(err)
		r.check(json.Unmarshal([]byte(out.Attributes["Policy"]), &p))
		return p
	}
	sub := tidings.Subscription{Group: "g", Topics: []string{"orders", "returns"}}
	set(`{"Version":"2012-10-17","Id":"own","Statement":{"Sid":"mine","Effect":"Deny","Principal":"*","Action":"sqs:PurgeQueue","Resource":"*"}}`)
	for range 2 {
		r.check(tr.Declare(bounded(t), sub))
		p := get()
		if len(p.Statement) != 2 || p.Statement[0]["Sid"] != "mine" || p.Statement[1]["Sid"] != statementID {
			t.Errorf("got %v, want theirs and ours", p)
		}
		condition, _ := json.Marshal(p.Statement[1]["Condition"])
		if want := `{"ArnLike":{"aws:SourceArn":"arn:aws:sns:us-east-1:000000000000:*"}}`; string(condition) != want {
			t.Errorf("condition\ngot  %s\nwant %s", condition, want)
		}
	}
	set(`{"Version":"2012-10-17","Statement":[{"Sid":"both","Effect":"Allow","Principal":"*","Action":"sqs:SendMessage","Resource":"*",
		"Condition":{"ArnEquals":{"aws:SourceArn":["arn:aws:sns:us-east-1:000000000000:orders","arn:aws:sns:us-east-1:000000000000:returns"]}}}]}`)
	r.check(tr.Declare(bounded(t), sub))
	if p := get(); len(p.Statement) != 1 {
		t.Errorf("got %v, want the policy left alone that names the topics", p)
	}
}

func TestATemporaryGroupTakesItsQueueAndSubscriptionsAlong(t *testing.T) {
	r := newRig(t)
	tr, _ := r.transport(Config{})
	r.check(tr.Declare(bounded(t), tidings.Subscription{Group: "durable"}))
	sub := tidings.Subscription{Group: "durable", Temporary: true}
	if _, err := tr.Subscribe(bounded(t), sub); err == nil {
		t.Error("a durable group is taken for a temporary one")
	}
	sub = tidings.Subscription{Group: "answers", Topics: []string{"orders"}, Temporary: true}
	c := r.read(tr, sub)
	queues, topics := r.raw()
	tags, err := queues.ListQueueTags(bounded(t), &sqs.ListQueueTagsInput{QueueUrl: sdk.String(tr.places.queues["answers"])})
	if err != nil || tags.Tags[temporaryTag] == "" || tags.Tags[nameTag] != "answers" {
		t.Errorf("tags: %v, %v", tags, err)
	}
	r.check(c.Close(bounded(t)))
	if _, err := tr.places.address(bounded(t), "answers"); !errors.Is(err, tidings.ErrUnroutable) {
		t.Errorf("the queue after Close: %v", err)
	}
	left, err := topics.ListSubscriptions(bounded(t), &sns.ListSubscriptionsInput{})
	if err != nil || len(left.Subscriptions) != 0 {
		t.Errorf("subscriptions after Close: %v, %v", left, err)
	}
}

func TestAConfigThatCannotWorkIsRefused(t *testing.T) {
	region := sdk.Config{Region: "us-east-1"}
	for what, c := range map[string]Config{
		"no region":             {},
		"half a second":         {AWS: region, VisibilityTimeout: 1500 * time.Millisecond},
		"13 hours":              {AWS: region, VisibilityTimeout: 13 * time.Hour},
		"a poll of a minute":    {AWS: region, PollTime: time.Minute},
		"negative":              {AWS: region, VisibilityTimeout: -time.Second},
		"a retention of a year": {AWS: region, Retention: 365 * 24 * time.Hour},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	tr, err := New(Config{AWS: region})
	if err != nil {
		t.Fatal(err)
	}
	for what, sub := range map[string]tidings.Subscription{"the past": {Group: "g", From: tidings.Earliest}} {
		if err := tr.Declare(t.Context(), sub); !errors.Is(err, tidings.ErrUnsupported) {
			t.Errorf("%s: got %v, want %v", what, err, tidings.ErrUnsupported)
		}
	}
}
