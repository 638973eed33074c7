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
	var p properties
	p.addAllForeign(broker.Args{{Name: "no name", Value: "x"}, {Name: "a", Value: "first"}, {Name: "a", Value: "second"},
		{Name: "x-amzn-trace-id", Value: "Root=1"}}, true)
	for i := range 2 * maxAttributes { // more than a sender can give
		p.addForeign(broker.Arg{Name: fmt.Sprint("n", i), Value: i%2 == 0})
	}
	if len(p.attributes) != 2+2*maxAttributes || *p.attributes["a"].StringValue != "first" || p.trace != "Root=1" {
		t.Errorf("got %d attributes, a is %v, the trace %q", len(p.attributes), p.attributes["a"], p.trace)
	}
}

// What an attribute says goes before what the message has itself, since that is what a publisher of another
// protocol has said.
func TestWhatCrossesOfAMessage(t *testing.T) {
	p := properties{id: [16]byte{1}, sent: 5000, sender: "me", trace: "Root=1", attributes: map[string]messageAttribute{
		"color": textAttribute("String", "red"), "n": textAttribute("Number", "5"),
		"sum": {DataType: "Binary", BinaryValue: []byte{0xff}}}}
	rec := broker.QueueRecord{Format: broker.PropsSQS, Props: p.append(nil)}
	want := broker.Args{{Name: "color", Value: "red"}, {Name: "n", Value: "5"}, {Name: "sum", Value: []byte{0xff}},
		{Name: "message-id", Value: formatUUID(p.id)}, {Name: "timestamp", Value: time.UnixMilli(5000)},
		{Name: "X-Amzn-Trace-Id", Value: "Root=1"}}
	if got := (Props{}).Crossing(&rec); !broker.EqualValues(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	p.attributes["message-id"], p.attributes["timestamp"] = textAttribute("String", "m"), textAttribute("String", "t")
	p.trace, rec.Props = "", nil
	rec.Props = p.append(nil)
	names := ""
	for _, h := range (Props{}).TopicHeaders(&rec) {
		names += h.Key + "=" + string(h.Value) + " "
	}
	if want := "color=red message-id=m n=5 sum=\xff timestamp=t "; names != want {
		t.Errorf("got %q, want %q", names, want)
	}
	if got := (Props{}).Crossing(&broker.QueueRecord{Props: []byte{0xff}}); got != nil {
		t.Errorf("of damaged properties: got %v", got)
	}
}

// What Go takes for a number and SQS does not is refused.
func TestANumberIsWrittenInDigits(t *testing.T) {
	for text, want := range map[string]bool{"7": true, "-7.25": true, "+.5": true, "1.": true, "1e3": true, "2E-4": true,
		"Infinity": false, "NaN": false, "0x1p-2": false, "1_000": false, "1e": false, "1e400": false, ".": false, "7 ": false, "": false} {
		a := textAttribute("Number", text)
		if got := a.check("n") == nil; got != want {
			t.Errorf("SQS takes %q: %v", text, got)
		}
		if got := a.checkNotice("n") == nil; got != want {
			t.Errorf("SNS takes %q: %v", text, got)
		}
	}
}
