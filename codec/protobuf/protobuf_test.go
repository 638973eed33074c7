package protobuf_test

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/codec/protobuf"
)

var placed = tidings.Define("orders", "placed", tidings.WithCodec[*wrapperspb.StringValue](protobuf.Codec),
	tidings.KeyBy((*wrapperspb.StringValue).GetValue))

func TestDataComesBackAsItWas(t *testing.T) {
	want := wrapperspb.String("o-1")
	e := placed.New(want)
	if e.ContentType != protobuf.ContentType || e.Key != "o-1" || string(e.Payload) != "\n\x03o-1" {
		t.Errorf("got %+v", e)
	}
	got, err := placed.Decode(e)
	if err != nil || !proto.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestWrongDataIsPermanent(t *testing.T) {
	e := placed.New(wrapperspb.String("o-1"))
	e.Payload = e.Payload[:3]
	if _, err := placed.Decode(e); !tidings.IsPermanent(err) {
		t.Errorf("got %v", err)
	}
	text := tidings.Define("orders", "placed", tidings.WithCodec[string](protobuf.Codec))
	if _, err := text.Decode(e); !tidings.IsPermanent(err) {
		t.Errorf("into a string: got %v", err)
	}
}

func TestWhatIsNoMessageIsAnErrorOfTheEvent(t *testing.T) {
	text := tidings.Define("orders", "placed", tidings.WithCodec[string](protobuf.Codec))
	if e := text.New("o-1"); e.Err() == nil {
		t.Error("a string was encoded as a message")
	}
	if e := placed.New(nil); e.Err() == nil {
		t.Error("nil was encoded as a message")
	}
}
