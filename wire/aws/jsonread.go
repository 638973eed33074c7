package aws

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
)

// Requests that come with every message are read by hand: encoding/json looks at each byte three times, and
// finds fields by reflection, which was a third of the processor time of a send. What is read by hand is what
// SDKs write and no more. Where a document has anything else (a name spelt otherwise or said twice, null, a
// fraction, a binary value) encoding/json reads all of it, and what it says is what counts. FuzzQuickJSON holds
// the two against each other.

// quickRequest is a request that can be read by hand.
type quickRequest interface{ readJSON(r *jsonReader) }

// readQuick reads a document of valid UTF-8 by hand, or leaves into as it was.
func readQuick(body []byte, into any) bool {
	in, ok := into.(quickRequest)
	if !ok {
		return false
	}
	r := jsonReader{b: body}
	in.readJSON(&r)
	r.space()
	if r.unusual || len(r.b) > 0 {
		reflect.ValueOf(into).Elem().SetZero()
		return false
	}
	return true
}

// jsonReader reads a document part by part; what is unusual, or no JSON, spoils it.
type jsonReader struct {
	b       []byte // what is not read yet
	unusual bool
}

func (r *jsonReader) spoil() {
	r.unusual, r.b = true, nil
}

func (r *jsonReader) space() {
	i := 0
	for i < len(r.b) && (r.b[i] == ' ' || r.b[i] == '\n' || r.b[i] == '\r' || r.b[i] == '\t') {
		i++
	}
	r.b = r.b[i:]
}

// next takes a character, if it is the next one.
func (r *jsonReader) next(c byte) bool {
	if r.space(); len(r.b) == 0 || r.b[0] != c {
		return false
	}
	r.b = r.b[1:]
	return true
}

func (r *jsonReader) must(c byte) {
	if !r.next(c) {
		r.spoil()
	}
}

// maxNames is how many names an object may have; attributes of messages are the most.
const maxNames = 12

// object reads an object: value gets each name, and reads what it stands for.
func (r *jsonReader) object(value func(name []byte)) {
	r.must('{')
	if r.next('}') {
		return
	}
	var room [maxNames][]byte
	for seen := room[:0]; !r.unusual; {
		quoted, plain := r.quoted()
		r.must(':')
		if r.unusual || !plain || len(seen) == maxNames || isIn(seen, quoted) {
			r.spoil()
			return
		}
		seen = append(seen, quoted)
		value(quoted[1 : len(quoted)-1])
		if r.next('}') {
			return
		}
		r.must(',')
	}
}

func isIn(names [][]byte, name []byte) bool {
	return slices.ContainsFunc(names, func(n []byte) bool { return bytes.Equal(n, name) })
}

// array reads an array: element reads each of its elements.
func (r *jsonReader) array(element func()) {
	r.must('[')
	if r.next(']') {
		return
	}
	for !r.unusual {
		element()
		if r.next(']') {
			return
		}
		r.must(',')
	}
}

// quoted takes a string with its quotes; a plain one stands for what it says.
func (r *jsonReader) quoted() (text []byte, plain bool) {
	if r.space(); len(r.b) == 0 || r.b[0] != '"' {
		r.spoil()
		return nil, false
	}
	n, ended := skipString(r.b[1:])
	text = r.b[:n+1]
	if !ended || hasControl(text) {
		r.spoil()
		return nil, false
	}
	r.b = r.b[n+1:]
	return text, bytes.IndexByte(text, '\\') < 0
}

// hasControl says whether a character is below the space, eight of them at a time: with the space taken off
// those borrow, and get the highest bit that they did not have.
func hasControl(b []byte) bool {
	const each = 0x0101010101010101
	for ; len(b) >= 8; b = b[8:] {
		if x := binary.LittleEndian.Uint64(b); (x-each*' ')&^x&(each*0x80) != 0 {
			return true
		}
	}
	return slices.ContainsFunc(b, func(c byte) bool { return c < ' ' })
}

func (r *jsonReader) text() string {
	quoted, plain := r.quoted()
	switch {
	case r.unusual:
		return ""
	case plain:
		return string(quoted[1 : len(quoted)-1])
	}
	return r.unescaped(quoted)
}

func (r *jsonReader) unescaped(quoted []byte) (s string) {
	if json.Unmarshal(quoted, &s) != nil {
		r.spoil()
	}
	return s
}

func (r *jsonReader) optionalText() *string {
	s := r.text()
	return &s
}

func (r *jsonReader) texts() []string {
	out := []string{}
	r.array(func() { out = append(out, r.text()) })
	return out
}

// integer reads a number without fraction and exponent.
func (r *jsonReader) integer() *int32 {
	r.space()
	n := 0
	for n < len(r.b) && (r.b[n] >= '0' && r.b[n] <= '9' || n == 0 && r.b[n] == '-') {
		n++
	}
	i, err := strconv.ParseInt(string(r.b[:n]), 10, 32)
	zeros := n > 1 && r.b[0] == '0' || n > 2 && r.b[1] == '0' && r.b[0] == '-'
	if err != nil || zeros || n < len(r.b) && (r.b[n] == '.' || r.b[n] == 'e' || r.b[n] == 'E') {
		r.spoil()
		return nil
	}
	r.b = r.b[n:]
	v := int32(i)
	return &v
}

// attributes reads attributes of a message whose values are text.
func (r *jsonReader) attributes() map[string]messageAttribute {
	out := map[string]messageAttribute{}
	r.object(func(name []byte) {
		var a messageAttribute
		r.object(func(field []byte) {
			switch string(field) {
			case "DataType":
				a.DataType = r.text()
			case "StringValue":
				a.StringValue = r.optionalText()
			default:
				r.spoil()
			}
		})
		out[string(name)] = a
	})
	return out
}

func (in *sendMessageInput) readJSON(r *jsonReader) {
	r.object(func(name []byte) {
		if string(name) == "QueueUrl" {
			in.QueueUrl = r.text()
		} else {
			in.readField(r, name)
		}
	})
}

func (m *message) readField(r *jsonReader, name []byte) {
	switch string(name) {
	case "MessageBody":
		m.MessageBody = r.text()
	case "DelaySeconds":
		m.DelaySeconds = r.integer()
	case "MessageAttributes":
		m.MessageAttributes = r.attributes()
	case "MessageSystemAttributes":
		m.MessageSystemAttributes = r.attributes()
	case "MessageDeduplicationId":
		m.MessageDeduplicationId = r.optionalText()
	case "MessageGroupId":
		m.MessageGroupId = r.optionalText()
	default:
		r.spoil()
	}
}

func (in *sendMessageBatchInput) readJSON(r *jsonReader) {
	readBatch(r, &in.QueueUrl, &in.Entries, func(e *sendMessageBatchEntry, name []byte) {
		if string(name) == "Id" {
			e.Id = r.text()
		} else {
			e.readField(r, name)
		}
	})
}

func (in *deleteMessageBatchInput) readJSON(r *jsonReader) {
	readBatch(r, &in.QueueUrl, &in.Entries, func(e *deleteMessageBatchEntry, name []byte) {
		switch string(name) {
		case "Id":
			e.Id = r.text()
		case "ReceiptHandle":
			e.ReceiptHandle = r.text()
		default:
			r.spoil()
		}
	})
}

// readBatch reads the URL of a queue and entries, field by field.
func readBatch[E any](r *jsonReader, queueURL *string, entries *[]E, field func(e *E, name []byte)) {
	r.object(func(name []byte) {
		switch string(name) {
		case "QueueUrl":
			*queueURL = r.text()
		case "Entries":
			*entries = make([]E, 0, maxEntries)
			r.array(func() {
				var none E
				*entries = append(*entries, none)
				e := &(*entries)[len(*entries)-1]
				r.object(func(name []byte) { field(e, name) })
			})
		default:
			r.spoil()
		}
	})
}

func (in *receiveMessageInput) readJSON(r *jsonReader) {
	r.object(func(name []byte) {
		switch string(name) {
		case "QueueUrl":
			in.QueueUrl = r.text()
		case "AttributeNames":
			in.AttributeNames = r.texts()
		case "MessageSystemAttributeNames":
			in.MessageSystemAttributeNames = r.texts()
		case "MessageAttributeNames":
			in.MessageAttributeNames = r.texts()
		case "MaxNumberOfMessages":
			in.MaxNumberOfMessages = r.integer()
		case "VisibilityTimeout":
			in.VisibilityTimeout = r.integer()
		case "WaitTimeSeconds":
			in.WaitTimeSeconds = r.integer()
		case "ReceiveRequestAttemptId":
			in.ReceiveRequestAttemptId = r.text()
		default:
			r.spoil()
		}
	})
}

func (in *deleteMessageInput) readJSON(r *jsonReader) {
	r.object(func(name []byte) {
		switch string(name) {
		case "QueueUrl":
			in.QueueUrl = r.text()
		case "ReceiptHandle":
			in.ReceiptHandle = r.text()
		default:
			r.spoil()
		}
	})
}
