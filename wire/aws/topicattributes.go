package aws

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidings-io/tidings/wire/aws/notify"
)

// The names of attributes of topics that are used here.
const (
	attrDisplayName = "DisplayName"
	attrDelivery    = "DeliveryPolicy"
	attrEffective   = "EffectiveDeliveryPolicy"
	attrOwner       = "Owner"
	attrTopicARN    = "TopicArn"
	attrSignature   = "SignatureVersion"
	attrTracing     = "TracingConfig"
	attrFIFOTopic   = "FifoTopic"
	attrProtection  = "DataProtectionPolicy" // has actions of its own
)

// topicAttribute is one of a topic.
type topicAttribute struct {
	def    string             // where it is not set, and known all the same
	check  func(string) error // nil: anything does
	shown  bool               // also where it is not set
	clears bool               // "" takes it away
	fifo   bool               // only FIFO topics have it
}

// topicAttributes is every attribute of a topic that can be set, but for those of feedback.
var topicAttributes = map[string]topicAttribute{
	attrDisplayName: {shown: true, check: checkDisplayName},
	attrPolicy:      {check: checkTopicPolicy, clears: true},
	attrDelivery:    {check: checkTopicDelivery, clears: true},
	attrKey:         {clears: true},
	attrSignature:   {check: oneOf(attrSignature, "1", "2")},
	attrTracing:     {check: oneOf(attrTracing, "PassThrough", "Active")},
	attrSize:        {def: "262144", check: checkTopicSize},

	attrTopicContent: {def: "false", fifo: true, shown: true, check: oneOf(attrTopicContent, "true", "false")},
	attrTopicScope:   {def: "Topic", fifo: true, check: oneOf(attrTopicScope, "Topic", scopeGroup)},
	attrArchive:      {fifo: true, clears: true, check: checkArchive},
}

// feedback is the names of attributes about logs of deliveries, which are kept and shown: there are no such
// logs.
var feedback = regexp.MustCompile(`^(HTTP|Firehose|Lambda|Application|SQS)` +
	`(SuccessFeedbackRoleArn|SuccessFeedbackSampleRate|FailureFeedbackRoleArn)$`)

// reason is what is wrong with the value of an attribute, in SNS's words.
type reason string

func (r reason) Error() string { return string(r) }

func oneOf(name string, values ...string) func(string) error {
	return func(value string) error {
		if slices.Contains(values, value) {
			return nil
		}
		return reason(name + ": Invalid value [" + short(value) + "]. Must be " +
			strings.Join(values, " or ") + ".")
	}
}

func checkDisplayName(value string) error {
	if utf8.RuneCountInString(value) > 100 || !allowedText(value) {
		return reason("DisplayName: Must be at most 100 characters")
	}
	return nil
}

func checkTopicPolicy(value string) error {
	if _, err := parsePolicy(value); err != nil {
		return reason("Policy Error: null")
	}
	return nil
}

func checkTopicDelivery(value string) error {
	_, err := notify.ParseTopicPolicy(value)
	return err
}

// Of a message that a topic takes.
const (
	leastTopicSize = 1024
	usualTopicSize = 262144
)

func checkTopicSize(value string) error {
	if n, err := strconv.Atoi(value); err != nil || n < leastTopicSize || n > maxMessage {
		return reason("MaximumMessageSize: Invalid value [" + short(value) + "]. Must be from 1024 to 1048576.")
	}
	return nil
}

// checkTopicAttribute refuses a value of an attribute that can be set of a topic; known is false where there
// is none of the name.
func checkTopicAttribute(topic, name, value string) (known bool, err error) {
	a, known := topicAttributes[name]
	switch {
	case len(value) > maxAttribute && (known || feedback.MatchString(name)):
		return true, reason(name + ": " + tooLongAttribute)
	case feedback.MatchString(name):
		return true, nil
	case !known:
		return false, nil
	case a.fifo && !isFIFO(topic):
		return true, reason(name + ": Only FIFO topics have it")
	case a.check == nil, value == "" && a.clears:
		return true, nil
	}
	return true, a.check(value)
}

// attribute is the value of one that can be set; "": it is not set, and has no default.
func (d *declaredTopic) attribute(name string) string {
	if v, ok := d.attributes[name]; ok {
		return v
	}
	return topicAttributes[name].def
}

// size is how large a message of the topic can be.
func (d *declaredTopic) size() int {
	n, _ := strconv.Atoi(d.attribute(attrSize))
	return n
}

// delivery is the topic's policy.
func (d *declaredTopic) delivery() notify.TopicPolicy {
	p, _ := notify.ParseTopicPolicy(d.attributes[attrDelivery]) // it was checked; none says nothing
	return p
}

type getTopicAttributesOutput struct {
	Attributes map[string]string `query:"Attributes.entry,key,value"`
}

type topicInput struct {
	TopicArn string
}

func (s *Server) getTopicAttributes(_ *call, in *topicInput) (*getTopicAttributesOutput, error) {
	p, err := s.topics.topic("TopicArn", in.TopicArn)
	if err != nil {
		return nil, err
	}
	return &getTopicAttributesOutput{s.topics.attributesOf(p)}, nil
}

// attributesOf returns every attribute that a topic has.
func (t *Topics) attributesOf(p *topic) map[string]string {
	d := p.declared()
	out := maps.Clone(d.attributes)
	delete(out, attrProtection)
	for name, a := range topicAttributes {
		if _, set := out[name]; a.shown && !set && (p.fifo() || !a.fifo) {
			out[name] = a.def
		}
	}
	if p.fifo() {
		out[attrFIFOTopic] = "true"
	}
	if a := t.archiveOf(p); a != nil {
		out[attrBeginning] = timeText(t.beginning(a))
	}
	out[attrOwner], out[attrTopicARN] = t.config.Account, t.topicARN(p.name())
	if out[attrPolicy] == "" {
		out[attrPolicy] = text(t.defaultPolicy(p.name()))
	}
	delivery := d.delivery()
	if d.attributes[attrDelivery] != "" {
		out[attrDelivery] = text(delivery)
	}
	out[attrEffective] = text(delivery.Effective())
	confirmed, pending := 0, 0
	for _, s := range p.live() {
		if s.Confirmed {
			confirmed++
		} else {
			pending++
		}
	}
	out["SubscriptionsConfirmed"], out["SubscriptionsPending"] = strconv.Itoa(confirmed), strconv.Itoa(pending)
	out["SubscriptionsDeleted"] = "0"
	return out
}

// text is a document that cannot fail to be one.
func text(v any) string {
	b, err := encodeJSON(v)
	if err != nil {
		panic("aws: " + err.Error())
	}
	return string(b)
}

type setTopicAttributesInput struct {
	TopicArn       string
	AttributeName  string
	AttributeValue string
}

func (s *Server) setTopicAttributes(c *call, in *setTopicAttributesInput) (*nothing, error) {
	if in.AttributeName == "" {
		return nil, absent("AttributeName")
	}
	return &nothing{}, s.topics.change(c, in.TopicArn, func(p *topic, d *declaredTopic) error {
		known, wrong := checkTopicAttribute(p.name(), in.AttributeName, in.AttributeValue)
		switch {
		case !known:
			return badParameter("AttributeName")
		case wrong != nil:
			return badParameter("%s", wrong)
		case in.AttributeName == attrSize && in.AttributeValue > "" && !p.takesLarge(in.AttributeValue):
			return badParameter("MaximumMessageSize: above 262144 bytes a topic has 100 subscriptions at most, " +
				"none of them over HTTP")
		case in.AttributeValue == "" && topicAttributes[in.AttributeName].clears:
			delete(d.attributes, in.AttributeName)
		default:
			d.attributes[in.AttributeName] = in.AttributeValue
		}
		return nil
	})
}

// takesLarge says whether a topic may have messages of a size.
func (p *topic) takesLarge(size string) bool {
	all := p.live()
	n, _ := strconv.Atoi(size)
	return n <= usualTopicSize || len(all) <= 100 &&
		!slices.ContainsFunc(all, func(s *subscription) bool { return s.posts() })
}

// change edits what SNS says of a topic, durably on return.
func (t *Topics) change(c *call, arn string, edit func(p *topic, d *declaredTopic) error) error {
	done, err := t.takeFor(c)
	if err != nil {
		return err
	}
	defer done()
	p, err := t.topic("TopicArn", arn)
	if err != nil {
		return err
	}
	d := p.declared()
	if err := edit(p, &d); err != nil {
		return err
	}
	archive, err := t.archiveFor(c.ctx, p.name(), p.id, t.archiveOf(p), d.keeps())
	if err != nil {
		return err
	}
	if err := t.b.ChangeExchange(c.ctx, p.x, d.args()); err != nil {
		return err
	}
	if err := t.useArchive(c.ctx, p, archive); err != nil {
		return err
	}
	return t.deliverAll(c.ctx, p)
}

// defaultPolicy is the one that a topic has where none was set.
func (t *Topics) defaultPolicy(name string) *policy {
	raw, err := json.Marshal(defaultStatement{"__default_statement_ID", "Allow", map[string]string{"AWS": "*"},
		[]string{"SNS:GetTopicAttributes", "SNS:SetTopicAttributes", "SNS:AddPermission", "SNS:RemovePermission",
			"SNS:DeleteTopic", "SNS:Subscribe", "SNS:ListSubscriptionsByTopic", "SNS:Publish"},
		t.topicARN(name),
		map[string]map[string]string{"StringEquals": {"AWS:SourceOwner": t.config.Account}}})
	if err != nil {
		panic("aws: " + err.Error())
	}
	return &policy{Version: "2008-10-17", ID: "__default_policy_ID", Statements: []json.RawMessage{raw}}
}

type defaultStatement struct {
	Sid       string
	Effect    string
	Principal map[string]string
	Action    []string
	Resource  string
	Condition map[string]map[string]string
}
