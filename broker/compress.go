package broker

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Compression of the records of a batch; the codes of RecordBatch attributes.
type Compression int8

// The compressions that Kafka's clients use.
const (
	None Compression = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

// String returns the name that Kafka's settings use: "none", "gzip", "snappy",
// "lz4", "zstd".
func (c Compression) String() string {
	names := [...]string{"none", "gzip", "snappy", "lz4", "zstd"}
	if c < 0 || int(c) >= len(names) {
		return fmt.Sprintf("code %d", int8(c))
	}
	return names[c]
}

// errTooMuch says that a block decodes to more than it may.
var errTooMuch = errors.New("compressed block decodes to more than the limit")

// decoding has a place for each batch that is decoded in a search at the same
// time, in the whole process: each may take a few times MaxDecodedBatch.
var decoding = make(chan struct{}, 2)

// enterDecoding waits for a place. It is false if ctx ended first.
func enterDecoding(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case decoding <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func leaveDecoding() { <-decoding }

// decompress returns the decoded block, of at most limit bytes, or errTooMuch.
// Without compression that is b itself.
func decompress(c Compression, b []byte, limit int) ([]byte, error) {
	switch c {
	case None:
		return b, nil
	case Gzip:
		return gunzip(b, limit)
	case Snappy:
		return unsnappy(b, limit)
	case LZ4:
		return readBounded(lz4.NewReader(bytes.NewReader(b)), len(b), limit)
	case Zstd:
		return unzstd(b, limit)
	}
	return nil, fmt.Errorf("%w: code %d", ErrCodec, c)
}

func gunzip(b []byte, limit int) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return readBounded(r, len(b), limit)
}

// readBounded reads to the end. The buffer grows with what was really decoded,
// never with what a header promises.
func readBounded(r io.Reader, sizeHint, limit int) ([]byte, error) {
	var out bytes.Buffer
	out.Grow(2 * sizeHint)
	n, err := io.Copy(&out, io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if n > int64(limit) {
		return nil, errTooMuch
	}
	return out.Bytes(), nil
}

// unzstd decodes in one step; the decoder is shared, because each one keeps
// tables and history of a few hundred KiB. It stops at MaxDecodedBatch by itself.
func unzstd(b []byte, limit int) ([]byte, error) {
	out, err := zstdDecoder().DecodeAll(b, nil)
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return nil, errTooMuch
	case err != nil:
		return nil, fmt.Errorf("zstd: %w", err)
	case len(out) > limit:
		return nil, errTooMuch
	}
	return out, nil
}

var zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2),
		zstd.WithDecoderMaxMemory(MaxDecodedBatch), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
})

var zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
})

// xerialMagic opens the framing that Java's snappy library writes: after magic
// and two version numbers follow blocks, each behind its length.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeader = 16

// unsnappy decodes both forms that Kafka's clients send: xerial's framing and
// one raw block.
func unsnappy(b []byte, limit int) ([]byte, error) {
	if !bytes.HasPrefix(b, xerialMagic) {
		return unsnappyBlock(nil, b, limit)
	}
	if len(b) < xerialHeader {
		return nil, errors.New("snappy: framing ends in its header")
	}
	var out []byte
	for b = b[xerialHeader:]; len(b) > 0; {
		if len(b) < 4 {
			return nil, errors.New("snappy: framing ends in a length")
		}
		n := int64(binary.BigEndian.Uint32(b))
		if n > int64(len(b)-4) {
			return nil, fmt.Errorf("snappy: block of %d bytes where %d follow", n, len(b)-4)
		}
		var err error
		if out, err = unsnappyBlock(out, b[4:4+n], limit); err != nil {
			return nil, err
		}
		b = b[4+n:]
	}
	return out, nil
}

// snappyRatio is more than the format can reach: its densest element copies 64
// bytes and takes 3.
const snappyRatio = 22

// unsnappyBlock appends a decoded block to out. The size that a block claims is
// compared with what its bytes can hold before anything is allocated.
func unsnappyBlock(out, block []byte, limit int) ([]byte, error) {
	n, err := snappy.DecodedLen(block)
	if err != nil {
		return nil, fmt.Errorf("snappy: %w", err)
	}
	if n > limit-len(out) {
		return nil, errTooMuch
	}
	if n > snappyRatio*len(block) {
		return nil, fmt.Errorf("snappy: %d bytes claim to hold %d", len(block), n)
	}
	decoded, err := snappy.Decode(nil, block)
	if err != nil {
		return nil, fmt.Errorf("snappy: %w", err)
	}
	if out == nil {
		return decoded, nil
	}
	return append(out, decoded...), nil
}

// compressTo appends the compressed body to dst. Snappy is written as one raw
// block, which every client reads.
func compressTo(dst *[]byte, c Compression, body []byte) error {
	switch c {
	case Gzip:
		return squeeze(dst, gzip.NewWriter, body)
	case Snappy:
		*dst = append(*dst, snappy.Encode(nil, body)...)
		return nil
	case LZ4:
		return squeeze(dst, lz4.NewWriter, body)
	case Zstd:
		*dst = zstdEncoder().EncodeAll(body, *dst)
		return nil
	}
	return fmt.Errorf("%w: code %d", ErrCodec, c)
}

// squeeze runs body through a new writer of a stream format.
func squeeze[W io.WriteCloser](dst *[]byte, open func(io.Writer) W, body []byte) error {
	out := bytes.NewBuffer(*dst)
	w := open(out)
	if _, err := w.Write(body); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	*dst = out.Bytes()
	return nil
}
