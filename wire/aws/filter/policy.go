package filter

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// Scope is what of a message a policy is about.
type Scope uint8

// The scopes: message attributes, which is the default, or the body, a JSON object.
const (
	MessageAttributes Scope = iota
	MessageBody
)

// String is the value of FilterPolicyScope.
func (s Scope) String() string {
	if s == MessageBody {
		return "MessageBody"
	}
	return "MessageAttributes"
}

// ParseScope reads a value of FilterPolicyScope.
func ParseScope(s string) (Scope, error) {
	for _, scope := range []Scope{MessageAttributes, MessageBody} {
		if s == scope.String() {
			return scope, nil
		}
	}
	return 0, &Error{"FilterPolicyScope: Invalid value [" + s +
		"]. Please use either MessageBody or MessageAttributes"}
}

// The limits of SNS.
const (
	maxPolicy       = 256 << 10 // bytes
	maxKeys         = 5         // distinct names at the top
	maxCombinations = 150       // of values, and of levels
	maxDepth        = 200       // of nesting, "$or" too: more than combinations leave
	maxStars        = 3         // in a wildcard
	maxStarPoints   = 100       // of the wildcards of a policy
)

// Policy is a filter policy. It never changes, and may be used by many at once.
type Policy struct {
	scope  Scope
	fields []field
	rules  []rule
}

// field is a path and what may be there: one of the patterns must match.
type field struct {
	path    []string
	any     []pattern
	present bool // any value does
	absent  bool // none does
}

// rule is fields that must all match, as indexes.
type rule struct {
	fields       []int
	combinations int // of values and levels
}

// Parse reads a FilterPolicy. The policy {} lets everything pass. What is wrong with it is an *Error.
func Parse(policy string, scope Scope) (*Policy, error) {
	switch {
	case len(policy) > maxPolicy:
		return nil, errLarge
	case !utf8.ValidString(policy):
		return nil, errUTF8
	}
	if err := checkSyntax(policy); err != nil {
		return nil, err
	}
	c := compiler{scanner: newScanner(compact(policy), maxDepth), keys: map[string]bool{}}
	c.rules = []rule{{combinations: 1}}
	if err := c.policy(); err != nil {
		return nil, err
	}
	if c.nested && scope == MessageAttributes {
		return nil, errNested
	}
	p := &Policy{scope: scope, fields: c.fields, rules: c.rules}
	p.prune()
	return p, nil
}

// prune drops the fields that later ones took the place of in all rules.
func (p *Policy) prune() {
	var kept []field
	at := map[int]int{}
	for i, r := range p.rules {
		fields := make([]int, 0, len(r.fields))
		for _, old := range r.fields {
			if _, known := at[old]; !known {
				at[old] = len(kept)
				kept = append(kept, p.fields[old])
			}
			fields = append(fields, at[old])
		}
		p.rules[i].fields = fields
	}
	p.fields = kept
}

// checkSyntax reads a whole policy before anything is made of it: SNS says first that it is not JSON.
func checkSyntax(policy string) error {
	s := newScanner(policy, maxDepth)
	for s.next() != tokenNone {
	}
	if s.problem != "" {
		return syntaxError(s)
	}
	return nil
}

// compact takes the space out of a policy, as SNS does before it looks further: errors show what is left.
func compact(policy string) string {
	var b bytes.Buffer
	if json.Compact(&b, []byte(policy)) != nil {
		return policy // it was checked: the two readers differ
	}
	return b.String()
}

// Scope is what the policy is about.
func (p *Policy) Scope() Scope { return p.scope }
