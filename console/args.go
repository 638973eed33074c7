package console

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/tidings-io/tidings/broker"
)

// argsDocument shows arguments or properties as a JSON object.
func argsDocument(args broker.Args) map[string]any {
	doc := make(map[string]any, len(args))
	for _, a := range args {
		if _, twice := doc[a.Name]; !twice { // the first counts
			doc[a.Name] = argDocument(a.Value)
		}
	}
	return doc
}

func argDocument(v any) any {
	switch v := v.(type) {
	case broker.Args:
		return argsDocument(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = argDocument(v[i])
		}
		return list
	case []byte:
		if utf8.Valid(v) {
			return string(v)
		}
		return map[string][]byte{"base64": v}
	case time.Time:
		if year := v.UTC().Year(); year < 0 || year > 9999 { // JSON has no word for it
			return v.Unix()
		}
		return v.UTC()
	case broker.Decimal:
		return float64(v.Value) / math.Pow10(int(v.Scale))
	case float32:
		return jsonNumber(float64(v))
	case float64:
		return jsonNumber(v)
	}
	return v
}

// jsonNumber is text where JSON has no such number.
func jsonNumber(f float64) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return fmt.Sprint(f)
	}
	return f
}

// brokerArgs is the reverse, by name. Numbers without a point are integers.
func brokerArgs(doc map[string]any) (broker.Args, error) {
	var args broker.Args
	for _, name := range slices.Sorted(maps.Keys(doc)) {
		v, err := brokerArg(doc[name])
		if err != nil {
			return nil, fmt.Errorf("argument %s: %w", name, err)
		}
		args = append(args, broker.Arg{Name: name, Value: v})
	}
	return args, nil
}

func brokerArg(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		return brokerArgs(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			var err error
			if list[i], err = brokerArg(v[i]); err != nil {
				return nil, err
			}
		}
		return list, nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, invalid("%s is no number that fits", v)
		}
		return f, nil
	}
	return v, nil
}
