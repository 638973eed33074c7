package broker

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// at makes a time of the format from seconds.
func at(sec int64) time.Time { return timeOf(sec * 1000) }

// someRecords covers null and empty, headers, times that go back.
var someRecords = []Record{
	{Key: []byte("k"), Value: []byte("hello"), Time: at(100)},
	{Value: []byte{}, Time: at(90)},
	{Key: []byte{}, Time: at(110), Headers: []Header{
		{Key: "trace", Value: []byte("1")}, {Key: "trace"}, {Key: "", Value: []byte{}},
	}},
}

func mustEncode(t testing.TB, c Compression, recs ...Record) []byte {
	t.Helper()
	raw, err := EncodeBatch(nil, c, recs...)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func collect(raw []byte) (recs []Record, err error) {
	for r, err := range Records(raw) {
		if err != nil {
			return recs, err
		}
		recs = append(recs, r)
	}
	return recs, nil
}

func TestBatchRoundTripsInEveryCompression(t *testing.T) {
	for c := None; c <= Zstd; c++ {
		raw := mustEncode(t, c, someRecords...)
		info, err := ParseBatch(raw)
		want := BatchInfo{
			Count: 3, Compression: c, BaseTime: 100_000, MaxTime: 110_000,
			Producer: -1, Epoch: -1, FirstSeq: -1,
		}
		if err != nil || info != want {
			t.Errorf("%v: header %+v %v, want %+v", c, info, err, want)
		}
		binary.BigEndian.PutUint64(raw, 40)
		got, err := collect(raw)
		wantRecs := append([]Record(nil), someRecords...)
		for i := range wantRecs {
			wantRecs[i].Offset = 40 + Offset(i)
		}
		if err != nil || !reflect.DeepEqual(got, wantRecs) {
			t.Errorf("%v: records %+v %v, want %+v", c, got, err, wantRecs)
		}
	}
}

func TestEncodeBatchAppendsToItsDestination(t *testing.T) {
	for c := None; c <= Zstd; c++ {
		got, err := EncodeBatch([]byte("before"), c, someRecords...)
		want := append([]byte("before"), mustEncode(t, c, someRecords...)...)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: got %x %v, want %x", c, got, err, want)
		}
	}
}

func TestRecordWithoutTimeGetsTheCurrentOne(t *testing.T) {
	before := time.Now().Truncate(time.Millisecond)
	recs, err := collect(mustEncode(t, None, Record{Value: []byte("x")}))
	if err != nil || recs[0].Time.Before(before) || recs[0].Time.After(time.Now()) {
		t.Errorf("time %v %v, want now", recs[0].Time, err)
	}
}

func TestEncodeBatchRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		codec Compression
		recs  []Record
		want  ErrorKind
	}{
		{"no records", None, nil, Invalid},
		{"a time before 1970", None, []Record{{Time: time.Unix(-5, 0)}}, Invalid},
		{"an unknown compression", 7, someRecords, Unsupported},
	} {
		if raw, err := EncodeBatch(nil, c.codec, c.recs...); KindOf(err) != c.want || len(raw) != 0 {
			t.Errorf("%s: got %d bytes, %v, want %v", c.name, len(raw), err, c.want)
		}
	}
}

// spoiled returns a valid batch after a change; the checksum is right again.
func spoiled(t testing.TB, change func(raw []byte)) []byte {
	raw := mustEncode(t, None, someRecords...)
	change(raw)
	sealBatch(raw)
	return raw
}

func TestParseBatchRefuses(t *testing.T) {
	put32 := func(pos int, v uint32) func([]byte) {
		return func(raw []byte) { binary.BigEndian.PutUint32(raw[pos:], v) }
	}
	put64 := func(pos int, v int64) func([]byte) {
		return func(raw []byte) { binary.BigEndian.PutUint64(raw[pos:], uint64(v)) }
	}
	attrs := func(a uint16) func([]byte) {
		return func(raw []byte) { binary.BigEndian.PutUint16(raw[posAttributes:], a) }
	}
	good := mustEncode(t, None, someRecords...)
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	for _, c := range []struct {
		name string
		raw  []byte
		want ErrorKind
		text string
	}{
		{"nothing", nil, Corrupt, "0 bytes"},
		{"half a header", good[:60], Corrupt, "60 bytes"},
		{"a byte too few", good[:len(good)-1], Corrupt, "follow"},
		{"a byte too many", append(bytes.Clone(good), 0), Corrupt, "follow"},
		{"magic 1", spoiled(t, func(raw []byte) { raw[posMagic] = 1 }), Corrupt, "magic 1"},
		{"a flipped bit", flipped, Corrupt, "crc"},
		{"a control batch", spoiled(t, attrs(attrControl)), Unsupported, "control"},
		{"a transaction", spoiled(t, attrs(attrTransactional)), Unsupported, "transactional"},
		{"compression 5", spoiled(t, attrs(5)), Unsupported, "unknown compression"},
		{"no records", spoiled(t, put32(posCount, 0)), Invalid, "0 records"},
		{"count below the offsets", spoiled(t, put32(posCount, 2)), Invalid, "2 records"},
		{"offsets below zero", spoiled(t, put32(posLastDelta, math.MaxUint32)), Invalid, "-1"},
		{"more records than there are", spoiled(t, func(raw []byte) {
			put32(posCount, 4)(raw)
			put32(posLastDelta, 3)(raw)
		}), Invalid, "record 3 of 4"},
		{"fewer records than there are", spoiled(t, func(raw []byte) {
			put32(posCount, 2)(raw)
			put32(posLastDelta, 1)(raw)
		}), Invalid, "bytes follow"},
		{"a producer without a sequence", spoiled(t, put64(posProducer, 7)), Invalid, "producer 7"},
		{"a producer below -1", spoiled(t, put64(posProducer, -2)), Invalid, "-2"},
		{"a time below -1", spoiled(t, put64(posMaxTime, -2)), Invalid, "-2"},
	} {
		info, err := ParseBatch(c.raw)
		if KindOf(err) != c.want || !strings.Contains(err.Error(), c.text) || info != (BatchInfo{}) {
			t.Errorf("%s: got %+v, %v, want %v with %q", c.name, info, err, c.want, c.text)
		}
	}
}

func TestSetProducerMakesAnIdempotentBatch(t *testing.T) {
	raw := mustEncode(t, None, someRecords...)
	if err := SetProducer(raw, 9, 2, 41); err != nil {
		t.Fatal(err)
	}
	got, err := ParseBatch(raw)
	want := BatchInfo{
		Count: 3, BaseTime: 100_000, MaxTime: 110_000, Producer: 9, Epoch: 2, FirstSeq: 41,
	}
	if err != nil || got != want {
		t.Errorf("got %+v %v, want %+v", got, err, want)
	}
	if err := SetProducer(raw[:70], 1, 1, 1); KindOf(err) != Corrupt {
		t.Errorf("half a batch: %v, want Corrupt", err)
	}
}

func TestStampAppendTimeKeepsTheBatchValid(t *testing.T) {
	for c := None; c <= Zstd; c++ {
		raw := mustEncode(t, c, someRecords...)
		stampAppendTime(raw, 500_000)
		info, err := ParseBatch(raw)
		if err != nil || !info.AppendTime || info.MaxTime != 500_000 || info.Compression != c {
			t.Errorf("%v: got %+v %v", c, info, err)
		}
		recs, err := collect(raw)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range recs {
			if !r.Time.Equal(at(500)) {
				t.Errorf("%v: record time %v, want %v", c, r.Time, at(500))
			}
		}
	}
}

func TestClearEpochDoesNotWriteAZero(t *testing.T) {
	raw := mustEncode(t, None, someRecords...)
	binary.BigEndian.PutUint32(raw[posEpoch:], math.MaxUint32)
	clearEpoch(raw)
	if _, err := ParseBatch(raw); err != nil || binary.BigEndian.Uint32(raw[posEpoch:]) != 0 {
		t.Errorf("epoch %d %v, want 0 in a valid batch", binary.BigEndian.Uint32(raw[posEpoch:]), err)
	}
	done := make(chan struct{})
	go func() { // the race detector watches
		clearEpoch(raw)
		close(done)
	}()
	clearEpoch(raw)
	<-done
}

// TestBitFlipsNeverPassTheChecksum flips every bit from the checksum on.
func TestBitFlipsNeverPassTheChecksum(t *testing.T) {
	raw := mustEncode(t, None, someRecords...)
	for bit := posCRC * 8; bit < len(raw)*8; bit++ {
		raw[bit/8] ^= 1 << (bit % 8)
		if _, err := ParseBatch(raw); KindOf(err) != Corrupt {
			t.Errorf("bit %d: %v, want Corrupt", bit, err)
		}
		raw[bit/8] ^= 1 << (bit % 8)
	}
}

// FuzzParseBatch feeds arbitrary bytes, with and without a right checksum: no
// input may panic, and what parses must decode without allocating beyond bounds.
func FuzzParseBatch(f *testing.F) {
	for c := None; c <= Zstd; c++ {
		f.Add(mustEncode(f, c, someRecords...))
	}
	f.Add([]byte{})
	f.Add(make([]byte, batchHeader))
	f.Add(spoiled(f, func(raw []byte) { binary.BigEndian.PutUint32(raw[posCount:], math.MaxInt32) }))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) >= batchHeader {
			raw[posMagic] = 2
			sealBatch(raw)
		}
		info, err := ParseBatch(raw)
		if err != nil {
			if KindOf(err) == 0 {
				t.Errorf("error without a kind: %v", err)
			}
			return
		}
		n, decoded := int32(0), 0
		for rec, err := range Records(raw) {
			if err != nil {
				if KindOf(err) == 0 {
					t.Errorf("error without a kind: %v", err)
				}
				return
			}
			n++
			decoded += len(rec.Key) + len(rec.Value)
		}
		if n != info.Count || decoded > MaxDecodedBatch {
			t.Errorf("decoded %d records of %d, %d bytes", n, info.Count, decoded)
		}
	})
}

// FuzzRecords decodes without parsing first: a damaged disk must not panic.
func FuzzRecords(f *testing.F) {
	for c := None; c <= Zstd; c++ {
		f.Add(mustEncode(f, c, someRecords...))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, err := range Records(raw) {
			if err != nil && KindOf(err) == 0 {
				t.Errorf("error without a kind: %v", err)
			}
		}
	})
}

func TestRandomBatchesRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		recs := make([]Record, 1+rng.IntN(20))
		for i := range recs {
			recs[i] = Record{
				Key: randomBytes(rng, 20), Value: randomBytes(rng, 300), Offset: Offset(i),
				Time: timeOf(rng.Int64N(1 << 42)),
			}
			for range rng.IntN(3) {
				recs[i].Headers = append(recs[i].Headers,
					Header{string(randomBytes(rng, 5)), randomBytes(rng, 9)})
			}
		}
		raw := mustEncode(t, Compression(rng.IntN(5)), recs...)
		if _, err := ParseBatch(raw); err != nil {
			t.Fatal(err)
		}
		if got, err := collect(raw); err != nil || !reflect.DeepEqual(got, recs) {
			t.Fatalf("got %+v %v, want %+v", got, err, recs)
		}
	}
}

// randomBytes is null, empty, or up to n bytes.
func randomBytes(rng *rand.Rand, n int) []byte {
	size := rng.IntN(n+2) - 1
	if size < 0 {
		return nil
	}
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}
