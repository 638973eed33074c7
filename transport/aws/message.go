package aws

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/tidings-io/tidings"
)

// Names of message attributes. All but the first are there for filter policies and for those who
// look: what counts is the body.
const (
	attrContentType = "content-type"
	attrType        = "type"
	attrSource      = "source"
	attrKey         = "key"
	attrTopic       = "topic" // raw delivery does not tell it otherwise
)

const (
	mostTopicBytes = 256 << 10 // of SNS, for one message and for a batch
	mostQueueBytes = 1 << 20   // of SQS
	mostEntries    = 10        // of a batch
)

// message is an event on its way.
type message struct {
	index      int // among the events of the call
	body       string
	attributes map[string]string
	group      string // the message group, in FIFO
	dedup      string
	bytes      int // as SNS and SQS count them
}

// encode is the event in structured mode.
func encode(e *tidings.Event, most int) (*message, error) {
	if err := e.Check(); err != nil {
		return nil, fmt.Errorf("aws: event %q: %w", e.ID, err)
	}
	body, err := e.MarshalJSON()
	if err != nil {
		return nil, err
	}
	m := &message{body: unusual.Replace(string(body)), attributes: attributesOf(e),
		group: messageGroup(e), dedup: dedupID(e)}
	m.bytes = len(m.body)
	for name, value := range m.attributes {
		m.bytes += len(name) + len(stringType) + len(value)
	}
	if m.bytes > most {
		return nil, fmt.Errorf("aws: event %q has %d bytes, at most %d: %w", e.ID, m.bytes, most,
			tidings.ErrTooLarge)
	}
	return m, nil
}

// checkExtension refuses names that an extension cannot have, and those of other attributes.
func checkExtension(name, value string) error {
	var alone tidings.Event
	if err := alone.SetAttribute(name, value); err != nil {
		return err
	}
	if len(alone.Extensions) == 0 {
		return fmt.Errorf("extension %q is an attribute of CloudEvents", name)
	}
	return nil
}

// unusual escapes the characters that SQS refuses and JSON does not: inside of JSON they can only
// be in strings.
var unusual = strings.NewReplacer("\uFFFE", `\ufffe`, "\uFFFF", `\uffff`)

const stringType = "String"

// attributesOf leaves out what SQS would refuse: empty text, and control characters.
func attributesOf(e *tidings.Event) map[string]string {
	all := map[string]string{attrContentType: tidings.StructuredType, attrType: e.Type,
		attrSource: e.Source, attrKey: e.Key}
	if e.Kind == tidings.KindEvent {
		all[attrTopic] = e.Topic
	}
	for name, value := range all {
		if value == "" || strings.ContainsFunc(value, refused) {
			delete(all, name)
		}
	}
	return all
}

// refused says whether SQS has no such character.
func refused(c rune) bool {
	return c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0xFFFD || c == 0xFFFE || c == 0xFFFF
}

// messageGroup is the key, so that SQS keeps its order; an event without one is a group of its own.
func messageGroup(e *tidings.Event) string {
	if e.Key != "" {
		return groupID(e.Key)
	}
	return groupID(e.ID)
}

// groupID is a name as it can be the id of a group, or else its hash.
func groupID(name string) string {
	plain := func(c rune) bool { return c > ' ' && c < 0x7F }
	if len(name) <= 128 && strings.IndexFunc(name, func(c rune) bool { return !plain(c) }) < 0 {
		return name
	}
	return hashOf(name)
}

// dedupID makes one of what identifies an event, so that a topic has it once: its source and id,
// and the topic, since a queue that reads two may get one event through both. What goes to an
// address is never a duplicate: a retry or a redriven event has the id that it always had.
func dedupID(e *tidings.Event) string {
	if e.Kind != tidings.KindEvent {
		return tidings.NewID()
	}
	return hashOf(e.Topic, e.Source, e.ID)
}

func hashOf(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(part), part) // never fails: hash.Hash
	}
	return hex.EncodeToString(h.Sum(nil))
}
