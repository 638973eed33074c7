package amqp

import (
	"encoding/binary"
	"math/bits"
)

// A propertyFlag says that a property is present. The properties follow the flags in this order,
// from the highest bit down.
type propertyFlag uint16

const (
	hasContentType propertyFlag = 1 << (15 - iota)
	hasContentEncoding
	hasHeaders
	hasDeliveryMode
	hasPriority
	hasCorrelationID
	hasReplyTo
	hasExpiration
	hasMessageID
	hasTimestamp
	hasType
	hasUserID
	hasAppID
	hasClusterID
	// hasUnknown is a property after all that are known.
	hasUnknown
	// hasMoreFlags is another word of flags after this one.
	hasMoreFlags
)

const (
	knownProperties = 14
	knownFlags      = ^(hasUnknown | hasMoreFlags)
	// persistent is the delivery mode of messages that survive a restart.
	persistent = 2
)

// A propertyIndex knows where each property lies in the bytes of a content header, which it
// shares. It is a value, and nothing in it allocates.
//
// Brokers pass properties on as they came, so it also lets through what the specification leaves
// room for and nobody uses: further words of flags, and at the end of the list the properties
// they stand for, whose types cannot be known.
type propertyIndex struct {
	raw   []byte
	flags propertyFlag // of the first word
	// starts[i] is where property i begins, and the one before it ends. What is absent is empty.
	starts [knownProperties + 1]uint32
}

// indexProperties walks over flags and properties, as they lie in a content header. What passes
// can be decoded, the headers table included.
func indexProperties(raw []byte) (propertyIndex, error) {
	x := propertyIndex{raw: raw}
	r := reader{rest: raw}
	unknown := x.readFlags(&r)
	for i := range knownProperties {
		x.starts[i] = uint32(len(raw) - len(r.rest))
		if flag := hasContentType >> i; x.flags&flag != 0 {
			skipProperty(&r, flag)
		}
	}
	x.starts[knownProperties] = uint32(len(raw) - len(r.rest))
	if unknown {
		r.rest = nil
	}
	if err := r.end(); err != nil {
		return propertyIndex{}, err
	}
	return x, nil
}

// readFlags reads all words of flags, and says whether there are any that are not known.
func (x *propertyIndex) readFlags(r *reader) (unknown bool) {
	word := propertyFlag(r.short())
	x.flags = word
	unknown = word&hasUnknown != 0
	for word&hasMoreFlags != 0 {
		word = propertyFlag(r.short())
		unknown = unknown || word&^hasMoreFlags != 0
	}
	return unknown
}

// skipProperty steps over a property that is present.
func skipProperty(r *reader, flag propertyFlag) {
	switch flag {
	case hasHeaders:
		if err := rawTable(r.longstr()).check(); err != nil {
			r.fail(err)
		}
	case hasDeliveryMode, hasPriority:
		r.take(1)
	case hasTimestamp:
		r.take(8)
	default:
		r.shortstr()
	}
}

// headers is the contents of the headers table, nil if there is none.
func (x *propertyIndex) headers() rawTable {
	const lengthBytes = 4
	if span := x.span(hasHeaders); span != nil {
		return rawTable(span[lengthBytes:])
	}
	return nil
}

// deliveryMode and priority are 0 if there is none. Every mode but persistent is transient.
func (x *propertyIndex) deliveryMode() uint8 { return x.octet(hasDeliveryMode) }
func (x *propertyIndex) priority() uint8     { return x.octet(hasPriority) }

// replyTo, expiration and userID are nil if there is none.
func (x *propertyIndex) replyTo() []byte    { return x.shortstr(hasReplyTo) }
func (x *propertyIndex) expiration() []byte { return x.shortstr(hasExpiration) }
func (x *propertyIndex) userID() []byte     { return x.shortstr(hasUserID) }

func (x *propertyIndex) octet(flag propertyFlag) uint8 {
	if span := x.span(flag); span != nil {
		return span[0]
	}
	return 0
}

func (x *propertyIndex) shortstr(flag propertyFlag) []byte {
	if span := x.span(flag); span != nil {
		return span[1:]
	}
	return nil
}

// span is the bytes of a property, its length included, nil if it is absent.
func (x *propertyIndex) span(flag propertyFlag) []byte {
	if x.flags&flag == 0 {
		return nil
	}
	i := bits.LeadingZeros16(uint16(flag))
	return x.raw[x.starts[i]:x.starts[i+1]]
}

// Properties are the properties of a message, taken apart in order to be looked at or changed.
// A field means something only if its flag is in present; an empty string can be present too.
type Properties struct {
	present propertyFlag

	ContentType     string
	ContentEncoding string
	Headers         Table
	DeliveryMode    uint8
	Priority        uint8
	CorrelationID   string
	ReplyTo         string
	Expiration      string // milliseconds, in decimal
	MessageID       string
	Timestamp       Timestamp
	Type            string
	UserID          string
	AppID           string
	ClusterID       string
}

// parseProperties decodes flags and properties, as they lie in a content header. Unknown
// properties are left out.
func parseProperties(raw []byte) (Properties, error) {
	x, err := indexProperties(raw)
	if err != nil {
		return Properties{}, err
	}
	p := Properties{present: x.flags & knownFlags}
	c := codec{reader: reader{rest: raw[x.starts[0]:]}}
	p.fields(&c)
	return p, c.err
}

// append appends flags and properties. It returns dst as it came if a string is too long, or if
// a table has a value that cannot travel.
func (p *Properties) append(dst []byte) ([]byte, error) {
	out := binary.BigEndian.AppendUint16(dst, uint16(p.present&knownFlags))
	c := codec{out: out, encoding: true}
	p.fields(&c)
	if c.err != nil {
		return dst, c.err
	}
	return c.out, nil
}

func (p *Properties) has(flag propertyFlag) bool { return p.present&flag != 0 }

func (p *Properties) fields(c *codec) {
	p.shortstr(c, hasContentType, &p.ContentType)
	p.shortstr(c, hasContentEncoding, &p.ContentEncoding)
	if p.has(hasHeaders) {
		c.table(&p.Headers)
	}
	if p.has(hasDeliveryMode) {
		c.octet(&p.DeliveryMode)
	}
	if p.has(hasPriority) {
		c.octet(&p.Priority)
	}
	p.shortstr(c, hasCorrelationID, &p.CorrelationID)
	p.shortstr(c, hasReplyTo, &p.ReplyTo)
	p.shortstr(c, hasExpiration, &p.Expiration)
	p.shortstr(c, hasMessageID, &p.MessageID)
	if p.has(hasTimestamp) {
		c.timestamp(&p.Timestamp)
	}
	p.shortstr(c, hasType, &p.Type)
	p.shortstr(c, hasUserID, &p.UserID)
	p.shortstr(c, hasAppID, &p.AppID)
	p.shortstr(c, hasClusterID, &p.ClusterID)
}

func (p *Properties) shortstr(c *codec, flag propertyFlag, s *string) {
	if p.has(flag) {
		c.shortstr(s)
	}
}
