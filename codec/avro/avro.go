// Package avro encodes the data of events as Avro, with the schema known to both sides and its
// fingerprint before the data: Avro's single-object encoding.
//
//	var placed = avro.MustNew(`{"type":"record","name":"Placed","fields":[{"name":"order","type":"string"}]}`)
//	var OrderPlaced = tidings.Define[Placed]("orders", "shop.order.placed.v1", tidings.WithCodec[Placed](placed))
//
// A reader is changed before its writers: it names the schemas it still finds as older ones, and data
// written with one of them is resolved to its own (Avro 1.12, Schema Resolution). Data of a schema
// that it does not know is an error that names the fingerprint. There is no registry.
package avro

import (
	"fmt"

	"github.com/twmb/avro"

	"github.com/tidings-io/tidings"
)

// ContentType is the datacontenttype of Avro data with its fingerprint.
const ContentType = "application/avro"

type codec struct {
	schema  *avro.Schema
	writers map[[8]byte]*avro.Schema // by fingerprint, resolved to schema
}

// New makes a codec that writes with a schema, and reads what was written with it or with an older
// one. It fails where a schema does not parse, and where an older one cannot be resolved to it.
func New(schema string, older ...string) (tidings.Codec, error) {
	own, err := avro.Parse(schema)
	if err != nil {
		return nil, fmt.Errorf("avro schema: %w", err)
	}
	c := &codec{schema: own, writers: map[[8]byte]*avro.Schema{fingerprint(own): own}}
	for i, text := range older {
		writer, err := avro.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("older avro schema %d: %w", i, err)
		}
		resolved, err := avro.Resolve(writer, own)
		if err != nil {
			return nil, fmt.Errorf("older avro schema %d: %w", i, err)
		}
		c.writers[fingerprint(writer)] = resolved
	}
	return c, nil
}

// MustNew is New for variables of a package; it panics where New fails.
func MustNew(schema string, older ...string) tidings.Codec {
	c, err := New(schema, older...)
	if err != nil {
		panic(err)
	}
	return c
}

// fingerprint is as it stands before data: little-endian, see Schema.Fingerprint.
func fingerprint(s *avro.Schema) (out [8]byte) {
	sum := s.Fingerprint(avro.NewRabin())
	for i := range out {
		out[i] = sum[len(sum)-1-i]
	}
	return out
}

func (c *codec) ContentType() string { return ContentType }

func (c *codec) Encode(v any) ([]byte, error) { return c.schema.AppendSingleObject(nil, v) }

func (c *codec) Decode(data []byte, v any) error {
	print, body, err := avro.SingleObjectFingerprint(data)
	if err != nil {
		return err
	}
	writer := c.writers[print]
	if writer == nil {
		return fmt.Errorf("no schema with the fingerprint %x", print)
	}
	rest, err := writer.Decode(body, v)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes behind the data", len(rest))
	}
	return err
}
