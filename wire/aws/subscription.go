package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/aws/filter"
	"github.com/tidings-io/tidings/wire/aws/notify"
)

// The protocols of subscriptions. The last two are our own: a topic of Kafka, and an exchange of AMQP.
const (
	protocolSQS   = "sqs"
	protocolHTTP  = "http"
	protocolHTTPS = "https"
	protocolKafka = "kafka" // the endpoint is the name of a topic
	protocolAMQP  = "amqp"  // that of an exchange, and perhaps # and a routing key
)

// subscription is one to a topic. It does not change: another takes its place.
type subscription struct {
	topic *topic
	id    string
	subscriptionFact

	filter *filter.Policy // nil: it gets everything
	dead   string         // name of the queue of its dead letters; "": there is none
	raw    bool
	replay *replay // nil: there was none
}

// subscriptionFact is what is kept of a subscription, as JSON.
type subscriptionFact struct {
	Protocol   string            `json:"protocol"`
	Endpoint   string            `json:"endpoint"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Created    int64             `json:"created"` // ms
	// Token is what confirms it, or did.
	Token     string `json:"token,omitempty"`
	TokenTime int64  `json:"tokenTime,omitempty"` // ms
	Confirmed bool   `json:"confirmed"`
	// Guarded says that only a signed request ends it.
	Guarded bool `json:"guarded,omitempty"`
	// Ended says that it is over, but for what its endpoint still gets: how to take the end back.
	Ended bool `json:"ended,omitempty"`
}

// Where facts of SNS are, and how their keys begin.
const (
	factSpace         = "sns"
	factSubscriptions = "subscription/" // id of the topic, /, id of the subscription
	factKey           = "key"           // that signs
)

func (s *subscription) factKey() string { return factSubscriptions + s.topic.id + "/" + s.id }

// newSubscription compiles what is kept.
func newSubscription(p *topic, id string, f subscriptionFact) (*subscription, error) {
	s := &subscription{topic: p, id: id, subscriptionFact: f, raw: f.Attributes[attrRaw] == "true"}
	scope, err := filter.ParseScope(f.attribute(attrFilterScope))
	if err != nil {
		return nil, err
	}
	if text := f.Attributes[attrFilter]; text != "" {
		if s.filter, err = filter.Parse(text, scope); err != nil {
			return nil, err
		}
	}
	if text := f.Attributes[attrRedrive]; text != "" {
		if s.dead, err = parseSubscriptionRedrive(text); err != nil {
			return nil, err
		}
		if err := s.checkDead(); err != nil {
			return nil, err
		}
	}
	if text := f.Attributes[attrDelivery]; text != "" {
		if _, err := notify.ParseSubscriptionPolicy(text); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// attribute is the value of one, or what it is where it was not set.
func (f *subscriptionFact) attribute(name string) string {
	if v, ok := f.Attributes[name]; ok {
		return v
	}
	return subscriptionAttributes[name]
}

// is says whether an endpoint of a protocol is that of the subscription.
func (f *subscriptionFact) is(protocol, endpoint string) bool {
	return f.Protocol == protocol && f.Endpoint == endpoint
}

// posts says whether its notifications are sent over HTTP.
func (f *subscriptionFact) posts() bool {
	return f.Protocol == protocolHTTP || f.Protocol == protocolHTTPS
}

// active says whether it gets what is published.
func (f *subscriptionFact) active() bool { return f.Confirmed && !f.Ended }

// save puts the subscription into a commit.
func (s *subscription) save(tx *broker.Tx) error {
	value, err := encodeSlowly(&s.subscriptionFact) // without escapes for HTML: a policy may have 256 KiB
	if err == nil {
		tx.PutFact(factSpace, s.factKey(), value)
	}
	return err
}

func (t *Topics) now() int64 { return t.config.Now().UnixMilli() }

// tokenLife is for how long a token confirms.
const tokenLife = 48 * time.Hour

// Relay is for broker.Config.Relays, under TopicType. A Topics is for one broker.
func (t *Topics) Relay(b *broker.Broker) broker.Relay {
	t.b = b
	byID := map[string]*topic{}
	for _, x := range b.Exchanges("") {
		if x.Spec().Type != TopicType {
			continue
		}
		if p, ok := t.adopt(x); ok {
			if d := p.declared(); d.keeps() > 0 {
				p.archive.Store(t.madeArchive(p.name(), p.id))
			}
			byID[p.id] = p
		}
	}
	t.load(byID)
	return relay{t}
}

// load reads the subscriptions, and the key. What is left of topics that are gone goes.
func (t *Topics) load(byID map[string]*topic) {
	facts := t.b.Facts(factSpace)
	if made, ok := facts.Get(factKey); ok {
		signer, err := notify.NewSigner(made)
		if err != nil {
			t.config.Logger.Error("notifications are not signed", "error", err)
		} else {
			t.signer.Store(signer)
		}
	}
	var gone []string
	all := map[*topic][]*subscription{}
	for key, value := range facts.All(factSubscriptions) {
		topicID, id, _ := strings.Cut(key[len(factSubscriptions):], "/")
		p := byID[topicID]
		if p == nil {
			gone = append(gone, key)
			continue
		}
		s, err := readSubscription(p, id, value)
		if err == nil {
			err = t.loadReplay(s)
		}
		if err != nil {
			t.config.Logger.Error("a subscription gets nothing", "topic", p.name(), "id", id, "error", err)
			continue
		}
		all[p] = append(all[p], s)
	}
	for key := range facts.All(factReplays) {
		topicID, id, _ := strings.Cut(key[len(factReplays):], "/")
		if p := byID[topicID]; p == nil || !slices.ContainsFunc(all[p], func(s *subscription) bool { return s.id == id }) {
			gone = append(gone, key)
		}
	}
	for p, subs := range all {
		p.subs.Store(&subs) // the facts come in the order of ids
	}
	t.deleteFacts(gone)
}

func readSubscription(p *topic, id string, value []byte) (*subscription, error) {
	var f subscriptionFact
	if err := json.Unmarshal(value, &f); err != nil {
		return nil, fmt.Errorf("read subscription: %w", err)
	}
	return newSubscription(p, id, f)
}

// factsAtOnce is how many facts one commit deletes.
const factsAtOnce = 200

// deleteFacts deletes what belongs to nothing any more. Where that fails, the next start does it.
func (t *Topics) deleteFacts(keys []string) {
	for len(keys) > 0 {
		n := min(len(keys), factsAtOnce)
		tx := t.b.Begin()
		for _, key := range keys[:n] {
			tx.DeleteFact(factSpace, key)
		}
		if err := commit(context.Background(), tx); err != nil {
			t.config.Logger.Warn("subscriptions of deleted topics are left over", "error", err)
			return
		}
		keys = keys[n:]
	}
}
