package amqp

import (
	"reflect"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
)

func TestEveryPropertyHasAName(t *testing.T) {
	var p Properties
	var flags propertyFlag
	for _, n := range p.named() {
		if flags&n.flag != 0 {
			t.Errorf("%s stands there twice", n.name)
		}
		flags |= n.flag
	}
	if flags != knownFlags {
		t.Errorf("flags %b, want %b", flags, knownFlags)
	}
}

func TestPropertiesComeBackAsTheyWereGiven(t *testing.T) {
	given := broker.Args{
		{Name: "content_type", Value: "text/plain"},
		{Name: "headers", Value: broker.Args{{Name: "list", Value: []any{int64(1), "x", time.Unix(7, 0).UTC(),
			broker.Decimal{Scale: 2, Value: -314}, broker.Args{{Name: "deep", Value: true}}}}}},
		{Name: "delivery_mode", Value: uint8(2)},
		{Name: "message_id", Value: ""},
		{Name: "timestamp", Value: time.Unix(1700000000, 0).UTC()},
	}
	p, err := propertiesOf(given)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := p.append(nil)
	if err != nil {
		t.Fatal(err)
	}
	back, err := parseProperties(raw)
	if err != nil {
		t.Fatal(err)
	}
	if got := back.args(); !reflect.DeepEqual(got, given) {
		t.Errorf("got  %#v\nwant %#v", got, given)
	}
}

func TestAPropertyOfAnotherTypeIsRefused(t *testing.T) {
	for name, v := range map[string]any{"content_type": int64(1), "headers": "x",
		"delivery_mode": int64(256), "priority": "1", "timestamp": "now"} {
		if _, err := propertiesOf(broker.Args{{Name: name, Value: v}}); err == nil {
			t.Errorf("%s: %v was taken", name, v)
		}
	}
}

func TestPropertiesThatAreUnknownOrNullAreLeftOut(t *testing.T) {
	p, err := propertiesOf(broker.Args{{Name: "shoe_size", Value: "x"}, {Name: "type", Value: nil}})
	if err != nil || p.present != 0 {
		t.Errorf("present %b, %v", p.present, err)
	}
}
