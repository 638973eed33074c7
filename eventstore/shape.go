package eventstore

import (
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// shapeOf tells the JSON of one type from that of another by names and types of fields. It is an
// error where JSON would lose a field.
func shapeOf[S any]() (string, error) {
	h := sha256.New()
	s := shape{out: h, seen: map[reflect.Type]bool{}}
	if err := s.write(reflect.TypeFor[S]()); err != nil {
		return "", fmt.Errorf("snapshots of %s: %w", reflect.TypeFor[S](), err)
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

type shape struct {
	out  io.Writer // a hash: it never fails
	seen map[reflect.Type]bool
}

var (
	marshaler       = reflect.TypeFor[json.Marshaler]()
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func (s *shape) write(t reflect.Type) error {
	fmt.Fprintf(s.out, "%s %s;", t.Kind(), t)
	p := reflect.PointerTo(t)
	switch {
	case s.seen[t]:
		return nil
	case p.Implements(marshaler) || p.Implements(textMarshaler):
		if !p.Implements(unmarshaler) && !p.Implements(textUnmarshaler) {
			return fmt.Errorf("the JSON that a %s makes of itself it does not read", t)
		}
		return nil
	}
	s.seen[t] = true
	switch t.Kind() {
	case reflect.Struct:
		return s.fields(t)
	case reflect.Map:
		fmt.Fprintf(s.out, "%s;", t.Key())
		return s.write(t.Elem())
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return s.write(t.Elem())
	case reflect.Chan, reflect.Func, reflect.Interface, reflect.Complex64, reflect.Complex128:
		return fmt.Errorf("JSON does not give back a %s", t)
	default:
		return nil
	}
}

func (s *shape) fields(t reflect.Type) error {
	if name := clash(t, map[string]bool{}); name != "" {
		return fmt.Errorf("two fields of %s are %s in its JSON", t, name)
	}
	for f := range t.Fields() {
		if !f.IsExported() || f.Tag.Get("json") == "-" {
			return fmt.Errorf("field %s of %s is not in its JSON", f.Name, t)
		}
		fmt.Fprintf(s.out, "%s %q;", f.Name, f.Tag.Get("json"))
		if err := s.write(f.Type); err != nil {
			return err
		}
	}
	return nil
}

// clash is a name that a struct, with those that are embedded in it, has for two fields: JSON leaves
// out one or both. names are those before.
func clash(t reflect.Type, names map[string]bool) string {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		embedded := f.Type
		if embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		inside := f.Anonymous && name == "" && embedded.Kind() == reflect.Struct
		switch {
		case inside:
			name = "embedded " + embedded.String() // which may be in itself
		case name == "":
			name = f.Name
		}
		if names[name] {
			return name
		}
		names[name] = true
		if inside {
			if twice := clash(embedded, names); twice != "" {
				return twice
			}
		}
	}
	return ""
}
