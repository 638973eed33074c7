package filter

import (
	"fmt"
	"strings"
	"testing"
)

func TestAttributes(t *testing.T) {
	for _, c := range []struct {
		policy, kind, value string
		want                bool
	}{
		{`["x"]`, "String", "x", true},
		{`["x"]`, "String.of-mine", "x", true},
		{`["x"]`, "Binary", "x", false},
		{`[{"exists":false}]`, "Binary", "x", true},
		{`[{"exists":true}]`, "Binary", "x", false},
		{`[{"anything-but":"x"}]`, "Binary.png", "y", false},
		{`["1"]`, "Number", "1", false},
		{`[1]`, "Number", "1", true},
		{`[1]`, "Number.int", "1.0", true},
		{`[1]`, "String", "1", false},
		{`[{"numeric":[">",0]}]`, "String", "1", false},
		{`[{"numeric":["<",0]}]`, "Number", "-1e-3", true},
		{`[{"numeric":["=",1]}]`, "Number", "one", false},
		{`[{"prefix":"1"}]`, "Number", "12", false},
		{`["x"]`, "String.Array", `["w","x"]`, true},
		{`["x"]`, "String.Array", `["w"]`, false},
		{`["x"]`, "String.Array", `x`, false},
		{`["x"]`, "String.Array", `["x",]`, false},
		{`["x"]`, "String.Array", `{"x":"x"}`, false},
		{`[{"exists":false}]`, "String.Array", `[]`, true},
		{`[true]`, "String.Array", `[true]`, true},
		{`[true]`, "String", "true", false},
		{`[null]`, "String.Array", `["a",null]`, true},
		{`[2]`, "String.Array", `[1,2]`, true},
		{`[{"anything-but":["rugby","tennis"]}]`, "String.Array", `["rugby","baseball"]`, true},
		{`[{"anything-but":["rugby","tennis"]}]`, "String.Array", `["rugby","tennis"]`, false},
		{`[{"anything-but":"x"}]`, "Number", "1", true},
		{`[null,{"anything-but":"x"}]`, "", "", false},
		{`[{"exists":false},"x"]`, "", "", true},
		{`[{"exists":false},"x"]`, "String", "x", true},
		{`[{"exists":false},"x"]`, "String", "y", false},
	} {
		attributes := map[string]Attribute{"k": {c.kind, c.value}}
		if c.kind == "" {
			attributes = nil
		}
		check(t, `{"k":`+c.policy+`}`, MessageAttributes, NewMessage(attributes, ""), c.want)
	}
}

func TestNumbersAreDecimals(t *testing.T) {
	for _, c := range []struct {
		policy, value string
		want          bool
	}{
		{`[0.3]`, "0.30000", true},
		{`[0.3]`, "0.30000000000000004", true}, // rounded
		{`[0.1]`, "0.10001", false},
		{`[100.123456789]`, "100.1234567", true},
		{`[100.123456789]`, "100.1234561", false},
		{`[{"numeric":["<",999999999.99999]}]`, "999999999.99998", true},
		{`[{"numeric":["<",999999999.99999]}]`, "999999999.99999", false},
		{`[{"numeric":[">",-1000000000]}]`, "-999999999.99999", true},
		{`[{"numeric":[">=",-1000000000,"<=",1e9]}]`, "1000000000", true},
		{`[{"numeric":["<=",1e9]}]`, "1000000000.1", false},
		{`[123456789012]`, "123456789012", true},
		{`[123456789012]`, "123456789012.0", false},
		{`[{"numeric":[">",0]}]`, "1e-7", false},
		{`[{"numeric":[">",0]}]`, "5e-7", true},
		{`[0]`, "-0.0e99999999999999999999", true},
		{`[0]`, "1e-99999999999999999999", true},
		{`[{"numeric":[">",0]}]`, "1e99999999999999999999", false},
		{`[{"numeric":["=",0.0003]}]`, "300e-6", true},
		{`[{"numeric":["=",12]}]`, "0.000000000012e12", true},
		{`[{"numeric":[">",3,"<=",3.000001]}]`, "3.000001", true},
		{`[{"numeric":[">",3,"<",3.000001]}]`, "3", false},
	} {
		check(t, `{"k":`+c.policy+`}`, MessageBody, NewMessage(nil, `{"k":`+c.value+`}`), c.want)
		check(t, `{"k":`+c.policy+`}`, MessageAttributes,
			NewMessage(map[string]Attribute{"k": {"Number", c.value}}, ""), c.want)
	}
}

// What SNS did with these was recorded.
func TestBodies(t *testing.T) {
	const (
		nested = `{"object":{"key":[{"prefix":"auto-"},"hardcodedvalue"],"nested_key":[{"exists":false}]},` +
			`"test":[{"exists":false}]}`
		records = `{"Records":{"s3":{"object":{"key":[{"prefix":"auto-"}]}},"eventName":[{"prefix":"Created:"}]}}`
		either  = `{"$or":[{"metric":["CPU","Read"]},{"space":["EC2","ES"]}],"detail":{"scope":["Service"],` +
			`"$or":[{"source":["watch"]},{"type":["Alarm"]}]}}`
		address = `{"detail":{"$or":[{"v4":[{"cidr":"10.0.0.0/24"}]},{"v6":[{"cidr":"2001:db8:1234:1a00::/64"}]}]}}`
	)
	for _, c := range []struct {
		policy, body string
		want         bool
	}{
		{nested, `{"object":{"key":"auto-test"}}`, true},
		{nested, `{"object":{"key":"hardcodedvalue"}}`, true},
		{nested, `{"object":{"key":"test-auto"}}`, false},
		{nested, `{"object":{"key":"auto-test"},"test":"just-exists"}`, false},
		{nested, `{"object":{"key":"auto-test","nested_key":"just-exists"}}`, false},
		{nested, `{"object":{"test":"auto-test"}}`, false},
		{nested, `{"test":"auto-test"}`, false},
		{nested, `Regular string message`, false},
		{nested, `"Regular string message"`, false},
		{`{"o.n":["v"]}`, `{"o":{"n":"v"}}`, true},
		{`{"o.n":["v"]}`, `{"o.n":"v"}`, true},
		{`{"o.n":["v"]}`, `{"o":{"n":"w"}}`, false},
		{`{"o.n.t":["v"]}`, `{"o.n":{"t":"v"}}`, true},
		{`{"o.n.t":["v"]}`, `{"o":{"n.t":"v"}}`, true},
		{`{"headers":{"route-to":["queue1"]}}`, `{"headers":{"route-to":["queue1","queue2"]}}`, true},
		{`{"headers":{"route-to":["queue1"]}}`, `{"headers":{"route-to":["queue3"]}}`, false},
		{records, `{"Records":[{"eventName":"Created:Put","s3":{"object":{"key":"auto-1"}}}]}`, true},
		{records, `{"Records":[{"eventName":"Removed","s3":{"object":{"key":"auto-1"}}}]}`, false},
		{records, `{"Records":[{"eventName":"Created:Put","s3":{"object":{"key":"home-1"}}}]}`, false},
		{records, `{"Records":[{"eventName":"Created:Put","s3":{"object":[[{"key":"auto-1"}]]}},` +
			`{"eventName":"Removed","s3":{"object":{"key":"home-1"}}}]}`, true},
		{either, `{"metric":"CPU","detail":{"scope":"watch","type":"Alarm"}}`, false},
		{either, `{"metric":"CPU","detail":{"scope":"Service","type":"CPU"}}`, false},
		{either, `{"metric":"CPU","detail":{"type":"Alarm"}}`, false},
		{either, `{"metric":"CPU","detail":{"scope":"Service"}}`, false},
		{either, `{"metric":"CPU","scope":"Service"}`, false},
		{either, `{"metric":"EC2","detail":{"scope":"Service","type":"Alarm"}}`, false},
		{either, `{"space":"CPU","detail":{"scope":"Service","type":"Alarm"}}`, false},
		{either, `{"metric":"CPU","detail":{"scope":"Service","source":"watch"}}`, true},
		{either, `{"space":"ES","detail":{"scope":"Service","source":"watch"}}`, true},
		{either, `{"metric":"CPU","detail":{"scope":"Service","type":"Alarm"}}`, true},
		{`{"detail":{"v":[""]}}`, `{"resources":[],"detail":{"v":"","responseElements":null}}`, true},
		{address, `{"detail":{"v4":"10.0.0.255"}}`, true},
		{address, `{"detail":{"v4":"10.0.0.256"}}`, false},
		{address, `{"detail":{"v6":"2001:0db8:1234:1a00:0000:0000:0000:0000"}}`, true},
		{address, `{"detail":{"v6":"2001:0db8:123f:1a01:0000:0000:0000:0000"}}`, false},
	} {
		check(t, c.policy, MessageBody, NewMessage(nil, c.body), c.want)
	}
}

func TestUnusualBodies(t *testing.T) {
	for _, c := range []struct {
		policy, body string
		want         bool
	}{
		{`{}`, "not JSON", true},
		{`{"a":[{"exists":false}]}`, "not JSON", false},
		{`{"a":[{"exists":false}]}`, "", false},
		{`{"a":[{"exists":false}]}`, "[]", false},
		{`{"a":[{"exists":false}]}`, "{}", true},
		{`{"a":[{"exists":false}]}`, "{} {}", false},
		{`{"a":[{"exists":false}]}`, `{"b":1,}`, false},
		{`{"a":[{"exists":false}]}`, "{\"b\":\"\xff\"}", false},
		{`{"a":[{"exists":true}]}`, `{"a":{"b":1}}`, false},
		{`{"a":[{"exists":true}]}`, `{"a":[{"b":1}]}`, false},
		{`{"a":["x"]}`, ` { "a" : "\u0078" } `, true},
		{`{"\u0061":["\ud83d\ude00"]}`, `{"a":"😀"}`, true},
		{`{"a":["x"]}`, `{"a":"w","a":"x"}`, true},
		{`{"a":["x"],"b":["y"]}`, `{"a":[["w"],["x"]],"b":["y"]}`, true},
		{`{"r":{"a":["x"],"b":["y"]}}`, `{"r":[{"a":"x"}],"r.b":"y"}`, true},
		{`{"r":{"a":["x"],"b":["y"]}}`, `{"r":[{"a":"x"},{"a":"x","b":["w","y"]}]}`, true},
		{`{"r":{"a":["x"],"b":[{"exists":false}]}}`, `{"r":[{"a":"x"},{"b":"y"}]}`, false},
		{`{"r":{"a":["x"],"s":{"b":["y"],"c":["z"]}}}`, `{"r":[{"a":"x","s":[{"b":"y"},{"c":"z"}]}]}`, false},
		{`{"r":{"a":["x"],"s":{"b":["y"],"c":["z"]}}}`, `{"r":[{"a":"w","s":[{"b":"y","c":"z"}]},{"a":"x"}]}`, false},
		{`{"r":{"a":["x"],"s":{"b":["y"],"c":["z"]}}}`, `{"r":[{},{"a":"x","s":[{"b":1},{"b":"y","c":"z"}]}]}`, true},
		{`{"a":["x"],"$or":[{"a":["y"]},{"b":["z"]}]}`, `{"a":"y"}`, true}, // the later one of a path is in force
		{`{"$or":["x"]}`, `{"$or":"x"}`, true},
		{`{"$or":[{"prefix":"x"},{"prefix":"y"}]}`, `{"$or":"yes"}`, true},
	} {
		check(t, c.policy, MessageBody, NewMessage(nil, c.body), c.want)
	}
}

func TestABodyHasADepth(t *testing.T) {
	policy := `{"b":["x"]}`
	for depth, want := range map[int]bool{maxBodyDepth - 1: true, maxBodyDepth: false, 1 << 20: false} {
		body := `{"a":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `,"b":"x"}`
		p, _ := Parse(policy, MessageBody)
		if got := p.Match(NewMessage(nil, body)); got != want {
			t.Errorf("depth %d: %v", depth, got)
		}
	}
}

func TestABodyHasOnlySoManyParts(t *testing.T) {
	p, _ := Parse(`{"b":["x"]}`, MessageBody)
	for body, want := range map[string]bool{
		`{"a":[` + strings.Repeat("1,", maxParts/2-50) + `1],"b":"x"}`: true,
		`{"a":[` + strings.Repeat("1,", maxParts/2) + `1],"b":"x"}`:    false,
		`{"` + strings.Repeat(".", maxParts-50) + `":1,"b":"x"}`:       true,
		`{"` + strings.Repeat(".", maxParts) + `":1,"b":"x"}`:          false,
	} {
		m := NewMessage(nil, body)
		if got := p.Match(m); got != want {
			t.Errorf("%.20s... of %d bytes: %v", body, len(body), got)
		}
		if f := m.forms[MessageBody]; len(f.first)+len(f.values)+len(f.elements) > maxParts+4 {
			t.Errorf("%.20s... of %d bytes: %d parts", body, len(body), len(f.first)+len(f.values)+len(f.elements))
		}
	}
}

func TestWildcards(t *testing.T) {
	for _, c := range []struct {
		pattern, value string
		want           bool
	}{
		{`*`, ``, true},
		{`a*`, `a`, true},
		{`*a`, `ba`, true},
		{`a*a`, `a`, false},
		{`a*a`, `aa`, true},
		{`*a*`, `bab`, true},
		{`*ab*ab*`, `ab`, false},
		{`*ab*ab*`, `abab`, true},
		{`a\\*`, `a*`, true},
		{`a\\*`, `ab`, false},
		{`a\\\\*`, `a\b`, true},
		{`plain`, `plain`, true},
		{`plain`, `plains`, false},
	} {
		m := NewMessage(map[string]Attribute{"k": {"String", c.value}}, "")
		check(t, `{"k":[{"wildcard":"`+c.pattern+`"}]}`, MessageAttributes, m, c.want)
		check(t, `{"k":[{"anything-but":{"wildcard":"`+c.pattern+`"}}]}`, MessageAttributes, m, !c.want)
	}
}

// These errors were not recorded; the words are those of the rules that SNS is built with, where it has
// some.
func TestWhatElseIsRefused(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 151) + `["x"]` + strings.Repeat("}", 151)
	for policy, want := range map[string]string{
		`[]`:                               "Filter is not an object",
		``:                                 "Filter is not an object",
		`{"a":{}}`:                         "Empty objects are not allowed",
		`{"a":[{}]}`:                       "Match expression name not found",
		`{"a":[{"prefix":"a","x":1}]}`:     "Only one key allowed in match expression",
		`{"a":[{"prefix":{"x":"y"}}]}`:     "prefix match pattern must be a string",
		`{"a":[{"equals-ignore-case":1}]}`: "equals-ignore-case match pattern must be a string",
		`{"a":[{"wildcard":["a"]}]}`:       "wildcard match pattern must be a string",
		`{"a":[{"wildcard":"a**"}]}`:       "Consecutive wildcard characters at pos 2",
		`{"a":[{"wildcard":"\\a"}]}`:       "Invalid escape character at pos 1",
		`{"a":[{"wildcard":"*a*b*c*"}]}`:   "Wildcard pattern can not have more than 3 wildcards",
		`{"a":[{"numeric":1}]}`:            "Value of numeric must be an array.",
		`{"a":[{"numeric":["<",1e10]}]}`:   "Value must be between -1.0E9 and 1.0E9, inclusive",
		`{"a":[{"anything-but":-1e10}]}`:   "Value must be between -1.0E9 and 1.0E9, inclusive",
		`{"a":[{"anything-but":null}]}`:    "Value of anything-but must be an array or single string/number value.",
		`{"a":[{"anything-but":[null]}]}`:  "Inside anything but list, start|null|boolean is not supported.",
		`{"a":[{"anything-but":[1,"a"]}]}`: "Inside anything but list, either all values are number or string, " +
			"mixed type is not supported",
		`{"a":[{"anything-but":{"prefix":""}}]}`:              "Null prefix/suffix not allowed",
		`{"a":[{"anything-but":{"suffix":""}}]}`:              "Null prefix/suffix not allowed",
		`{"a":[{"anything-but":{"suffix":["x"]}}]}`:           "suffix match pattern must be a string",
		`{"a":[{"anything-but":{"equals-ignore-case":"x"}}]}`: "Unsupported anything-but pattern: equals-ignore-case",
		`{"a":[{"cidr":"10.0.0.0/32"}]}`:                      "IPv4 mask bits must be < 32",
		`{"a":[{"cidr":"::/128"}]}`:                           "IPv6 mask bits must be < 128",
		`{"a":[{"cidr":"10.0.0.0/-1"}]}`:                      "Malformed CIDR, mask bits must not be negative",
		`{"a":[{"cidr":"10.0.0.256/8"}]}`:                     "Invalid IP address: 10.0.0.256",
		`{"$or":[]}`:                                          "Empty arrays are not allowed",
		`{"a":["x"]} {}`:                                      "failed to parse JSON. Unexpected character ('{' (code 123)): was expecting the end",
		`{"a":["x"]`:                                          "failed to parse JSON. Unexpected end-of-input",
		`{"a":[01]}`:                                          "failed to parse JSON. Invalid numeric value: Leading zeroes not allowed",
		"{\"a\":[\"\xff\"]}":                                  "failed to parse JSON. Invalid UTF-8",
		deep:                                                  "Filter policy is too complex",
		strings.Repeat(" ", maxPolicy+1):                      "Filter policy is larger than 262144 bytes",
		`{"a":["x"` + strings.Repeat(`,{"wildcard":"*a*"}`, 5) + `]}`: "Filter policy is too complex",
	} {
		_, err := Parse(policy, MessageBody)
		got, _, _ := strings.Cut(says(err), "\n")
		if got != about+want {
			t.Errorf("%.80s: %s, want %s", policy, got, want)
		}
	}
}

func TestTheWildcardsOfAPolicyMayHaveAHundredPoints(t *testing.T) {
	// Four patterns of six points, times four, is 96.
	policy := `{"a":["x"` + strings.Repeat(`,{"wildcard":"*a*"}`, 4) + `],"b":["x",{"wildcard":"a*"},{"wildcard":"b*"}]}`
	if _, err := Parse(policy, MessageBody); err != nil {
		t.Error(err)
	}
	if _, err := Parse(strings.Replace(policy, `"b*"`, `"*b*"`, 1), MessageBody); err != errComplex {
		t.Error(err)
	}
}

func TestAPolicyKeepsOnlyTheFieldsThatCount(t *testing.T) {
	p, err := Parse(`{"a":["w"],"a":["x"],"$or":[{"a":["y"]},{"b":["z"]}],"b":["z"]}`, MessageBody)
	if err != nil || len(p.fields) != 3 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestAnErrorShowsTheStartOfAPolicy(t *testing.T) {
	policy := `{"ü":["` + strings.Repeat("é", 600) + `", [1]]}`
	_, err := Parse(policy, MessageBody)
	want := fmt.Sprintf("FilterPolicy: Match value must be String, number, true, false, or null\n at [Source: (String)\"%s\""+
		"[truncated %d chars]; line: 1, column: %d]", `{"ü":["`+strings.Repeat("é", 493), 114, 611)
	if says(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
}
