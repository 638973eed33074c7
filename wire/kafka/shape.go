package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A shape is the layout of one request's body in every version. A body is walked along its
// shape before the codec decodes it, because the codec believes counts: it allocates what an
// array announces as long as one byte an element is left (a hundredfold and more), and loops
// over as many tagged fields as a client claims. What passed the walk is cheap to decode.
//
// Shapes are written as text, near the table that names the request:
//
//	group:str topics:[ topic:str@0-9 id:uuid@10+ partitions:[ i32 ] ]?2 stable:bool@7+
//
// A field is name:type. Types are bool i8 i16 i32 i64 uuid str bytes, and [ … ] for an array of
// structs, or of one type where that stands without a name. ? after a type makes it nullable,
// ?7 from version 7 on; @3+ @3-5 @3 limits it to those versions; #1: before a type instead of a
// name is the tagged field 1; { … } is a struct inside a tagged field.
type shape struct {
	flexible int16 // first version with compact lengths and tagged fields (KIP-482)
	fields   []field
}

type kind uint8

const (
	kindFixed kind = iota // size bytes
	kindString
	kindBytes
	kindArray  // of structs
	kindSeries // of one unnamed type
	kindStruct
)

type field struct {
	kind     kind
	size     int
	from, to int16 // versions that have it
	null     int16 // first version in which it may be null
	tag      int   // number of the tagged field, -1 for one in line
	elems    []field
}

const never = math.MaxInt16

var (
	errShort    = errors.New("request ends early")
	errTrailing = errors.New("request has bytes behind its end")
	errNull     = errors.New("request has a null where none may be")
	errTags     = errors.New("request has tagged fields out of order")
	errTooMany  = errors.New("request has too many array elements or tagged fields")
)

// check walks body as the given version of the shape. It returns nil only for a body that is
// exactly as long as its contents and has at most limit array elements.
func (s *shape) check(body []byte, version int16, limit int) error {
	w := walk{rest: body, version: version, flexible: version >= s.flexible, left: limit}
	w.fields(s.fields)
	if w.err == nil && len(w.rest) > 0 {
		w.err = errTrailing
	}
	return w.err
}

// walk is the state of one check. After an error rest is empty and every step does nothing.
type walk struct {
	rest     []byte
	version  int16
	flexible bool
	left     int // array elements that may still come
	err      error
}

func (w *walk) fail(err error) {
	if w.err == nil {
		w.err = err
	}
	w.rest = nil
}

// fields walks the fields of one struct, and its tagged fields where the version has them.
func (w *walk) fields(fs []field) {
	for i := range fs {
		f := &fs[i]
		if f.tag < 0 && w.version >= f.from && w.version <= f.to {
			w.value(f)
		}
		if w.err != nil {
			return
		}
	}
	if w.flexible {
		w.tags(fs)
	}
}

func (w *walk) value(f *field) {
	switch f.kind {
	case kindFixed:
		w.skip(f.size)
	case kindString:
		w.sized(w.stringLen(), f)
	case kindBytes:
		w.sized(w.longLen(), f)
	case kindArray, kindSeries:
		w.array(f)
	case kindStruct:
		w.fields(f.elems)
	}
}

func (w *walk) array(f *field) {
	n := w.longLen()
	if n < 0 {
		w.sized(n, f)
		return
	}
	if n > w.left || n > len(w.rest) { // no element is smaller than a byte
		w.fail(tooMany(n > w.left))
		return
	}
	w.left -= n
	for ; n > 0 && w.err == nil; n-- {
		if f.kind == kindSeries {
			w.value(&f.elems[0])
		} else {
			w.fields(f.elems)
		}
	}
}

func tooMany(limit bool) error {
	if limit {
		return errTooMany
	}
	return errShort
}

// sized steps over n bytes of a field; n is -1 for null.
func (w *walk) sized(n int, f *field) {
	switch {
	case w.err != nil:
	case n >= 0:
		w.skip(n)
	case n < -1 || w.version < f.null:
		w.fail(errNull)
	}
}

func (w *walk) skip(n int) []byte {
	if n > len(w.rest) {
		w.fail(errShort)
		return nil
	}
	b := w.rest[:n]
	w.rest = w.rest[n:]
	return b
}

// tags walks the tagged fields that end a struct: a count, then number, size and contents, in
// ascending order. Those that fs knows are walked inside too.
func (w *walk) tags(fs []field) {
	last := -1
	for n := w.uvarint(); n > 0 && w.err == nil; n-- {
		tag, size := w.uvarint(), w.uvarint()
		if w.left--; w.left < 0 {
			w.fail(errTooMany)
		}
		if w.err == nil && tag <= last {
			w.fail(errTags)
		}
		last = tag
		w.tagged(fs, tag, w.skip(size))
	}
}

func (w *walk) tagged(fs []field, tag int, contents []byte) {
	for i := range fs {
		if w.err == nil && fs[i].tag == tag {
			in := walk{rest: contents, version: w.version, flexible: true, left: w.left}
			in.value(&fs[i])
			if in.err == nil && len(in.rest) > 0 {
				in.err = errTrailing
			}
			if in.err != nil {
				w.fail(in.err)
			}
		}
	}
}

func (w *walk) stringLen() int {
	if w.flexible {
		return w.uvarint() - 1
	}
	if b := w.skip(2); b != nil {
		return int(int16(binary.BigEndian.Uint16(b)))
	}
	return 0
}

// longLen reads the length of bytes or of an array.
func (w *walk) longLen() int {
	if w.flexible {
		return w.uvarint() - 1
	}
	if b := w.skip(4); b != nil {
		return int(int32(binary.BigEndian.Uint32(b)))
	}
	return 0
}

func (w *walk) uvarint() int {
	v, n := binary.Uvarint(w.rest)
	if n <= 0 || v > math.MaxInt32 {
		w.fail(errShort)
		return 0
	}
	w.rest = w.rest[n:]
	return int(v)
}

// mustShape reads a shape's text. It panics on a mistake in one, which no run of the tests
// survives.
func mustShape(flexible int16, layout string) *shape {
	p := shapeText{words: strings.Fields(layout)}
	s := &shape{flexible: flexible, fields: p.fields("")}
	if len(p.words) > 0 {
		panic("kafka: shape goes on after its end: " + layout)
	}
	return s
}

type shapeText struct{ words []string }

// fields reads up to the word that begins with end, which stays.
func (p *shapeText) fields(end string) []field {
	var fs []field
	for len(p.words) > 0 && (end == "" || !strings.HasPrefix(p.words[0], end)) {
		fs = append(fs, p.field())
	}
	return fs
}

func (p *shapeText) next() string {
	word := p.words[0]
	p.words = p.words[1:]
	return word
}

var shapeClosers = map[string]string{"[": "]", "{": "}"}

func (p *shapeText) field() field {
	name, spec, named := strings.Cut(p.next(), ":")
	if !named {
		name, spec = "", name
	}
	f := field{tag: -1, to: never, null: never}
	if tag, ok := strings.CutPrefix(name, "#"); ok {
		f.tag = number(tag)
	}
	if closer, ok := shapeClosers[spec]; ok {
		f.elems = p.fields(closer)
		f.kind = structure(spec, f.elems)
		spec = "_" + strings.TrimPrefix(p.next(), closer)
	}
	f.modify(spec)
	f.elems = unmarked(f.elems)
	if !named {
		f.tag = bare
	}
	return f
}

// bare marks the unnamed type of a series while its array is still being read.
const bare = -2

func structure(opener string, elems []field) kind {
	switch {
	case opener == "{":
		return kindStruct
	case len(elems) == 1 && elems[0].tag == bare:
		return kindSeries
	default:
		return kindArray
	}
}

// unmarked ends the marking of a bare element: from here on it is a field in line.
func unmarked(elems []field) []field {
	for i := range elems {
		if elems[i].tag == bare {
			elems[i].tag = -1
		}
	}
	return elems
}

// modify reads type, ? and @ of one field; the type is _ where it is known.
func (f *field) modify(spec string) {
	spec, versions, limited := strings.Cut(spec, "@")
	spec, null, nullable := strings.Cut(spec, "?")
	if nullable {
		f.null = 0
		if null != "" {
			f.null = int16(number(null))
		}
	}
	if limited {
		f.from, f.to = versionRange(versions)
	}
	sizes := map[string]int{"bool": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "uuid": 16}
	switch {
	case spec == "_":
	case spec == "str":
		f.kind = kindString
	case spec == "bytes":
		f.kind = kindBytes
	case sizes[spec] > 0:
		f.size = sizes[spec]
	default:
		panic("kafka: shape has unknown type " + spec)
	}
}

func versionRange(s string) (from, to int16) {
	if low, ok := strings.CutSuffix(s, "+"); ok {
		return int16(number(low)), never
	}
	low, high, ranged := strings.Cut(s, "-")
	if !ranged {
		high = low
	}
	return int16(number(low)), int16(number(high))
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(fmt.Sprintf("kafka: shape has %q for a number", s))
	}
	return n
}
