package outbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tidings-io/tidings"
)

// MaxName bounds ids, topics, types and keys in a table, in bytes.
const MaxName = 1024

// Record is an event as a table keeps it: for those who write stores.
type Record struct {
	Event tidings.Event // stamped
	JSON  []byte        // of Event in structured mode, without the topic
}

// Prepare stamps events with what ctx says (see tidings.Stamp) and encodes them. Where it fails it
// returns a *tidings.PublishError for those that cannot be kept: without id, source, type or topic,
// with a name longer than MaxName, or with attributes that are not valid.
func Prepare(ctx context.Context, source string, events []tidings.Event) ([]Record, error) {
	records := make([]Record, len(events))
	var refused *tidings.PublishError
	for i, e := range events {
		tidings.Stamp(ctx, source, &e)
		text, err := encode(&e)
		if err == nil {
			records[i] = Record{e, text}
			continue
		}
		if refused == nil {
			refused = &tidings.PublishError{Err: tidings.Permanent(err)}
		}
		refused.Failed = append(refused.Failed, i)
	}
	if refused != nil {
		return nil, refused
	}
	return records, nil
}

// Decode reads a Record back.
func Decode(topic string, text []byte) (e tidings.Event, err error) {
	e.Topic = topic
	err = e.UnmarshalJSON(text)
	return e, err
}

func encode(e *tidings.Event) ([]byte, error) {
	if err := e.Err(); err != nil {
		return nil, err
	}
	if e.Source == "" {
		return nil, fmt.Errorf("event %q of type %q has no source: "+
			"outside of a handler the outbox must be told one, by Source in its config", e.ID, e.Type)
	}
	if e.ID == "" || e.Type == "" || e.Topic == "" {
		return nil, fmt.Errorf("event %q of type %q to %q: it needs id, type and topic", e.ID, e.Type, e.Topic)
	}
	for _, name := range []string{e.ID, e.Source, e.Type, e.Topic, e.Key} {
		if err := valid(name); err != nil {
			return nil, err
		}
	}
	if err := e.Check(); err != nil {
		return nil, err
	}
	for name, value := range e.Attributes() {
		if !utf8.ValidString(value) {
			return nil, fmt.Errorf("attribute %s is not UTF-8", name)
		}
	}
	return e.MarshalJSON()
}

// valid says whether every database keeps a name as it is.
func valid(name string) error {
	switch {
	case len(name) > MaxName:
		return fmt.Errorf("a name of %d bytes, at most %d: %.40q", len(name), MaxName, name)
	case strings.IndexByte(name, 0) >= 0:
		return errors.New("a name with a byte 0")
	case !utf8.ValidString(name):
		return fmt.Errorf("a name that is not UTF-8: %.40q", name)
	}
	return nil
}
