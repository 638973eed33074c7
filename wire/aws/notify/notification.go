package notify

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Type is what a document is for. It is also in the header x-amz-sns-message-type.
type Type string

// The types of documents.
const (
	Message                  Type = "Notification"
	SubscriptionConfirmation Type = "SubscriptionConfirmation"
	UnsubscribeConfirmation  Type = "UnsubscribeConfirmation"
)

// Notification is the document that a subscriber of SNS gets, if it does not get raw messages.
//
// All texts are UTF-8; what is not becomes U+FFFD in the document, and must not be signed.
type Notification struct {
	Type      Type
	MessageID string
	// SequenceNumber is that of a FIFO topic, whose documents have no signature.
	SequenceNumber string
	TopicARN       string
	Subject        string // "": there is none
	Message        string
	Time           time.Time // is told in milliseconds
	Replayed       bool      // it comes out of the archive of a FIFO topic
	// Attributes are those of the message. Confirmations have none.
	Attributes map[string]Attribute

	// Token and SubscribeURL are those of confirmations: what confirms, and where a GET does.
	Token, SubscribeURL string

	// SignatureVersion is "1" or "2". Signer.Sign makes the Signature; neither where the
	// topic is FIFO.
	SignatureVersion, Signature string
	SigningCertURL              string // where Signer.Certificate is served, with Signer.Path
}

// Attribute is an attribute of a message, as documents have it: a binary value in base64.
type Attribute struct{ Type, Value string }

// Confirmation is what a document of one of the two types of confirmations says.
func Confirmation(t Type, topicARN, subscriptionARN string) string {
	if t == UnsubscribeConfirmation {
		return "You have chosen to deactivate subscription " + subscriptionARN + ".\nTo cancel this " +
			"operation and restore the subscription, visit the SubscribeURL included in this message."
	}
	return "You have chosen to subscribe to the topic " + topicARN + ".\nTo confirm the subscription, " +
		"visit the SubscribeURL included in this message."
}

// Envelope is a document for any number of subscriptions: they differ in one value only.
type Envelope struct{ before, after []byte }

// Envelope writes a document, with SNS's keys in its order, and its spaces.
func (n *Notification) Envelope() Envelope {
	d := document{b: make([]byte, 0, 1024+len(n.Message)+len(n.Message)/16)}
	d.field("Type", string(n.Type))
	d.field("MessageId", n.MessageID)
	d.optional("SequenceNumber", n.SequenceNumber)
	d.optional("Token", n.Token)
	d.field("TopicArn", n.TopicARN)
	d.optional("Subject", n.Subject)
	d.field("Message", n.Message)
	d.optional("SubscribeURL", n.SubscribeURL)
	d.field("Timestamp", n.timestamp())
	if n.Replayed {
		d.b = append(d.b, ",\n  \"Replayed\" : true"...)
	}
	if n.Signature != "" {
		d.field("SignatureVersion", n.SignatureVersion)
		d.field("Signature", n.Signature)
		d.field("SigningCertURL", n.SigningCertURL)
	}
	before := len(d.b)
	d.attributes(n.Attributes)
	d.b = append(d.b, "\n}"...)
	return Envelope{d.b[:before:before], d.b[before:]}
}

// Document is the document for a subscription, of which the URL is that ends it: "" in confirmations.
func (e Envelope) Document(unsubscribeURL string) []byte {
	d := document{b: make([]byte, 0, len(e.before)+len(e.after)+len(unsubscribeURL)+64)}
	d.b = append(d.b, e.before...)
	d.optional("UnsubscribeURL", unsubscribeURL)
	return append(d.b, e.after...)
}

// timeLayout is that of all times in documents.
const timeLayout = "2006-01-02T15:04:05.000Z"

func (n *Notification) timestamp() string { return n.Time.UTC().Format(timeLayout) }

// document is one that is being written.
type document struct{ b []byte }

func (d *document) field(name, value string) {
	if len(d.b) == 0 {
		d.b = append(d.b, "{\n  "...)
	} else {
		d.b = append(d.b, ",\n  "...)
	}
	d.b = append(appendText(d.b, name), " : "...)
	d.b = appendText(d.b, value)
}

func (d *document) optional(name, value string) {
	if value != "" {
		d.field(name, value)
	}
}

func (d *document) attributes(as map[string]Attribute) {
	if len(as) == 0 {
		return
	}
	next := ",\n  \"MessageAttributes\" : {\n    "
	for _, name := range slices.Sorted(maps.Keys(as)) {
		d.b = append(d.b, next...)
		d.b = append(appendText(d.b, name), ` : {"Type":`...)
		d.b = append(appendText(d.b, as[name].Type), `,"Value":`...)
		d.b = append(appendText(d.b, as[name].Value), '}')
		next = ",\n    "
	}
	d.b = append(d.b, "\n  }"...)
}

// appendText writes a string of JSON. Unlike encoding/json's it leaves all alone that need not be
// escaped, as SNS does.
func appendText(dst []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	dst = append(dst, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = appendEscape(append(dst, s[from:i]...), c)
		from = i + 1
	}
	return append(append(dst, s[from:]...), '"')
}

func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	switch c {
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	case '"', '\\':
		return append(dst, '\\', c)
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
