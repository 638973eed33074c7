package storage

import (
	"encoding/binary"
	"hash/crc32"
)

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func checksum(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }

// An entry is the same bytes in a journal frame and in a segment file, so that
// the flusher copies and never encodes:
//
//	 0  kind 1   1  flags 1 (0)   2  patch 2     4  size 4        8  log 8
//	16  base 8  24  time 8       32  count 4    36  payload CRC  40  header CRC
//	44  payload
//
// The payload's CRC32C takes the eight bytes under the patch as zeros: it can
// be computed before Submit knows the base offset, outside of any lock. Those
// bytes repeat the base, which the header's CRC covers.
const entryHeader = 44

type entry struct {
	log   LogID
	base  Offset
	time  int64
	count int32
	size  int32 // payload bytes
	patch Patch
	crc   uint32
}

func (e *entry) end() Offset { return e.base + Offset(e.count) }

// total is the bytes of header and payload.
func (e *entry) total() int { return entryHeader + int(e.size) }

// putEntry writes all of a header but what Submit knows: base and header CRC.
func putEntry(dst []byte, e *entry) {
	dst[0], dst[1] = byte(opAppend), 0
	le.PutUint16(dst[2:], uint16(e.patch))
	le.PutUint32(dst[4:], uint32(e.size))
	le.PutUint64(dst[8:], uint64(e.log))
	le.PutUint64(dst[24:], uint64(e.time))
	le.PutUint32(dst[32:], uint32(e.count))
	le.PutUint32(dst[36:], e.crc)
}

// sealEntry sets the base offset and the header's CRC.
func sealEntry(p []byte, base Offset, patch Patch) {
	le.PutUint64(p[16:], uint64(base))
	le.PutUint32(p[40:], checksum(p[:40]))
	if patch != 0 {
		binary.BigEndian.PutUint64(p[entryHeader+int(patch)-1:], uint64(base))
	}
}

// parseEntry reads a header and checks its CRC; false means these are no entry.
func parseEntry(p []byte) (e entry, ok bool) {
	if len(p) < entryHeader || p[0] != byte(opAppend) || le.Uint32(p[40:]) != checksum(p[:40]) {
		return entry{}, false
	}
	e = entry{
		patch: Patch(le.Uint16(p[2:])),
		size:  int32(le.Uint32(p[4:])),
		log:   LogID(le.Uint64(p[8:])),
		base:  Offset(le.Uint64(p[16:])),
		time:  int64(le.Uint64(p[24:])),
		count: int32(le.Uint32(p[32:])),
		crc:   le.Uint32(p[36:]),
	}
	return e, e.size >= 0 && e.count > 0 && e.base >= 0
}

// intact says whether the payload carries its checksum, and the base where it
// was patched in.
func (e *entry) intact(payload []byte) bool {
	if int(e.patch)+7 > len(payload) && e.patch != 0 || payloadCRC(payload, e.patch) != e.crc {
		return false
	}
	return e.patch == 0 || e.patched(payload[e.patch-1:])
}

func (e *entry) patched(p []byte) bool { return Offset(binary.BigEndian.Uint64(p)) == e.base }

var eightZeros [8]byte

func payloadCRC(p []byte, patch Patch) uint32 {
	if patch == 0 {
		return checksum(p)
	}
	at := int(patch) - 1
	c := crc32.Update(0, castagnoli, p[:at])
	c = crc32.Update(c, castagnoli, eightZeros[:])
	return crc32.Update(c, castagnoli, p[at+8:])
}
