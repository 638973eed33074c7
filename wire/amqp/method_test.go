package amqp

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestGoldenMethods(t *testing.T) {
	for _, g := range golden {
		want := unhex(t, g.frame)
		f, n, err := parseFrame(want, minFrameMax)
		if err != nil || n != len(want) {
			t.Fatalf("%v: %d, %v", g.m.id(), n, err)
		}
		m, err := new(methodReader).parse(f.payload)
		if err != nil || !reflect.DeepEqual(m, g.m) {
			t.Errorf("%v: got\n%+v, %v, want\n%+v", g.m.id(), m, err, g.m)
		}
		got, err := appendMethod(nil, f.channel, g.m)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: got, %v\n%x, want\n%x", g.m.id(), err, got, want)
		}
	}
}

// Every field of every method must survive, so none is forgotten in a description and no two
// are swapped.
func TestEveryFieldOfEveryMethodTravels(t *testing.T) {
	if len(methods) != 66 {
		t.Errorf("%d methods", len(methods))
	}
	for id, k := range methods {
		m := k.blank()
		fill(t, reflect.ValueOf(m).Elem())
		if got := roundTrip(t, m); !reflect.DeepEqual(got, m) {
			t.Errorf("%v: got\n%+v, want\n%+v", id, got, m)
		}
	}
}

// fill gives every field of a method a value that no other has, and every other flag true.
func fill(t *testing.T, m reflect.Value) {
	next := 0
	var visit func(v reflect.Value)
	visit = func(v reflect.Value) {
		next++
		v = reflect.NewAt(v.Type(), v.Addr().UnsafePointer()).Elem()
		switch p := v.Addr().Interface().(type) {
		case *string:
			*p = strings.Repeat("s", next)
		case *uint8:
			*p = uint8(next)
		case *uint16:
			*p = uint16(next)
		case *uint32:
			*p = uint32(next)
		case *uint64:
			*p = uint64(next)
		case *bool:
			*p = next%2 == 0
		case *Table:
			*p = Table{{"n", int32(next)}}
		default:
			if v.Kind() != reflect.Struct {
				t.Fatalf("%v has a field of type %v", m.Type(), v.Type())
			}
			for i := range v.NumField() {
				visit(v.Field(i))
			}
		}
	}
	for i := range m.NumField() {
		visit(m.Field(i))
	}
}

func roundTrip(t testing.TB, m method) method {
	t.Helper()
	b, err := appendMethod(nil, 1, m)
	if err != nil {
		t.Fatalf("%v: %v", m.id(), err)
	}
	f, _, err := parseFrame(b, 1<<20)
	if err != nil {
		t.Fatalf("%v: %v", m.id(), err)
	}
	got, err := new(methodReader).parse(f.payload)
	if err != nil {
		t.Fatalf("%v: %v", m.id(), err)
	}
	return got
}

func TestAMethodThatEndsEarlyOrLateIsRefused(t *testing.T) {
	for _, g := range golden {
		whole := unhex(t, g.frame)
		payload := whole[frameHeadBytes : len(whole)-1]
		for end := range payload {
			_, err := new(methodReader).parse(payload[:end])
			want := replySyntaxError
			if end < methodIDBytes {
				want = replyFrameError
			}
			if code(err) != want {
				t.Fatalf("%v, %d of %d bytes: %v", g.m.id(), end, len(payload), err)
			}
		}
		_, err := new(methodReader).parse(append(bytes.Clone(payload), 0))
		var e *Error
		if !errors.As(err, &e) || e.Code != replySyntaxError ||
			(methodID{e.Class, e.Method}) != g.m.id() {
			t.Fatalf("%v and a byte more: %v", g.m.id(), err)
		}
	}
	if errTrailing.Class != 0 {
		t.Fatal("naming the method changed the error for all")
	}
}

func TestUnknownMethodsAreNotImplemented(t *testing.T) {
	for _, payload := range []string{"003c0029", "00280029", "0000000a", "ffffffff 00"} {
		b := unhex(t, payload)
		_, err := new(methodReader).parse(b)
		var e *Error
		if !errors.As(err, &e) || e.Code != replyNotImplemented || !e.Hard() ||
			e.Class>>8 != uint16(b[0]) {
			t.Errorf("%s: %v", payload, err)
		}
	}
	if got := (methodID{60, 41}).String(); got != "60.41" {
		t.Error(got)
	}
	if got := (methodID{60, 40}).String(); got != "basic.publish" {
		t.Error(got)
	}
}

func TestNamesAreUTF8AndRoutingKeysAreAnything(t *testing.T) {
	declare, err := appendMethod(nil, 1, &queueDeclare{queue: "a\xff"})
	if err != nil {
		t.Fatal(err)
	}
	var r methodReader
	_, err = r.parse(declare[frameHeadBytes : len(declare)-1])
	if code(err) != replySyntaxError {
		t.Errorf("a queue name: %v", err)
	}
	publish := &basicPublish{routingKey: "a\xff"}
	if got := roundTrip(t, publish); !reflect.DeepEqual(got, publish) {
		t.Errorf("a routing key: got %+v", got)
	}
}

func TestWhatCannotTravelIsNotEncoded(t *testing.T) {
	for _, m := range []method{
		&queueDeclareOk{queue: strings.Repeat("x", 256)},
		&basicDeliver{routingKey: strings.Repeat("x", 256)},
		&queueBind{arguments: Table{{"n", 1}}},
		&queueBind{arguments: Table{{strings.Repeat("x", 256), nil}}},
	} {
		before := []byte("before")
		got, err := appendMethod(before, 1, m)
		var e *Error
		if !errors.As(err, &e) || e.Code != replyInternalError || e.Class != m.id().class ||
			string(got) != "before" {
			t.Errorf("%v: %q, %v", m.id(), got, err)
		}
	}
}

func TestHotMethodsAllocateNothing(t *testing.T) {
	var r methodReader
	dst := make([]byte, 0, 512)
	for _, m := range []method{
		&basicPublish{exchange: "logs", routingKey: "a.b"},
		&basicDeliver{consumerTag: "c1", deliveryTag: 7, exchange: "logs", routingKey: "a.b"},
		&basicAck{deliveryTag: 7}, &basicNack{deliveryTag: 7}, &basicReject{deliveryTag: 7},
	} {
		encode := testing.AllocsPerRun(100, func() { dst, _ = appendMethod(dst[:0], 1, m) })
		if encode != 0 {
			t.Errorf("encoding %v: %v allocations", m.id(), encode)
		}
		if _, ok := m.(*basicDeliver); ok {
			continue // nobody sends it to a server
		}
		payload := bytes.Clone(dst[frameHeadBytes : len(dst)-1])
		decode := testing.AllocsPerRun(100, func() {
			if _, err := r.parse(payload); err != nil {
				t.Error(err)
			}
		})
		if decode != 0 {
			t.Errorf("decoding %v: %v allocations", m.id(), decode)
		}
	}
}

// A string that was read before is its own, not a part of the frame or of what is read next.
func TestStringsOutliveTheirFrame(t *testing.T) {
	var r methodReader
	b, _ := appendMethod(nil, 1, &basicPublish{exchange: "logs", routingKey: "first"})
	payload := b[frameHeadBytes : len(b)-1]
	m, err := r.parse(payload)
	if err != nil {
		t.Fatal(err)
	}
	first := m.(*basicPublish).routingKey
	copy(payload[bytes.Index(payload, []byte("first")):], "other")
	if m, err = r.parse(payload); err != nil {
		t.Fatal(err)
	}
	if second := m.(*basicPublish).routingKey; first != "first" || second != "other" {
		t.Fatalf("got %q, then %q", first, second)
	}
}

func FuzzMethod(f *testing.F) {
	for _, g := range golden {
		b := unhex(f, g.frame)
		f.Add(b[frameHeadBytes : len(b)-1])
	}
	var used methodReader
	f.Fuzz(func(t *testing.T, payload []byte) {
		var m method
		var err error
		limitAllocation(t, len(payload), func() { m, err = used.parse(payload) })
		if err != nil {
			if code(err) == 0 || m != nil {
				t.Fatalf("%v, %v", m, err)
			}
			return
		}
		first, err := appendMethod(nil, 1, m)
		if err != nil || len(first) > len(payload)+frameOverhead {
			t.Fatalf("%d bytes became %d, %v", len(payload), len(first), err)
		}
		second, err := appendMethod(nil, 1, roundTrip(t, m))
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("got, %v\n%x, want\n%x", err, second, first)
		}
	})
}

func BenchmarkParsePublish(b *testing.B) {
	frame, _ := appendMethod(nil, 1, &basicPublish{exchange: "logs", routingKey: "orders.created"})
	var r methodReader
	b.ReportAllocs()
	for b.Loop() {
		f, _, _ := parseFrame(frame, minFrameMax)
		if _, err := r.parse(f.payload); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendDeliver(b *testing.B) {
	m := &basicDeliver{consumerTag: "ctag-1", exchange: "logs", routingKey: "orders.created"}
	dst := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		m.deliveryTag++
		var err error
		if dst, err = appendMethod(dst[:0], 1, m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseAck(b *testing.B) {
	frame, _ := appendMethod(nil, 1, &basicAck{deliveryTag: 7})
	var r methodReader
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.parse(frame[frameHeadBytes : len(frame)-1]); err != nil {
			b.Fatal(err)
		}
	}
}
