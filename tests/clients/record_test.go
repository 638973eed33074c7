package clients

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"
)

// record is what travels. Offset is -1 where it is not known yet.
type record struct {
	Topic     string   `json:"topic"`
	Partition int32    `json:"partition"`
	Offset    int64    `json:"offset"`
	Key       []byte   `json:"key"`   // nil is a null key
	Value     []byte   `json:"value"` // nil is a tombstone
	Headers   []header `json:"headers"`
	Millis    int64    `json:"millis"` // Unix time, 0 lets the client choose
}

type header struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

// keyed makes n records with ten keys and the numbers from first on as values.
func keyed(topic string, first, n int) []record {
	records := make([]record, n)
	for i := range records {
		records[i] = record{
			Topic: topic, Offset: -1,
			Key:   fmt.Appendf(nil, "key-%d", (first+i)%10),
			Value: fmt.Appendf(nil, "%06d", first+i),
		}
	}
	return records
}

// line is a record as a test prints it.
func (r record) line() string {
	s := fmt.Sprintf("%s/%d@%d %s=%s", r.Topic, r.Partition, r.Offset, shown(r.Key), shown(r.Value))
	for _, h := range r.Headers {
		s += fmt.Sprintf(" %s:%s", h.Key, shown(h.Value))
	}
	if r.Millis != 0 {
		s += time.UnixMilli(r.Millis).UTC().Format(" 15:04:05.000")
	}
	return s
}

// shown tells null from empty and shortens what is long.
func shown(b []byte) string {
	switch {
	case b == nil:
		return "null"
	case len(b) > 40:
		return fmt.Sprintf("%q...(%d bytes)", b[:20], len(b))
	}
	return fmt.Sprintf("%q", b)
}

// sorted orders by place.
func sorted(records []record) []record {
	records = slices.Clone(records)
	slices.SortStableFunc(records, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return records
}

// payload is a record without its place.
func payload(r record) record {
	r.Partition, r.Offset = 0, 0
	return r
}

// wantSame compares records by place, and shows the first difference.
func wantSame(t *testing.T, what string, got, want []record) {
	t.Helper()
	got, want = sorted(got), sorted(want)
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !same(got[i], want[i]) {
			t.Fatalf("%s: record %d of %d\n got  %s\n want %s (of %d)", what, i, len(got),
				lineAt(got, i), lineAt(want, i), len(want))
		}
	}
}

func lineAt(records []record, i int) string {
	if i >= len(records) {
		return "nothing"
	}
	return records[i].line()
}

func same(a, b record) bool {
	if a.Topic != b.Topic || a.Partition != b.Partition || a.Offset != b.Offset ||
		a.Millis != b.Millis {
		return false
	}
	return sameBytes(a.Key, b.Key) && sameBytes(a.Value, b.Value) &&
		slices.EqualFunc(a.Headers, b.Headers, func(x, y header) bool {
			return x.Key == y.Key && sameBytes(x.Value, y.Value)
		})
}

func sameBytes(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// wantInOrder checks that each value was stored once, and those of a key in the
// order sent, in one partition.
func wantInOrder(t *testing.T, stored, sent []record) {
	t.Helper()
	places := make(map[string]record, len(stored))
	for _, r := range stored {
		if other, twice := places[string(r.Value)]; twice {
			t.Fatalf("stored twice: %s and %s", other.line(), r.line())
		}
		places[string(r.Value)] = r
	}
	last := make(map[string]record)
	for _, r := range sent {
		got, there := places[string(r.Value)]
		if !there {
			t.Fatalf("lost: %s", r.line())
		}
		before, any := last[string(r.Key)]
		if any && (got.Partition != before.Partition || got.Offset <= before.Offset) {
			t.Fatalf("order of a key: %s came after %s", before.line(), got.line())
		}
		last[string(r.Key)] = got
	}
	if len(stored) != len(sent) {
		t.Fatalf("got %d records, want %d", len(stored), len(sent))
	}
}
