package aws

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Answers that come with every message are written by hand, as encoding/json would write them but for the
// reflection. TestQuickAnswers holds the two against each other.

// quickAnswer is an answer that can be written by hand.
type quickAnswer interface{ appendJSON(dst []byte) []byte }

// answerBytes is about what an answer takes for each message, beside its body.
const answerBytes = 512

func (o *receiveMessageOutput) appendJSON(dst []byte) []byte {
	n := answerBytes
	for i := range o.Messages {
		n += len(o.Messages[i].Body) + answerBytes
	}
	dst = slices.Grow(dst, n)
	if len(o.Messages) == 0 {
		return append(dst, "{}"...)
	}
	dst = append(dst, `{"Messages":`...)
	return append(appendList(dst, o.Messages, (*receivedMessage).appendJSON), '}')
}

func (m *receivedMessage) appendJSON(dst []byte) []byte {
	dst = appendField(append(dst, '{'), "MessageId", m.MessageId)
	dst = appendField(append(dst, ','), "ReceiptHandle", m.ReceiptHandle)
	dst = appendField(append(dst, ','), "MD5OfBody", m.MD5OfBody)
	dst = appendField(append(dst, ','), "Body", m.Body)
	if len(m.Attributes) > 0 {
		dst = append(dst, `,"Attributes":`...)
		dst = appendMap(dst, m.Attributes, appendQuoted)
	}
	if m.MD5OfMessageAttributes != "" {
		dst = appendField(append(dst, ','), "MD5OfMessageAttributes", m.MD5OfMessageAttributes)
	}
	if len(m.MessageAttributes) > 0 {
		dst = append(dst, `,"MessageAttributes":`...)
		dst = appendMap(dst, m.MessageAttributes, appendAttribute)
	}
	return append(dst, '}')
}

// appendAttribute writes an attribute that was received: it has no lists.
func appendAttribute(dst []byte, a messageAttribute) []byte {
	dst = appendField(append(dst, '{'), "DataType", a.DataType)
	if a.StringValue != nil {
		dst = appendField(append(dst, ','), "StringValue", *a.StringValue)
	}
	if len(a.BinaryValue) > 0 {
		dst = append(dst, `,"BinaryValue":"`...)
		dst = append(base64.StdEncoding.AppendEncode(dst, a.BinaryValue), '"')
	}
	return append(dst, '}')
}

func (m *sentMessage) appendJSON(dst []byte) []byte {
	return append(m.appendFields(append(dst, '{')), '}')
}

func (m *sentMessage) appendFields(dst []byte) []byte {
	if m.MD5OfMessageAttributes != "" {
		dst = append(appendField(dst, "MD5OfMessageAttributes", m.MD5OfMessageAttributes), ',')
	}
	dst = append(appendField(dst, "MD5OfMessageBody", m.MD5OfMessageBody), ',')
	if m.MD5OfMessageSystemAttributes != "" {
		dst = append(appendField(dst, "MD5OfMessageSystemAttributes", m.MD5OfMessageSystemAttributes), ',')
	}
	dst = appendField(dst, "MessageId", m.MessageId)
	if m.SequenceNumber != "" {
		dst = appendField(append(dst, ','), "SequenceNumber", m.SequenceNumber)
	}
	return dst
}

func (o *sendMessageBatchOutput) appendJSON(dst []byte) []byte {
	return appendBatch(dst, o.Successful, o.Failed, func(e *sentEntry, dst []byte) []byte {
		dst = append(appendField(append(dst, '{'), "Id", e.Id), ',')
		return append(e.appendFields(dst), '}')
	})
}

func (o *deleteMessageBatchOutput) appendJSON(dst []byte) []byte {
	return appendBatch(dst, o.Successful, o.Failed, func(e *doneEntry, dst []byte) []byte {
		return append(appendField(append(dst, '{'), "Id", e.Id), '}')
	})
}

func (*nothing) appendJSON(dst []byte) []byte { return append(dst, "{}"...) }

// appendBatch writes what was done of a batch and what was not; neither where there is none.
func appendBatch[E any](dst []byte, done []E, failed []batchError, one func(*E, []byte) []byte) []byte {
	dst = append(slices.Grow(dst, answerBytes*len(done)/2), '{')
	if len(done) > 0 {
		dst = appendList(append(dst, `"Successful":`...), done, one)
	}
	if len(failed) > 0 {
		if len(done) > 0 {
			dst = append(dst, ',')
		}
		dst = appendList(append(dst, `"Failed":`...), failed, (*batchError).appendJSON)
	}
	return append(dst, '}')
}

func (e *batchError) appendJSON(dst []byte) []byte {
	dst = appendField(append(dst, '{'), "Id", e.Id)
	dst = strconv.AppendBool(append(dst, `,"SenderFault":`...), e.SenderFault)
	dst = appendField(append(dst, ','), "Code", e.Code)
	return append(appendField(append(dst, ','), "Message", e.Message), '}')
}

func appendList[E any](dst []byte, all []E, one func(*E, []byte) []byte) []byte {
	dst = append(dst, '[')
	for i := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = one(&all[i], dst)
	}
	return append(dst, ']')
}

// appendMap writes a map in the order of its keys.
func appendMap[V any](dst []byte, all map[string]V, one func([]byte, V) []byte) []byte {
	dst = append(dst, '{')
	for i, name := range slices.Sorted(maps.Keys(all)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = one(append(appendQuoted(dst, name), ':'), all[name])
	}
	return append(dst, '}')
}

// appendField writes a field whose name needs no escapes.
func appendField(dst []byte, name, value string) []byte {
	dst = append(append(append(dst, '"'), name...), `":`...)
	return appendQuoted(dst, value)
}

// appendQuoted writes a string as encoding/json does where it does not escape HTML.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		if plain[s[i]] {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r < utf8.RuneSelf:
			dst = appendEscape(append(dst, s[from:i]...), byte(r))
			from = i + n
		case r == utf8.RuneError && n == 1:
			dst = append(append(dst, s[from:i]...), `\ufffd`...)
			from = i + n
		case r == '\u2028' || r == '\u2029': // line ends to JavaScript
			dst = append(append(dst, s[from:i]...), `\u202`...)
			dst = append(dst, hexDigits[r&0xf])
			from = i + n
		}
		i += n
	}
	return append(append(dst, s[from:]...), '"')
}

// plain are the bytes that stand for themselves, without a look at what is around them.
var plain = func() (t [256]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

const hexDigits = "0123456789abcdef"

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}
