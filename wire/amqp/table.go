package amqp

import (
	"bytes"
	"encoding/binary"
	"math"
)

// A Table is a field table: named values in the order in which they travel. Names are at most 255
// bytes long and may repeat; then the first counts. A value is one of
//
//	t bool    b int8    B uint8    s int16    u uint16    I int32    i uint32    l int64
//	f float32 d float64 D Decimal  S string   A []any     T Timestamp
//	F Table   V nil     x []byte
//
// where the letter is its type on the wire. The letters are RabbitMQ's, which clients follow: in
// the specification s is a short string and l unsigned, U is an int16 and x unknown. Like
// RabbitMQ a Table also reads L as int64 and any octet but 0 as true; it writes l and 1. All
// other values are written as the same bytes they were read from. An empty table or array is nil.
type Table []Field

// A Field is one named value of a Table.
type Field struct {
	Name  string
	Value any
}

// A Decimal is Value divided by ten to the power of Scale. RabbitMQ and the specification's
// grammar take Value as unsigned, some clients as signed: the bytes are the same.
type Decimal struct {
	Scale uint8
	Value uint32
}

// A Timestamp counts seconds since 1970 in UTC.
type Timestamp int64

// Get returns the value of the first field of that name, and whether there is one.
func (t Table) Get(name string) (value any, ok bool) {
	for i := range t {
		if t[i].Name == name {
			return t[i].Value, true
		}
	}
	return nil, false
}

const (
	maxShortString = 255
	// maxTableDepth is how deep tables and arrays may nest. Real headers need three: x-death is
	// a table in an array in a table.
	maxTableDepth = 32
)

var errDepth = errorf(replySyntaxError, "tables nest deeper than %d", maxTableDepth)

// A rawTable is the contents of a table as it travels, behind its length.
type rawTable []byte

// check walks the table without allocating. A table that passes can be decoded.
func (t rawTable) check() error {
	r := reader{rest: t}
	for len(r.rest) > 0 {
		r.shortstr()
		r.checkValue(maxTableDepth - 1)
	}
	return r.err
}

// find returns the value of the first field of that name, and whether there is one. It decodes
// nothing else. The table must have passed check.
func (t rawTable) find(name string) (value any, ok bool) {
	r := reader{rest: t}
	for len(r.rest) > 0 {
		if string(r.shortstr()) == name {
			value = r.value(maxTableDepth - 1)
			return value, r.err == nil
		}
		r.skipValue()
	}
	return nil, false
}

// decode returns the table as values, which share no memory with it. They take at most some
// twenty times its size: an array of nothing but nulls needs 16 bytes for each.
func (t rawTable) decode() (Table, error) {
	r := reader{rest: t}
	table := r.fields(maxTableDepth - 1)
	return table, r.err
}

// checkValue walks over a value and everything in it. depth is how much deeper it may nest.
func (r *reader) checkValue(depth int) {
	tag := r.octet()
	if tag != 'F' && tag != 'A' {
		r.skip(tag)
		return
	}
	in := r.nested(depth)
	for len(in.rest) > 0 {
		if tag == 'F' {
			in.shortstr()
		}
		in.checkValue(depth - 1)
	}
	r.join(in)
}

// skipValue steps over a value without looking into it.
func (r *reader) skipValue() { r.skip(r.octet()) }

func (r *reader) skip(tag byte) {
	switch tag {
	case 'V':
	case 't', 'b', 'B':
		r.take(1)
	case 's', 'u':
		r.take(2)
	case 'I', 'i', 'f':
		r.take(4)
	case 'D':
		r.take(5)
	case 'l', 'L', 'd', 'T':
		r.take(8)
	case 'S', 'x', 'F', 'A':
		r.longstr()
	default:
		if r.err == nil {
			r.fail(errorf(replySyntaxError, "unknown table field type %q", tag))
		}
	}
}

// nested is a reader of the table or array that comes next. join must follow.
func (r *reader) nested(depth int) reader {
	contents := r.longstr()
	if depth <= 0 {
		r.fail(errDepth)
		return reader{}
	}
	return reader{rest: contents}
}

// join takes over the error of a reader of a part.
func (r *reader) join(part reader) {
	if part.err != nil {
		r.fail(part.err)
	}
}

// fields reads a table to its end.
func (r *reader) fields(depth int) Table {
	n := 0
	count := *r
	for ; len(count.rest) > 0; n++ {
		count.shortstr()
		count.skipValue()
	}
	r.join(count)
	if r.err != nil || n == 0 {
		return nil
	}
	table := make(Table, n)
	for i := range table {
		table[i].Name = string(r.shortstr())
		table[i].Value = r.value(depth)
	}
	return table
}

// values reads an array to its end.
func (r *reader) values(depth int) []any {
	n := 0
	count := *r
	for ; len(count.rest) > 0; n++ {
		count.skipValue()
	}
	r.join(count)
	if r.err != nil || n == 0 {
		return nil
	}
	array := make([]any, n)
	for i := range array {
		array[i] = r.value(depth)
	}
	return array
}

// value reads a value. depth is how much deeper it may nest.
func (r *reader) value(depth int) any {
	switch tag := r.octet(); tag {
	case 'S':
		return string(r.longstr())
	case 'x':
		return bytes.Clone(r.longstr())
	case 'F':
		in := r.nested(depth)
		table := in.fields(depth - 1)
		r.join(in)
		return table
	case 'A':
		in := r.nested(depth)
		array := in.values(depth - 1)
		r.join(in)
		return array
	default:
		return r.scalar(tag)
	}
}

func (r *reader) scalar(tag byte) any {
	switch tag {
	case 't':
		return r.octet() != 0
	case 'b':
		return int8(r.octet())
	case 'B':
		return r.octet()
	case 's':
		return int16(r.short())
	case 'u':
		return r.short()
	case 'I':
		return int32(r.long())
	case 'i':
		return r.long()
	case 'l', 'L':
		return int64(r.longlong())
	case 'f':
		return math.Float32frombits(r.long())
	case 'd':
		return math.Float64frombits(r.longlong())
	case 'D':
		return Decimal{Scale: r.octet(), Value: r.long()}
	case 'T':
		return Timestamp(r.longlong())
	default:
		r.skip(tag) // V, or an error
		return nil
	}
}

// appendTable appends a table, its length included. It refuses what has no place in one: values
// of other types, longer names, deeper nesting. Then dst is returned as it came.
func appendTable(dst []byte, t Table) ([]byte, error) {
	out, err := appendFields(dst, t, maxTableDepth-1)
	if err != nil {
		return dst, err
	}
	return out, nil
}

func appendFields(dst []byte, t Table, depth int) (_ []byte, err error) {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for i := range t {
		if dst, err = appendShortstr(dst, t[i].Name); err != nil {
			return nil, err
		}
		if dst, err = appendValue(dst, t[i].Value, depth); err != nil {
			return nil, err
		}
	}
	return endLongstr(dst, start), nil
}

func appendValues(dst []byte, array []any, depth int) (_ []byte, err error) {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for _, v := range array {
		if dst, err = appendValue(dst, v, depth); err != nil {
			return nil, err
		}
	}
	return endLongstr(dst, start), nil
}

func appendValue(dst []byte, value any, depth int) ([]byte, error) {
	switch v := value.(type) {
	case string:
		return appendLongstr(append(dst, 'S'), v), nil
	case []byte:
		return appendLongstr(append(dst, 'x'), v), nil
	case Table, []any:
		if depth <= 0 {
			return nil, errDepth
		}
	}
	switch v := value.(type) {
	case Table:
		return appendFields(append(dst, 'F'), v, depth-1)
	case []any:
		return appendValues(append(dst, 'A'), v, depth-1)
	}
	return appendScalar(dst, value)
}

func appendScalar(dst []byte, value any) ([]byte, error) {
	be := binary.BigEndian
	switch v := value.(type) {
	case nil:
		return append(dst, 'V'), nil
	case bool:
		return append(dst, 't', bit(v)), nil
	case int8:
		return append(dst, 'b', byte(v)), nil
	case uint8:
		return append(dst, 'B', v), nil
	case int16:
		return be.AppendUint16(append(dst, 's'), uint16(v)), nil
	case uint16:
		return be.AppendUint16(append(dst, 'u'), v), nil
	case int32:
		return be.AppendUint32(append(dst, 'I'), uint32(v)), nil
	case uint32:
		return be.AppendUint32(append(dst, 'i'), v), nil
	case int64:
		return be.AppendUint64(append(dst, 'l'), uint64(v)), nil
	case float32:
		return be.AppendUint32(append(dst, 'f'), math.Float32bits(v)), nil
	case float64:
		return be.AppendUint64(append(dst, 'd'), math.Float64bits(v)), nil
	case Decimal:
		return be.AppendUint32(append(dst, 'D', v.Scale), v.Value), nil
	case Timestamp:
		return be.AppendUint64(append(dst, 'T'), uint64(v)), nil
	default:
		return nil, errorf(replyInternalError, "a table has no place for a %T", value)
	}
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func appendShortstr(dst []byte, s string) ([]byte, error) {
	if len(s) > maxShortString {
		return nil, errorf(replyInternalError, "short string of %d octets", len(s))
	}
	return append(append(dst, byte(len(s))), s...), nil
}

func appendLongstr[S string | []byte](dst []byte, s S) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(s))), s...)
}

// endLongstr sets the length of what was appended behind the four bytes at dst[start:].
func endLongstr(dst []byte, start int) []byte {
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst
}
