package broker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/klauspost/compress/snappy"
)

func TestBombIsNotDecoded(t *testing.T) {
	const limit = 1 << 20
	for c := Gzip; c <= Zstd; c++ {
		for size, want := range map[int]error{limit: nil, limit + 1: errTooMuch, 4 * limit: errTooMuch} {
			var block []byte
			if err := compressTo(&block, c, make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			got, err := decompress(c, block, limit)
			if !errors.Is(err, want) || err == nil && len(got) != size {
				t.Errorf("%v, %d bytes: got %d, %v, want %v", c, size, len(got), err, want)
			}
		}
	}
}

// TestBombInABatchIsTooLarge is the same by the real limit.
func TestBombInABatchIsTooLarge(t *testing.T) {
	raw := mustEncode(t, Zstd, Record{Value: []byte("x")})
	raw = zstdEncoder().EncodeAll(make([]byte, MaxDecodedBatch+1), raw[:batchHeader])
	sealBatch(raw)
	if _, err := ParseBatch(raw); err != nil {
		t.Fatal(err)
	}
	if recs, err := collect(raw); KindOf(err) != TooLarge || len(recs) != 0 {
		t.Errorf("%d records, %v, want TooLarge", len(recs), err)
	}
}

func TestDamagedBlockIsCorrupt(t *testing.T) {
	for c := Gzip; c <= Zstd; c++ {
		raw := mustEncode(t, c, Record{Value: bytes.Repeat([]byte("abc"), 1000)})
		for _, cut := range []int{0, 1, len(raw)/2 - batchHeader/2, len(raw) - batchHeader - 1} {
			if _, err := collect(raw[:batchHeader+cut]); KindOf(err) != Corrupt {
				t.Errorf("%v cut to %d bytes: %v, want Corrupt", c, cut, err)
			}
		}
	}
}

// xerial frames blocks as Java's library does.
func xerial(blocks ...[]byte) []byte {
	out := append([]byte(nil), xerialMagic...)
	out = append(out, 0, 0, 0, 1, 0, 0, 0, 1)
	for _, b := range blocks {
		enc := snappy.Encode(nil, b)
		out = binary.BigEndian.AppendUint32(out, uint32(len(enc)))
		out = append(out, enc...)
	}
	return out
}

func TestSnappyIsReadInBothForms(t *testing.T) {
	want := bytes.Repeat([]byte("snappy "), 100)
	for name, in := range map[string][]byte{
		"raw":              snappy.Encode(nil, want),
		"xerial":           xerial(want),
		"xerial, 3 blocks": xerial(want[:10], want[10:200], want[200:]),
	} {
		got, err := decompress(Snappy, in, MaxDecodedBatch)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %q %v, want %q", name, got, err, want)
		}
	}
}

func TestSnappyRefusesLies(t *testing.T) {
	whole := xerial([]byte("abc"))
	for name, in := range map[string][]byte{
		"no header":         whole[:10],
		"half a length":     whole[:18],
		"half a block":      whole[:len(whole)-1],
		"a length too long": append(whole[:16:16], 0xff, 0xff, 0xff, 0xff, 1),
		// 3 bytes that claim 32 MiB must not allocate them.
		"a claim beyond its bytes": binary.AppendUvarint(nil, 32<<20),
	} {
		if _, err := decompress(Snappy, in, MaxDecodedBatch); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestUnknownCompressionIsNamed(t *testing.T) {
	if _, err := decompress(6, nil, 1); !errors.Is(err, ErrCodec) {
		t.Errorf("got %v, want %v", err, ErrCodec)
	}
}

func TestCompressionNames(t *testing.T) {
	got := ""
	for c := None; c <= Zstd+1; c++ {
		got += c.String() + " "
	}
	if want := "none gzip snappy lz4 zstd code 5 "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
