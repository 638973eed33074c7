package broker

import (
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"time"
)

// Record is one record of a partition or stream.
type Record struct {
	Key, Value []byte // nil is null, which differs from empty
	Headers    []Header
	Time       time.Time // millisecond resolution; zero when written: now
	Offset     Offset    // set when read; ignored when written
}

// Header is a name and a value beside a record. Names may repeat.
type Header struct {
	Key   string
	Value []byte // nil is null
}

// EncodeBatch appends one encoded batch with these records to dst, base offset
// 0 and no producer id. A record without a time gets the current one.
// Kinds: Invalid (no records), TooLarge (beyond 2 GiB), Unsupported (codec).
func EncodeBatch(dst []byte, c Compression, recs ...Record) ([]byte, error) {
	return encodeBatch(dst, c, time.Now().UnixMilli(), recs)
}

func encodeBatch(dst []byte, c Compression, now int64, recs []Record) ([]byte, error) {
	const op = "encode batch"
	if len(recs) == 0 || len(recs) > math.MaxInt32 {
		return dst, fail(Invalid, op, "", "%d records, want at least 1", len(recs))
	}
	start := len(dst)
	dst = append(dst, zeroHeader[:]...)
	body := dst
	if c != None {
		body = nil
	}
	body, baseTime, maxTime, err := appendRecords(body, recs, now)
	if err != nil {
		return dst[:start], err
	}
	if c == None {
		dst = body
	} else if err := compressTo(&dst, c, body); err != nil {
		return dst[:start], &Error{Kind: Unsupported, Op: op, Err: err}
	}
	raw := dst[start:]
	if len(raw) > maxBatch {
		return dst[:start], fail(TooLarge, op, "", "batch has %d bytes", len(raw))
	}
	raw[posMagic] = 2
	binary.BigEndian.PutUint16(raw[posAttributes:], uint16(c))
	binary.BigEndian.PutUint32(raw[posLastDelta:], uint32(len(recs)-1))
	binary.BigEndian.PutUint64(raw[posBaseTime:], uint64(baseTime))
	binary.BigEndian.PutUint64(raw[posMaxTime:], uint64(maxTime))
	setProducer(raw, -1, -1, -1)
	binary.BigEndian.PutUint32(raw[posCount:], uint32(len(recs)))
	sealBatch(raw)
	return dst, nil
}

var zeroHeader [batchHeader]byte

// appendRecords encodes the records without their header.
func appendRecords(body []byte, recs []Record, now int64) (_ []byte, first, last int64, _ error) {
	first = recordMillis(recs[0], now)
	for i := range recs {
		ms := recordMillis(recs[i], now)
		if ms < 0 {
			return body, 0, 0, fail(Invalid, "encode batch", "",
				"record %d has a time before 1970: %v", i, recs[i].Time)
		}
		last = max(last, ms)
		body = appendRecord(body, &recs[i], int64(i), ms-first)
	}
	return body, first, last, nil
}

// setProducer writes the producer's fields; the checksum is the caller's to renew.
func setProducer(raw []byte, id int64, epoch int16, firstSeq int32) {
	binary.BigEndian.PutUint64(raw[posProducer:], uint64(id))
	binary.BigEndian.PutUint16(raw[posProdEpoch:], uint16(epoch))
	binary.BigEndian.PutUint32(raw[posSequence:], uint32(firstSeq))
}

func recordMillis(r Record, now int64) int64 {
	if r.Time.IsZero() {
		return now
	}
	return r.Time.UnixMilli()
}

// appendRecord writes length, attributes, time and offset deltas, key, value and
// headers; every number is a zigzag varint.
func appendRecord(dst []byte, r *Record, offsetDelta, timeDelta int64) []byte {
	dst = binary.AppendVarint(dst, int64(recordLen(r, offsetDelta, timeDelta)))
	dst = append(dst, 0)
	dst = binary.AppendVarint(dst, timeDelta)
	dst = binary.AppendVarint(dst, offsetDelta)
	dst = appendBytes(dst, r.Key)
	dst = appendBytes(dst, r.Value)
	dst = binary.AppendVarint(dst, int64(len(r.Headers)))
	for i := range r.Headers {
		dst = binary.AppendVarint(dst, int64(len(r.Headers[i].Key)))
		dst = append(dst, r.Headers[i].Key...)
		dst = appendBytes(dst, r.Headers[i].Value)
	}
	return dst
}

// recordLen is the length that stands before an encoded record.
func recordLen(r *Record, offsetDelta, timeDelta int64) int {
	size := 1 + varintLen(timeDelta) + varintLen(offsetDelta) +
		bytesLen(r.Key) + bytesLen(r.Value) + varintLen(int64(len(r.Headers)))
	for i := range r.Headers {
		size += varintLen(int64(len(r.Headers[i].Key))) + len(r.Headers[i].Key) +
			bytesLen(r.Headers[i].Value)
	}
	return size
}

// recordBytes is what a record of the batch's own time takes at a place in it.
func recordBytes(r *Record, at int) int {
	n := recordLen(r, int64(at), 0)
	return varintLen(int64(n)) + n
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}

func bytesLen(b []byte) int {
	if b == nil {
		return 1
	}
	return varintLen(int64(len(b))) + len(b)
}

func varintLen(v int64) int {
	u := uint64(v<<1) ^ uint64(v>>63)
	n := 1
	for u >= 0x80 {
		u >>= 7
		n++
	}
	return n
}

// Records decodes one encoded batch, record by record, and ends at the first
// error. Keys and values point into raw, or into the decoded block where the
// batch is compressed; a block decodes to MaxDecodedBatch bytes at most. It
// trusts the checksum to have been verified.
// Kinds: Corrupt, TooLarge (the block is beyond its limit), Unsupported (codec).
func Records(raw []byte) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		r, err := openBatch(raw)
		if err != nil {
			yield(Record{}, err)
			return
		}
		for {
			rec, ok, err := r.next()
			if !ok && err == nil || !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

// batchReader decodes the records of one batch, one at a time.
type batchReader struct {
	info BatchInfo
	body []byte // of those to come
	read int32
}

func openBatch(raw []byte) (r batchReader, err error) {
	if len(raw) < batchHeader || raw[posMagic] != 2 {
		return r, fail(Corrupt, "decode batch", "", "not a batch of magic 2")
	}
	r.info = decodeInfo(raw, binary.BigEndian.Uint16(raw[posAttributes:]))
	if r.body, err = decompress(r.info.Compression, raw[batchHeader:], MaxDecodedBatch); err != nil {
		return r, decodeError(err)
	}
	return r, nil
}

// next returns the next record; ok is false behind the last one.
func (r *batchReader) next() (rec Record, ok bool, err error) { return r.nextInto(nil, nil) }

// nextInto is next with the headers appended to a list, and names as keeper knows them, if it is not nil:
// then the list is kept there too.
func (r *batchReader) nextInto(to []Header, keeper *RecordReader) (rec Record, ok bool, err error) {
	if r.read == r.info.Count {
		if len(r.body) != 0 {
			return rec, false, fail(Corrupt, "decode batch", "",
				"%d bytes follow the last of %d records", len(r.body), r.info.Count)
		}
		return rec, false, nil
	}
	if rec, r.body, err = decodeRecord(r.body, &r.info, to, keeper); err != nil {
		return rec, false, decodeError(err)
	}
	r.read++
	return rec, true, nil
}

func decodeError(err error) error {
	kind := Corrupt
	switch {
	case errors.Is(err, ErrCodec):
		kind = Unsupported
	case errors.Is(err, errTooMuch):
		kind = TooLarge
	}
	return &Error{Kind: kind, Op: "decode batch", Err: err}
}

// decodeRecord reads the first record of b and returns what follows it.
func decodeRecord(b []byte, info *BatchInfo, to []Header, keeper *RecordReader) (Record, []byte, error) {
	n, w := binary.Varint(b)
	if w <= 0 || n < 1 || n > int64(len(b)-w) {
		return Record{}, nil, errors.New("record does not fit into its batch")
	}
	c := recordReader{b: b[w+1 : w+int(n)]}
	timeDelta, offsetDelta := c.varint(), c.varint()
	rec := Record{Key: c.bytes(), Value: c.bytes(), Headers: c.headers(to, keeper)}
	if c.bad || len(c.b) != 0 {
		return Record{}, nil, errors.New("record is malformed")
	}
	rec.Offset = info.Base + Offset(offsetDelta)
	rec.Time = info.recordTime(timeDelta)
	return rec, b[w+int(n):], nil
}

// recordTime is the time of a record, in UTC; zero if it has none.
func (i *BatchInfo) recordTime(delta int64) time.Time {
	ms := i.BaseTime + delta
	if i.AppendTime {
		ms = i.MaxTime
	}
	if ms < 0 {
		return time.Time{}
	}
	return timeOf(ms)
}

// timeOf is a time of the format, in milliseconds since 1970, in UTC.
func timeOf(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// recordReader takes fields from the front of a record. After the first field
// that does not fit it is bad and returns zeros.
type recordReader struct {
	b   []byte
	bad bool
}

func (c *recordReader) varint() int64 {
	v, w := binary.Varint(c.b)
	if w <= 0 {
		c.bad = true
		return 0
	}
	c.b = c.b[w:]
	return v
}

// bytes reads a length and that many bytes; any negative length is null.
func (c *recordReader) bytes() []byte {
	n := c.varint()
	if n < 0 || c.bad {
		return nil
	}
	if n > int64(len(c.b)) {
		c.bad = true
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

func (c *recordReader) headers(to []Header, keeper *RecordReader) []Header {
	n := c.varint()
	// A header takes two bytes at least, so a count beyond half of what is left
	// is a lie that must not be allocated for.
	if c.bad || n < 0 || n > int64(len(c.b)/2) {
		c.bad = true
		return nil
	}
	if n == 0 {
		return nil
	}
	if int64(cap(to)) < n {
		to = make([]Header, 0, n)
	}
	for range n {
		to = append(to, Header{Key: keeper.name(c.bytes()), Value: c.bytes()})
		if c.bad {
			return nil
		}
	}
	if keeper != nil {
		keeper.headers = to
	}
	return to
}
