package broker

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage"
)

func everyArg() Args {
	return Args{
		{"nil", nil}, {"false", false}, {"true", true},
		{"int8", int8(-128)}, {"int16", int16(-300)}, {"int32", int32(1 << 30)},
		{"int64", int64(math.MinInt64)}, {"uint8", uint8(255)}, {"uint16", uint16(65535)},
		{"uint32", uint32(math.MaxUint32)}, {"float32", float32(1.5)}, {"float64", math.Pi},
		{"decimal", Decimal{Scale: 2, Value: -1999}}, {"", "no name"}, {"string", "ünï"},
		{"bytes", []byte{0, 255}}, {"time", time.Unix(1_700_000_000, 0).UTC()},
		{"list", []any{int8(1), "two", []any{nil}, Args{{"three", 3.0}}}},
		{"args", Args{{"b", true}, {"a", Args{{"deep", "er"}}}}}, {"true", false},
	}
}

func encodeArgs(a Args) []byte { return appendArgs(nil, a) }

func decodeArgs(b []byte) (Args, error) {
	d := decoder{b: b}
	a := d.args()
	return a, d.end("arguments")
}

func TestArgsKeepOrderNamesAndTypes(t *testing.T) {
	want := everyArg()
	if err := checkArgs("test", "", want); err != nil {
		t.Fatal(err)
	}
	got, err := decodeArgs(encodeArgs(want))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v %v, want %v", got, err, want)
	}
	if got, err := decodeArgs(encodeArgs(nil)); got != nil || err != nil {
		t.Errorf("none: got %v %v", got, err)
	}
}

// TestArgsEncodingIsAsDocumented holds docs/format-broker.md to its word.
func TestArgsEncodingIsAsDocumented(t *testing.T) {
	got := encodeArgs(Args{{"n", int32(-1)}, {"l", []any{true, "s"}}, {"a", Args{{"f", float32(1)}}}})
	want := []byte{3, 1, 'n', 5, 1, 1, 'l', 16, 2, 2, 13, 1, 's', 1, 'a', 17, 1, 1, 'f', 10,
		0x3f, 0x80, 0, 0}
	if !bytes.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestArgsDecoderRefuses(t *testing.T) {
	deep := []byte{1, 0, tagList}
	deepArgs := []byte{1, 0, tagArgs}
	for range maxArgsDepth {
		deep, deepArgs = append(deep, 1, tagList), append(deepArgs, 1, 0, tagArgs)
	}
	good := encodeArgs(everyArg())
	cases := map[string][]byte{
		"a count beyond the bytes": {0xff, 0xff, 0xff, 0xff, 0x0f},
		"a length beyond them":     {1, 1, 'n', tagString, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"an unknown tag":           {1, 1, 'n', tagArgs + 1},
		"an int8 of 128":           {1, 1, 'n', tagInt8, 0x80, 2},
		"a uint8 of -1":            {1, 1, 'n', tagUint8, 1},
		"33 levels of lists":       append(deep, 0),
		"33 levels of arguments":   append(deepArgs, 0),
		"a byte too many":          append(slices.Clone(good), 0),
	}
	for i := range good {
		cases["cut short at "+string(rune('0'+i))] = good[:i]
	}
	for name, b := range cases {
		if a, err := decodeArgs(b); !errors.Is(err, storage.ErrDamaged) {
			t.Errorf("%s: got %v, %v", name, a, err)
		}
	}
}

func TestArgsNestTo32Levels(t *testing.T) {
	nested := Args{}
	for range maxArgsDepth - 1 {
		nested = Args{{"n", nested}}
	}
	if err := checkArgs("test", "", nested); err != nil {
		t.Error(err)
	}
	if got, err := decodeArgs(encodeArgs(nested)); err != nil || !equalArgs(got, nested) {
		t.Errorf("got %v %v", got, err)
	}
	for _, bad := range []Args{
		{{"n", nested}}, {{"n", []any{nested}}}, {{"n", 1}}, {{"n", []any{'x', 1}}},
	} {
		if err := checkArgs("bind", "q", bad); !errors.Is(err, Invalid) {
			t.Errorf("%v: got %v", bad, err)
		}
	}
}

func TestArgsDecoderAllocatesForWhatIsThere(t *testing.T) {
	// Each level claims as many elements as bytes follow.
	lie := []byte{1, 0, tagList}
	for range maxArgsDepth - 2 {
		lie = append(lie, 0x80, 0x80, 0x40, tagList)
	}
	lie = append(lie, make([]byte, 1<<20)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := decodeArgs(lie); err == nil {
		t.Error("no error")
	}
	runtime.ReadMemStats(&after)
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(len(lie)*128); got > most {
		t.Errorf("%d bytes for %d", got, len(lie))
	}
}

func TestArgsEqual(t *testing.T) {
	one := Args{{"a", int8(1)}, {"b", "x"}}
	for _, c := range []struct {
		want bool
		a, b Args
	}{
		{true, nil, Args{}},
		{true, one, Args{{"b", "x"}, {"a", uint32(1)}}},
		{true, Args{{"a", float32(0.5)}}, Args{{"a", 0.5}}},
		{true, Args{{"a", "x"}}, Args{{"a", []byte("x")}}},
		{true, Args{{"a", math.NaN()}}, Args{{"a", math.NaN()}}},
		{true, Args{{"a", time.Unix(5, 9)}}, Args{{"a", time.Unix(5, 0).UTC()}}},
		{true, Args{{"a", []any{one}}}, Args{{"a", []any{Args{{"b", "x"}, {"a", int64(1)}}}}}},
		{false, one, Args{{"a", int8(1)}}},
		{false, one, Args{{"a", int8(2)}, {"b", "x"}}},
		{false, Args{{"a", nil}}, nil},
		{false, Args{{"a", int8(1)}}, Args{{"a", 1.0}}},
		{false, Args{{"a", int8(1)}}, Args{{"a", true}}},
		{false, Args{{"a", int8(1)}}, Args{{"a", "1"}}},
		{false, Args{{"a", int8(5)}}, Args{{"a", time.Unix(5, 0)}}},
		{false, Args{{"a", Decimal{1, 10}}}, Args{{"a", Decimal{0, 1}}}},
		{false, Args{{"a", []any{"x", "y"}}}, Args{{"a", []any{"y", "x"}}}},
	} {
		if equalArgs(c.a, c.b) != c.want || equalArgs(c.b, c.a) != c.want {
			t.Errorf("%v and %v: want equal %v", c.a, c.b, c.want)
		}
	}
}

func TestArgsAreReadByTheirType(t *testing.T) {
	a := everyArg()
	for name, want := range map[string]int64{"int8": -128, "int16": -300, "int32": 1 << 30,
		"int64": math.MinInt64, "uint8": 255, "uint16": 65535, "uint32": math.MaxUint32} {
		if got, ok, err := a.Int(name); got != want || !ok || err != nil {
			t.Errorf("%s: got %d %v %v", name, got, ok, err)
		}
	}
	if got, ok, err := a.Text("string"); got != "ünï" || !ok || err != nil {
		t.Errorf("got %q %v %v", got, ok, err)
	}
	if got, ok, err := a.Bool("true"); !got || !ok || err != nil {
		t.Errorf("the first of two: got %v %v %v", got, ok, err)
	}
	for _, name := range []string{"nil", "float64", "bytes", "list", "absent"} {
		_, isInt, intErr := a.Int(name)
		_, isText, textErr := a.Text(name)
		_, isBool, boolErr := a.Bool(name)
		absent := name == "absent"
		if isInt || isText || isBool || errors.Is(intErr, Invalid) == absent ||
			errors.Is(textErr, Invalid) == absent || errors.Is(boolErr, Invalid) == absent {
			t.Errorf("%s: %v, %v, %v", name, intErr, textErr, boolErr)
		}
	}
}

func FuzzArgs(f *testing.F) {
	f.Add(encodeArgs(everyArg()))
	f.Add([]byte{0})
	f.Add([]byte{1, 0, tagList, 1, tagArgs, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeArgs(b)
		if err != nil {
			return
		}
		if err := checkArgs("test", "", a); err != nil {
			t.Fatalf("decoded what has no place in Args: %v", err)
		}
		encoded := encodeArgs(a)
		if len(encoded) > len(b) {
			t.Errorf("%d bytes became %d", len(b), len(encoded))
		}
		again, err := decodeArgs(encoded)
		if err != nil || !equalArgs(a, again) || !bytes.Equal(encodeArgs(again), encoded) {
			t.Errorf("got %v %v, want %v", again, err, a)
		}
	})
}
