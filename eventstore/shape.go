package eventstore

import (
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
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
	marshaler     = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

func (s *shape) write(t reflect.Type) error {
	fmt.Fprintf(s.out, "%s %s;", t.Kind(), t)
	p := reflect.PointerTo(t)
	if s.seen[t] || p.Implements(marshaler) || p.Implements(textMarshaler) {
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
