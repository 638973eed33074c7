package filter

import "slices"

// Match tells whether a message passes. A policy about the body lets nothing pass whose body is not a JSON
// object.
func (p *Policy) Match(m *Message) bool {
	if len(p.fields) == 0 {
		return true
	}
	f := m.form(p.scope)
	if f == nil {
		return false
	}
	run := run{p, f, make([]hits, len(p.fields))}
	return slices.ContainsFunc(p.rules, run.rule)
}

// run is one match of a policy with a message.
type run struct {
	*Policy
	*form
	hits []hits // of each field, once it was looked for
}

// hits is where a field matches.
type hits struct {
	known    bool
	outside  bool    // outside of arrays, which is as good as everywhere
	elements []int32 // else in which elements
}

func (r *run) rule(rule rule) bool {
	inside := make([][]int32, 0, len(rule.fields))
	for _, i := range rule.fields {
		h := r.field(i)
		if !h.outside && len(h.elements) == 0 {
			return false
		}
		if !h.outside {
			inside = append(inside, h.elements)
		}
	}
	return len(inside) < 2 || together(inside, r.elements)
}

func (r *run) field(i int) *hits {
	h := &r.hits[i]
	if h.known {
		return h
	}
	h.known = true
	f := &r.fields[i]
	at := r.find(f.path)
	h.outside = at < 0 && f.absent
	for ; at >= 0 && !h.outside; at = r.values[at].next {
		v := &r.values[at]
		switch {
		case !f.present && !slices.ContainsFunc(f.any, func(p pattern) bool { return p.matches(v) }):
		case v.in == 0:
			h.outside = true
		default:
			h.elements = append(h.elements, v.in)
		}
	}
	return h
}
