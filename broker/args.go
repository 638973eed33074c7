package broker

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Args are the named arguments of an exchange, queue, binding or consumer, in the
// order in which they were given. A name should occur once; where it occurs more
// often, the first counts.
//
// A value is nil, a bool, an int8, int16, int32, int64, uint8, uint16 or uint32, a
// float32 or float64, a string, a []byte, a Decimal, a time.Time (whole seconds;
// the rest is dropped), a []any of such values, or Args. Lists and Args nest to
// 32 levels, the outermost included.
type Args []Arg

// Arg is one argument.
type Arg struct {
	Name  string
	Value any
}

// Decimal is the number Value divided by ten to the power of Scale.
type Decimal struct {
	Scale uint8
	Value int32
}

// maxArgsDepth bounds the recursion of whoever walks arguments.
const maxArgsDepth = 32

// Get returns the value of a name, and whether there is one: nil is a value.
func (a Args) Get(name string) (any, bool) {
	for i := range a {
		if a[i].Name == name {
			return a[i].Value, true
		}
	}
	return nil, false
}

// Int returns an integer of any width, and whether the name is there.
// Kind: Invalid (it is something else).
func (a Args) Int(name string) (n int64, ok bool, err error) {
	v, ok := a.Get(name)
	if !ok {
		return 0, false, nil
	}
	if n, ok = integer(v); !ok {
		return 0, false, argError(name, v, "an integer")
	}
	return n, true, nil
}

// Text returns a string, and whether the name is there.
// Kind: Invalid (it is something else).
func (a Args) Text(name string) (s string, ok bool, err error) {
	return typedArg[string](a, name, "a string")
}

// Bool returns a bool, and whether the name is there.
// Kind: Invalid (it is something else).
func (a Args) Bool(name string) (b, ok bool, err error) {
	return typedArg[bool](a, name, "a bool")
}

func typedArg[T any](a Args, name, want string) (v T, ok bool, err error) {
	raw, ok := a.Get(name)
	if !ok {
		return v, false, nil
	}
	if v, ok = raw.(T); !ok {
		return v, false, argError(name, raw, want)
	}
	return v, true, nil
}

func argError(name string, v any, want string) error {
	return fail(Invalid, "argument", name, "has a value of type %T, want %s", v, want)
}

// integer widens any of the integers.
func integer(v any) (int64, bool) {
	switch n := v.(type) {
	case int8:
		return int64(n), true
	case int16:
		return int64(n), true
	case int32:
		return int64(n), true
	case int64:
		return n, true
	case uint8:
		return int64(n), true
	case uint16:
		return int64(n), true
	case uint32:
		return int64(n), true
	}
	return 0, false
}

// equalArgs reports whether two say the same. The order of names does not matter,
// nor the width of a number, nor whether text came as string or as bytes. An
// integer never equals a float.
func equalArgs(a, b Args) bool { return a.canonical() == b.canonical() }

// EqualValues compares the values of two arguments by the same rules.
func EqualValues(a, b any) bool { return canonicalValue(a) == canonicalValue(b) }

// canonical returns bytes that are the same for equal arguments and differ for
// others, so that one map finds a binding by all that it is.
func (a Args) canonical() string {
	if len(a) == 0 {
		return ""
	}
	return string(appendArgs(nil, a.widened()))
}

func canonicalValue(v any) string { return string(appendValue(nil, widen(v))) }

// widened returns a copy in which names are sorted and each value has the widest
// type of its class.
func (a Args) widened() Args {
	wide := make(Args, len(a))
	for i, arg := range a {
		wide[i] = Arg{Name: arg.Name, Value: widen(arg.Value)}
	}
	slices.SortStableFunc(wide, func(x, y Arg) int { return cmp.Compare(x.Name, y.Name) })
	return wide
}

func widen(v any) any {
	switch v := v.(type) {
	case float32:
		return float64(v)
	case []byte:
		return string(v)
	case Args:
		return v.widened()
	case []any:
		wide := make([]any, len(v))
		for i := range v {
			wide[i] = widen(v[i])
		}
		return wide
	}
	if n, ok := integer(v); ok {
		return n
	}
	return v
}

// checkArgs refuses what has no place in Args, before it is kept or compared.
// Kind: Invalid.
func checkArgs(op, name string, a Args) error {
	if err := checkValue(a, maxArgsDepth); err != nil {
		return &Error{Kind: Invalid, Op: op, Name: name, Err: err}
	}
	return nil
}

var errArgsDepth = errors.New("arguments are nested too deep")

func checkValue(v any, depth int) error {
	switch v := v.(type) {
	case nil, bool, int8, int16, int32, int64, uint8, uint16, uint32,
		float32, float64, string, []byte, Decimal, time.Time:
		return nil
	case []any:
		return checkEach(len(v), func(i int) any { return v[i] }, depth)
	case Args:
		return checkEach(len(v), func(i int) any { return v[i].Value }, depth)
	}
	return fmt.Errorf("an argument of type %T", v)
}

func checkEach(n int, value func(int) any, depth int) error {
	if depth == 0 {
		return errArgsDepth
	}
	for i := range n {
		if err := checkValue(value(i), depth-1); err != nil {
			return err
		}
	}
	return nil
}
