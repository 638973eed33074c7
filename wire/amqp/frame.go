package amqp

import (
	"encoding/binary"
	"errors"
	"math"
)

// Protocol headers, the first bytes of a connection. They name the version, in no order that
// would survive a comparison.
const (
	protocolHeader    = "AMQP\x00\x00\x09\x01" // 0-9-1: accepted, and the answer to anything else
	protocolHeader090 = "AMQP\x01\x01\x00\x09" // 0-9: close enough; RabbitMQ accepts it too
)

// speaks says whether a connection that begins with header can be served.
func speaks(header []byte) bool {
	return string(header) == protocolHeader || string(header) == protocolHeader090
}

const (
	frameMethod    byte = 1
	frameHeader    byte = 2
	frameBody      byte = 3
	frameHeartbeat byte = 8
	frameEnd       byte = 0xCE

	// minFrameMax is the smallest frame-max that may be negotiated. Until then it is the limit.
	minFrameMax = 4096
	// frameOverhead is the part of frame-max that is not payload.
	frameOverhead   = frameHeadBytes + 1
	frameHeadBytes  = 7
	frameSizeOffset = 3
)

// A frame is what both sides send. The payload of a parsed one lies in the buffer it came from.
type frame struct {
	kind    byte
	channel uint16
	payload []byte
}

// errMore says that the buffer ends before the frame does.
var errMore = errors.New("frame is incomplete")

// parseFrame returns the frame at the beginning of buf and the n bytes it takes there. With
// errMore, n is how long buf must be for the next attempt to get further: the caller may make
// room for it, because size, kind and channel have been checked by then. Every other error is an
// *Error, and nothing behind it can be understood.
//
// limit is the negotiated frame-max, never 0. Like RabbitMQ, parseFrame lets a frame exceed it by
// the overhead, because clients forget to subtract that: n is at most limit+frameOverhead.
func parseFrame(buf []byte, limit uint32) (f frame, n int, err error) {
	if len(buf) < frameHeadBytes {
		return frame{}, frameHeadBytes, errMore
	}
	f.kind, f.channel = buf[0], binary.BigEndian.Uint16(buf[1:])
	size := binary.BigEndian.Uint32(buf[frameSizeOffset:])
	if err := checkFrame(f, size, limit); err != nil {
		return frame{}, 0, err
	}
	n = int(size) + frameOverhead
	if len(buf) < n {
		return frame{}, n, errMore
	}
	if end := buf[n-1]; end != frameEnd {
		return frame{}, 0, errorf(replyFrameError, "frame ends with octet %d", end)
	}
	f.payload = buf[frameHeadBytes : n-1 : n-1]
	return f, n, nil
}

// checkFrame judges a frame by its head.
func checkFrame(f frame, size, limit uint32) error {
	switch f.kind {
	case frameMethod, frameHeader, frameBody:
	case frameHeartbeat:
		if f.channel != 0 {
			return errorf(replyUnexpectedFrame, "heartbeat on channel %d", f.channel)
		}
		if size != 0 {
			return errorf(replyFrameError, "heartbeat with a payload of %d octets", size)
		}
	default:
		return errorf(replyFrameError, "unknown frame type %d", f.kind)
	}
	if size > min(limit, math.MaxInt32-frameOverhead) {
		return errorf(replyFrameError, "frame of %d octets, the limit is %d", size, limit)
	}
	return nil
}

// beginFrame appends the head of a frame whose payload is appended next. endFrame must follow.
func beginFrame(dst []byte, kind byte, channel uint16) []byte {
	return append(dst, kind, byte(channel>>8), byte(channel), 0, 0, 0, 0)
}

// endFrame ends the frame that begins at dst[start:].
func endFrame(dst []byte, start int) []byte {
	size := len(dst) - start - frameHeadBytes
	binary.BigEndian.PutUint32(dst[start+frameSizeOffset:], uint32(size))
	return append(dst, frameEnd)
}

// appendFrame appends f.
func appendFrame(dst []byte, f frame) []byte {
	start := len(dst)
	dst = beginFrame(dst, f.kind, f.channel)
	dst = append(dst, f.payload...)
	return endFrame(dst, start)
}

// appendBody appends a body in as many frames as limit, the negotiated frame-max, demands. An
// empty body has none.
func appendBody(dst []byte, channel uint16, body []byte, limit uint32) []byte {
	most := int(limit) - frameOverhead
	for len(body) > 0 {
		n := min(len(body), most)
		dst = appendFrame(dst, frame{kind: frameBody, channel: channel, payload: body[:n]})
		body = body[n:]
	}
	return dst
}
