package broker

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// The first byte of an encoded value. It tells the width that a client chose, so
// that the value is shown and sent as it came. docs/format-broker.md is the
// reference; a number is never used again.
const (
	tagNil     = 0
	tagFalse   = 1
	tagTrue    = 2
	tagInt8    = 3
	tagInt16   = 4
	tagInt32   = 5
	tagInt64   = 6
	tagUint8   = 7
	tagUint16  = 8
	tagUint32  = 9
	tagFloat32 = 10
	tagFloat64 = 11
	tagDecimal = 12
	tagString  = 13
	tagBytes   = 14
	tagTime    = 15
	tagList    = 16
	tagArgs    = 17
)

// appendArgs encodes arguments that checkArgs passed.
func appendArgs(dst []byte, a Args) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(a)))
	for i := range a {
		dst = appendValue(appendString(dst, a[i].Name), a[i].Value)
	}
	return dst
}

func appendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, tagNil)
	case bool:
		if v {
			return append(dst, tagTrue)
		}
		return append(dst, tagFalse)
	case float32:
		return binary.BigEndian.AppendUint32(append(dst, tagFloat32), math.Float32bits(v))
	case float64:
		return binary.BigEndian.AppendUint64(append(dst, tagFloat64), math.Float64bits(v))
	case Decimal:
		return binary.AppendVarint(append(dst, tagDecimal, v.Scale), int64(v.Value))
	case string:
		return appendString(append(dst, tagString), v)
	case []byte:
		return append(binary.AppendUvarint(append(dst, tagBytes), uint64(len(v))), v...)
	case time.Time:
		return binary.AppendVarint(append(dst, tagTime), v.Unix())
	case []any:
		dst = binary.AppendUvarint(append(dst, tagList), uint64(len(v)))
		for i := range v {
			dst = appendValue(dst, v[i])
		}
		return dst
	case Args:
		return appendArgs(append(dst, tagArgs), v)
	}
	return appendInteger(dst, v)
}

func appendInteger(dst []byte, v any) []byte {
	n, ok := integer(v)
	if !ok {
		panic(fmt.Sprintf("broker: an argument of type %T was not checked", v))
	}
	return binary.AppendVarint(append(dst, integerTag(v)), n)
}

func integerTag(v any) byte {
	switch v.(type) {
	case int8:
		return tagInt8
	case int16:
		return tagInt16
	case int32:
		return tagInt32
	case uint8:
		return tagUint8
	case uint16:
		return tagUint16
	case uint32:
		return tagUint32
	}
	return tagInt64
}

// args reads arguments. Memory grows with what is really there: a count beyond
// the bytes that are left spoils the decoder, and so does nesting beyond
// maxArgsDepth.
func (d *decoder) args() Args { return d.argsWithin(maxArgsDepth) }

func (d *decoder) argsWithin(depth int) Args {
	if depth == 0 {
		d.spoil()
		return nil
	}
	var a Args
	for range d.count() {
		a = append(a, Arg{Name: d.string(), Value: d.value(depth - 1)})
		if d.bad {
			return nil
		}
	}
	return a
}

func (d *decoder) list(depth int) []any {
	if depth == 0 {
		d.spoil()
		return nil
	}
	var l []any
	for range d.count() {
		l = append(l, d.value(depth-1))
		if d.bad {
			return nil
		}
	}
	return l
}

// value reads a value in which depth more levels may follow.
func (d *decoder) value(depth int) any {
	switch tag := d.byte(); tag {
	case tagNil:
		return nil
	case tagFalse, tagTrue:
		return tag == tagTrue
	case tagFloat32:
		return math.Float32frombits(d.uint32())
	case tagFloat64:
		return math.Float64frombits(d.uint64())
	case tagDecimal:
		return Decimal{Scale: d.byte(), Value: int32(d.within(math.MinInt32, math.MaxInt32))}
	case tagString:
		return d.string()
	case tagBytes:
		return d.bytes()
	case tagTime:
		return time.Unix(d.varint(), 0).UTC()
	case tagList:
		return d.list(depth)
	case tagArgs:
		return d.argsWithin(depth)
	default:
		return d.integer(tag)
	}
}

func (d *decoder) integer(tag byte) any {
	switch tag {
	case tagInt8:
		return int8(d.within(math.MinInt8, math.MaxInt8))
	case tagInt16:
		return int16(d.within(math.MinInt16, math.MaxInt16))
	case tagInt32:
		return int32(d.within(math.MinInt32, math.MaxInt32))
	case tagInt64:
		return d.varint()
	case tagUint8:
		return uint8(d.within(0, math.MaxUint8))
	case tagUint16:
		return uint16(d.within(0, math.MaxUint16))
	case tagUint32:
		return uint32(d.within(0, math.MaxUint32))
	}
	d.spoil()
	return nil
}

// within reads a number that must lie between two others.
func (d *decoder) within(least, most int64) int64 {
	n := d.varint()
	if n < least || n > most {
		d.spoil()
		return 0
	}
	return n
}

func (d *decoder) spoil() { d.bad, d.b = true, nil }
