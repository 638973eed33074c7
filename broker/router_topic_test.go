package broker

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// topicCase are bindings whose destination is the pattern itself, and the patterns
// that keys match, in the order of binding.
type topicCase struct {
	patterns string
	keys     map[string]string
}

// The first case has the patterns, keys and answers of RabbitMQ's own test
// (routing_SUITE and before it unit_inbroker_non_parallel_SUITE), written anew;
// the others those of rabbit_db_topic_exchange_SUITE.
var topicCases = []topicCase{
	{"a.b.c a.*.c a.#.b a.b.b.c # #.# #.b *.* a.* *.b.c a.# a.#.# b.b.c a.b.b a.b b.c  " +
		"*.*.* vodka.martini *.# #.*.# *.#.# #.#.# * #.b.#",
		map[string]string{
			"a.b.c": "a.b.c a.*.c # #.# *.b.c a.# a.#.# *.*.* *.# #.*.# *.#.# #.#.# #.b.#",
			"a.b":   "a.#.b # #.# #.b *.* a.* a.# a.#.# a.b *.# #.*.# *.#.# #.#.# #.b.#",
			"a.b.b": "a.#.b # #.# #.b a.# a.#.# a.b.b *.*.* *.# #.*.# *.#.# #.#.# #.b.#",
			"":      "# #.#  #.#.#",
			"b.c.c": "# #.# *.*.* *.# #.*.# *.#.# #.#.# #.b.#",

			"a.a.a.a.a":           "# #.# a.# a.#.# *.# #.*.# *.#.# #.#.#",
			"vodka.gin":           "# #.# *.* *.# #.*.# *.#.# #.#.#",
			"vodka.martini":       "# #.# *.* vodka.martini *.# #.*.# *.#.# #.#.#",
			"b.b.c":               "# #.# *.b.c b.b.c *.*.* *.# #.*.# *.#.# #.#.# #.b.#",
			"nothing.here.at.all": "# #.# *.# #.*.# *.#.# #.#.#",
			"oneword":             "# #.# *.# #.*.# *.#.# #.#.# *",
		}},
	{"foo.* foo.# foo.bar foo.*.baz #", map[string]string{
		"foo.bar": "foo.* foo.# foo.bar #", "foo.bar.baz": "foo.# foo.*.baz #",
		"foo.bar.baz.qux": "foo.# #", "foo.qux": "foo.* foo.# #", "bar.foo": "#", "foo": "foo.# #"}},
	{"#.c #.b.c a.#.d #.*.#", map[string]string{
		"a.b.c": "#.c #.b.c #.*.#", "c": "#.c #.*.#", "x.y.b.c": "#.c #.b.c #.*.#",
		"a.d": "a.#.d #.*.#", "a.b.c.d": "a.#.d #.*.#", "x": "#.*.#", "x.c": "#.c #.*.#", "": ""}},
	{"a.b a.b.# a.b.c a.b.* a.b.d a.*.* a.*.# *.b.c", map[string]string{
		"a.b.c": "a.b.# a.b.c a.b.* a.*.* a.*.# *.b.c", "a.b": "a.b a.b.# a.*.#"}},
	// Empty words are words.
	{".# .* .*.a.b.c a..b a.*.b a.b a. *. . *", map[string]string{
		".0.a.b.c": ".# .*.a.b.c", "a..b": "a..b a.*.b", "a.b": "a.b", "a.": "a. *.", "a": "*",
		".": ".# .* *. .", "": ""}},
	// In a key "*" and "#" are words like others.
	{"* # a.* #.a", map[string]string{"*": "* #", "#": "* #", "a.#": "# a.*", "#.a": "# #.a"}},
	{strings.Repeat("*.", 26) + "# " + strings.Repeat("*.", 25) + "*", map[string]string{
		"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z": strings.Repeat("*.", 26) + "# " +
			strings.Repeat("*.", 25) + "*"}},
}

func TestTopicAnswersAsRabbitMQDoes(t *testing.T) {
	for _, c := range topicCases {
		r := newTestRouter(t, "topic", nil)
		for pattern := range strings.SplitSeq(c.patterns, " ") {
			r.add(binding{key: pattern, to: spot(pattern)})
		}
		for key, want := range c.keys {
			if got := reach(r, key); got != want {
				t.Errorf("key %q matches\n%q, want\n%q", key, got, want)
			}
		}
	}
}

func TestTopicForgetsItsNodes(t *testing.T) {
	r := newTestRouter(t, "topic", nil)
	for _, c := range topicCases {
		for pattern := range strings.SplitSeq(c.patterns, " ") {
			r.add(binding{key: pattern, to: spot("q")})
		}
	}
	for _, c := range topicCases {
		for pattern := range strings.SplitSeq(c.patterns, " ") {
			r.remove(binding{key: pattern, to: spot("q")})
		}
	}
	root := &r.ways.(*topicWays).root
	if !r.empty() || root.waits() || root.hash != nil || len(root.bound) != 0 {
		t.Errorf("%d bindings left, root %+v", len(r.all), root)
	}
}

func TestTopicRoutesWithoutAllocation(t *testing.T) {
	r := newTestRouter(t, "topic", nil)
	for i := range 100 {
		for _, pattern := range []string{"shop.*.created", "shop.#", "#", "#.order.#.created"} {
			r.add(binding{key: pattern, to: spot(strconv.Itoa(i))})
		}
	}
	// Not by way of the pool, which forgets at random under the race detector.
	walk, root, n := &topicWalk{seen: map[*topicNode]struct{}{}}, &r.ways.(*topicWays).root, 0
	hit := func(destination) { n++ }
	got := testing.AllocsPerRun(1000, func() { walk.match(root, "shop.order.created", hit) })
	if got != 0 || n != 1001*400 {
		t.Errorf("%v allocations, %d hits", got, n)
	}
}

// TestTopicManyHashesAreNoTrouble: the words of a key times the words of a pattern
// bound the work, however many ways there are to share the former.
func TestTopicManyHashesAreNoTrouble(t *testing.T) {
	long := strings.TrimSuffix(strings.Repeat("a.", 10_000), ".")
	for _, pattern := range []string{
		strings.Repeat("#.", 100) + "a", strings.Repeat("#.a.", 100) + "#",
		strings.Repeat("#.", 200) + "b", strings.Repeat("#.*.", 100) + "b",
		strings.Repeat("a.#.", 100) + "*.#",
	} {
		r := newTestRouter(t, "topic", nil, binding{key: pattern, to: spot("q")})
		want := "q"
		if strings.HasSuffix(pattern, "b") {
			want = ""
		}
		began := time.Now()
		if got := reach(r, long); got != want {
			t.Errorf("%.20s...: reached %q, want %q", pattern, got, want)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%.20s...: took %v", pattern, took)
		}
	}
}

// matchTopic is the definition of a match, for comparison: exponential, obvious.
func matchTopic(pattern, key []string) bool {
	switch {
	case len(pattern) == 0:
		return len(key) == 0
	case pattern[0] == "#":
		return matchTopic(pattern[1:], key) || len(key) > 0 && matchTopic(pattern, key[1:])
	case len(key) == 0:
		return false
	}
	return (pattern[0] == "*" || pattern[0] == key[0]) && matchTopic(pattern[1:], key[1:])
}

func splitTopic(key string) []string {
	if key == "" {
		return nil
	}
	return strings.Split(key, ".")
}

func FuzzTopic(f *testing.F) {
	for _, c := range topicCases {
		for key := range c.keys {
			f.Add(c.patterns, key, uint8(1))
		}
	}
	f.Fuzz(func(t *testing.T, patterns, key string, removed uint8) {
		if len(key) > 20 || len(patterns) > 100 {
			return
		}
		r, bound := newTestRouter(t, "topic", nil), strings.Split(patterns, " ")
		for i, pattern := range bound {
			if strings.Count(pattern, "#") > 6 {
				return // the definition takes too long
			}
			r.add(binding{key: pattern, to: spot(fmt.Sprint(i))})
		}
		var want []string
		for i, pattern := range bound {
			if i%8 == int(removed%8) {
				r.remove(binding{key: pattern, to: spot(fmt.Sprint(i))})
			} else if matchTopic(splitTopic(pattern), splitTopic(key)) {
				want = append(want, fmt.Sprint(i))
			}
		}
		if got := reach(r, key); got != strings.Join(want, " ") {
			t.Errorf("%q with key %q: got %q, want %q", bound, key, got, want)
		}
	})
}
