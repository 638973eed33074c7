package broker

import (
	"fmt"
	"reflect"
	"testing"
	"time"
)

// TestARecordReaderReadsWhatRecordsDo, also behind a batch that was not read to its end.
func TestARecordReaderReadsWhatRecordsDo(t *testing.T) {
	var r RecordReader
	for _, c := range []Compression{None, Gzip, Zstd} {
		for n := 1; n < 6; n++ {
			raw := someBatch(t, c, n)
			var want []Record
			for rec, err := range Records(raw) {
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, rec)
			}
			if err := r.Open(raw); err != nil {
				t.Fatal(err)
			}
			for i := range want {
				got, ok, err := r.Next()
				if !ok || err != nil || !reflect.DeepEqual(got, want[i]) {
					t.Fatalf("record %d of %d: got %v, %v, %v, want %v", i, n, got, ok, err, want[i])
				}
			}
			if n%2 == 0 {
				continue
			}
			if _, ok, err := r.Next(); ok || err != nil {
				t.Fatalf("behind the last: %v, %v", ok, err)
			}
		}
	}
}

func someBatch(t *testing.T, c Compression, n int) []byte {
	t.Helper()
	var recs []Record
	for i := range n {
		rec := Record{Key: []byte("k"), Value: fmt.Append(nil, i), Time: time.UnixMilli(int64(i) + 5).UTC()}
		for k := range i {
			rec.Headers = append(rec.Headers, Header{Key: fmt.Sprint("h", k), Value: fmt.Append(nil, i, k)})
		}
		recs = append(recs, rec)
	}
	raw, err := EncodeBatch(nil, c, recs...)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestARecordReaderRefusesWhatIsDamaged(t *testing.T) {
	var r RecordReader
	if err := r.Open([]byte("no batch")); KindOf(err) != Corrupt {
		t.Errorf("got %v", err)
	}
	raw := someBatch(t, None, 3)
	if err := r.Open(raw[:len(raw)-1]); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, ok, err := r.Next(); !ok || err != nil {
			t.Fatalf("got %v, %v", ok, err)
		}
	}
	if _, _, err := r.Next(); KindOf(err) != Corrupt {
		t.Errorf("got %v", err)
	}
}

// TestARecordReaderTakesNoMemoryForWhatItKnows reads headers whose names it has met.
func TestARecordReaderTakesNoMemoryForWhatItKnows(t *testing.T) {
	var r RecordReader
	raw := someBatch(t, None, 10)
	read := func() {
		if err := r.Open(raw); err != nil {
			t.Fatal(err)
		}
		for ok := true; ok; {
			_, ok, _ = r.Next()
		}
	}
	read()
	if n := testing.AllocsPerRun(20, read); n > 0 {
		t.Errorf("%v allocations for 10 records", n)
	}
}
