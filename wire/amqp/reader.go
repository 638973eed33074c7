package amqp

import "encoding/binary"

// A reader takes values off the front of bytes. After an error it is empty and returns zeros, so
// that a caller can read a whole structure and ask once. Every error is an *Error.
type reader struct {
	rest []byte
	err  error
}

var (
	errShort    = errorf(replySyntaxError, "arguments end early")
	errTrailing = errorf(replySyntaxError, "arguments have octets behind their end")
)

// end returns what went wrong. Bytes that are left are an error too.
func (r *reader) end() error {
	if len(r.rest) > 0 {
		r.fail(errTrailing)
	}
	return r.err
}

// fail ends the reading. The first error stays.
func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

// take returns the next n bytes where they lie, or nil if they are not there.
func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.fail(errShort)
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) octet() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) short() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) long() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) longlong() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// shortstr returns a short string where it lies.
func (r *reader) shortstr() []byte { return r.take(int(r.octet())) }

// longstr returns a long string where it lies. Tables and arrays travel inside of one.
func (r *reader) longstr() []byte { return r.take(int(r.long())) }
