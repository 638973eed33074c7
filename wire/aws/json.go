package aws

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"
)

// jsonCodec is AWS JSON 1.0: the action in X-Amz-Target, a document in and one out.
type jsonCodec struct{}

const jsonType = "application/x-amz-json-1.0"

func (jsonCodec) open(r *http.Request, body []byte, limits *Limits) (ask, error) {
	a := ask{service: services[0]}
	target := r.Header.Get("X-Amz-Target")
	prefix, name, _ := strings.Cut(target, ".")
	a.action = name
	if prefix != "AmazonSQS" || r.Method != http.MethodPost {
		return a, errorf(invalidAction, "The target %q is not valid for this web service.", target)
	}
	return a, a.takeDocument(body, limits)
}

func (a *ask) takeDocument(body []byte, limits *Limits) error {
	a.decode = func(into any) error { return decodeJSON(body, into) }
	return checkDocument(body, limits.Values)
}

func decodeJSON(body []byte, into any) error {
	if len(body) == 0 || readQuick(body, into) {
		return nil // nothing is as {}
	}
	err := json.Unmarshal(body, into)
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrongType) && wrongType.Field == "":
		return errorf(serialization, "The request is not a JSON object: %s.", wrongType.Value)
	case errors.As(err, &wrongType):
		return errorf(serialization, "%s is of the wrong type: %s.", wrongType.Field, wrongType.Value)
	case err != nil:
		return errorf(serialization, "The request is not valid JSON: %v.", err)
	}
	return nil
}

// maxDepth is how deep a document may be nested; requests need six.
const maxDepth = 16

// checkDocument refuses a document that would take much more memory than it has bytes, before any of it is
// decoded: it counts the values and how deep they are nested. What else may be wrong it leaves to the
// decoder.
func checkDocument(body []byte, values int) error {
	if !utf8.Valid(body) {
		return errorf(serialization, "The request is not valid UTF-8.")
	}
	for n, depth := 0, 0; ; {
		i := bytes.IndexAny(body, `",:{}[]`)
		if i < 0 {
			return nil
		}
		switch c := body[i]; c {
		case '"':
			n, _ := skipString(body[i+1:])
			i += n
		case '{', '[':
			depth++
			n++
		case '}', ']':
			depth--
		default:
			n++
		}
		if n > values || depth > maxDepth {
			return errorf(serialization, "The request has more than %d values, or is nested too deep.", values)
		}
		body = body[i+1:]
	}
}

// skipString is how many bytes there are up to the quote that ends a string, and with it.
// ended: there is such a quote.
func skipString(b []byte) (n int, ended bool) {
	for end := 0; ; {
		if n >= end { // each byte is looked at once for a quote, and once for a backslash
			i := bytes.IndexByte(b[n:], '"')
			if i < 0 {
				return len(b), false
			}
			end = n + i + 1
		}
		i := bytes.IndexByte(b[n:end], '\\')
		if i < 0 {
			return end, true
		}
		n = min(n+i+2, len(b)) // what is escaped, a quote perhaps
	}
}

func (jsonCodec) answer(h http.Header, _ *ask, _ string, out any) ([]byte, error) {
	h.Set("Content-Type", jsonType)
	return encodeJSON(out)
}

func encodeJSON(out any) ([]byte, error) {
	if quick, ok := out.(quickAnswer); ok {
		return quick.appendJSON(nil), nil
	}
	return encodeSlowly(out)
}

func encodeSlowly(out any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// refuse names the shape, of which SDKs make a type, and in a header the code of the query protocol, which
// programs have compared since before there was JSON.
func (jsonCodec) refuse(h http.Header, _ *ask, _ string, e *Error) []byte {
	id := e.identity()
	h.Set("Content-Type", jsonType)
	h.Set("X-Amzn-Query-Error", id.query+";"+id.fault())
	shape := "com.amazon.coral.service#" + e.Code
	if id.declared {
		shape = "com.amazonaws.sqs#" + e.Code
	}
	body, err := encodeJSON(struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{shape, e.Message})
	if err != nil {
		panic("aws: two strings are not JSON: " + err.Error())
	}
	return body
}
