package aws

import (
	"slices"
)

// permitted is what a permission can allow, of which those for any topic are not.
var permitted = []string{"GetTopicAttributes", "SetTopicAttributes", "AddPermission", "RemovePermission",
	"DeleteTopic", "Subscribe", "ListSubscriptionsByTopic", "Publish", "Receive"}

type addTopicPermissionInput struct {
	TopicArn      string
	Label         string
	AWSAccountIds []string `json:"AWSAccountId" query:"AWSAccountId.member"`
	Actions       []string `json:"ActionName" query:"ActionName.member"`
}

func (in *addTopicPermissionInput) check() error {
	switch {
	case in.Label == "":
		return absent("Label")
	case len(in.AWSAccountIds) == 0:
		return absent("AWSAccountId")
	case len(in.Actions) == 0:
		return absent("ActionName")
	case slices.ContainsFunc(in.Actions, func(a string) bool { return !slices.Contains(permitted, a) }):
		return badParameter("Policy statement action out of service scope!")
	}
	return nil
}

// addTopicPermission adds a statement to the policy, which is kept and shown: nobody is refused by it.
func (s *Server) addTopicPermission(c *call, in *addTopicPermissionInput) (*nothing, error) {
	return &nothing{}, s.topics.change(c, in.TopicArn, func(p *topic, d *declaredTopic) error {
		if err := in.check(); err != nil {
			return err
		}
		current := s.topics.policyOf(p, d)
		if current.labelled(in.Label) >= 0 {
			return badParameter("Statement already exists")
		}
		add := addPermissionInput{Label: in.Label, AWSAccountIds: in.AWSAccountIds}
		statement := add.statement(s.topics.topicARN(p.name()))
		var actions []string
		for _, name := range in.Actions {
			actions = append(actions, "SNS:"+name)
		}
		statement.Action = oneOrMany(actions)
		current.Statements = append(current.Statements, []byte(text(statement)))
		d.attributes[attrPolicy] = text(current)
		return nil
	})
}

// policyOf is the policy of a topic, with what it says where none was set.
func (t *Topics) policyOf(p *topic, d *declaredTopic) *policy {
	if set, err := parsePolicy(d.attributes[attrPolicy]); err == nil {
		return &set
	}
	return t.defaultPolicy(p.name())
}

type removeTopicPermissionInput struct {
	TopicArn string
	Label    string
}

func (s *Server) removeTopicPermission(c *call, in *removeTopicPermissionInput) (*nothing, error) {
	return &nothing{}, s.topics.change(c, in.TopicArn, func(p *topic, d *declaredTopic) error {
		if in.Label == "" {
			return absent("Label")
		}
		current := s.topics.policyOf(p, d)
		if at := current.labelled(in.Label); at >= 0 { // one that is not there is no error
			current.Statements = slices.Delete(current.Statements, at, at+1)
			d.attributes[attrPolicy] = text(current)
		}
		return nil
	})
}
