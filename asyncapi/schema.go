package asyncapi

import (
	"encoding"
	"encoding/json"
	"math/big"
	"reflect"
	"slices"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

// schemaOf is the schema of what encoding/json makes of a type, which data of every version satisfies.
func schemaOf(t reflect.Type) (*jsonschema.Schema, error) {
	own := ownWays{}
	own.add(t, map[reflect.Type]bool{})
	s, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: own})
	if err != nil {
		return nil, err
	}
	tolerate(s)
	return s, nil
}

// ownWays are the types that encoding/json writes in a way of their own.
type ownWays map[reflect.Type]*jsonschema.Schema

// add finds them in a type, of which those in seen are looked at already.
func (o ownWays) add(t reflect.Type, seen map[reflect.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	if s := ownWay(t); s != nil {
		o[t] = s
		return
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		o.add(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			o.add(t.Field(i).Type, seen)
		}
	}
}

// ownWay is the schema of such a type, nil for one that is written as what it is made of. What a type
// that writes itself writes is not known.
func ownWay(t reflect.Type) *jsonschema.Schema {
	switch {
	case t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface:
		return nil
	case t == reflect.TypeFor[time.Time]():
		return &jsonschema.Schema{Type: "string", Format: "date-time"}
	case t == reflect.TypeFor[big.Int]():
		return &jsonschema.Schema{Type: "integer"}
	case t == reflect.TypeFor[json.Number]():
		return &jsonschema.Schema{Type: "number"}
	case implements[json.Marshaler](t):
		return &jsonschema.Schema{Types: slices.Clone(anything)} // an empty one would be null behind a pointer
	case implements[encoding.TextMarshaler](t):
		return &jsonschema.Schema{Type: "string"}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 && ownWay(t.Elem()) == nil:
		return &jsonschema.Schema{Types: []string{"null", "string"}, ContentEncoding: "base64"}
	}
	return nil
}

// anything are all types of JSON.
var anything = []string{"null", "boolean", "object", "array", "number", "string"}

func implements[I any](t reflect.Type) bool {
	is := reflect.TypeFor[I]()
	return t.Implements(is) || reflect.PointerTo(t).Implements(is)
}

// tolerate allows members that the schema does not know: readers ignore them, and so events grow.
func tolerate(s *jsonschema.Schema) {
	if s.AdditionalProperties = allowed(s.AdditionalProperties); s.AdditionalProperties != nil {
		s.Type, s.Types = "", []string{"null", "object"} // a map, which may be nil
	}
	for _, p := range s.Properties {
		tolerate(p)
	}
	if s.Items != nil {
		tolerate(s.Items)
	}
}

// allowed is nil for a schema that nothing satisfies; that of the values of a map stays.
func allowed(s *jsonschema.Schema) *jsonschema.Schema {
	if s == nil || s.Not != nil {
		return nil
	}
	tolerate(s)
	return s
}
