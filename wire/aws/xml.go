package aws

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

const xmlHead = `<?xml version="1.0"?>`

// xmlWriter writes structs of actions as XML.
type xmlWriter struct{ bytes.Buffer }

// value writes one element; a list, and a map, is one element after another, without one around them but
// where their name has two parts.
func (x *xmlWriter) value(name string, v reflect.Value, f field) {
	if outer, inner, both := strings.Cut(name, "."); both {
		x.element(outer, func() { x.value(inner, v, f) })
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			x.value(name, v.Elem(), f)
		}
	case reflect.String:
		x.text(name, v.String())
	case reflect.Bool, reflect.Int, reflect.Int32, reflect.Int64:
		x.text(name, fmt.Sprint(v.Interface()))
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			x.text(name, base64.StdEncoding.EncodeToString(v.Bytes()))
			return
		}
		for i := range v.Len() {
			x.value(name, v.Index(i), f)
		}
	case reflect.Map:
		x.entries(name, v, f)
	case reflect.Struct:
		x.element(name, func() {
			for _, f := range fieldsOf(v.Type()) {
				if part := v.FieldByIndex(f.index); !f.omitEmpty || !empty(part) {
					x.value(f.query, part, f)
				}
			}
		})
	default:
		panic("aws: XML has no " + v.Kind().String())
	}
}

// entries writes a map in the order of its keys.
func (x *xmlWriter) entries(name string, v reflect.Value, f field) {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		if a.String() < b.String() {
			return -1
		}
		return 1
	})
	for _, k := range keys {
		x.element(name, func() {
			x.text(f.key, k.String())
			x.value(f.value, v.MapIndex(k), entries)
		})
	}
}

func (x *xmlWriter) element(name string, inside func()) {
	x.WriteString("<" + name + ">")
	inside()
	x.WriteString("</" + name + ">")
}

// text writes an element with text in it. A carriage return is escaped: a parser would make a line feed of
// it, and the checksum of the body would be wrong.
func (x *xmlWriter) text(name, value string) {
	x.element(name, func() {
		_ = xml.EscapeText(x, []byte(value)) // a Buffer takes everything
	})
}

func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return v.IsZero()
}
