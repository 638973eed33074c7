package aws

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/aws/notify"
)

type subscribeInput struct {
	TopicArn              string
	Protocol              string
	Endpoint              string
	Attributes            map[string]string `query:"Attributes.entry,key,value"`
	ReturnSubscriptionArn bool
}

type subscriptionOutput struct {
	SubscriptionArn string
}

// pending is what stands for the ARN of a subscription that nobody has confirmed.
const pending = "pending confirmation"

// subscribe makes a subscription. One of the same endpoint is the answer if the attributes that are given
// have the values that they have there.
func (s *Server) subscribe(c *call, in *subscribeInput) (*subscriptionOutput, error) {
	t := s.topics
	done, err := t.takeFor(c)
	if err != nil {
		return nil, err
	}
	defer done()
	p, err := t.topic("TopicArn", in.TopicArn)
	if err != nil {
		return nil, err
	}
	if err := in.checkEndpoint(p.fifo()); err != nil {
		return nil, err
	}
	if err := t.dropExpired(c.ctx, p); err != nil {
		return nil, err
	}
	sub, err := t.subscribed(p, in)
	if err != nil {
		return nil, err
	}
	if sub == nil {
		if sub, err = t.addSubscription(c, p, in); err != nil {
			return nil, err
		}
	} else if !sub.Confirmed {
		again := *sub
		if err := t.ask(c, &again); err != nil {
			return nil, err
		}
		sub = &again
	}
	if !sub.Confirmed && !in.ReturnSubscriptionArn {
		return &subscriptionOutput{pending}, nil
	}
	return &subscriptionOutput{t.subscriptionARN(sub)}, nil
}

// unsupportedProtocols are those of SNS that are refused.
var unsupportedProtocols = []string{"email", "email-json", "sms", "application", "lambda", "firehose"}

// checkEndpoint refuses what cannot subscribe to a topic of a type.
func (in *subscribeInput) checkEndpoint(fifo bool) error {
	switch {
	case in.Protocol == "":
		return absent("Protocol")
	case slices.Contains(unsupportedProtocols, in.Protocol):
		return badParameter("Protocol Reason: subscriptions of protocol %s are not built", in.Protocol)
	case in.Endpoint == "":
		return &Error{snsNotFound, "Endpoint not specified in subscription"}
	case len(in.Endpoint) > 2048:
		return badParameter("Endpoint")
	}
	switch in.Protocol {
	case protocolSQS:
		queue, ok := queueInARN(in.Endpoint)
		if !ok {
			return badParameter("SQS endpoint ARN")
		}
		if isFIFO(queue) && !fifo {
			return badParameter("Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed " +
				"to standard SNS topics")
		}
	case protocolHTTP, protocolHTTPS:
		if fifo {
			return badParameter("Protocol Reason: FIFO topics have no subscriptions over HTTP")
		}
		if _, err := notify.ParseEndpoint(in.Protocol, in.Endpoint); err != nil {
			return badParameter("%s", err)
		}
	case protocolKafka, protocolAMQP:
		if !allowedText(in.Endpoint) || strings.HasPrefix(in.Endpoint, "#") {
			return badParameter("Endpoint")
		}
	default:
		return badParameter("Amazon SNS does not support this protocol string: %s", short(in.Protocol))
	}
	return nil
}

// subscribed finds the subscription of an endpoint, and says what of it is not what was asked for; nil:
// there is none.
func (t *Topics) subscribed(p *topic, in *subscribeInput) (*subscription, error) {
	all := p.live()
	i := slices.IndexFunc(all, func(s *subscription) bool { return s.is(in.Protocol, in.Endpoint) })
	if i < 0 {
		return nil, nil
	}
	want := subscriptionFact{}
	if err := want.attributesGiven(in.Attributes); err != nil {
		return nil, err
	}
	for name := range in.Attributes {
		if want.attribute(name) != all[i].attribute(name) {
			return nil, badParameter("Attributes Reason: Subscription already exists with different attributes")
		}
	}
	return all[i], nil
}

func (t *Topics) addSubscription(c *call, p *topic, in *subscribeInput) (*subscription, error) {
	f := subscriptionFact{Protocol: in.Protocol, Endpoint: in.Endpoint, Created: t.now()}
	f.Confirmed = !f.posts()
	if err := f.attributesGiven(in.Attributes); err != nil {
		return nil, err
	}
	sub, err := newSubscription(p, requestID(), f)
	if err != nil {
		return nil, inAttributes(err)
	}
	if err := t.newReplay(sub, nil); err != nil {
		return nil, inAttributes(err)
	}
	d := p.declared()
	if d.size() > usualTopicSize && (sub.posts() || len(p.live()) >= 100) {
		return nil, badParameter("Protocol Reason: a topic with messages above 262144 bytes has 100 " +
			"subscriptions at most, none of them over HTTP")
	}
	if sub.filter != nil {
		if err := p.checkFilters(); err != nil {
			return nil, err
		}
	}
	if !sub.posts() {
		return sub, t.keep(c, sub, nil)
	}
	if err = t.ask(c, sub); err != nil {
		t.dropOutbox(sub) // nobody else knows of it before the next Deliver
	}
	return sub, err
}

// keep saves a subscription, with what else is to be done at once, durably on return.
func (t *Topics) keep(c *call, sub *subscription, also func(tx *broker.Tx)) error {
	tx := t.b.Begin()
	if err := sub.save(tx); err != nil {
		return err
	}
	if also != nil {
		also(tx)
	}
	if sub.replay != nil {
		sub.saveReplay(tx, sub.replay.now())
	}
	if err := commit(c.ctx, tx); err != nil {
		return err
	}
	sub.topic.put(sub)
	t.startReplay(sub)
	return nil
}

// tokenBytes is how long a token is; it is told as twice as many hexadecimal digits.
const tokenBytes = 64

func newToken() string {
	var b [tokenBytes]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b[:])
}

type confirmInput struct {
	TopicArn                  string
	Token                     string
	AuthenticateOnUnsubscribe string
}

// confirmSubscription begins a subscription whose token is the one that was sent to its endpoint; again it
// does nothing.
func (s *Server) confirmSubscription(c *call, in *confirmInput) (*subscriptionOutput, error) {
	t := s.topics
	if b, err := hex.DecodeString(in.Token); in.Token != "" && (err != nil || len(b) != tokenBytes) {
		return nil, &Error{snsInvalid, "Invalid token"}
	}
	done, err := t.takeFor(c)
	if err != nil {
		return nil, err
	}
	defer done()
	p, err := t.topic("Topic", in.TopicArn)
	if err != nil {
		if asError(err).Code == snsNotFound {
			return nil, badParameter("Token")
		}
		return nil, badParameter("Topic")
	}
	all := p.subscriptions()
	i := slices.IndexFunc(all, func(o *subscription) bool { return in.Token != "" && o.Token == in.Token })
	if i < 0 || !all[i].active() && t.expired(all[i]) {
		return nil, badParameter("Token")
	}
	sub := all[i]
	if !sub.active() {
		is := *sub
		is.Confirmed, is.Ended = true, false
		is.Guarded = c.signed && strings.EqualFold(in.AuthenticateOnUnsubscribe, "true")
		if err := t.deliver(c.ctx, &is); err != nil {
			return nil, err
		}
		if err := t.keep(c, &is, nil); err != nil {
			return nil, err
		}
		sub = &is
	}
	return &subscriptionOutput{t.subscriptionARN(sub)}, nil
}

type unsubscribeInput struct {
	SubscriptionArn string
}

// unsubscribe ends a subscription. One that is not there is no error.
func (s *Server) unsubscribe(c *call, in *unsubscribeInput) (*nothing, error) {
	t := s.topics
	done, err := t.takeFor(c)
	if err != nil {
		return nil, err
	}
	defer done()
	sub, err := t.subscription(in.SubscriptionArn)
	switch {
	case err != nil && asError(err).Code == snsNotFound:
		return &nothing{}, nil
	case err != nil:
		return nil, err
	case sub.Guarded && !c.signed && !c.inside:
		return nil, &Error{snsDenied, "The subscription was confirmed with AuthenticateOnUnsubscribe: " +
			"the request must be signed"}
	}
	if sub.posts() && sub.Confirmed {
		return &nothing{}, t.endPosting(c, sub)
	}
	sub.replay.halt()
	tx := t.b.Begin()
	tx.DeleteFact(factSpace, sub.factKey())
	sub.saveReplay(tx, nil)
	if err := commit(c.ctx, tx); err != nil {
		t.startReplay(sub)
		return nil, err
	}
	sub.topic.drop(sub)
	t.dropOutbox(sub)
	return &nothing{}, nil
}

type listSubscriptionsInput struct {
	TopicArn  string
	NextToken string
}

type listSubscriptionsOutput struct {
	Subscriptions []listedSubscription `query:"Subscriptions.member"`
	NextToken     string               `json:"NextToken,omitempty"`
}

type listedSubscription struct {
	SubscriptionArn string
	Owner           string
	Protocol        string
	Endpoint        string
	TopicArn        string
}

func (s *Server) listSubscriptions(c *call, in *listSubscriptionsInput) (*listSubscriptionsOutput, error) {
	var all []*subscription
	for _, p := range s.topics.all() {
		all = append(all, p.live()...)
	}
	slices.SortFunc(all, func(a, b *subscription) int { return compareID(a, b.id) })
	return s.topics.list(c, all, in.NextToken)
}

func (s *Server) listSubscriptionsByTopic(c *call, in *listSubscriptionsInput) (
	*listSubscriptionsOutput, error) {
	p, err := s.topics.topic("TopicArn", in.TopicArn)
	if err != nil {
		return nil, err
	}
	return s.topics.list(c, p.live(), in.NextToken)
}

// list is a page of subscriptions, which are in the order of their ids.
func (t *Topics) list(c *call, all []*subscription, token string) (*listSubscriptionsOutput, error) {
	page, next, err := pageOf(all, token, func(s *subscription) string { return s.id })
	if err != nil {
		return nil, err
	}
	out := &listSubscriptionsOutput{NextToken: next}
	for _, s := range page {
		l := listedSubscription{"PendingConfirmation", t.config.Account, s.Protocol, s.shown(),
			t.topicARN(s.topic.name())}
		if s.Confirmed || c.inside {
			l.SubscriptionArn = t.subscriptionARN(s)
		}
		out.Subscriptions = append(out.Subscriptions, l)
	}
	return out, nil
}
