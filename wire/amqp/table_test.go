package amqp

import (
	"bytes"
	"encoding/binary"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

func TestGoldenTables(t *testing.T) {
	for _, g := range goldenTables {
		want := unhex(t, g.table)
		table := Table{{"v", g.v}}
		got, err := appendTable(nil, table)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%T: got, %v\n%x, want\n%x", g.v, err, got, want)
		}
		raw := rawTable(want[4:])
		if err := raw.check(); err != nil {
			t.Errorf("%T: %v", g.v, err)
		}
		back, err := raw.decode()
		if err != nil || !reflect.DeepEqual(back, table) {
			t.Errorf("%T: got %#v, %v, want %#v", g.v, back, err, table)
		}
		found, ok := raw.find("v")
		if !ok || !reflect.DeepEqual(found, g.v) {
			t.Errorf("%T: found %#v, %v", g.v, found, ok)
		}
	}
}

// RabbitMQ reads L as l, and every octet but 0 as true. Written they are what it writes.
func TestTwoSpellingsBecomeOne(t *testing.T) {
	table, err := rawTable(unhex(t, "0161 4c ffffffffffffffff 0162 74 07")).decode()
	if err != nil || !reflect.DeepEqual(table, Table{{"a", int64(-1)}, {"b", true}}) {
		t.Fatalf("got %#v, %v", table, err)
	}
	got, err := appendTable(nil, table)
	want := unhex(t, "0000000f 0161 6c ffffffffffffffff 0162 74 01")
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got  %x, %v\nwant %x", got, err, want)
	}
}

func TestTablesKeepOrderAndTheirFirstFieldCounts(t *testing.T) {
	table := Table{{"b", int8(1)}, {"a", int8(2)}, {"b", int8(3)}, {"", "empty name"}}
	b, err := appendTable(nil, table)
	if err != nil {
		t.Fatal(err)
	}
	raw := rawTable(b[4:])
	if got, err := raw.decode(); err != nil || !reflect.DeepEqual(got, table) {
		t.Fatalf("got %v, %v", got, err)
	}
	for name, want := range map[string]any{"a": int8(2), "b": int8(1), "": "empty name", "c": nil} {
		got, ok := table.Get(name)
		found, okFound := raw.find(name)
		if got != want || found != want || ok != (want != nil) || okFound != ok {
			t.Errorf("%q: got %v %v, found %v %v", name, got, ok, found, okFound)
		}
	}
}

func TestANaNKeepsItsBits(t *testing.T) {
	want := unhex(t, "00000012 0166 66 7fa00001 0164 64 7ff4000000000001")
	table, err := rawTable(want[4:]).decode()
	if err != nil {
		t.Fatal(err)
	}
	if f, _ := table.Get("f"); !math.IsNaN(float64(f.(float32))) {
		t.Fatalf("got %v", f)
	}
	if got, err := appendTable(nil, table); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got  %x, %v\nwant %x", got, err, want)
	}
}

func TestATruncatedTableIsRefused(t *testing.T) {
	for _, g := range goldenTables {
		whole := unhex(t, g.table)[4:]
		for end := 1; end < len(whole); end++ {
			if err := rawTable(whole[:end]).check(); code(err) != replySyntaxError {
				t.Errorf("%T, %d of %d bytes: checked, %v", g.v, end, len(whole), err)
			}
			if _, err := rawTable(whole[:end]).decode(); code(err) != replySyntaxError {
				t.Errorf("%T, %d of %d bytes: decoded, %v", g.v, end, len(whole), err)
			}
		}
	}
}

func TestWrongTablesAreRefused(t *testing.T) {
	for name, table := range map[string]string{
		"unknown type":                "0176 7a 00",
		"U is not of the dialect":     "0176 55 0001",
		"a string longer than all":    "0176 53 ffffffff 61",
		"a table longer than all":     "0176 46 00000005 0161 56",
		"an array longer than all":    "0176 41 7fffffff",
		"a mistake in a table":        "0176 46 00000003 0161 7a",
		"a mistake in an array":       "0176 41 00000001 7a",
		"a table that ends in a name": "0176 46 00000002 0461",
	} {
		raw := rawTable(unhex(t, table))
		if err := raw.check(); code(err) != replySyntaxError {
			t.Errorf("%s: checked, %v", name, err)
		}
		if _, err := raw.decode(); code(err) != replySyntaxError {
			t.Errorf("%s: decoded, %v", name, err)
		}
	}
}

func TestTablesNestToALimit(t *testing.T) {
	nest := func(depth int, wrap func(any) any) Table {
		var v any
		for range depth - 1 {
			v = wrap(v)
		}
		return Table{{"v", v}}
	}
	for kind, wrap := range map[string]func(any) any{
		"tables": func(v any) any { return Table{{"v", v}} },
		"arrays": func(v any) any { return []any{v} },
	} {
		deepest := nest(maxTableDepth, wrap)
		b, err := appendTable(nil, deepest)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if err := rawTable(b[4:]).check(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if got, err := rawTable(b[4:]).decode(); err != nil || !reflect.DeepEqual(got, deepest) {
			t.Errorf("%s: got %v, %v", kind, got, err)
		}
		if _, err := appendTable(nil, nest(maxTableDepth+1, wrap)); err != errDepth {
			t.Errorf("%s: one more is encoded, %v", kind, err)
		}
	}
	for kind, head := range map[string][]byte{"tables": {0, 'F'}, "arrays": {'A'}} {
		var nested []byte
		for range 1000 {
			nested = append(binary.BigEndian.AppendUint32(head, uint32(len(nested))), nested...)
		}
		if kind == "arrays" {
			nested = append([]byte{0}, nested...)
		}
		if err := rawTable(nested).check(); err != errDepth {
			t.Errorf("a thousand %s: checked, %v", kind, err)
		}
		if _, err := rawTable(nested).decode(); err != errDepth {
			t.Errorf("a thousand %s: decoded, %v", kind, err)
		}
	}
}

func TestADecodedTableTakesALimitedMultipleOfItsSize(t *testing.T) {
	const size = 1 << 16
	for name, contents := range map[string]string{
		"nulls without a name":  "00 56",
		"empty tables":          "00 46 00000000",
		"empty arrays":          "00 41 00000000",
		"shorts":                "00 73 ff00",
		"empty strings":         "00 53 00000000",
		"announced and missing": "00 53 ffffffff",
	} {
		raw := bytes.Repeat(unhex(t, contents), size/len(unhex(t, contents)))
		limitAllocation(t, len(raw), func() { _, _ = rawTable(raw).decode() })
		if strings.HasPrefix(name, "announced") {
			continue
		}
		if n := testing.AllocsPerRun(20, func() { _ = rawTable(raw).check() }); n != 0 {
			t.Errorf("%s: checking allocates", name)
		}
	}
	nulls := binary.BigEndian.AppendUint32([]byte{0, 'A'}, size)
	nulls = append(nulls, bytes.Repeat([]byte{'V'}, size)...)
	limitAllocation(t, len(nulls), func() { _, _ = rawTable(nulls).decode() })
}

// limitAllocation fails the test if f, which was given n bytes from a peer, allocates more than a
// small multiple of them. Part of the constant is what the test machinery allocates meanwhile.
func limitAllocation(t *testing.T, n int, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > uint64(24*n+64<<10) {
		t.Fatalf("%d bytes made it allocate %d", n, got)
	}
}

func FuzzTable(f *testing.F) {
	for _, g := range goldenTables {
		f.Add(unhex(f, g.table)[4:])
	}
	f.Add(unhex(f, "0161 4c ffffffffffffffff 0162 74 07"))
	f.Fuzz(func(t *testing.T, b []byte) {
		raw := rawTable(b)
		var table Table
		var err error
		limitAllocation(t, len(b), func() { table, err = raw.decode() })
		if checked := raw.check(); (checked == nil) != (err == nil) {
			t.Fatalf("check says %v, decode %v", checked, err)
		}
		if err != nil {
			if code(err) != replySyntaxError {
				t.Fatal(err)
			}
			return
		}
		again, err := appendTable(nil, table)
		if err != nil || !sameTable(again[4:], b) {
			t.Fatalf("got, %v\n%x, want\n%x", err, again[4:], b)
		}
		for _, field := range table {
			got, ok := table.Get(field.Name)
			found, okFound := raw.find(field.Name)
			if !ok || !okFound || !sameValue(got, found) {
				t.Fatalf("%q: got %v, found %v", field.Name, got, found)
			}
		}
	})
}

// sameTable compares an encoded table with what was decoded, which may spell l as L and true as
// any other octet than 0.
func sameTable(got, want []byte) bool {
	if len(got) != len(want) {
		return false
	}
	for i := range got {
		if got[i] != want[i] && (got[i] != 'l' || want[i] != 'L') && (got[i] != 1 || want[i] == 0) {
			return false
		}
	}
	return true
}

// sameValue compares as bytes, because a NaN is not equal to itself.
func sameValue(a, b any) bool {
	x, errX := appendValue(nil, a, maxTableDepth)
	y, errY := appendValue(nil, b, maxTableDepth)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
