package broker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/klauspost/compress/snappy"
)

// bomb is one batch whose block decodes to more than it may.
func bomb(t *testing.T, c Compression) []byte {
	t.Helper()
	block := make([]byte, 0, 8<<20)
	if err := compressTo(&block, c, make([]byte, MaxDecodedBatch+1)); err != nil {
		t.Fatal(err)
	}
	raw := mustEncode(t, c, Record{Value: []byte("x")})
	raw = append(raw[:batchHeader], block...)
	sealBatch(raw)
	return raw
}

func TestBombIsNotDecoded(t *testing.T) {
	for c := Gzip; c <= Zstd; c++ {
		t.Run(c.String(), func(t *testing.T) {
			raw := bomb(t, c)
			if _, err := ParseBatch(raw); err != nil {
				t.Fatal(err)
			}
			if recs, err := collect(raw); KindOf(err) != TooLarge || len(recs) != 0 {
				t.Errorf("%d records, %v, want TooLarge", len(recs), err)
			}
		})
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
		got, err := decompress(Snappy, in)
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
		if _, err := decompress(Snappy, in); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestUnknownCompressionIsNamed(t *testing.T) {
	if _, err := decompress(6, nil); !errors.Is(err, ErrCodec) {
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
