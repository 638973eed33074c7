package avro_test

import (
	"strings"
	"testing"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/codec/avro"
)

type placed struct {
	Order string `avro:"order"`
	Total int64  `avro:"total"`
}

const (
	v1 = `{"type":"record","name":"Placed","fields":[{"name":"order","type":"string"},{"name":"gone","type":"int"}]}`
	v2 = `{"type":"record","name":"Placed","fields":[{"name":"order","type":"string"},{"name":"total","type":"long","default":7}]}`
)

type placedV1 struct {
	Order string `avro:"order"`
	Gone  int32  `avro:"gone"`
}

func define(c tidings.Codec) *tidings.Type[placed] {
	return tidings.Define("orders", "placed", tidings.WithCodec[placed](c, tidings.JSON))
}

func TestDataComesBackAsItWas(t *testing.T) {
	typ := define(avro.MustNew(v2))
	e := typ.New(placed{"o-1", 990})
	if e.ContentType != avro.ContentType || e.Payload[0] != 0xc3 || e.Payload[1] != 1 {
		t.Errorf("got %s %x", e.ContentType, e.Payload)
	}
	got, err := typ.Decode(e)
	if err != nil || got != (placed{"o-1", 990}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDataOfAnOlderSchemaIsResolved(t *testing.T) {
	old := tidings.Define("orders", "placed", tidings.WithCodec[placedV1](avro.MustNew(v1)))
	e := old.New(placedV1{"o-1", 3})
	got, err := define(avro.MustNew(v2, v1)).Decode(e)
	if err != nil || got != (placed{"o-1", 7}) {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = define(avro.MustNew(v2)).Decode(e)
	if !tidings.IsPermanent(err) || !strings.Contains(err.Error(), "no schema with the fingerprint") {
		t.Errorf("without it: got %v", err)
	}
}

// Each codec that is named decodes what has its content type.
func TestReadersCanBeChangedBeforeWriters(t *testing.T) {
	e := tidings.Define[placed]("orders", "placed").New(placed{"o-1", 1})
	if got, err := define(avro.MustNew(v2)).Decode(e); err != nil || got != (placed{"o-1", 1}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestWrongDataIsPermanent(t *testing.T) {
	typ := define(avro.MustNew(v2))
	for _, change := range []func([]byte) []byte{
		func(b []byte) []byte { return nil },
		func(b []byte) []byte { return b[:9] },
		func(b []byte) []byte { return b[:len(b)-1] },
		func(b []byte) []byte { return append(b, 0) },
		func(b []byte) []byte { return append([]byte{0}, b...) },
	} {
		e := typ.New(placed{"o-1", 990})
		e.Payload = change(e.Payload)
		if _, err := typ.Decode(e); !tidings.IsPermanent(err) {
			t.Errorf("%x: got %v", e.Payload, err)
		}
	}
}

func TestWrongSchemasAreErrors(t *testing.T) {
	for _, schemas := range [][]string{{"{"}, {v2, "{"}, {v2, `"string"`}} {
		if _, err := avro.New(schemas[0], schemas[1:]...); err == nil {
			t.Errorf("%q was taken", schemas)
		}
	}
}
