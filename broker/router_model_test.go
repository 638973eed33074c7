package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// naiveRouter is a list and the definitions, to compare a router with.
type naiveRouter struct {
	kind  string
	bound []binding
}

func (n *naiveRouter) find(b binding) int {
	return slices.IndexFunc(n.bound, func(o binding) bool {
		return o.key == b.key && o.to == b.to && equalArgs(o.args, b.args)
	})
}

func (n *naiveRouter) add(b binding) bool {
	if n.find(b) >= 0 {
		return false
	}
	n.bound = append(n.bound, b)
	return true
}

func (n *naiveRouter) remove(b binding) bool {
	i := n.find(b)
	if i >= 0 {
		n.bound = slices.Delete(n.bound, i, i+1)
	}
	return i >= 0
}

func (n *naiveRouter) reach(keys []string, attributes Args) string {
	if n.kind == "fanout" || n.kind == "headers" {
		keys = keys[:1]
	}
	var names []string
	for _, key := range keys {
		for _, b := range n.bound {
			if n.matches(b, key, attributes) {
				names = append(names, b.to.Name().Name)
			}
		}
	}
	return strings.Join(names, " ")
}

func (n *naiveRouter) matches(b binding, key string, attributes Args) bool {
	switch n.kind {
	case "direct":
		return b.key == key
	case "topic":
		return matchTopic(splitTopic(b.key), splitTopic(key))
	case "headers":
		return matchHeaders(b.args, attributes)
	}
	return true
}

func matchHeaders(args, attributes Args) bool {
	match, _, _ := args.Text("x-match")
	asked, held := 0, 0
	for _, arg := range args {
		if arg.Name == "x-match" ||
			strings.HasPrefix(arg.Name, "x-") && !strings.HasSuffix(match, "-with-x") {
			continue
		}
		asked++
		if v, ok := attributes.Get(arg.Name); ok &&
			(arg.Value == nil || equalArgs(Args{{"", v}}, Args{{"", arg.Value}})) {
			held++
		}
	}
	if strings.HasPrefix(match, "any") {
		return held > 0
	}
	return held == asked
}

// TestRouterIsItsModel binds, unbinds and routes at random.
func TestRouterIsItsModel(t *testing.T) {
	for seed := range uint64(2000) {
		for _, kind := range []string{"direct", "fanout", "topic", "headers"} {
			rng := rand.New(rand.NewPCG(seed, 1))
			r, model := newTestRouter(t, kind, nil), &naiveRouter{kind: kind}
			for step := range 60 {
				if err := randomStep(rng, r, model); err != nil {
					t.Fatalf("%s, seed %d, step %d: %v", kind, seed, step, err)
				}
			}
		}
	}
}

func randomStep(rng *rand.Rand, r *router, model *naiveRouter) error {
	switch b := randomBinding(rng); rng.IntN(4) {
	case 0, 1:
		got, err := r.add(b)
		if want := model.add(b); got != want || err != nil {
			return fmt.Errorf("add %v: got %v %v, want %v", b, got, err, want)
		}
	case 2:
		if got, want := r.remove(b), model.remove(b); got != want {
			return fmt.Errorf("remove %v: got %v, want %v", b, got, want)
		}
	case 3:
		keys := []string{randomTopic(rng, "abc"), randomTopic(rng, "abc")}
		attributes := randomAttributes(rng)
		m := routed{key: keys[0], keys: keys[1:], attributes: func() Args { return attributes }}
		if got, want := hits(r, &m), model.reach(keys, attributes); got != want {
			return fmt.Errorf("route %q %v: got %q, want %q", keys, attributes, got, want)
		}
	}
	if got, want := r.empty(), len(model.bound) == 0; got != want {
		return fmt.Errorf("empty: got %v, want %v", got, want)
	}
	return nil
}

func randomBinding(rng *rand.Rand) binding {
	b := binding{key: randomTopic(rng, "ab*#"), to: spot("qrs"[rng.IntN(3):][:1])}
	if match := []string{"", "all", "any", "all-with-x", "any-with-x"}[rng.IntN(5)]; match != "" {
		b.args = Args{{"x-match", match}}
	}
	b.args = append(b.args, randomAttributes(rng)...)
	return b
}

func randomAttributes(rng *rand.Rand) Args {
	var a Args
	for _, name := range []string{"m", "x-n", "o"} {
		values := []any{nil, "1", []byte("1"), int8(1), int64(1), float32(1), true, []any{"1"}}
		if rng.IntN(3) == 0 {
			a = append(a, Arg{name, values[rng.IntN(len(values))]})
		}
	}
	return a
}

// randomTopic has up to five of these words, some of them empty.
func randomTopic(rng *rand.Rand, words string) string {
	var key []string
	for range rng.IntN(6) {
		i := rng.IntN(len(words) + 1)
		key = append(key, words[min(i, len(words)-1):i])
	}
	return strings.Join(key, ".")
}
