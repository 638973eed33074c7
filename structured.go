package tidings

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"strings"
	"unicode/utf8"
)

// StructuredType is the content type of an event in structured mode, CloudEvents JSON format 1.0.
const StructuredType = "application/cloudevents+json"

// IsStructured says whether a content type is that of one event in structured mode.
func IsStructured(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == StructuredType
}

// MarshalJSON is the event in structured mode (CloudEvents JSON format 1.0, section 3). JSON data
// in UTF-8 is a member as it is, other data is base64. The destination's topic is not in it. It fails
// for an attribute that is not UTF-8.
func (e *Event) MarshalJSON() ([]byte, error) {
	if e.err != nil {
		return nil, e.err
	}
	var out bytes.Buffer
	for name, value := range e.Attributes() {
		if out.Len() == 0 {
			out.WriteByte('{')
		} else {
			out.WriteByte(',')
		}
		if !utf8.ValidString(value) { // JSON would have another in its place
			return nil, fmt.Errorf("attribute %.80q is not UTF-8", name)
		}
		text, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("attribute %s: %w", name, err)
		}
		fmt.Fprintf(&out, "%q:%s", name, text)
	}
	switch {
	case len(e.Payload) == 0:
	case isJSON(e.ContentType) && utf8.Valid(e.Payload) && json.Valid(e.Payload):
		out.WriteString(`,"data":`)
		out.Write(e.Payload)
	default:
		out.WriteString(`,"data_base64":"`)
		out.WriteString(base64.StdEncoding.EncodeToString(e.Payload))
		out.WriteByte('"')
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// UnmarshalJSON reads an event in structured mode. Kind and Topic are left alone unless the kind
// is in it. Data that does not say what it is is JSON. It fails where a required attribute
// (specversion, id, source, type) is missing.
func (e *Event) UnmarshalJSON(text []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return err
	}
	maps.DeleteFunc(members, func(name string, raw json.RawMessage) bool {
		return name != "data" && string(raw) == "null" // as good as absent: section 2.2
	})
	for name, raw := range members {
		if name == "data" || name == "data_base64" {
			continue
		}
		value, err := scalar(raw)
		if err != nil {
			return fmt.Errorf("attribute %.80q: %w", name, err)
		}
		if err := e.SetAttribute(name, value); err != nil {
			return err
		}
	}
	if members["specversion"] == nil || e.ID == "" || e.Source == "" || e.Type == "" {
		return errors.New("a cloudevent needs specversion, id, source and type")
	}
	return e.setData(members)
}

func (e *Event) setData(members map[string]json.RawMessage) error {
	if encoded := members["data_base64"]; encoded != nil {
		return json.Unmarshal(encoded, &e.Payload) // []byte is base64 in encoding/json
	}
	data := members["data"]
	if data == nil {
		return nil
	}
	if setEmpty(&e.ContentType, JSON.ContentType()); isJSON(e.ContentType) {
		e.Payload = data
		return nil
	}
	var text string // JSON format, section 3.1.2: data of another type is a string
	if err := json.Unmarshal(data, &text); err != nil {
		e.Payload = data
		return nil
	}
	e.Payload = []byte(text)
	return nil
}

// scalar is an attribute as CloudEvents writes it in text: strings, booleans and integers.
func scalar(raw json.RawMessage) (string, error) {
	switch raw[0] {
	case '{', '[':
		return "", errors.New("its value is not a string, a boolean or an integer")
	case '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	default:
		return string(raw), nil
	}
}

// isJSON says whether data of a content type is JSON: "application/json", or a "+json" suffix.
func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || media == "text/json" ||
		strings.HasSuffix(media, "+json"))
}
