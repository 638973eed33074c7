package broker

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// A batch is Kafka's RecordBatch v2 (magic 2), all numbers big endian:
//
//	 0  baseOffset           int64   set by the store
//	 8  batchLength          int32   bytes from 12 to the end
//	12  partitionLeaderEpoch int32   set to 0 by the broker
//	16  magic                int8    2
//	17  crc                  uint32  CRC-32C of everything from 21 on
//	21  attributes           int16   bits 0-2 compression, 3 append time,
//	                                 4 transactional, 5 control
//	23  lastOffsetDelta      int32
//	27  baseTimestamp        int64   ms since 1970; -1 is none
//	35  maxTimestamp         int64
//	43  producerId           int64   -1 is none
//	51  producerEpoch        int16
//	53  baseSequence         int32
//	57  records              int32   how many follow
//	61  the records, compressed as one block where attributes say so
//
// The first 21 bytes lie outside the checksum, so a batch is stored as it was
// received: only offset and epoch change.
const (
	posLength     = 8
	posEpoch      = 12
	posMagic      = 16
	posCRC        = 17
	posAttributes = 21
	posLastDelta  = 23
	posBaseTime   = 27
	posMaxTime    = 35
	posProducer   = 43
	posProdEpoch  = 51
	posSequence   = 53
	posCount      = 57
	batchHeader   = 61 // bytes before the records
)

const (
	attrCompression   = 0x07
	attrAppendTime    = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
)

// noTime is Kafka's "this record has no time".
const noTime = -1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// BatchInfo is the header of one encoded batch.
type BatchInfo struct {
	Base        Offset // as it stands in the bytes; the broker sets it on append
	Count       int32  // records inside, at least 1
	Compression Compression
	AppendTime  bool  // record times are the broker's
	BaseTime    int64 // ms since 1970, -1 if the records have no time
	MaxTime     int64
	Producer    int64 // -1 without idempotence
	Epoch       int16
	FirstSeq    int32
}

// ParseBatch checks one encoded batch and returns its header: the length covers
// raw exactly, magic is 2, the CRC matches, the count of records agrees with the
// offsets, and the attributes are ones a client may send. Where the records are
// not compressed it walks over them, so that their number is known to be true; a
// compressed block is taken at its word, because opening each one would double
// the cost of an append, and whoever reads it checks it again.
//
// Kinds: Corrupt (length, magic 0 or 1, CRC), Invalid (contradictions),
// Unsupported (transactional or control batches, unknown compression).
func ParseBatch(raw []byte) (BatchInfo, error) {
	info, kind, err := parseBatch(raw)
	if err != nil {
		return BatchInfo{}, &Error{Kind: kind, Op: "parse batch", Err: err}
	}
	return info, nil
}

func parseBatch(raw []byte) (info BatchInfo, kind ErrorKind, err error) {
	if err := checkFrame(raw); err != nil {
		return info, Corrupt, err
	}
	attrs := binary.BigEndian.Uint16(raw[posAttributes:])
	info = decodeInfo(raw, attrs)
	if kind, err := checkAttributes(attrs); err != nil {
		return info, kind, err
	}
	if err := checkCounts(raw, info); err != nil {
		return info, Invalid, err
	}
	return info, 0, nil
}

// checkFrame makes sure that raw is one whole batch of a format we know, with
// the bytes its writer wrote.
func checkFrame(raw []byte) error {
	if len(raw) < batchHeader {
		return fmt.Errorf("batch has %d bytes, want at least %d", len(raw), batchHeader)
	}
	if n := int64(binary.BigEndian.Uint32(raw[posLength:])); n != int64(len(raw)-posEpoch) {
		return fmt.Errorf("batch says it has %d bytes after its length, %d follow",
			n, len(raw)-posEpoch)
	}
	if raw[posMagic] != 2 {
		return fmt.Errorf("batch has magic %d, want 2", raw[posMagic])
	}
	want := binary.BigEndian.Uint32(raw[posCRC:])
	if got := crc32.Checksum(raw[posAttributes:], castagnoli); got != want {
		return fmt.Errorf("batch has crc %08x, its header says %08x", got, want)
	}
	return nil
}

func decodeInfo(raw []byte, attrs uint16) BatchInfo {
	return BatchInfo{
		Base:        Offset(binary.BigEndian.Uint64(raw)),
		Count:       int32(binary.BigEndian.Uint32(raw[posCount:])),
		Compression: Compression(attrs & attrCompression),
		AppendTime:  attrs&attrAppendTime != 0,
		BaseTime:    int64(binary.BigEndian.Uint64(raw[posBaseTime:])),
		MaxTime:     int64(binary.BigEndian.Uint64(raw[posMaxTime:])),
		Producer:    int64(binary.BigEndian.Uint64(raw[posProducer:])),
		Epoch:       int16(binary.BigEndian.Uint16(raw[posProdEpoch:])),
		FirstSeq:    int32(binary.BigEndian.Uint32(raw[posSequence:])),
	}
}

func checkAttributes(attrs uint16) (ErrorKind, error) {
	switch {
	case attrs&attrControl != 0:
		return Unsupported, fmt.Errorf("control batches cannot be appended")
	case attrs&attrTransactional != 0:
		return Unsupported, fmt.Errorf("transactional batches are not supported")
	case Compression(attrs&attrCompression) > Zstd:
		return Unsupported, fmt.Errorf("%w: code %d", ErrCodec, attrs&attrCompression)
	}
	return 0, nil
}

// checkCounts compares the numbers of a batch with each other.
func checkCounts(raw []byte, info BatchInfo) error {
	last := int32(binary.BigEndian.Uint32(raw[posLastDelta:]))
	switch {
	case info.Count < 1 || last != info.Count-1:
		return fmt.Errorf("batch has %d records and a last offset delta of %d", info.Count, last)
	case info.Producer < 0 && info.Producer != -1:
		return fmt.Errorf("producer id is %d", info.Producer)
	case info.Producer >= 0 && (info.FirstSeq < 0 || info.Epoch < 0):
		return fmt.Errorf("producer %d has epoch %d and sequence %d",
			info.Producer, info.Epoch, info.FirstSeq)
	case info.BaseTime < noTime || info.MaxTime < noTime:
		return fmt.Errorf("batch has times %d and %d", info.BaseTime, info.MaxTime)
	case info.Compression == None:
		return walkRecords(raw[batchHeader:], info.Count)
	}
	return nil
}

// walkRecords steps over count records by their lengths.
func walkRecords(b []byte, count int32) error {
	total := len(b)
	for i := range count {
		n, w := binary.Varint(b)
		if w <= 0 || n < 0 || n > int64(len(b)-w) {
			return fmt.Errorf("record %d of %d does not fit at byte %d", i, count, total-len(b))
		}
		b = b[w+int(n):]
	}
	if len(b) != 0 {
		return fmt.Errorf("%d bytes follow the last of %d records", len(b), count)
	}
	return nil
}

// latest returns the greatest record time that the header admits to. Some
// clients leave maxTimestamp empty.
func (i BatchInfo) latest() int64 { return max(i.BaseTime, i.MaxTime) }

// clearEpoch sets the leader epoch to 0, the only one a single node has. It does
// not write where that is so already: a caller may append one batch to several
// partitions at once.
func clearEpoch(raw []byte) {
	if binary.BigEndian.Uint32(raw[posEpoch:]) != 0 {
		binary.BigEndian.PutUint32(raw[posEpoch:], 0)
	}
}

// stampAppendTime makes ms the time of every record of the batch, as
// message.timestamp.type=LogAppendTime wants it, and renews the checksum.
func stampAppendTime(raw []byte, ms int64) {
	attrs := binary.BigEndian.Uint16(raw[posAttributes:])
	binary.BigEndian.PutUint16(raw[posAttributes:], attrs|attrAppendTime)
	binary.BigEndian.PutUint64(raw[posMaxTime:], uint64(ms))
	sealBatch(raw)
}

// sealBatch writes length and checksum of a batch that is otherwise complete.
func sealBatch(raw []byte) {
	binary.BigEndian.PutUint32(raw[posLength:], uint32(len(raw)-posEpoch))
	binary.BigEndian.PutUint32(raw[posCRC:], crc32.Checksum(raw[posAttributes:], castagnoli))
}

// maxBatch is what the length field of a batch can say, in bytes.
const maxBatch = math.MaxInt32
