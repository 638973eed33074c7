package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// request is one request: its header, its body, and when it arrived.
type request struct {
	key, version  int16
	correlation   int32
	client        string // client id, "" for none
	body          []byte // encoded; valid while the handler runs
	arrived       time.Time
	flexibleReply bool // the response header has tagged fields
}

// minHeader is the smallest request header: key, version, correlation id.
const minHeader = 8

var (
	errHeader      = errors.New("bad request header")
	errUnsupported = errors.New("request is not served")
)

// parseRequest reads a frame's header. Everything after the correlation id depends on key and
// version, and is only read if they are served.
func parseRequest(frame []byte, arrived time.Time) (request, *entry, error) {
	r := request{
		key:         int16(binary.BigEndian.Uint16(frame)),
		version:     int16(binary.BigEndian.Uint16(frame[2:])),
		correlation: int32(binary.BigEndian.Uint32(frame[4:])),
		arrived:     arrived,
	}
	e := lookup(r.key)
	if e == nil {
		return r, nil, fmt.Errorf("%w: key %d", errUnsupported, r.key)
	}
	if r.version < e.Min || r.version > e.Max {
		if r.key == keyAPIVersions {
			return r, e, nil // answered with what is served, whatever follows (KIP-511)
		}
		return r, nil, fmt.Errorf("%w: %s version %d", errUnsupported, e.Name, r.version)
	}
	flexible := r.version >= e.shape.flexible
	// KIP-511: a client that knows no version of the server must understand this response.
	r.flexibleReply = flexible && r.key != keyAPIVersions
	return r, e, r.readRest(frame[minHeader:], flexible)
}

// readRest reads the client id, which stays an old-style string in every version, and the
// tagged fields of a flexible header.
func (r *request) readRest(b []byte, flexible bool) error {
	w := walk{rest: b, left: maxHeaderTags}
	n := w.stringLen()
	if n >= 0 {
		r.client = string(w.skip(n))
	}
	if flexible {
		w.tags(nil)
	}
	if w.err != nil || n < -1 {
		return errHeader
	}
	r.body = w.rest
	return nil
}

const maxHeaderTags = 64

// decode checks the body against its shape and decodes it.
func (r *request) decode(e *entry, limit int) (kmsg.Request, error) {
	if err := e.shape.check(r.body, r.version, limit); err != nil {
		return nil, fmt.Errorf("%s version %d: %w", e.Name, r.version, err)
	}
	body := kmsg.RequestForKey(r.key)
	body.SetVersion(r.version)
	if err := body.ReadFrom(r.body); err != nil {
		return nil, fmt.Errorf("%s version %d: %w", e.Name, r.version, err)
	}
	return body, nil
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
