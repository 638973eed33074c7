package management

import (
	"context"
	"encoding/json"
	"errors"
	"regexp/syntax"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/amqp"
)

// Policies of users and of operators have the same documents on two paths.

func (s *Server) policies(r *request) (any, error)         { return s.listPolicies(r, false), nil }
func (s *Server) operatorPolicies(r *request) (any, error) { return s.listPolicies(r, true), nil }

func (s *Server) policy(r *request) (any, error)         { return s.policyNamed(r, false) }
func (s *Server) operatorPolicy(r *request) (any, error) { return s.policyNamed(r, true) }

func (s *Server) putPolicy(r *request) (any, error)         { return s.setPolicy(r, false) }
func (s *Server) putOperatorPolicy(r *request) (any, error) { return s.setPolicy(r, true) }

func (s *Server) deletePolicy(r *request) (any, error)         { return s.dropPolicy(r, false) }
func (s *Server) deleteOperatorPolicy(r *request) (any, error) { return s.dropPolicy(r, true) }

func (s *Server) listPolicies(r *request, operator bool) []object {
	list := []object{}
	for _, p := range eachVisible(s, r, func(ns string) []broker.Policy { return s.b.Policies(ns, operator) }) {
		list = append(list, showPolicy(p))
	}
	return list
}

func (s *Server) policyNamed(r *request, operator bool) (any, error) {
	p, err := s.b.Policy(r.namespace, r.PathValue("p"), operator)
	if err != nil {
		return nil, errNotFound
	}
	return showPolicy(p), nil
}

func showPolicy(p broker.Policy) object {
	return object{"vhost": amqp.VhostOf(p.Namespace), "name": p.Name, "pattern": p.Pattern, "priority": p.Priority,
		"apply-to": amqp.AppliesTo(p.ApplyTo), "definition": showArgs(p.Definition)}
}

// setPolicy answers with 201 if the policy is new, and 204 if it was there.
func (s *Server) setPolicy(r *request, operator bool) (any, error) {
	var want policyWanted
	if err := r.decode(&want); err != nil {
		return nil, err
	}
	p, err := want.policy()
	if err != nil {
		return nil, err
	}
	p.Namespace, p.Name, p.Operator = r.namespace, r.PathValue("p"), operator
	isNew, err := s.enforce(r.Context(), p)
	return createdUnless(!isNew, err)
}

// policyWanted is the body of a request for a policy.
type policyWanted struct {
	Pattern    *string         `json:"pattern"`
	Definition *arguments      `json:"definition"`
	Priority   json.RawMessage `json:"priority"`
	ApplyTo    *string         `json:"apply-to"`
}

func (w *policyWanted) policy() (p broker.Policy, err error) {
	switch {
	case w.Pattern == nil:
		return p, badRequest("key_missing: pattern")
	case w.Definition == nil:
		return p, badRequest("key_missing: definition")
	}
	p.Pattern, p.Definition, p.ApplyTo = *w.Pattern, broker.Args(*w.Definition), broker.Everything
	if len(w.Priority) > 0 && json.Unmarshal(w.Priority, &p.Priority) != nil {
		return p, badRequest("Validation failed\n\npriority should be a number, actually was %s\n", w.Priority)
	}
	if w.ApplyTo != nil {
		p.ApplyTo, err = amqp.ApplyTo(*w.ApplyTo)
	}
	return p, err
}

// enforce makes a policy of what was wanted, or replaces the one of its name.
func (s *Server) enforce(ctx context.Context, p broker.Policy) (isNew bool, err error) {
	if err := amqp.ReadPolicy(&p); err != nil {
		return false, err
	}
	isNew, err = s.b.SetPolicy(ctx, p)
	var bad *syntax.Error
	if errors.As(err, &bad) {
		return false, badRequest("Validation failed\n\n"+
			"pattern should be regular expression but is invalid: %v\n", bad)
	}
	return isNew, err
}

func (s *Server) dropPolicy(r *request, operator bool) (any, error) {
	return nil, s.b.DeletePolicy(r.Context(), r.namespace, r.PathValue("p"), operator)
}

// showApplied adds to a document which policies a queue or exchange has.
func showApplied(doc object, a broker.AppliedPolicies) {
	if a.User != nil {
		doc["policy"] = a.User.Name
	}
	if a.Operator != nil {
		doc["operator_policy"] = a.Operator.Name
	}
	if d := a.Definition(); d != nil {
		doc["effective_policy_definition"] = showArgs(d)
	}
}
