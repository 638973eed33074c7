// Package protobuf encodes the data of events as Protocol Buffers.
//
//	var OrderPlaced = tidings.Define("orders", "shop.order.placed.v1",
//		tidings.WithCodec[*pb.Placed](protobuf.Codec), tidings.KeyBy((*pb.Placed).GetOrder))
//
// The data's type is a pointer to a generated message. The order of fields in the bytes is stable
// for one build of a program, which protobuf does not promise beyond it.
package protobuf

import (
	"fmt"
	"reflect"

	"google.golang.org/protobuf/proto"

	"github.com/tidings-io/tidings"
)

// ContentType is the datacontenttype of a message in binary form.
const ContentType = "application/protobuf"

// Codec encodes and decodes generated messages.
var Codec tidings.Codec = codec{}

type codec struct{}

func (codec) ContentType() string { return ContentType }

func (codec) Encode(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok || !m.ProtoReflect().IsValid() {
		return nil, fmt.Errorf("%T is not a protobuf message", v)
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

// Decode makes the message that v points to: v is a **T, where *T is a generated message.
func (codec) Decode(data []byte, v any) error {
	place := reflect.ValueOf(v)
	if place.Kind() != reflect.Pointer || place.Elem().Kind() != reflect.Pointer {
		return fmt.Errorf("%T is not a pointer to a protobuf message", v)
	}
	made := reflect.New(place.Type().Elem().Elem())
	m, ok := made.Interface().(proto.Message)
	if !ok {
		return fmt.Errorf("%s is not a protobuf message", made.Type())
	}
	if err := proto.Unmarshal(data, m); err != nil {
		return err
	}
	place.Elem().Set(made)
	return nil
}
