package broker

import (
	"cmp"
	"slices"
	"strings"
)

// headersWays match a record's headers to the arguments of a binding; keys mean
// nothing. The argument x-match says how:
//
//	all, or absent   every argument but x-* is among the headers
//	any              at least one argument but x-* is
//	all-with-x       every argument but x-match is
//	any-with-x       at least one argument but x-match is
//
// So "all" without arguments matches every record, and "any" without arguments
// none. An argument without a value asks for the name only.
type headersWays struct{ rules []headersRule }

// headersRule is what one binding asks for, in canonical values.
type headersRule struct {
	*entry
	all  bool
	want []header
}

// header is a name with its canonical value, which is never empty: "" asks for
// the presence of the name.
type header struct{ name, value string }

func (w *headersWays) put(e *entry) error {
	match, ok, err := e.args.Text("x-match")
	if err != nil {
		return err
	}
	if !ok {
		match = "all"
	}
	how, withX := strings.CutSuffix(match, "-with-x")
	if how != "all" && how != "any" {
		return fail(Invalid, "bind", e.to.Name().String(),
			"x-match is %q, want all, any, all-with-x or any-with-x", match)
	}
	w.rules = append(w.rules, headersRule{entry: e, all: how == "all", want: wanted(e.args, withX)})
	return nil
}

func (w *headersWays) drop(e *entry) { w.rules = without(w.rules, e.order) }

func (w *headersWays) route(m *routed, hit func(destination)) {
	var have []header
	if m.attributes != nil && len(w.rules) > 0 {
		have = headersOf(m.attributes())
	}
	for i := range w.rules {
		if w.rules[i].matches(have) {
			hit(w.rules[i].to)
		}
	}
}

func wanted(args Args, withX bool) []header {
	var want []header
	for _, arg := range args {
		switch {
		case arg.Name == "x-match", !withX && strings.HasPrefix(arg.Name, "x-"):
		case arg.Value == nil:
			want = append(want, header{name: arg.Name})
		default:
			want = append(want, header{arg.Name, canonicalValue(arg.Value)})
		}
	}
	return want
}

// headersOf sorts by name, and keeps the first of several at the front.
func headersOf(attributes Args) []header {
	have := make([]header, len(attributes))
	for i, attr := range attributes {
		have[i] = header{attr.Name, canonicalValue(attr.Value)}
	}
	slices.SortStableFunc(have, func(a, b header) int { return cmp.Compare(a.name, b.name) })
	return have
}

// matches ends at the first answer that decides: a miss of all, a hit of any.
func (r *headersRule) matches(have []header) bool {
	for _, want := range r.want {
		if holds(have, want) != r.all {
			return !r.all
		}
	}
	return r.all
}

func holds(have []header, want header) bool {
	i, found := slices.BinarySearchFunc(have, want.name, func(h header, name string) int {
		return cmp.Compare(h.name, name)
	})
	return found && (want.value == "" || want.value == have[i].value)
}
