package amqp

import (
	"encoding/binary"
	"unicode/utf8"
)

// A codec walks over the arguments of a method, or the properties of a message: it reads each
// from rest, or appends it to out. A method describes its arguments once for both, as a chain:
//
//	c.shortstr(&m.exchange).shortstr(&m.routingKey).bits(&m.mandatory)
//
// After an error it goes on, and what it has read or written is worth nothing. Encoding only
// looks at the method.
type codec struct {
	reader
	out      []byte
	encoding bool
}

var errUTF8 = errorf(replySyntaxError, "malformed UTF-8 in a short string")

func (c *codec) octet(v *uint8) *codec {
	if c.encoding {
		c.out = append(c.out, *v)
	} else {
		*v = c.reader.octet()
	}
	return c
}

func (c *codec) short(v *uint16) *codec {
	if c.encoding {
		c.out = binary.BigEndian.AppendUint16(c.out, *v)
	} else {
		*v = c.reader.short()
	}
	return c
}

func (c *codec) long(v *uint32) *codec {
	if c.encoding {
		c.out = binary.BigEndian.AppendUint32(c.out, *v)
	} else {
		*v = c.reader.long()
	}
	return c
}

func (c *codec) longlong(v *uint64) *codec {
	if c.encoding {
		c.out = binary.BigEndian.AppendUint64(c.out, *v)
	} else {
		*v = c.reader.longlong()
	}
	return c
}

func (c *codec) timestamp(v *Timestamp) *codec {
	if c.encoding {
		c.out = binary.BigEndian.AppendUint64(c.out, uint64(*v))
	} else {
		*v = Timestamp(c.reader.longlong())
	}
	return c
}

// bits is up to eight flags in one octet, from the lowest bit up. Bits without a flag are ignored.
func (c *codec) bits(flags ...*bool) *codec {
	if !c.encoding {
		packed := c.reader.octet()
		for i, flag := range flags {
			*flag = packed&(1<<i) != 0
		}
		return c
	}
	var packed uint8
	for i, flag := range flags {
		packed |= bit(*flag) << i
	}
	c.out = append(c.out, packed)
	return c
}

// shortstr is any bytes up to 255. A string that already has the value is left as it is: whoever
// decodes into the same struct again allocates only for what has changed.
func (c *codec) shortstr(s *string) *codec {
	if !c.encoding {
		keep(s, c.reader.shortstr())
		return c
	}
	out, err := appendShortstr(c.out, *s)
	if err != nil {
		c.fail(err)
		return c
	}
	c.out = out
	return c
}

// text is a short string that a peer must write in UTF-8. Like RabbitMQ it is asked of every one
// but the routing keys and names that come with messages.
func (c *codec) text(s *string) *codec {
	c.shortstr(s)
	if !c.encoding && !utf8.ValidString(*s) {
		c.fail(errUTF8)
	}
	return c
}

// cutText is text that is cut where it is too long, because it is only for people.
func (c *codec) cutText(s *string) *codec {
	if c.encoding {
		cut := cutShort(*s)
		return c.shortstr(&cut)
	}
	return c.text(s)
}

func (c *codec) longstr(s *string) *codec {
	if c.encoding {
		c.out = appendLongstr(c.out, *s)
	} else {
		keep(s, c.reader.longstr())
	}
	return c
}

func (c *codec) table(t *Table) *codec {
	var err error
	if c.encoding {
		c.out, err = appendTable(c.out, *t)
	} else {
		*t, err = rawTable(c.reader.longstr()).decode()
	}
	if err != nil {
		c.fail(err)
	}
	return c
}

func keep(s *string, b []byte) {
	if *s != string(b) {
		*s = string(b)
	}
}

// The reserved arguments are written as zeros, and read without being looked at.

func (c *codec) reservedShort() *codec {
	var v uint16
	return c.short(&v)
}

func (c *codec) reservedBits() *codec { return c.bits() }

func (c *codec) reservedShortstr() *codec {
	if c.encoding {
		c.out = append(c.out, 0)
	} else {
		c.reader.shortstr()
	}
	return c
}

func (c *codec) reservedLongstr() *codec {
	if c.encoding {
		c.out = append(c.out, 0, 0, 0, 0)
	} else {
		c.reader.longstr()
	}
	return c
}
