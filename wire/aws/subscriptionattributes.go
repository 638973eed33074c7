package aws

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tidings-io/tidings/wire/aws/filter"
	"github.com/tidings-io/tidings/wire/aws/notify"
)

// The names of attributes of subscriptions that are used here.
const (
	attrRaw         = "RawMessageDelivery"
	attrFilter      = "FilterPolicy"
	attrFilterScope = "FilterPolicyScope"
	attrRole        = "SubscriptionRoleArn"
	attrReplay      = "ReplayPolicy"
)

// subscriptionAttributes is every attribute of a subscription that can be set, and what it is where it was
// not.
var subscriptionAttributes = map[string]string{
	attrRaw:         "false",
	attrFilter:      "",
	attrFilterScope: filter.MessageAttributes.String(),
	attrRedrive:     "",
	attrDelivery:    "",
	attrRole:        "",
	attrReplay:      "",
}

// setAttribute sets one, or says what is wrong with its value. That a filter policy fits its scope is for
// newSubscription to say.
func (f *subscriptionFact) setAttribute(name, value string) error {
	if name != attrFilter && len(value) > maxAttribute {
		return reason(name + ": " + tooLongAttribute)
	}
	switch name {
	case attrRaw:
		lower := strings.ToLower(value)
		if lower != "true" && lower != "false" {
			return reason("RawMessageDelivery: Invalid value [" + short(value) + "]. Must be true or false.")
		}
		value = lower
	case attrFilterScope:
		if _, err := filter.ParseScope(value); err != nil {
			return err
		}
	case attrRedrive:
		if err := checkRedriveNames(value); err != nil {
			return err
		}
	case attrReplay:
		policy, err := parseReplay(value)
		if err != nil && value != "" {
			return err
		}
		if policy == nil {
			value = ""
		}
	}
	if f.Attributes == nil {
		f.Attributes = map[string]string{}
	}
	if f.Attributes[name] = value; value == "" {
		delete(f.Attributes, name)
	}
	return nil
}

// checkRedriveNames refuses what a RedrivePolicy of a queue has, and that of a subscription has not.
func checkRedriveNames(text string) error {
	var doc map[string]json.RawMessage
	_ = json.Unmarshal([]byte(text), &doc) // what is no JSON is found where it is read
	for _, name := range slices.Sorted(maps.Keys(doc)) {
		if name != "deadLetterTargetArn" {
			return reason("RedrivePolicy: invalid JSON. Attribute " + short(name) + " is unknown.")
		}
	}
	return nil
}

// parseSubscriptionRedrive is the name of the queue for what cannot be delivered.
func parseSubscriptionRedrive(text string) (queue string, err error) {
	var doc struct {
		Target *string `json:"deadLetterTargetArn"`
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return "", redriveSyntax(text)
	}
	if doc.Target == nil {
		return "", reason("RedrivePolicy: deadLetterTargetArn is missing")
	}
	queue, ok := queueInARN(*doc.Target)
	if !ok {
		return "", reason("RedrivePolicy: deadLetterTargetArn is an invalid arn")
	}
	return queue, nil
}

// checkDead wants dead letters of FIFO queues in FIFO queues, and others in others.
func (s *subscription) checkDead() error {
	switch from, to := isFIFO(s.topic.name()) && isFIFO(s.Endpoint), isFIFO(s.dead); {
	case from && !to:
		return reason("RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic.")
	case to && !from:
		return reason("RedrivePolicy: must use a Standard queue as DLQ for a Subscription to a Standard queue.")
	}
	return nil
}

// redriveSyntax is SNS's text for what is no JSON: it reads this policy as it does a filter's.
func redriveSyntax(text string) error {
	_, err := filter.Parse(text, filter.MessageBody)
	var wrong *filter.Error
	if errors.As(err, &wrong) {
		if what, ok := strings.CutPrefix(wrong.Message, attrFilter+": failed to parse JSON."); ok {
			return reason("RedrivePolicy: failed to parse JSON." + what)
		}
	}
	return reason("RedrivePolicy: failed to parse JSON.")
}

type getSubscriptionAttributesInput struct {
	SubscriptionArn string
}

type getSubscriptionAttributesOutput struct {
	Attributes map[string]string `query:"Attributes.entry,key,value"`
}

func (s *Server) getSubscriptionAttributes(_ *call, in *getSubscriptionAttributesInput) (
	*getSubscriptionAttributesOutput, error) {
	sub, err := s.topics.subscription(in.SubscriptionArn)
	if err != nil {
		return nil, err
	}
	return &getSubscriptionAttributesOutput{s.topics.attributesOfSubscription(sub)}, nil
}

// attributesOfSubscription returns every attribute that a subscription has.
func (t *Topics) attributesOfSubscription(s *subscription) map[string]string {
	out := maps.Clone(s.Attributes)
	if out == nil {
		out = map[string]string{}
	}
	out[attrRaw] = s.attribute(attrRaw)
	if delete(out, attrFilterScope); s.filter != nil {
		out[attrFilterScope] = s.filter.Scope().String()
	}
	out["Protocol"], out["Endpoint"], out[attrOwner] = s.Protocol, s.shown(), t.config.Account
	out["SubscriptionArn"], out[attrTopicARN] = t.subscriptionARN(s), t.topicARN(s.topic.name())
	out["SubscriptionPrincipal"] = "arn:aws:iam::" + t.config.Account + ":root"
	out["PendingConfirmation"] = strconv.FormatBool(!s.Confirmed)
	out["ConfirmationWasAuthenticated"] = strconv.FormatBool(s.Confirmed && (!s.posts() || s.Guarded))
	if s.replay != nil {
		out[attrReplayStatus] = s.replay.now().Status
	}
	if s.posts() {
		own, _ := notify.ParseSubscriptionPolicy(s.Attributes[attrDelivery]) // it was checked
		d := s.topic.declared()
		if s.Attributes[attrDelivery] != "" {
			out[attrDelivery] = text(own)
		}
		out[attrEffective] = text(own.Effective(d.delivery()))
	}
	return out
}

type setSubscriptionAttributesInput struct {
	SubscriptionArn string
	AttributeName   string
	AttributeValue  string
}

// setSubscriptionAttributes sets one attribute; "" takes a policy away.
func (s *Server) setSubscriptionAttributes(c *call, in *setSubscriptionAttributesInput) (*nothing, error) {
	switch in.AttributeName {
	case "":
		return nil, absent("AttributeName")
	case attrReplay:
		return &nothing{}, s.topics.setReplay(c, in.SubscriptionArn, in.AttributeValue)
	}
	return &nothing{}, s.topics.changeSubscription(c, in.SubscriptionArn, func(f *subscriptionFact) error {
		if _, known := subscriptionAttributes[in.AttributeName]; !known {
			return badParameter("AttributeName")
		}
		if err := f.setAttribute(in.AttributeName, in.AttributeValue); err != nil {
			return badParameter("%s", err)
		}
		return nil
	})
}

// changeSubscription edits what is kept of a subscription, durably on return.
func (t *Topics) changeSubscription(c *call, arn string, edit func(f *subscriptionFact) error) error {
	done, err := t.takeFor(c)
	if err != nil {
		return err
	}
	defer done()
	was, err := t.subscription(arn)
	if err != nil {
		return err
	}
	f := was.subscriptionFact
	f.Attributes = maps.Clone(f.Attributes)
	if err := edit(&f); err != nil {
		return err
	}
	is, err := newSubscription(was.topic, was.id, f)
	if err != nil {
		return badParameter("%s", err)
	}
	is.replay = was.replay
	if was.filter == nil && is.filter != nil {
		if err := was.topic.checkFilters(); err != nil {
			return err
		}
	}
	tx := t.b.Begin()
	if err := is.save(tx); err != nil {
		return err
	}
	if err := commit(c.ctx, tx); err != nil {
		return err
	}
	is.topic.put(is)
	if is.posts() {
		return t.deliver(c.ctx, is)
	}
	return nil
}

// maxFilters is how many subscriptions of a topic can have a filter policy.
const maxFilters = 200

func (p *topic) checkFilters() error {
	n := 0
	for _, s := range p.live() {
		if s.filter != nil {
			n++
		}
	}
	if n >= maxFilters {
		return errorf(snsFilterLimit, "Filter policy limit exceeded: %d subscriptions of the topic have one", n)
	}
	return nil
}

// attributesGiven makes the attributes of a new subscription.
func (f *subscriptionFact) attributesGiven(given map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, known := subscriptionAttributes[name]; !known {
			return badParameter("Attributes Reason: Invalid attribute name: %s", short(name))
		}
		if err := f.setAttribute(name, given[name]); err != nil {
			return inAttributes(err)
		}
	}
	return nil
}
