package aws

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/tidings-io/tidings/broker"
)

// policy is the Policy attribute of a queue, as far as permissions edit it. It is kept and shown; nobody
// is refused by it.
type policy struct {
	Version    string     `json:"Version"`
	ID         string     `json:"Id,omitempty"`
	Statements statements `json:"Statement"`
}

// statements are read where one stands alone, too, as the grammar of IAM's policies has it.
type statements []json.RawMessage

func (s *statements) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte("{")) {
		*s = statements{slices.Clone(text)}
		return nil
	}
	return json.Unmarshal(text, (*[]json.RawMessage)(s))
}

// statement is one that a permission is.
type statement struct {
	Sid       string         `json:"Sid"`
	Effect    string         `json:"Effect"`
	Principal map[string]any `json:"Principal"`
	Action    any            `json:"Action"`
	Resource  string         `json:"Resource"`
}

func parsePolicy(text string) (p policy, err error) {
	if err = json.Unmarshal([]byte(text), &p); err == nil && p.Statements == nil {
		err = errors.New("a policy has statements")
	}
	return p, err
}

// labelled is where the statement with a label is; -1: nowhere.
func (p *policy) labelled(label string) int {
	return slices.IndexFunc(p.Statements, func(raw json.RawMessage) bool {
		var s struct{ Sid string }
		return json.Unmarshal(raw, &s) == nil && s.Sid == label
	})
}

type addPermissionInput struct {
	QueueUrl      string
	Label         string
	AWSAccountIds []string `query:"AWSAccountId"`
	Actions       []string `query:"ActionName"`
}

func (s *Server) addPermission(c *call, in *addPermissionInput) (*nothing, error) {
	switch {
	case in.Label == "":
		return nil, missing("Label")
	case len(in.AWSAccountIds) == 0:
		return nil, missing("AWSAccountIds")
	case len(in.Actions) == 0:
		return nil, missing("Actions")
	case !queueName.MatchString(in.Label):
		return nil, wrong(short(in.Label), "Label", "Can only include alphanumeric characters, hyphens, "+
			"or underscores. 1 to 80 in length")
	}
	return &nothing{}, s.change(c, in.QueueUrl, func(q *broker.Queue, d *declared) error {
		arn := s.arn(q.Name().Name)
		p, err := parsePolicy(d.attribute(attrPolicy))
		if err != nil {
			p = policy{Version: "2008-10-17", ID: arn + "/SQSDefaultPolicy"}
		}
		if p.labelled(in.Label) >= 0 {
			return wrong(in.Label, "Label", "Already exists.")
		}
		raw, err := encodeJSON(in.statement(arn))
		if err != nil {
			return err
		}
		p.Statements = append(p.Statements, raw)
		return d.setPolicy(&p)
	})
}

func (in *addPermissionInput) statement(arn string) statement {
	var who, what []string
	for _, id := range in.AWSAccountIds {
		who = append(who, fmt.Sprintf("arn:aws:iam::%s:root", id))
	}
	for _, name := range in.Actions {
		what = append(what, "SQS:"+name)
	}
	return statement{in.Label, "Allow", map[string]any{"AWS": oneOrMany(who)}, oneOrMany(what), arn}
}

// oneOrMany is a list as policies have it: one element stands for itself.
func oneOrMany(list []string) any {
	if len(list) == 1 {
		return list[0]
	}
	return list
}

type removePermissionInput struct {
	QueueUrl string
	Label    string
}

func (s *Server) removePermission(c *call, in *removePermissionInput) (*nothing, error) {
	if in.Label == "" {
		return nil, missing("Label")
	}
	return &nothing{}, s.change(c, in.QueueUrl, func(_ *broker.Queue, d *declared) error {
		p, _ := parsePolicy(d.attribute(attrPolicy)) // without one there is no label
		at := p.labelled(in.Label)
		if at < 0 {
			return wrong(short(in.Label), "Label", "can't find label.")
		}
		p.Statements = slices.Delete(p.Statements, at, at+1)
		return d.setPolicy(&p)
	})
}

// setPolicy keeps a policy; one without statements is none.
func (d *declared) setPolicy(p *policy) error {
	if len(p.Statements) == 0 {
		delete(d.attributes, attrPolicy)
		return nil
	}
	b, err := encodeJSON(p)
	if err == nil {
		d.attributes[attrPolicy] = canonical(attrPolicy, string(b))
	}
	return err
}
