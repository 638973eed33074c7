package tidings

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// NewID is a UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds, then random ones.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	random := binary.BigEndian.Uint16(b[6:])
	binary.BigEndian.PutUint64(b[:], uint64(time.Now().UnixMilli())<<16|uint64(random))
	return uuid(b, 7)
}

// namespace is that of DerivedID, drawn once.
const namespace = "\x6b\xd1\x0c\x7e\x3a\x52\x4f\x06\x9c\x4e\x0d\x25\x71\xb8\xee\x93"

// DerivedID is a UUIDv5 (RFC 9562, section 5.5) of some texts: equal ones have equal ids. It is
// for what a handler publishes and must publish again as the same when it runs again.
func DerivedID(from ...string) string {
	h := sha1.New()
	h.Write([]byte(namespace))
	for _, text := range from { // with its length, so that no two lists are one text
		h.Write(binary.AppendUvarint(nil, uint64(len(text))))
		h.Write([]byte(text))
	}
	return uuid([16]byte(h.Sum(nil)), 5)
}

// uuid is the text of a UUID with its version and variant set.
func uuid(b [16]byte, version byte) string {
	b[6] = b[6]&0x0f | version<<4
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[:], b[:4])
	hex.Encode(s[9:], b[4:6])
	hex.Encode(s[14:], b[6:8])
	hex.Encode(s[19:], b[8:10])
	hex.Encode(s[24:], b[10:])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
