package filter

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A naive twin of Match: it writes every rule and every value out with its whole path, and tries all ways to
// choose one value for each field.

// member is a member of an object, in order; an object is []member.
type member struct {
	name  string
	value any
}

func decodeTwin(t testing.TB, text string) any {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var read func() any
	next := func() json.Token {
		t.Helper()
		token, err := d.Token()
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		return token
	}
	read = func() any {
		switch token := next(); token {
		case json.Delim('{'):
			object := []member{}
			for d.More() {
				object = append(object, member{next().(string), read()})
			}
			next()
			return object
		case json.Delim('['):
			array := []any{}
			for d.More() {
				array = append(array, read())
			}
			next()
			return array
		default:
			return token
		}
	}
	return read()
}

// condition is one field of a rule.
type condition struct {
	path     string
	patterns []any
}

func rulesTwin(object []member, path string, rules [][]condition) [][]condition {
	for _, m := range object {
		name := path + m.name
		switch v := m.value.(type) {
		case []member:
			rules = rulesTwin(v, name+".", rules)
		case []any:
			var after [][]condition
			if alternatives, ok := alternativesTwin(m.name, v); ok {
				for _, object := range alternatives {
					after = append(after, rulesTwin(object, path, rules)...)
				}
				rules = after
				continue
			}
			for _, r := range rules {
				r = slices.DeleteFunc(slices.Clone(r), func(c condition) bool { return c.path == name })
				after = append(after, append(r, condition{name, v}))
			}
			rules = after
		}
	}
	return rules
}

func alternativesTwin(name string, array []any) (objects [][]member, ok bool) {
	for _, v := range array {
		object, ok := v.([]member)
		if !ok || slices.ContainsFunc(object, func(m member) bool { return slices.Contains(reserved, m.name) }) {
			return nil, false
		}
		objects = append(objects, object)
	}
	return objects, name == "$or" && len(objects) > 1
}

// leaf is a value of a body, and the index in each array around it.
type leaf struct {
	path   string
	value  any
	within map[int]int
}

func leavesTwin(v any, path string, within map[int]int, arrays *int) (out []leaf) {
	switch v := v.(type) {
	case []member:
		for _, m := range v {
			out = append(out, leavesTwin(m.value, path+"."+m.name, within, arrays)...)
		}
	case []any:
		*arrays++
		array := *arrays
		for i, element := range v {
			inner := map[int]int{array: i}
			for a, j := range within {
				inner[a] = j
			}
			out = append(out, leavesTwin(element, path, inner, arrays)...)
		}
	default:
		out = append(out, leaf{strings.TrimPrefix(path, "."), v, within})
	}
	return out
}

func matchTwin(t testing.TB, policy, body string) bool {
	object, ok := decodeTwin(t, body).([]member)
	if !ok {
		return false
	}
	arrays := 0
	leaves := leavesTwin(object, "", nil, &arrays)
	rules := rulesTwin(decodeTwin(t, policy).([]member), "", [][]condition{nil})
	return slices.ContainsFunc(rules, func(r []condition) bool {
		return chooseTwin(r, leaves, map[int]int{})
	})
}

// chooseTwin tries all leaves for the first condition, where the elements chosen before allow it.
func chooseTwin(rest []condition, leaves []leaf, chosen map[int]int) bool {
	if len(rest) == 0 {
		return true
	}
	there := false
	for _, l := range leaves {
		if l.path != rest[0].path {
			continue
		}
		there = true
		with := map[int]int{}
		ok := slices.ContainsFunc(rest[0].patterns, func(p any) bool { return patternTwin(p, l.value) })
		for a, i := range chosen {
			with[a] = i
		}
		for a, i := range l.within {
			j, other := chosen[a]
			ok = ok && (!other || i == j)
			with[a] = i
		}
		if ok && chooseTwin(rest[1:], leaves, with) {
			return true
		}
	}
	absent := slices.ContainsFunc(rest[0].patterns, func(p any) bool {
		m, ok := p.([]member)
		return ok && m[0] == member{"exists", false}
	})
	return !there && absent && chooseTwin(rest[1:], leaves, chosen)
}

func patternTwin(p, v any) bool {
	s, isString := v.(string)
	switch p := p.(type) {
	case json.Number:
		return equalTwin(p, v)
	case []member:
		return operatorTwin(p[0].name, p[0].value, v)
	case string:
		a, b := net.ParseIP(p), net.ParseIP(s)
		return isString && (p == s || a != nil && a.Equal(b))
	default:
		return p == v
	}
}

func operatorTwin(name string, operand, v any) bool {
	s, isString := v.(string)
	text, _ := operand.(string)
	switch name {
	case "exists":
		return operand.(bool)
	case "prefix":
		return isString && strings.HasPrefix(s, text)
	case "suffix":
		return isString && strings.HasSuffix(s, text)
	case "equals-ignore-case":
		return isString && strings.EqualFold(s, text)
	case "wildcard":
		return isString && wildcardTwin(text).MatchString(s)
	case "cidr":
		_, network, err := net.ParseCIDR(text)
		ip := net.ParseIP(s)
		return err == nil && isString && ip != nil && network.Contains(ip)
	case "numeric":
		for terms := operand.([]any); len(terms) > 0; terms = terms[2:] {
			if !compareTwin(terms[0].(string), terms[1].(json.Number), v) {
				return false
			}
		}
		return true
	}
	switch not := operand.(type) { // anything-but
	case []any:
		return !slices.ContainsFunc(not, func(p any) bool { return patternTwin(p, v) })
	default:
		return !patternTwin(not, v)
	}
}

func wildcardTwin(pattern string) *regexp.Regexp {
	out := regexp.MustCompile(`\\.|\*|[^*\\]+`).ReplaceAllStringFunc(pattern, func(part string) string {
		switch part[0] {
		case '*':
			return ".*"
		case '\\':
			part = part[1:]
		}
		return regexp.QuoteMeta(part)
	})
	return regexp.MustCompile("(?s)^" + out + "$")
}

// millionths is a number, rounded, if it is between -10^9 and 10^9.
func millionths(n json.Number) (*big.Int, bool) {
	r, ok := new(big.Rat).SetString(n.String())
	if !ok {
		return nil, false
	}
	half := big.NewRat(int64(r.Sign()), 2)
	r.Add(r.Mul(r, big.NewRat(1e6, 1)), half)
	i := new(big.Int).Quo(r.Num(), r.Denom())
	return i, i.CmpAbs(big.NewInt(1e15)) <= 0
}

func equalTwin(p json.Number, v any) bool {
	n, ok := v.(json.Number)
	if _, comparable := millionths(p); !comparable {
		return ok && n == p
	}
	return compareTwin("=", p, v)
}

func compareTwin(operator string, p json.Number, v any) bool {
	n, _ := v.(json.Number)
	a, ok := millionths(n)
	b, _ := millionths(p)
	if !ok {
		return false
	}
	sign := a.Cmp(b)
	return strings.Contains(operator, "=") && sign == 0 || strings.Contains(operator, "<") && sign < 0 ||
		strings.Contains(operator, ">") && sign > 0
}

// The random policies and bodies have few names and values, so that they meet.

type dice struct {
	*rand.Rand
	narrow bool // hardly any names and values: for arrays of objects
}

func (d dice) one(of ...string) string { return of[d.IntN(len(of))] }

func (d dice) name() string {
	if d.narrow {
		return d.one("a", "b")
	}
	return d.one("a", "b", "c", "a.b", "")
}

func (d dice) scalar() string {
	if d.narrow {
		return d.one(`"x"`, `"y"`)
	}
	return d.one(`"x"`, `"xy"`, `"X"`, `""`, `"10.0.0.1"`, `"::1"`, `"0:0:0:0:0:0:0:1"`, `1`, `1.0`, `2`, `-3.5`,
		`1e1`, `0.1234567`, `1234567890123`, `true`, `false`, `null`)
}

func (d dice) pattern() string {
	if d.narrow || d.IntN(2) == 0 {
		return d.scalar()
	}
	return d.one(`{"prefix":"x"}`, `{"suffix":"y"}`, `{"equals-ignore-case":"X"}`, `{"wildcard":"*x*"}`,
		`{"exists":true}`, `{"exists":false}`, `{"cidr":"10.0.0.0/8"}`, `{"cidr":"::/64"}`,
		`{"anything-but":"x"}`, `{"anything-but":["x","xy"]}`, `{"anything-but":[1,2]}`,
		`{"anything-but":{"prefix":"x"}}`, `{"anything-but":{"suffix":"y"}}`, `{"anything-but":{"wildcard":"x*"}}`,
		`{"numeric":["=",1]}`, `{"numeric":[">",1]}`, `{"numeric":["<",0]}`, `{"numeric":[">=",1,"<",2]}`)
}

func (d dice) policy(depth int) string {
	var members []string
	for range 1 + d.IntN(3) {
		switch n := d.IntN(6); {
		case n == 0 && depth > 0:
			members = append(members, fmt.Sprintf(`"$or":[%s,%s]`, d.policy(depth-1), d.policy(depth-1)))
		case n < 3 && depth > 0:
			members = append(members, fmt.Sprintf("%q:%s", d.name(), d.policy(depth-1)))
		default:
			members = append(members, fmt.Sprintf("%q:[%s,%s]", d.name(), d.pattern(), d.pattern()))
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

func (d dice) body(depth int) string {
	switch n := d.IntN(4); {
	case depth == 0 || n == 0:
		return d.scalar()
	case n == 1:
		elements := make([]string, d.IntN(4))
		for i := range elements {
			elements[i] = d.body(depth - 1)
		}
		return "[" + strings.Join(elements, ",") + "]"
	}
	return d.object(depth)
}

func (d dice) object(depth int) string {
	members := make([]string, d.IntN(4))
	for i := range members {
		members[i] = fmt.Sprintf("%q:%s", d.name(), d.body(depth-1))
	}
	return "{" + strings.Join(members, ",") + "}"
}

func TestMatchAgreesWithANaiveTwin(t *testing.T) {
	seen := map[string]int{}
	for i := range 30_000 {
		d := dice{rand.New(rand.NewPCG(1, uint64(i))), i%2 == 0}
		policy, body := d.policy(2), d.object(6)
		p, err := Parse(policy, MessageBody)
		if err != nil {
			continue // too complex
		}
		got, want := p.Match(NewMessage(nil, body)), matchTwin(t, policy, body)
		if got != want {
			t.Fatalf("policy %s matches %s: %v, want %v", policy, body, got, want)
		}
		seen[fmt.Sprint("narrow ", d.narrow, ", match ", got)]++
	}
	for what, n := range seen {
		if n < 300 {
			t.Errorf("%s: %d", what, n)
		}
	}
	if len(seen) != 4 {
		t.Errorf("saw only %v", seen)
	}
}
