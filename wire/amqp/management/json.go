package management

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// decode reads the body as an object. No body, and null, are an empty one: everything in RabbitMQ's
// requests has a default. Fields that are not known are passed over, as there.
func (r *request) decode(into any) error {
	body := bytes.TrimSpace(r.body)
	if len(body) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return badRequest("not_json: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return badRequest("not_json: more than one document")
	}
	return nil
}

// truth is a bool that may come as a string: rabbitmqadmin sends "true".
type truth bool

// UnmarshalJSON reads true, "true", false and "false".
func (t *truth) UnmarshalJSON(p []byte) error {
	switch string(p) {
	case `true`, `"true"`:
		*t = true
	case `false`, `"false"`, `null`:
		*t = false
	default:
		return fmt.Errorf("%s is not a boolean", p)
	}
	return nil
}

// count is a number that may come as a string.
type count int

// UnmarshalJSON reads 7 and "7".
func (c *count) UnmarshalJSON(p []byte) error {
	n, err := strconv.Atoi(string(bytes.Trim(p, `"`)))
	if err != nil {
		return fmt.Errorf("%s is not an integer", p)
	}
	*c = count(n)
	return nil
}

// decodeValue reads a value whose numbers keep all their digits.
func decodeValue(p []byte, v *any) error {
	d := json.NewDecoder(bytes.NewReader(p))
	d.UseNumber()
	return d.Decode(v)
}

// arguments are named values of AMQP as JSON has them: integers are longs, other numbers doubles.
type arguments broker.Args

// UnmarshalJSON reads an object; [] too, which some clients send for an empty one.
func (a *arguments) UnmarshalJSON(p []byte) error {
	var v any
	if err := decodeValue(p, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		if len(v) == 0 {
			return nil
		}
	case map[string]any:
		args, err := argsOf(v)
		*a = arguments(args)
		return err
	}
	return fmt.Errorf("arguments and properties must be an object")
}

func argsOf(m map[string]any) (args broker.Args, err error) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		v, err := argOf(m[name])
		if err != nil {
			return nil, err
		}
		args = append(args, broker.Arg{Name: name, Value: v})
	}
	return args, nil
}

func argOf(v any) (any, error) {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		return v.Float64()
	case map[string]any:
		return argsOf(v)
	case []any:
		for i := range v {
			var err error
			if v[i], err = argOf(v[i]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// showArgs is the inverse; where a name occurs twice the first counts.
func showArgs(args broker.Args) object {
	doc := make(object, len(args))
	for _, a := range args {
		if _, twice := doc[a.Name]; !twice {
			doc[a.Name] = showArg(a.Value)
		}
	}
	return doc
}

func showArg(v any) any {
	switch v := v.(type) {
	case broker.Args:
		return showArgs(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = showArg(v[i])
		}
		return list
	case []byte:
		return string(v)
	case time.Time:
		return v.Unix()
	case broker.Decimal:
		return float64(v.Value) / math.Pow10(int(v.Scale))
	case float32:
		return showArg(float64(v))
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) { // JSON has no word for them
			return strconv.FormatFloat(v, 'g', -1, 64)
		}
	}
	return v
}
