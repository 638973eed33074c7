package storage

import "fmt"

type opKind uint8

// Operations of a frame's body. Each begins with its kind; numbers are little
// endian. opAppend is an entry (see entry.go); the rest:
//
//	opPut     kind 1, zero 1, key length 2, value length 4, key, value
//	opDelete  kind 1, zero 1, key length 2, zero 4, key
//	others    kind 1, flags 1, zero 6, then 8-byte words: see opWords
const (
	opAppend  opKind = iota + 1
	opPut            // key, value
	opDelete         // key
	opNewLog         // log, segment bytes
	opDropLog        // log
	opTrim           // log, new start
	opExtent         // log, segment base, position, length, first, end, max time
	opNewSet         // set
	opDropSet        // set
	opMark           // set, from, to
)

const opHead = 8

// opWords is how many 8-byte words follow the head.
var opWords = map[opKind]int{
	opNewLog: 2, opDropLog: 1, opTrim: 2, opExtent: 7, opNewSet: 1, opDropSet: 1, opMark: 3,
}

const maxWords = 7

// op is one decoded operation. Slices alias the frame.
type op struct {
	kind       opKind
	entry      entry  // opAppend
	raw        []byte // opAppend: header and payload
	key, value []byte
	words      [maxWords]int64
}

func (o *op) log() LogID { return LogID(o.words[0]) }

func appendWords(dst []byte, k opKind, words ...int64) []byte {
	dst = append(dst, byte(k), 0, 0, 0, 0, 0, 0, 0)
	for _, w := range words {
		dst = le.AppendUint64(dst, uint64(w))
	}
	return dst
}

func appendKeyOp(dst []byte, k opKind, key, value []byte) []byte {
	dst = append(dst, byte(k), 0)
	dst = le.AppendUint16(dst, uint16(len(key)))
	dst = le.AppendUint32(dst, uint32(len(value)))
	dst = append(dst, key...)
	return append(dst, value...)
}

// decodeOp reads the first operation of p and returns the rest.
func decodeOp(p []byte) (o op, rest []byte, err error) {
	if len(p) < opHead {
		return op{}, nil, fmt.Errorf("operation cut short: %d bytes", len(p))
	}
	o.kind = opKind(p[0])
	switch o.kind {
	case opAppend:
		return decodeAppend(p)
	case opPut, opDelete:
		return decodeKeyOp(p)
	}
	n, known := opWords[o.kind]
	if !known || len(p) < opHead+8*n {
		return op{}, nil, fmt.Errorf("operation of kind %d in %d bytes", o.kind, len(p))
	}
	for i := range n {
		o.words[i] = int64(le.Uint64(p[opHead+8*i:]))
	}
	return o, p[opHead+8*n:], nil
}

func decodeAppend(p []byte) (o op, rest []byte, err error) {
	e, ok := parseEntry(p)
	if !ok || len(p) < e.total() {
		return op{}, nil, fmt.Errorf("entry with a bad header in %d bytes", len(p))
	}
	n := e.total()
	return op{kind: opAppend, entry: e, raw: p[:n]}, p[n:], nil
}

func decodeKeyOp(p []byte) (o op, rest []byte, err error) {
	k, v := int(le.Uint16(p[2:])), int(le.Uint32(p[4:]))
	if v > MaxValueBytes || len(p) < opHead+k+v {
		return op{}, nil, fmt.Errorf("key of %d and value of %d bytes in %d", k, v, len(p))
	}
	o = op{kind: opKind(p[0]), key: p[opHead : opHead+k], value: p[opHead+k : opHead+k+v]}
	return o, p[opHead+k+v:], nil
}
