package broker

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestHeadersMatrix crosses every x-match with what a binding can ask for. The
// answers are those of RabbitMQ's rabbit_exchange_type_headers; "-" is no x-match.
func TestHeadersMatrix(t *testing.T) {
	record := Args{{"a", "1"}, {"b", int64(2)}, {"x-c", "3"}, {"void", nil}, {"list", []any{int8(1)}}}
	const every = "- all any all-with-x any-with-x"
	for _, c := range []struct {
		name string
		want string // the x-match with which it matches
		args Args
	}{
		{"nothing is asked for", "- all all-with-x", nil},
		{"one of one", every, Args{{"a", "1"}}},
		{"both of two", every, Args{{"b", int32(2)}, {"a", "1"}}},
		{"one of two", "any any-with-x", Args{{"a", "1"}, {"b", int32(3)}}},
		{"one of two is absent", "any any-with-x", Args{{"a", "1"}, {"d", nil}}},
		{"none of two", "", Args{{"a", "2"}, {"d", "1"}}},
		{"a name only", every, Args{{"a", nil}, {"b", nil}, {"void", nil}, {"list", nil}}},
		{"an absent name", "", Args{{"d", nil}}},
		{"names have case", "", Args{{"A", "1"}}},
		{"x- is right", "- all all-with-x any-with-x", Args{{"x-c", "3"}}},
		{"x- is wrong", "- all", Args{{"x-c", "4"}}},
		{"x- is a name only", "- all all-with-x any-with-x", Args{{"x-c", nil}}},
		{"x- is right, the other wrong", "any-with-x", Args{{"x-c", "3"}, {"a", "2"}}},
		{"x- is wrong, the other right", "- all any any-with-x", Args{{"x-c", "4"}, {"a", "1"}}},
		{"a list", every, Args{{"list", []any{int64(1)}}}},
		{"text as bytes", every, Args{{"a", []byte("1")}}},
		{"text is no number", "", Args{{"a", int32(1)}, {"b", "2"}}},
		{"an integer is no float", "", Args{{"b", float64(2)}}},
		{"something is not void", "", Args{{"void", "something"}}},
		{"an integer is no time", "", Args{{"b", time.Unix(2, 0)}}},
	} {
		var got []string
		for match := range strings.SplitSeq(every, " ") {
			b := binding{key: "ignored", args: c.args, to: spot("q")}
			if match != "-" {
				b.args = append(Args{{"x-match", match}}, c.args...)
			}
			r := newTestRouter(t, "headers", nil, b)
			if hits(r, &routed{key: "k", attributes: func() Args { return record }}) == "q" {
				got = append(got, match)
			}
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s: matches with %q, want %q", c.name, got, c.want)
		}
	}
}

func TestHeadersOfARecordWithout(t *testing.T) {
	r := newTestRouter(t, "headers", nil, binding{to: spot("all")},
		binding{to: spot("any"), args: Args{{"x-match", "any"}}},
		binding{to: spot("name"), args: Args{{"a", nil}}})
	for _, m := range []*routed{{}, {attributes: func() Args { return nil }}} {
		if got := hits(r, m); got != "all" {
			t.Errorf("got %q", got)
		}
	}
}

func TestHeadersTheFirstOfARepeatedNameCounts(t *testing.T) {
	r := newTestRouter(t, "headers", nil, binding{to: spot("q"), args: Args{{"a", "1"}}})
	var more Args
	for range 30 {
		more = append(more, Arg{"z", nil}, Arg{"a", "2"})
	}
	for want, attributes := range map[string]Args{
		"q": append(Args{{"z", nil}, {"a", "1"}}, more...),
		"":  append(slices.Clone(more), Arg{"a", "1"}),
	} {
		if got := hits(r, &routed{attributes: func() Args { return attributes }}); got != want {
			t.Errorf("%v: got %q, want %q", attributes, got, want)
		}
	}
}

// TestHeadersAreAskedForOnce: decoding them is what a headers exchange costs.
func TestHeadersAreAskedForOnce(t *testing.T) {
	r := newTestRouter(t, "headers", nil, binding{to: spot("a"), args: Args{{"h", "1"}}},
		binding{to: spot("b"), args: Args{{"h", "2"}}})
	asked := 0
	hits(r, &routed{keys: []string{"cc"}, attributes: func() Args { asked++; return nil }})
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}
