package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// request is one request: its header, and when it arrived.
type request struct {
	key, version  int16
	correlation   int32
	client        string // client id, "" for none
	arrived       time.Time
	size          int  // of a decoded body, in bytes: what its names and strings hold at most
	flexible      bool // compact lengths and tagged fields, in the body as well
	flexibleReply bool // the response header has tagged fields
}

// minHeader is the smallest request header: key, version, correlation id.
const minHeader = 8

// maxClientID is how much of a client's id is looked at, in bytes. Groups keep it.
const maxClientID = 255

var errUnsupported = errors.New("request is not served")

// readHeader reads the header of the frame that has begun. Everything after the correlation id
// depends on key and version, and is only read if they are served.
func readHeader(f *frames) (*request, *entry, error) {
	head := f.take(minHeader)
	if head == nil {
		return nil, nil, f.err
	}
	r := &request{
		key:         int16(binary.BigEndian.Uint16(head)),
		version:     int16(binary.BigEndian.Uint16(head[2:])),
		correlation: int32(binary.BigEndian.Uint32(head[4:])),
		arrived:     time.Now(),
	}
	e := lookup(r.key)
	if e == nil {
		return nil, nil, fmt.Errorf("%w: key %d", errUnsupported, r.key)
	}
	if r.version < e.Min || r.version > e.Max {
		if r.key == keyAPIVersions {
			return r, e, nil // answered with what is served, whatever follows (KIP-511)
		}
		return nil, nil, fmt.Errorf("%w: %s version %d", errUnsupported, e.Name, r.version)
	}
	r.flexible = r.version >= e.shape.flexible
	// KIP-511: a client that knows no version of the server must understand this response.
	r.flexibleReply = r.flexible && r.key != keyAPIVersions
	return r, e, r.readRest(f)
}

// readRest reads the client id, which stays an old-style string in every version, and the
// tagged fields of a flexible header.
func (r *request) readRest(f *frames) error {
	if n := f.stringLen(false); n != -1 {
		id := f.take(n)
		r.client = string(id[:min(len(id), maxClientID)])
	}
	if r.flexible {
		f.tags()
	}
	return f.err
}

// decode checks a body against its shape and decodes it. What is returned points into body.
func (r *request) decode(e *entry, body []byte, limit int) (kmsg.Request, error) {
	if err := e.shape.check(body, r.version, limit); err != nil {
		return nil, fmt.Errorf("%s version %d: %w", e.Name, r.version, err)
	}
	q := kmsg.RequestForKey(r.key)
	q.SetVersion(r.version)
	if err := q.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("%s version %d: %w", e.Name, r.version, err)
	}
	return q, nil
}

// appendHead appends the length, still zero, and the response header.
func (r *request) appendHead(dst []byte) []byte {
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.correlation))
	if r.flexibleReply {
		dst = append(dst, 0)
	}
	return dst
}

// appendResponse appends a whole response frame.
func (r *request) appendResponse(dst []byte, resp kmsg.Response) []byte {
	start := len(dst)
	dst = resp.AppendTo(r.appendHead(dst))
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-lengthBytes))
	return dst
}
