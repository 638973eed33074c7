package filter

import (
	"strings"
	"unicode/utf8"
)

// Attribute is a message attribute: its data type and its value, which for "String.Array" is a JSON array.
type Attribute struct{ Type, Value string }

// Message is what was published, for policies to look at. It is decoded when the first policy of a scope
// asks, so it is for one goroutine.
type Message struct {
	attributes map[string]Attribute
	body       string
	forms      [2]*form
}

// NewMessage holds on to what it is given.
func NewMessage(attributes map[string]Attribute, body string) *Message {
	return &Message{attributes: attributes, body: body}
}

// form is what policies see of the message; nil if the body is no JSON object.
func (m *Message) form(scope Scope) *form {
	if m.forms[scope] == nil {
		if scope == MessageAttributes {
			m.forms[scope] = attributesForm(m.attributes)
		} else {
			m.forms[scope] = bodyForm(m.body)
		}
	}
	if m.forms[scope].bad {
		return nil
	}
	return m.forms[scope]
}

// form is a message made flat: what values there are at each path. Its parts are numbers in slices and pieces
// of the message, so that it takes memory in proportion to the message.
type form struct {
	names    map[step]int32 // places
	first    []int32        // of each place its newest value, -1 for none
	values   []value
	elements []element // the first is what is in no array
	arrays   int32
	bad      bool
}

// step is a name below a place; the place of the whole message is 0.
type step struct {
	at   int32
	name string
}

// value is a string, a number, true, false or null.
type value struct {
	kind token
	text string
	in   int32 // an element
	next int32 // another value at the same place, -1 for none
}

// element is one element of an array, which is itself in an element of another array, or in none: 0. An
// element comes after the one that it is in.
type element struct{ array, in int32 }

func newForm() *form {
	return &form{names: map[step]int32{}, first: []int32{-1}, elements: []element{{}}}
}

// A body that is nested deeper, or has more names, values and elements of arrays, matches nothing: it would take
// much more memory than it has bytes. What a topic takes by default does not have as many.
const (
	maxBodyDepth = 512
	maxParts     = 1 << 19
)

func (f *form) full() bool { return len(f.first)+len(f.values)+len(f.elements) > maxParts }

func bodyForm(body string) *form {
	f, s := newForm(), newScanner(body, maxBodyDepth)
	if !utf8.ValidString(body) || s.next() != '{' {
		f.bad = true
		return f
	}
	const most = 16 // bytes for each value: commas in strings are none
	f.values = make([]value, 0, 1+min(strings.Count(body, ","), len(body)/most))
	f.read(s, '{', spot{})
	f.bad = s.next() != tokenNone || s.problem != ""
	return f
}

// spot is where a value stands: its place, and the element that it is in.
type spot struct{ place, element int32 }

// read takes up a value that begins with t.
func (f *form) read(s *scanner, t token, at spot) {
	if f.full() {
		s.fail(s.pos, "Too many values")
	}
	switch t {
	case tokenNone:
	case '{':
		for s.next() == tokenName {
			place := f.place(at.place, s.name)
			f.read(s, s.next(), spot{place, at.element})
		}
	case '[':
		f.arrays++
		array := f.arrays
		for t := s.next(); t != ']' && t != tokenNone; t = s.next() {
			f.elements = append(f.elements, element{array, at.element})
			f.read(s, t, spot{at.place, int32(len(f.elements) - 1)})
		}
	default:
		f.put(at, t, s.text(t))
	}
}

// place finds or makes the place of a name, and of each part of a name with dots.
func (f *form) place(at int32, name string) int32 {
	for dots := true; dots && !f.full(); {
		var first string
		first, name, dots = strings.Cut(name, ".")
		next, there := f.names[step{at, first}]
		if !there {
			next = int32(len(f.first))
			f.names[step{at, first}] = next
			f.first = append(f.first, -1)
		}
		at = next
	}
	return at
}

func (f *form) put(at spot, kind token, text string) {
	f.values = append(f.values, value{kind: kind, text: text, in: at.element, next: f.first[at.place]})
	f.first[at.place] = int32(len(f.values) - 1)
}

// find is the newest value at a path, -1 if there is none.
func (f *form) find(path []string) int32 {
	at := int32(0)
	for _, name := range path {
		next, there := f.names[step{at, name}]
		if !there {
			return -1
		}
		at = next
	}
	return f.first[at]
}

// attributesForm leaves out what SNS ignores: binary attributes, and arrays that are none.
func attributesForm(attributes map[string]Attribute) *form {
	f := newForm()
	for name, a := range attributes {
		kind, label, _ := strings.Cut(a.Type, ".")
		switch {
		case kind == "String" && label == "Array":
			f.array(name, a.Value)
		case kind == "String":
			f.put(spot{place: f.place(0, name)}, tokenString, a.Value)
		case kind == "Number":
			f.put(spot{place: f.place(0, name)}, tokenNumber, a.Value)
		}
	}
	return f
}

func (f *form) array(name, elements string) {
	check := newScanner(elements, maxBodyDepth)
	for check.next() != tokenNone {
	}
	if s := newScanner(elements, maxBodyDepth); check.problem == "" && s.next() == '[' && utf8.ValidString(elements) {
		f.read(s, '[', spot{place: f.place(0, name)})
	}
}
