package aws

import (
	"context"
	"encoding/base64"
	"maps"
	"slices"
	"strings"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/aws/notify"
)

type createTopicInput struct {
	Name                 string
	Attributes           map[string]string `query:"Attributes.entry,key,value"`
	Tags                 []tag             `query:"Tags.member"`
	DataProtectionPolicy string
}

type topicOutput struct {
	TopicArn string
}

// createTopic makes a topic. One that is there is the answer if the attributes and tags that are given have
// the values that they have there; those that are not given are not compared.
func (s *Server) createTopic(c *call, in *createTopicInput) (*topicOutput, error) {
	want, err := in.declared()
	if err != nil {
		return nil, err
	}
	t := s.topics
	done, err := t.takeFor(c)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := t.makeKey(c.ctx); err != nil {
		return nil, err
	}
	want.created = t.config.Now().Unix()
	spec := broker.ExchangeSpec{Name: in.Name, Type: TopicType, Durable: true, Args: want.args()}
	if isFIFO(in.Name) {
		spec.Once = topicDedupTime
	}
	var archive *broker.Topic
	if t.named(in.Name) == nil { // else its attributes can only be the same
		if archive, err = t.archiveFor(c.ctx, in.Name, want.id, nil, want.keeps()); err != nil {
			return nil, err
		}
	}
	x, created, err := t.b.DeclareExchange(c.ctx, spec)
	if err != nil {
		return nil, err
	}
	if !created {
		if err := want.matches(x, in); err != nil {
			return nil, err
		}
	}
	if p, ok := t.adopt(x); ok && created {
		p.archive.Store(archive)
	}
	return &topicOutput{t.topicARN(in.Name)}, nil
}

// declared checks what is asked for.
func (in *createTopicInput) declared() (d declaredTopic, err error) {
	if !isTopicName(in.Name) || isFIFO(in.Name) != (in.Attributes[attrFIFOTopic] == "true") {
		return d, badParameter("Topic Name")
	}
	d = declaredTopic{id: strings.ReplaceAll(requestID(), "-", ""), attributes: map[string]string{},
		tags: map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(in.Attributes)) {
		value := in.Attributes[name]
		if name == attrFIFOTopic {
			continue
		}
		known, err := checkTopicAttribute(in.Name, name, value)
		if !known {
			return d, badParameter("Attributes Reason: Invalid attribute name: %s", short(name))
		}
		if err != nil {
			return d, inAttributes(err)
		}
		if value != "" || !topicAttributes[name].clears {
			d.attributes[name] = value
		}
	}
	if in.DataProtectionPolicy != "" {
		if err := checkProtection(in.DataProtectionPolicy); err != nil {
			return d, err
		}
		d.attributes[attrProtection] = in.DataProtectionPolicy
	}
	return d, d.addTags(in.Tags)
}

// matches says what of a topic that is there is not what was asked for.
func (d *declaredTopic) matches(x *broker.Exchange, in *createTopicInput) error {
	have, ok := declaredTopicOf(x)
	if !ok {
		return badParameter("Topic Name Reason: an exchange of AMQP has this name")
	}
	for name, value := range d.attributes {
		if have.attribute(name) != value {
			return badParameter("Attributes Reason: Topic already exists with different attributes")
		}
	}
	for key, value := range d.tags {
		if v, there := have.tags[key]; !there || v != value {
			return badParameter("Tags Reason: Topic already exists with different tags")
		}
	}
	return nil
}

// makeKey makes the key that signs, with the first topic.
func (t *Topics) makeKey(ctx context.Context) error {
	if t.signer.Load() != nil {
		return nil
	}
	made, err := notify.NewKey(t.config.Now())
	if err != nil {
		return err
	}
	signer, err := notify.NewSigner(made)
	if err != nil {
		return err
	}
	tx := t.b.Begin()
	tx.PutFact(factSpace, factKey, made)
	if err := commit(ctx, tx); err != nil {
		return err
	}
	t.signer.Store(signer)
	return nil
}

// deleteTopic deletes a topic with its subscriptions. One that is not there is no error.
func (s *Server) deleteTopic(c *call, in *topicInput) (*nothing, error) {
	t := s.topics
	done, err := t.takeFor(c)
	if err != nil {
		return nil, err
	}
	defer done()
	p, err := t.topic("TopicArn", in.TopicArn)
	if err != nil {
		if asError(err).Code == snsNotFound {
			return &nothing{}, nil
		}
		return nil, err
	}
	if d := p.declared(); d.keeps() > 0 {
		return nil, errorf(snsInvalidState, "Invalid state: Cannot delete a topic with an ArchivePolicy")
	}
	if err := t.b.DeleteExchange(c.ctx, p.x, false); err != nil && broker.KindOf(err) != broker.NotFound {
		return nil, err
	}
	t.forget(p)
	var keys []string
	for _, sub := range p.subscriptions() {
		keys = append(keys, sub.factKey(), sub.replayKey())
		t.dropOutbox(sub)
	}
	t.deleteFacts(keys)
	return &nothing{}, nil
}

type listTopicsInput struct {
	NextToken string
}

type listTopicsOutput struct {
	Topics    []topicOutput `query:"Topics.member"`
	NextToken string        `json:"NextToken,omitempty"`
}

// maxPage is how much one answer of SNS lists.
const maxPage = 100

func (s *Server) listTopics(_ *call, in *listTopicsInput) (*listTopicsOutput, error) {
	list, next, err := pageOf(s.topics.all(), in.NextToken, (*topic).name)
	if err != nil {
		return nil, err
	}
	out := &listTopicsOutput{NextToken: next}
	for _, p := range list {
		out.Topics = append(out.Topics, topicOutput{s.topics.topicARN(p.name())})
	}
	return out, nil
}

// pageOf is a page of a list, behind the one that a token names, and the token for the next one.
func pageOf[T any](all []T, token string, name func(T) string) (page []T, next string, err error) {
	after, bad := base64.RawURLEncoding.DecodeString(token)
	if bad != nil {
		return nil, "", badParameter("NextToken")
	}
	from := 0
	if token != "" {
		for from < len(all) && name(all[from]) <= string(after) {
			from++
		}
	}
	if page = all[from:]; len(page) > maxPage {
		page = page[:maxPage]
		next = base64.RawURLEncoding.EncodeToString([]byte(name(page[maxPage-1])))
	}
	return page, next, nil
}

type protectionInput struct {
	ResourceArn          string
	DataProtectionPolicy string
}

type protectionOutput struct {
	DataProtectionPolicy string
}

// checkProtection wants a document.
func checkProtection(value string) error {
	var doc struct{ Name, Version string }
	if len(value) > 30720 || decodeJSON([]byte(value), &doc) != nil || doc.Name == "" || doc.Version == "" {
		return badParameter("DataProtectionPolicy")
	}
	return nil
}

func (s *Server) putDataProtectionPolicy(c *call, in *protectionInput) (*nothing, error) {
	return &nothing{}, s.topics.change(c, in.ResourceArn, func(_ *topic, d *declaredTopic) error {
		if in.DataProtectionPolicy == "" {
			delete(d.attributes, attrProtection)
			return nil
		}
		d.attributes[attrProtection] = in.DataProtectionPolicy
		return checkProtection(in.DataProtectionPolicy)
	})
}

func (s *Server) getDataProtectionPolicy(_ *call, in *protectionInput) (*protectionOutput, error) {
	p, err := s.topics.topic("ResourceArn", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	d := p.declared()
	return &protectionOutput{d.attributes[attrProtection]}, nil
}
