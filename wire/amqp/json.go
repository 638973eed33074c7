package amqp

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// appendJSON writes a value of a table as JSON, in the order of the table. What JSON does not have
// is text: bytes in base64, times by RFC 3339, numbers that are none by their name.
func appendJSON(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case string:
		return appendJSONText(dst, v)
	case []byte:
		return appendJSONText(dst, base64.StdEncoding.EncodeToString(v))
	case Timestamp:
		return append(v.appendText(append(dst, '"')), '"')
	case float32:
		return appendJSONFloat(dst, float64(v), 32)
	case float64:
		return appendJSONFloat(dst, v, 64)
	case Decimal:
		return append(dst, v.text()...)
	case Table:
		return appendJSONObject(dst, v)
	case []any:
		return appendJSONArray(dst, v)
	}
	return appendJSONInteger(dst, v)
}

func appendJSONInteger(dst []byte, v any) []byte {
	switch v := v.(type) {
	case int8:
		return strconv.AppendInt(dst, int64(v), 10)
	case uint8:
		return strconv.AppendUint(dst, uint64(v), 10)
	case int16:
		return strconv.AppendInt(dst, int64(v), 10)
	case uint16:
		return strconv.AppendUint(dst, uint64(v), 10)
	case int32:
		return strconv.AppendInt(dst, int64(v), 10)
	case uint32:
		return strconv.AppendUint(dst, uint64(v), 10)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	}
	return append(dst, "null"...)
}

func appendJSONText(dst []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil { // a string always can be
		return append(dst, "null"...)
	}
	return append(dst, text...)
}

func appendJSONFloat(dst []byte, v float64, bits int) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return appendJSONText(dst, strconv.FormatFloat(v, 'g', -1, bits))
	}
	return strconv.AppendFloat(dst, v, 'g', -1, bits)
}

func appendJSONObject(dst []byte, t Table) []byte {
	dst = append(dst, '{')
	for i, f := range t {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSON(append(appendJSONText(dst, f.Name), ':'), f.Value)
	}
	return append(dst, '}')
}

func appendJSONArray(dst []byte, array []any) []byte {
	dst = append(dst, '[')
	for i, v := range array {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSON(dst, v)
	}
	return append(dst, ']')
}

// text is the number as it is written: 1.50.
func (d Decimal) text() string {
	v := int64(int32(d.Value)) // most clients take it as signed
	sign := ""
	if v < 0 {
		sign, v = "-", -v
	}
	digits := strconv.FormatInt(v, 10)
	scale := int(d.Scale)
	if scale == 0 {
		return sign + digits
	}
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale-len(digits)+1) + digits
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}
