package filter

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// page is what clients can rely on.
var page = filepath.Join("..", "..", "..", "docs", "wire", "aws.md")

func TestTheExamplesOfThePageHold(t *testing.T) {
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(b), "<!-- filters -->\n")
	table, _, ok := strings.Cut(table, "<!-- /filters -->")
	rows := strings.Split(strings.TrimSpace(table), "\n")
	if !ok || len(rows) < 3 {
		t.Fatalf("%s has no table of filters", page)
	}
	missing := map[string]bool{}
	for _, operator := range strings.Fields(
		"prefix suffix equals-ignore-case wildcard numeric exists cidr anything-but $or") {
		missing["`"+operator+"`"] = true
	}
	for _, row := range rows[2:] {
		cells := strings.Split(strings.Trim(row, "| "), " | ")
		operator, _, _ := strings.Cut(cells[0], ", ")
		delete(missing, operator)
		example(t, strings.Trim(cells[1], "`"), strings.Trim(cells[2], "`"), strings.Trim(cells[3], "`"))
	}
	if len(missing) > 0 {
		t.Errorf("no examples of %v", missing)
	}
}

// example checks one row, also with attributes where a policy is not nested.
func example(t *testing.T, policy, matching, other string) {
	t.Helper()
	_, err := Parse(policy, MessageAttributes)
	nested := err == errNested
	for body, want := range map[string]bool{matching: true, other: false} {
		check(t, policy, MessageBody, NewMessage(nil, body), want)
		if attributes, ok := attributesOf(body); ok && !nested {
			check(t, policy, MessageAttributes, NewMessage(attributes, ""), want)
		}
	}
}

func check(t *testing.T, policy string, scope Scope, m *Message, want bool) {
	t.Helper()
	p, err := Parse(policy, scope)
	if err != nil {
		t.Errorf("%s: %v", policy, err)
		return
	}
	if got := p.Match(m); got != want {
		t.Errorf("policy %s about %s matches %v with body %s: %v, want %v",
			policy, scope, m.attributes, m.body, got, want)
	}
}

// attributesOf makes the members of a body attributes, if that can be done.
func attributesOf(body string) (map[string]Attribute, bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(body), &members) != nil {
		return nil, false
	}
	attributes := map[string]Attribute{}
	for name, raw := range members {
		var s string
		switch raw := string(raw); {
		case json.Unmarshal([]byte(raw), &s) == nil && raw != "null":
			attributes[name] = Attribute{"String", s}
		case strings.Trim(raw[:1], "-0123456789") == "":
			attributes[name] = Attribute{"Number", raw}
		case raw[0] == '{' || strings.Contains(raw, "{"):
			return nil, false
		case raw[0] == '[':
			attributes[name] = Attribute{"String.Array", raw}
		default:
			attributes[name] = Attribute{"String.Array", "[" + raw + "]"}
		}
	}
	return attributes, true
}
