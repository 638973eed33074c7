package storage

import "github.com/tidings-io/tidings/storage/vfs"

const (
	blockSize     = vfs.BlockSize
	formatVersion = 1

	frameMagic  = 0x4d524654 // "TFRM"
	frameHeader = 64
)

type frameKind uint8

const (
	frameData   frameKind = iota + 1
	frameMarker           // no operations: closes the last ambiguity after idleness and at Close
	frameSeal             // the file's last frame; the next file goes on
)

// A frame is the unit of commit, padded with zeros to 4 KiB:
//
//	 0  magic 4   4  version 1   5  kind 1   6  zero 2   8  file epoch 8
//	16  sequence 8   24  time 8 (ms)   32  durableUpTo 8
//	40  body bytes 4   44  body CRC 4   48  zero 12   60  header CRC 4
//	64  body: operations
//
// durableUpTo is the last sequence known to be on the device when this frame
// was written: a valid frame with durableUpTo >= s proves that frame s was
// acknowledged, and so that a bad frame s is damage and not a torn tail.
type frameInfo struct {
	kind    frameKind
	epoch   uint64
	seq     Seq
	time    int64
	durable Seq
	body    int
	crc     uint32
}

func (f *frameInfo) total() int { return roundUp(frameHeader + f.body) }

func roundUp(n int) int { return (n + blockSize - 1) &^ (blockSize - 1) }

// putFrame completes a frame whose body stands at p[frameHeader:]; p has total bytes.
func putFrame(p []byte, f *frameInfo) {
	body := p[frameHeader : frameHeader+f.body]
	clear(p[:frameHeader])
	clear(p[frameHeader+f.body:])
	le.PutUint32(p[0:], frameMagic)
	p[4], p[5] = formatVersion, byte(f.kind)
	le.PutUint64(p[8:], f.epoch)
	le.PutUint64(p[16:], uint64(f.seq))
	le.PutUint64(p[24:], uint64(f.time))
	le.PutUint64(p[32:], uint64(f.durable))
	le.PutUint32(p[40:], uint32(f.body))
	le.PutUint32(p[44:], checksum(body))
	le.PutUint32(p[60:], checksum(p[:60]))
}

// parseFrame reads a frame's header; false means that none starts here.
func parseFrame(p []byte) (f frameInfo, ok bool) {
	if len(p) < frameHeader || le.Uint32(p) != frameMagic || p[4] != formatVersion ||
		le.Uint32(p[60:]) != checksum(p[:60]) {
		return frameInfo{}, false
	}
	return frameInfo{
		kind:    frameKind(p[5]),
		epoch:   le.Uint64(p[8:]),
		seq:     Seq(le.Uint64(p[16:])),
		time:    int64(le.Uint64(p[24:])),
		durable: Seq(le.Uint64(p[32:])),
		body:    int(le.Uint32(p[40:])),
		crc:     le.Uint32(p[44:]),
	}, true
}
