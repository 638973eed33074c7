package amqp

import "encoding/binary"

const (
	basicClass       = 60
	contentHeadBytes = 12 // class, weight, body size
)

// A contentHeader announces the body of a message.
type contentHeader struct {
	bodySize   uint64 // as the peer says; nothing limits it yet
	properties []byte // flags and properties, see indexProperties
}

// parseContentHeader reads the payload of a header frame and shares its bytes. It does not look
// into the properties.
func parseContentHeader(payload []byte) (contentHeader, error) {
	if len(payload) < contentHeadBytes+2 {
		return contentHeader{}, errorf(replyFrameError, "content header of %d octets", len(payload))
	}
	class := binary.BigEndian.Uint16(payload)
	weight := binary.BigEndian.Uint16(payload[2:])
	if class != basicClass || weight != 0 {
		return contentHeader{}, errorf(replyUnexpectedFrame,
			"expected content header for class %d, got one for class %d with weight %d instead",
			basicClass, class, weight)
	}
	return contentHeader{
		bodySize:   binary.BigEndian.Uint64(payload[4:]),
		properties: payload[contentHeadBytes:],
	}, nil
}

// appendContentHeader appends a header frame.
func appendContentHeader(dst []byte, channel uint16, h contentHeader) []byte {
	start := len(dst)
	dst = beginFrame(dst, frameHeader, channel)
	dst = append(dst, 0, basicClass, 0, 0)
	dst = binary.BigEndian.AppendUint64(dst, h.bodySize)
	dst = append(dst, h.properties...)
	return endFrame(dst, start)
}
