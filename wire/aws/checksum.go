package aws

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
)

// SDKs compare these checksums, and take a message whose are wrong for damaged.

func bodyChecksum(body []byte) string {
	sum := md5.Sum(body)
	return hex.EncodeToString(sum[:])
}

// The kinds of values in the checksum of attributes.
const (
	sumText   = 1
	sumBinary = 2
)

// attributesChecksum is over names, types and values in the order of names; "" of none.
func attributesChecksum(attributes map[string]messageAttribute) string {
	if len(attributes) == 0 {
		return ""
	}
	h := md5.New()
	var b []byte
	put := func(s string) {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		a := attributes[name]
		b = b[:0]
		put(name)
		put(a.DataType)
		if a.binary() {
			b = append(b, sumBinary)
			put(string(a.BinaryValue))
		} else {
			b = append(b, sumText)
			put(a.text())
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))
}
