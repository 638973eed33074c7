package tidings

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Codec encodes the data of events. Implementations are safe for use by many goroutines.
type Codec interface {
	// ContentType is the datacontenttype of what Encode makes.
	ContentType() string
	// Encode encodes v, which is of the type that the event was defined with.
	Encode(v any) ([]byte, error)
	// Decode decodes data into v, a pointer to the type that the event was defined with.
	Decode(data []byte, v any) error
}

// JSON is encoding/json as a Codec, the default.
var JSON Codec = jsonCodec{}

type jsonCodec struct{}

func (jsonCodec) ContentType() string             { return "application/json" }
func (jsonCodec) Encode(v any) ([]byte, error)    { return json.Marshal(v) }
func (jsonCodec) Decode(data []byte, v any) error { return json.Unmarshal(data, v) }

// codecFor is the codec among several that reads a content type; without one the first does.
func codecFor(all []Codec, contentType string) (Codec, error) {
	if contentType == "" || contentType == all[0].ContentType() {
		return all[0], nil
	}
	media, _, _ := strings.Cut(contentType, ";")
	for _, c := range all {
		own := c.ContentType()
		if strings.EqualFold(strings.TrimSpace(media), own) || isJSON(own) && isJSON(contentType) {
			return c, nil
		}
	}
	return nil, fmt.Errorf("no codec for content type %.80q", contentType)
}
