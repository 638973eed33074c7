package broker

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// QueueRecord is one record of a queue. It keeps the properties that its protocol
// gave it byte by byte, so that nothing is lost between a publisher and a consumer
// of the same protocol; what the engine needs of them stands beside them.
type QueueRecord struct {
	// Exchange and Key are where and with what routing key it was published.
	Exchange, Key string
	// CC and BCC are further routing keys; BCC is not kept.
	CC, BCC  []string
	Time     time.Time // of the publish, in milliseconds; zero when published: now
	Expires  time.Time // zero: never
	Priority uint8     // only meaningful in queues with priorities
	// Group is which records of a grouped queue it belongs with, at most MaxGroup bytes;
	// records without one are a group too. It is kept.
	Group string
	// Transient asks for no more than the memory: the record is gone after a restart.
	Transient bool
	// Delay is how long queues that get it do not have it ready; nil: as they say. It is
	// not kept.
	Delay *time.Duration
	// Once has queues with QueueSettings.Once take no second one; nil: they take it in any
	// case. It is not kept, and means nothing for Move, PublishAt and dead letters.
	Once *Once
	// Deaths are the ways the record left queues before this one, newest first.
	Deaths []Death
	// Format says which protocol encoded Props; 0 where there are none.
	Format PropsFormat
	Props  []byte
	Body   []byte
}

// MaxGroup is how long the group of a record may be, in bytes.
const MaxGroup = 128

// PropsFormat says how QueueRecord.Props is encoded. The numbers are on disk.
type PropsFormat uint8

// The formats of properties.
const (
	NoProps     PropsFormat = iota
	PropsAMQP               // the property flags and list of an AMQP 0-9-1 content header
	PropsSQS                // what wire/aws says of a message beside its body
	PropsSNS                // what wire/aws/notify says of a post to a subscriber
	PropsNotice             // what wire/aws says of what is published to a topic of SNS
)

// PropsReader reads the properties of one format. What cannot be read is absent.
type PropsReader interface {
	// Headers returns the record's headers.
	Headers(props []byte) Args
	// Property returns one property by its name, "message_id", or "".
	Property(props []byte, name string) string
	// Properties returns all properties that are present, by the names that their
	// protocol gives them; headers are Args.
	Properties(props []byte) Args
	// Delay is how long an exchange that holds records back is to keep this one; 0, or
	// less: not at all.
	Delay(props []byte) time.Duration
	// Delayed returns properties that say so of a record that was held back, and ask for
	// no further delay.
	Delayed(props []byte) []byte
	// TopicHeaders returns the headers of the record that rec becomes in a topic. Its key,
	// value and time are the engine's.
	TopicHeaders(rec *QueueRecord) []Header
	// Crossing returns what readers of other protocols get of a record beside its body:
	// properties and headers alike, under the names that they have as headers of a topic.
	// Values are text, bytes, numbers, booleans, times or nil.
	Crossing(rec *QueueRecord) Args
}

// Properties returns all properties of a record of a queue by their names, its group as
// group_id; none where Config.Props has no reader for its format.
func (b *Broker) Properties(r *QueueRecord) Args {
	reader := b.config.Props[r.Format]
	if reader == nil {
		return nil
	}
	all := reader.Properties(r.Props)
	if r.Group != "" {
		all = append(all, Arg{Name: "group_id", Value: r.Group})
	}
	return all
}

// Crossing is what PropsReader.Crossing says of a record; none where Config.Props has no
// reader for its format. Its group is not among it.
func (b *Broker) Crossing(r *QueueRecord) Args {
	if reader := b.config.Props[r.Format]; reader != nil {
		return reader.Crossing(r)
	}
	return nil
}

// Properties is Broker.Properties, for who has a queue in hand; so is Crossing.
func (q *Queue) Properties(r *QueueRecord) Args { return q.b.Properties(r) }

// Crossing is Broker.Crossing.
func (q *Queue) Crossing(r *QueueRecord) Args { return q.b.Crossing(r) }

// Death is why, how often and where a record left a queue without being accepted.
type Death struct {
	Reason   DeathReason
	Queue    string
	Count    int64
	Time     time.Time // of the first; no two of a record are equal
	Exchange string    // that it had been published to
	Keys     []string  // that it had been published with
	// Expiration is the time to live that the publisher had given it; negative: none.
	Expiration time.Duration
	// Receives is how often Receive had handed it out there, before this death and those
	// that it counts, and FirstReceive when it first did; 0 where it never had.
	Receives     uint32
	FirstReceive time.Time
}

// DeathReason is why a record was dead-lettered. The numbers are on disk.
type DeathReason uint8

// The reasons of RabbitMQ's x-death.
const (
	Rejected DeathReason = iota + 1
	Expired
	MaxLength
	DeliveryLimit
)

var deathReasons = [...]string{
	Rejected: "rejected", Expired: "expired", MaxLength: "maxlen", DeliveryLimit: "delivery_limit",
}

// String returns the word that RabbitMQ uses: "maxlen".
func (r DeathReason) String() string {
	if r == 0 || int(r) >= len(deathReasons) {
		return fmt.Sprintf("reason %d", uint8(r))
	}
	return deathReasons[r]
}

// An entry of a queue's log, see docs/format-broker.md:
//
//	format 1, flags 1, time varint, [start 8 if transient], [expires varint],
//	[priority 1], [group string], exchange string, key string, [cc strings], props format 1,
//	props bytes, [deaths], body: the rest
const (
	recordTransient = 1 << iota
	recordExpires
	recordPriority
	recordDeaths
	recordCC
	recordGrouped
	recordFlags // beyond all of them
)

// appendTo encodes the record. start is the number of this start of the broker,
// which tells a transient record of an earlier one.
func (r *QueueRecord) appendTo(dst []byte, start uint64) []byte {
	flags := byte(0)
	set := func(flag byte, on bool) bool {
		if on {
			flags |= flag
		}
		return on
	}
	at := len(dst) + 1
	dst = append(dst, valueVersion, 0)
	dst = binary.AppendVarint(dst, r.Time.UnixMilli())
	if set(recordTransient, r.Transient) {
		dst = binary.BigEndian.AppendUint64(dst, start)
	}
	if set(recordExpires, !r.Expires.IsZero()) {
		dst = binary.AppendVarint(dst, r.Expires.UnixMilli())
	}
	if set(recordPriority, r.Priority > 0) {
		dst = append(dst, r.Priority)
	}
	if set(recordGrouped, r.Group != "") {
		dst = appendString(dst, r.Group)
	}
	dst = appendString(appendString(dst, r.Exchange), r.Key)
	if set(recordCC, len(r.CC) > 0) {
		dst = appendStrings(dst, r.CC)
	}
	dst = append(dst, byte(r.Format))
	dst = append(binary.AppendUvarint(dst, uint64(len(r.Props))), r.Props...)
	if set(recordDeaths, len(r.Deaths) > 0) {
		dst = appendDeaths(dst, r.Deaths)
	}
	dst[at] = flags
	return append(dst, r.Body...)
}

// sizeBound is at least the length of the encoded record.
func (r *QueueRecord) sizeBound() int {
	n := 64 + len(r.Exchange) + len(r.Key) + len(r.Group) + len(r.Props) + len(r.Body)
	for _, k := range r.CC {
		n += len(k) + binary.MaxVarintLen64
	}
	for i := range r.Deaths {
		d := &r.Deaths[i]
		n += 80 + len(d.Queue) + len(d.Exchange)
		for _, k := range d.Keys {
			n += len(k) + binary.MaxVarintLen64
		}
	}
	return n
}

func appendDeaths(dst []byte, deaths []Death) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(deaths)))
	for i := range deaths {
		d := &deaths[i]
		reason := byte(d.Reason)
		if d.Receives > 0 {
			reason |= deathReceived
		}
		dst = append(dst, reason)
		dst = appendString(dst, d.Queue)
		dst = binary.AppendVarint(dst, d.Count)
		dst = binary.AppendVarint(dst, d.Time.UnixMilli())
		dst = appendString(dst, d.Exchange)
		dst = appendStrings(dst, d.Keys)
		dst = binary.AppendVarint(dst, int64(d.Expiration))
		if d.Receives > 0 {
			dst = binary.AppendUvarint(dst, uint64(d.Receives))
			dst = binary.AppendVarint(dst, d.FirstReceive.UnixMilli())
		}
	}
	return dst
}

// deathReceived is a bit of the reason: how often the record was received follows.
const deathReceived = 0x80

// decodeQueueRecord reads an entry. Props and Body point into it. lost says that
// the record was transient and of an earlier start.
func decodeQueueRecord(entry []byte, start uint64) (r QueueRecord, lost bool, err error) {
	d := newDecoder(entry)
	flags := d.byte()
	r.Time = timeOf(d.varint())
	if r.Transient = flags&recordTransient != 0; r.Transient {
		lost = d.uint64() != start
	}
	if flags&recordExpires != 0 {
		r.Expires = timeOf(d.varint())
	}
	if flags&recordPriority != 0 {
		r.Priority = d.byte()
	}
	if flags&recordGrouped != 0 {
		r.Group = d.string()
	}
	r.Exchange, r.Key = d.string(), d.string()
	if flags&recordCC != 0 {
		r.CC = d.strings()
	}
	r.Format = PropsFormat(d.byte())
	r.Props = d.view()
	if flags&recordDeaths != 0 {
		r.Deaths = decodeDeaths(d)
	}
	r.Body, d.b = d.b, nil
	if err := d.end("queue record"); err != nil {
		return QueueRecord{}, false, err
	}
	if flags >= recordFlags {
		return QueueRecord{}, false, fmt.Errorf("queue record has flags %x: %w", flags, storage.ErrFormat)
	}
	return r, lost, nil
}

// lostAtRestart says whether a record is transient and of an earlier start.
func lostAtRestart(entry []byte, start uint64) bool {
	d := newDecoder(entry)
	flags := d.byte()
	d.varint()
	return flags&recordTransient != 0 && d.uint64() != start && !d.bad
}

// groupOf reads the group of an entry, and whether a restart took it.
func groupOf(entry []byte, start uint64) (group []byte, lost bool, err error) {
	d := newDecoder(entry)
	flags := d.byte()
	d.varint()
	if flags&recordTransient != 0 {
		lost = d.uint64() != start
	}
	if flags&recordExpires != 0 {
		d.varint()
	}
	if flags&recordPriority != 0 {
		d.byte()
	}
	if flags&recordGrouped != 0 {
		group = d.view()
	}
	d.b = nil
	return group, lost, d.end("queue record")
}

func decodeDeaths(d *decoder) []Death {
	deaths := make([]Death, d.count())
	for i := range deaths {
		x := &deaths[i]
		reason := d.byte()
		x.Reason = DeathReason(reason &^ deathReceived)
		x.Queue = d.string()
		x.Count = d.varint()
		x.Time = timeOf(d.varint())
		x.Exchange = d.string()
		x.Keys = d.strings()
		x.Expiration = time.Duration(d.varint())
		if reason&deathReceived != 0 {
			x.Receives, x.FirstReceive = uint32(d.uvarint()), timeOf(d.varint())
		}
	}
	return deaths
}
