package filter

import (
	"slices"
	"strings"
)

// compiler makes rules of the tokens of a policy, which is known to be JSON.
type compiler struct {
	*scanner
	path   []string
	fields []field
	rules  []rule
	keys   map[string]bool // at the top
	stars  int             // points of wildcards
	nested bool
}

const or = "$or"

func (c *compiler) policy() error {
	if c.next() != '{' {
		return wrong(c.scanner, "Filter is not an object")
	}
	if c.clone().next() == '}' {
		return nil
	}
	return c.object()
}

// object reads the members of an object, whose '{' was read. All of them must match.
func (c *compiler) object() error {
	empty := true
	for c.next() == tokenName {
		empty = false
		if err := c.member(c.name); err != nil {
			return err
		}
	}
	if empty {
		return wrong(c.scanner, "Empty objects are not allowed")
	}
	return nil
}

func (c *compiler) member(name string) error {
	t := c.next()
	if name == or && t == '[' && c.alternatives() {
		return c.or()
	}
	if err := c.count(name); err != nil {
		return err
	}
	c.path = append(c.path, name)
	defer func() { c.path = c.path[:len(c.path)-1] }()
	switch t {
	case '{':
		c.nested = true
		return c.object()
	case '[':
		return c.values()
	}
	return wrong(c.scanner, "\"%s\" must be an object or an array", name)
}

// count counts the names at the top, those in "$or" too.
func (c *compiler) count(name string) error {
	if len(c.path) > 0 {
		return nil
	}
	if c.keys[name] = true; len(c.keys) > maxKeys {
		return errKeys
	}
	return nil
}

// reserved are names that no object in "$or" may have: with one of them "$or" is a name like others.
var reserved = strings.Fields("exactly equals-ignore-case prefix suffix anything-but exists wildcard " +
	"numeric cidr = < <= > >= regex not-wildcard not-equals-ignore-case date-after date-on-or-after date-before " +
	"date-on-or-before in-date-range ip-address-in-range ip-address-not-in-range")

// alternatives looks ahead whether the array that was begun, of "$or", is what SNS takes for an OR: two
// objects or more, without reserved names.
func (c *compiler) alternatives() bool {
	s, n := c.clone(), 0
	for t := s.next(); t != ']'; t = s.next() {
		if t != '{' {
			return false
		}
		for n++; s.next() == tokenName; s.skip(s.next()) {
			if slices.Contains(reserved, s.name) {
				return false
			}
		}
	}
	return n >= 2
}

// or reads the objects of "$or", each of which goes on with the rules that there were.
func (c *compiler) or() error {
	before, after := c.rules, []rule(nil)
	for c.next() == '{' {
		c.rules = slices.Clone(before)
		if err := c.object(); err != nil {
			return err
		}
		if after = append(after, c.rules...); tooComplex(after) {
			return errComplex
		}
	}
	c.rules = after
	return nil
}

// values reads an array of patterns, whose '[' was read, and adds the field to all rules.
func (c *compiler) values() error {
	f := field{path: pathOf(c.path)}
	n, points, wildcards := 0, 0, 0
	for t := c.next(); t != ']'; t = c.next() {
		p, err := c.value(t, &f)
		if err != nil {
			return err
		}
		n++
		points += p
		wildcards += min(p, 1)
	}
	if n == 0 {
		return wrong(c.scanner, "Empty arrays are not allowed")
	}
	if c.stars += points * wildcards; c.stars > maxStarPoints {
		return errComplex
	}
	return c.add(f, n*len(c.path))
}

// pathOf splits at dots: to SNS a name with a dot is a path.
func pathOf(names []string) []string { return strings.Split(strings.Join(names, "."), ".") }

// add lets every rule have the field, instead of what it had for this path.
func (c *compiler) add(f field, combinations int) error {
	index := len(c.fields)
	c.fields = append(c.fields, f)
	for i := range c.rules {
		r := &c.rules[i]
		fields := slices.DeleteFunc(slices.Clone(r.fields), func(j int) bool {
			return slices.Equal(c.fields[j].path, f.path)
		})
		r.fields = append(fields, index)
		r.combinations = min(r.combinations*combinations, maxCombinations+1)
	}
	if tooComplex(c.rules) {
		return errComplex
	}
	return nil
}

func tooComplex(rules []rule) bool {
	total := 0
	for _, r := range rules {
		total += r.combinations
	}
	return total > maxCombinations
}
