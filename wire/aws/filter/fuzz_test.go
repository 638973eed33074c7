package filter

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParse parses any text as a policy: what is taken is JSON, what is JSON is not called something else,
// and all that is refused is refused in words.
func FuzzParse(f *testing.F) {
	for _, c := range recorded {
		f.Add(c.policy)
	}
	f.Add(`{"a":[1,-2.5e+3,"\ud83d\ude00\\\/\b\f\n\r\t",true,false,null,{"wildcard":"a\\*b*"}]}`)
	f.Add("{\"a\" : [ \"b\" ] ,\n\t\"c\":{\"d\":[{\"exists\":false}]}}\r\n ")
	f.Fuzz(func(t *testing.T, policy string) {
		for _, scope := range []Scope{MessageAttributes, MessageBody} {
			p, err := Parse(policy, scope)
			var refused *Error
			if err != nil && (!errors.As(err, &refused) || refused.Message == "") {
				t.Errorf("%q: %v", policy, err)
			}
			notJSON := strings.HasPrefix(says(err), about+"failed to parse JSON. ")
			if valid := utf8.ValidString(policy) && json.Valid([]byte(policy)); valid == notJSON && !unusual(policy) {
				t.Errorf("%q: %v, but JSON: %v", policy, err, valid)
			}
			if err == nil {
				p.Match(NewMessage(map[string]Attribute{"a": {"String.Array", policy}}, policy))
			}
		}
	})
}

// unusual are policies of which something else may be said: large, deep and empty ones.
func unusual(s string) bool {
	return strings.Count(s, "[")+strings.Count(s, "{") > maxDepth || len(s) > maxPolicy || strings.Trim(s, " \t\r\n") == ""
}

// costly are numbers and arrays that take the twin too long.
var costly = regexp.MustCompile(`[eE][-+]?[0-9]{3}|(\[.*){20}`)

// FuzzMatch matches any policy with any body and attribute; a body as its naive twin does.
func FuzzMatch(f *testing.F) {
	f.Add(`{"a":["x",{"exists":false}],"$or":[{"b":[{"numeric":[">",0,"<=",1.5]}]},{"c":[null]}]}`,
		`{"a":"x","b":1e0}`, "String", "x")
	f.Add(`{"r":{"a":[{"wildcard":"*x\\*"}],"s.b":[{"anything-but":["y"]}]}}`,
		`{"r":[{"a":"xx*","s":[[{"b":1}]]}]}`, "Number", "1e5")
	f.Add(`{"a":[{"cidr":"10.0.0.0/8"},"::1",{"equals-ignore-case":"K"}]}`,
		`{"a":["10.1.2.3","\u212a",{"":[]}]}`, "String.Array", `["a"]`)
	f.Fuzz(func(t *testing.T, policy, body, kind, attribute string) {
		if p, err := Parse(policy, MessageAttributes); err == nil {
			p.Match(NewMessage(map[string]Attribute{"a": {kind, attribute}}, body))
		}
		p, err := Parse(policy, MessageBody)
		if err != nil {
			return
		}
		got := p.Match(NewMessage(nil, body))
		if len(p.fields) == 0 || !utf8.ValidString(body) || !json.Valid([]byte(body)) {
			if got != (len(p.fields) == 0) {
				t.Errorf("policy %q matches %q: %v", policy, body, got)
			}
			return
		}
		if len(body) > 300 || len(p.fields) > 4 || costly.MatchString(policy+body) {
			return
		}
		if want := matchTwin(t, policy, body); got != want {
			t.Errorf("policy %q matches %q: %v, want %v", policy, body, got, want)
		}
	})
}
