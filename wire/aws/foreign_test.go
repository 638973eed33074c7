package aws

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// What has no place in an attribute of SQS is left out: a name or value that none can have, and what is more
// than a message can have.
func TestPropertiesOfAnotherProtocolBecomeAttributes(t *testing.T) {
	for _, test := range []struct {
		value any
		want  string
	}{
		{"red", "String:red"}, {int64(-5), "Number:-5"}, {3.5, "Number:3.5"}, {true, "String:true"},
		{[]byte{1}, "Binary:\x01"}, {time.Unix(0, 0), "String:1970-01-01T00:00:00Z"},
		{"", ""}, {nil, ""}, {"\x00", ""}, {broker.Decimal{}, ""},
	} {
		p := properties{attributes: map[string]messageAttribute{}}
		p.addForeign(broker.Arg{Name: "a", Value: test.value})
		got := ""
		if a, there := p.attributes["a"]; there {
			got = a.DataType + ":" + a.text() + string(a.BinaryValue)
		}
		if got != test.want {
			t.Errorf("%v: got %q, want %q", test.value, got, test.want)
		}
	}
	p := properties{attributes: map[string]messageAttribute{}}
	for i := range 3 * maxAttributes {
		p.addForeign(broker.Arg{Name: fmt.Sprintf("no name %d", i), Value: "x"})
		p.addForeign(broker.Arg{Name: fmt.Sprintf("a%d", i%20), Value: fmt.Sprint(i)})
	}
	if len(p.attributes) != maxAttributes || *p.attributes["a3"].StringValue != "3" {
		t.Errorf("got %d attributes, a3 is %v", len(p.attributes), p.attributes["a3"])
	}
}
