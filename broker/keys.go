package broker

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/tidings-io/tidings/storage"
)

// Everything the broker must remember besides records is a key of the store. The
// first byte names the family; docs/format-broker.md is the reference. Every
// value starts with a version, so that an older program refuses what it would
// misread.
const (
	familySchedule        = 'A' // namespace, exchange: the logs of what is to be published later
	familyBroker          = 'B' // the broker's identity
	familyCatalog         = 'C' // kind, namespace, name: topics, groups, event stores
	familyProducerID      = 'N' // the first producer id not yet reserved
	familyDeliveries      = 'D' // log, offset: how often a returned record was delivered
	familyTopicPermission = 'E' // namespace, user, exchange
	familyFact            = 'F' // space, key: what a protocol face remembers
	familyTransient       = 'G' // log: where records that a restart takes may begin
	familyDelays          = 'Q' // namespace, queue: the logs of what it has ready later
	familyGrouped         = 'M' // log: its records take turns by their groups
	familyHanded          = 'H' // log: how far its records may have been handed out
	familyLink            = 'K' // namespace, topic, destination, key
	familyBinding         = 'L' // namespace, exchange, destination, key, hash of arguments
	familyCursor          = 'O' // namespace, group, topic id, partition
	familyProducer        = 'P' // log, producer id
	familyPermission      = 'R' // namespace, user
	familyStream          = 'S' // log, stream name, block
	familyTrash           = 'T' // a dropped log whose stream index is being deleted
	familyUser            = 'U' // name; alone: there has been a user
	familyNamespace       = 'V' // name
	familyPolicy          = 'Y' // operator or not, namespace, name
)

// valueVersion is the format of every value this program writes.
const valueVersion = 1

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendStrings(dst []byte, all []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(all)))
	for _, s := range all {
		dst = appendString(dst, s)
	}
	return dst
}

func catalogKey(n Name) []byte {
	key := append([]byte{familyCatalog}, byte(n.Kind))
	return appendString(appendString(key, n.Namespace), n.Name)
}

func decodeCatalogKey(key []byte) (Name, error) {
	d := decoder{b: key[1:]}
	n := Name{Kind: Kind(d.byte()), Namespace: d.string(), Name: d.string()}
	return n, d.end("catalog key")
}

// cursorPrefix is the key of a group's cursors up to the topic.
func cursorPrefix(group Name) []byte {
	return appendString(appendString([]byte{familyCursor}, group.Namespace), group.Name)
}

func appendCursorKey(prefix []byte, at cursorAt) []byte {
	prefix = append(prefix, at.topic[:]...)
	return binary.BigEndian.AppendUint32(prefix, uint32(at.partition))
}

func decodeCursorKey(key []byte) (group Name, at cursorAt, err error) {
	d := decoder{b: key[1:]}
	group = Name{Kind: KindGroup, Namespace: d.string(), Name: d.string()}
	copy(at.topic[:], d.take(len(at.topic)))
	at.partition = int32(d.uint32())
	return group, at, d.end("cursor key")
}

func appendProducerKey(dst []byte, log storage.LogID, id int64) []byte {
	dst = append(dst, familyProducer)
	dst = binary.BigEndian.AppendUint64(dst, uint64(log))
	return binary.BigEndian.AppendUint64(dst, uint64(id))
}

func decodeProducerKey(key []byte) (log storage.LogID, id int64, err error) {
	d := decoder{b: key[1:]}
	log, id = storage.LogID(d.uint64()), int64(d.uint64())
	return log, id, d.end("producer key")
}

// headBlock is the number under which a stream's unfinished block is kept.
const headBlock = math.MaxUint32

func streamPrefix(log storage.LogID) []byte {
	return binary.BigEndian.AppendUint64([]byte{familyStream}, uint64(log))
}

// streamKey is unambiguous although the name has no length before it: all other
// parts have a fixed one.
func streamKey(log storage.LogID, stream string, block uint32) []byte {
	key := append(streamPrefix(log), stream...)
	return binary.BigEndian.AppendUint32(key, block)
}

func trashKey(log storage.LogID) []byte {
	return binary.BigEndian.AppendUint64([]byte{familyTrash}, uint64(log))
}

// decoder takes fields from the front of a key or value. After the first field
// that does not fit it is bad and returns zeros; end reports that.
type decoder struct {
	b       []byte
	bad     bool
	version byte
}

// newDecoder reads the version byte of a value.
func newDecoder(value []byte) *decoder {
	d := &decoder{b: value}
	d.version = d.byte()
	return d
}

// end returns an error if a field was missing, bytes are left over, or the
// value has a version of a newer program.
func (d *decoder) end(what string) error {
	switch {
	case d.version > valueVersion:
		return fmt.Errorf("%s has format %d, this program knows %d: %w",
			what, d.version, valueVersion, storage.ErrFormat)
	case d.bad:
		return fmt.Errorf("%s ends early: %w", what, storage.ErrDamaged)
	case len(d.b) != 0:
		return fmt.Errorf("%s has %d bytes too many: %w", what, len(d.b), storage.ErrDamaged)
	}
	return nil
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.bad, d.b = true, nil
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if v := d.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (d *decoder) uint16() uint16 {
	if v := d.take(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if v := d.take(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if v := d.take(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, w := binary.Uvarint(d.b)
	if w <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[w:]
	return v
}

func (d *decoder) varint() int64 {
	v, w := binary.Varint(d.b)
	if w <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[w:]
	return v
}

// view reads a length and returns that many bytes as they stand.
func (d *decoder) view() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	return d.take(int(n))
}

// bytes is view with a copy.
func (d *decoder) bytes() []byte { return append([]byte(nil), d.view()...) }

func (d *decoder) string() string { return string(d.view()) }

func (d *decoder) strings() []string {
	all := make([]string, d.count())
	for i := range all {
		all[i] = d.string()
	}
	return all
}

// count reads the number of elements that follow, each at least one byte long.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return 0
	}
	return int(n)
}
