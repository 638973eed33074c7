package broker

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// spot is a destination for tests.
type spot string

func (s spot) Name() Name { return Name{Name: string(s)} }

func newTestRouter(t testing.TB, kind string, args Args, bound ...binding) *router {
	t.Helper()
	r, err := newRouter(kind, args)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bound {
		if added, err := r.add(b); err != nil || !added {
			t.Fatalf("add %+v: %v, %v", b, added, err)
		}
	}
	return r
}

// hits are the names of what a record reaches, in order, space-separated.
func hits(r *router, m *routed) string {
	var names []string
	r.route(m, func(d destination) { names = append(names, d.Name().Name) })
	return strings.Join(names, " ")
}

func reach(r *router, keys ...string) string {
	return hits(r, &routed{key: keys[0], keys: keys[1:]})
}

func TestRouterDirectLeadsToWhatIsBoundWithTheKey(t *testing.T) {
	r := newTestRouter(t, "direct", nil, binding{key: "a", to: spot("3")},
		binding{key: "a", to: spot("1")}, binding{key: "b", to: spot("2")}, binding{to: spot("4")})
	for _, c := range []struct {
		want string
		keys []string
	}{
		{"3 1", []string{"a"}},
		{"4", []string{""}},
		{"", []string{"A"}},
		{"2 3 1", []string{"b", "nowhere", "a"}},
		{"2 2", []string{"b", "b"}},
	} {
		if got := reach(r, c.keys...); got != c.want {
			t.Errorf("keys %q reach %q, want %q", c.keys, got, c.want)
		}
	}
}

func TestRouterDirectForgetsKeys(t *testing.T) {
	a, b := binding{key: "k", to: spot("a")}, binding{key: "k", to: spot("b")}
	r := newTestRouter(t, "direct", nil, a, b)
	r.remove(a)
	if got := reach(r, "k"); got != "b" {
		t.Errorf("got %q", got)
	}
	r.remove(b)
	if left := r.ways.(directWays); len(left) != 0 {
		t.Errorf("%v left", left)
	}
}

func TestRouterFanoutLeadsEverywhereInTheOrderOfBinding(t *testing.T) {
	r := newTestRouter(t, "fanout", nil, binding{to: spot("b")}, binding{key: "x", to: spot("c")},
		binding{to: spot("a")})
	if got := reach(r, "any"); got != "b c a" {
		t.Errorf("got %q", got)
	}
	r.remove(binding{key: "x", to: spot("c")})
	r.add(binding{key: "x", to: spot("c")})
	if got := reach(r, "x", "y"); got != "b a c" {
		t.Errorf("bound again: got %q", got)
	}
}

// TestRouterTheSameBindingTwiceIsOne holds for every kind of exchange.
func TestRouterTheSameBindingTwiceIsOne(t *testing.T) {
	for kind := range kindsOfExchange {
		key := map[string]string{"x-consistent-hash": "1", "x-local-random": ""}
		b := binding{key: key[kind], to: spot("q"), args: Args{{"n", int32(1)}, {"m", "x"}}}
		same := binding{key: b.key, to: spot("q"), args: Args{{"m", []byte("x")}, {"n", int64(1)}}}
		other := binding{key: b.key, to: spot("q"), args: Args{{"n", int64(2)}}}
		r := newTestRouter(t, kind, nil, b, other)
		if added, err := r.add(same); added || err != nil {
			t.Errorf("%s: the same again is new: %v %v", kind, added, err)
		}
		if !r.remove(same) || r.remove(b) || r.empty() || !r.remove(other) || !r.empty() {
			t.Errorf("%s: removed wrongly", kind)
		}
		if got := reach(r, b.key); got != "" {
			t.Errorf("%s: empty, and leads to %q", kind, got)
		}
	}
}

func TestRouterRefuses(t *testing.T) {
	deep := Args{}
	for range maxArgsDepth {
		deep = Args{{"deeper", deep}}
	}
	for _, c := range []struct {
		kind string
		args Args
		b    binding
		want ErrorKind
	}{
		{"x-recent-history", nil, binding{}, Unsupported},
		{"Direct", nil, binding{}, Unsupported},
		{"direct", nil, binding{args: Args{{"n", 1}}}, Invalid},
		{"direct", nil, binding{args: deep}, Invalid},
		{"headers", nil, binding{args: Args{{"x-match", "most"}}}, Invalid},
		{"headers", nil, binding{args: Args{{"x-match", "-with-x"}}}, Invalid},
		{"headers", nil, binding{args: Args{{"x-match", true}}}, Invalid},
		{"x-consistent-hash", nil, binding{key: ""}, Invalid},
		{"x-consistent-hash", nil, binding{key: "0"}, Invalid},
		{"x-consistent-hash", nil, binding{key: "1.5"}, Invalid},
		{"x-consistent-hash", nil, binding{key: "10001"}, Invalid},
		{"x-consistent-hash", Args{{"hash-property", "user_id"}}, binding{}, Invalid},
		{"x-consistent-hash", Args{{"hash-property", int8(1)}}, binding{}, Invalid},
		{"x-consistent-hash", Args{{"hash-header", nil}}, binding{}, Invalid},
		{"x-consistent-hash", Args{{"hash-header", "h"}, {"hash-property", "message_id"}},
			binding{}, Invalid},
		{"x-local-random", nil, binding{key: "k"}, Invalid},
	} {
		r, err := newRouter(c.kind, c.args)
		if err == nil {
			c.b.to = spot("q")
			_, err = r.add(c.b)
			if !r.empty() || reach(r, "") != "" || r.remove(c.b) {
				t.Errorf("%s %v: a refused binding is there", c.kind, c.b)
			}
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s %v %v: got %v, want %v", c.kind, c.args, c.b, err, c.want)
		}
	}
}

func weighted(t testing.TB, args Args, weights ...int) *router {
	r := newTestRouter(t, "x-consistent-hash", args)
	for i, weight := range weights {
		r.add(binding{key: strconv.Itoa(weight), to: spot(fmt.Sprint("q", i))})
	}
	return r
}

func TestRouterConsistentHashSharesByWeight(t *testing.T) {
	const records = 100_000
	for _, weights := range [][]int{{1}, {1, 1}, {1, 1, 2, 2}, {1, 3, 10, 100}, {10_000, 10_000}} {
		r := weighted(t, nil, weights...)
		got, sum := map[string]int{}, 0
		for i := range records {
			got[reach(r, fmt.Sprint("order-", i))]++
		}
		for _, weight := range weights {
			sum += weight
		}
		for i, weight := range weights {
			want := records * weight / sum
			if n := got[fmt.Sprint("q", i)]; n < want-want/10-60 || n > want+want/10+60 {
				t.Errorf("weights %v: q%d got %d records, want about %d", weights, i, n, want)
			}
		}
	}
}

func TestRouterConsistentHashMovesOnlyWhatANewQueueTakes(t *testing.T) {
	const records = 20_000
	before := weighted(t, nil, 1, 1, 1, 1, 1, 1, 1, 1, 1)
	after := weighted(t, nil, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
	moved := 0
	for i := range records {
		key := fmt.Sprint(i)
		if was, is := reach(before, key), reach(after, key); was != is {
			moved++
			if is != "q9" {
				t.Fatalf("key %s moved from %s to %s", key, was, is)
			}
		}
	}
	if want := records / 10; moved < want*9/10 || moved > want*11/10 {
		t.Errorf("%d of %d keys moved, want about %d", moved, records, want)
	}
	after.remove(binding{key: "1", to: spot("q9")})
	for i := range records {
		if key := fmt.Sprint(i); reach(before, key) != reach(after, key) {
			t.Fatalf("key %s did not come back", key)
		}
	}
}

// TestRouterHashesNeverChange: where a key leads must survive an upgrade.
func TestRouterHashesNeverChange(t *testing.T) {
	consistent, modulus := weighted(t, nil, 1, 2, 3), newTestRouter(t, "x-modulus-hash", nil,
		binding{to: spot("c")}, binding{to: spot("a")}, binding{key: "k", to: spot("b")})
	var got []string
	for _, key := range []string{"", "a", "orders.eu.created", "42", "ünïcode"} {
		got = append(got, reach(consistent, key)+reach(modulus, key, "copy"))
	}
	if want := []string{"q2c", "q0c", "q1b", "q2a", "q0a"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRouterConsistentHashByHeaderOrProperty(t *testing.T) {
	property := func(v string) *routed {
		return &routed{property: func(name string) string { return name + v }}
	}
	header := func(v any) *routed {
		return &routed{key: "k", attributes: func() Args { return Args{{"h", v}} }}
	}
	weights := []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
	byHeader := weighted(t, Args{{"hash-header", "h"}}, weights...)
	byProperty := weighted(t, Args{{"hash-property", "message_id"}}, weights...)
	headers, properties := map[string]bool{}, map[string]bool{}
	for i := range 200 {
		headers[hits(byHeader, header(int64(i)))] = true
		properties[hits(byProperty, property(fmt.Sprint(i)))] = true
	}
	if len(headers) != len(weights) || len(properties) != len(weights) {
		t.Errorf("%d and %d of 10 queues are reached", len(headers), len(properties))
	}
	if hits(byHeader, header(int8(7))) != hits(byHeader, header(uint32(7))) {
		t.Error("the width of a number decides")
	}
	none := hits(byHeader, &routed{key: "a"})
	if none == "" || hits(byHeader, &routed{attributes: func() Args { return nil }}) != none ||
		hits(byProperty, &routed{key: "a"}) != hits(byProperty, &routed{key: "b"}) {
		t.Error("records without the header or property do not go one way")
	}
}

func TestRouterRandomHitsOneOfAll(t *testing.T) {
	for _, kind := range []string{"x-random", "x-local-random"} {
		r := newTestRouter(t, kind, nil, binding{to: spot("a")}, binding{to: spot("b")})
		got := map[string]int{}
		for range 200 {
			got[reach(r, "k", "copy")]++
		}
		if len(got) != 2 || got["a"]+got["b"] != 200 {
			t.Errorf("%s: got %v", kind, got)
		}
	}
}

func benchmarkRouter(b *testing.B, kind string, n int, key, record func(i int) string) {
	b.Helper()
	r := newTestRouter(b, kind, nil)
	records := make([]routed, n)
	for i := range n {
		r.add(binding{key: key(i), to: spot(strconv.Itoa(i % 100))})
		records[i].key = record(i)
	}
	count := 0
	hit := func(destination) { count++ }
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.route(&records[i%n], hit)
	}
	if count < b.N {
		b.Errorf("%d routes, %d hits", b.N, count)
	}
}

func BenchmarkRouter(b *testing.B) {
	key := func(i int) string { return fmt.Sprintf("shop%d.order%d.created", i/100, i%100) }
	// Of ten patterns eight are plain, one has "*" and one has "#".
	pattern := func(i int) string {
		switch i % 10 {
		case 0:
			return fmt.Sprintf("shop%d.*.created", i/100)
		case 1:
			return fmt.Sprintf("shop%d.order%d.#", i/100, i%100)
		}
		return key(i)
	}
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint("direct/", n), func(b *testing.B) {
			benchmarkRouter(b, "direct", n, key, key)
		})
		b.Run(fmt.Sprint("topic/", n), func(b *testing.B) {
			benchmarkRouter(b, "topic", n, pattern, key)
		})
	}
	one := func(int) string { return "1" }
	for _, n := range []int{10, 100} {
		b.Run(fmt.Sprint("hash/", n), func(b *testing.B) {
			benchmarkRouter(b, "x-consistent-hash", n, one, key)
		})
	}
}
