package notify

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"github.com/tidings-io/tidings/broker"
)

// Post is a message for one subscription: a record of the queue of that.
type Post struct {
	Type      Type // one of the three
	MessageID string
	// Raw says that Body is what was published, and not a document.
	Raw  bool
	Body []byte
	// Attributes are those of a message that is raw, for a dead letter queue: a POST has
	// none.
	Attributes map[string]Attribute
}

// QueueName is the queue of a subscription over HTTP or HTTPS, in the default namespace.
func QueueName(subscription string) string { return "sns.http." + subscription }

// QueueSpec declares it.
func QueueSpec(subscription string) broker.QueueSpec {
	return broker.QueueSpec{Name: QueueName(subscription), Durable: true}
}

// types are what is on disk of a Type: its place here.
var types = []Type{"", Message, SubscriptionConfirmation, UnsubscribeConfirmation}

// The bytes of the properties of a post, see docs/format-broker.md:
//
//	format 1, type 1, raw 1, message id string, attributes uvarint, and of each: name, type, value
//	strings
//
// A string is its length as uvarint and its bytes.
const postVersion = 1

// Record is the record to publish to the queue of the subscription.
func (p *Post) Record() broker.QueueRecord {
	b := append(make([]byte, 0, 64), postVersion, byte(slices.Index(types, p.Type)), 0)
	if p.Raw {
		b[2] = 1
	}
	b = appendString(b, p.MessageID)
	b = binary.AppendUvarint(b, uint64(len(p.Attributes)))
	for _, name := range slices.Sorted(maps.Keys(p.Attributes)) {
		a := p.Attributes[name]
		b = appendString(appendString(appendString(b, name), a.Type), a.Value)
	}
	return broker.QueueRecord{Format: broker.PropsSNS, Props: b, Body: p.Body}
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

var errPost = errors.New("the record is no post of SNS")

// ParsePost reads what Record wrote. Body points into the record.
func ParsePost(rec *broker.QueueRecord) (*Post, error) {
	b := rec.Props
	if rec.Format != broker.PropsSNS || len(b) < 3 || b[0] != postVersion || b[1] == 0 ||
		int(b[1]) >= len(types) || b[2] > 1 {
		return nil, errPost
	}
	p := &Post{Type: types[b[1]], Raw: b[2] == 1, Body: rec.Body}
	r := postReader{b: b[3:]}
	p.MessageID = r.text()
	for range r.count() {
		name, a := r.text(), Attribute{r.text(), r.text()}
		if p.Attributes == nil {
			p.Attributes = map[string]Attribute{}
		}
		p.Attributes[name] = a
	}
	if r.bad || len(r.b) > 0 {
		return nil, errPost
	}
	return p, nil
}

// postReader reads part by part; what is not there spoils it.
type postReader struct {
	b   []byte
	bad bool
}

// count is a number of things that take at least a byte each.
func (r *postReader) count() int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > uint64(len(r.b)-n) {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

func (r *postReader) text() string {
	n := r.count()
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}
