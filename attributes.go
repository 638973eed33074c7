package tidings

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// SpecVersion is the version of CloudEvents that is written, and the only one read.
	SpecVersion = "1.0"
	// MaxAttribute bounds the name of an extension; CloudEvents recommends 20 characters.
	MaxAttribute = 64
	kindName     = "messagekind"
)

// Attributes ranges over the attributes of CloudEvents that have a value, by their names there:
// those of the specification, the extensions that are fields of Event, other extensions sorted by
// name. The kind is extension "messagekind" unless it is an event.
func (e *Event) Attributes() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if !yield("specversion", SpecVersion) {
			return
		}
		for _, a := range attributes {
			if v := a.get(e); v != "" && !yield(a.name, v) {
				return
			}
		}
		if len(e.Extensions) == 0 {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(e.Extensions)) {
			if !yield(name, e.Extensions[name]) {
				return
			}
		}
	}
}

// SetAttribute sets an attribute by its name in CloudEvents; one that Event has no field for is an
// extension. It fails for another specversion, a time that is not RFC 3339, and a name that is not
// 1 to 64 lower-case letters and digits.
func (e *Event) SetAttribute(name, value string) error {
	switch name {
	case "specversion":
		if value != SpecVersion {
			return fmt.Errorf("cloudevents specversion %q is not %s", value, SpecVersion)
		}
		return nil
	case "time":
		at, err := time.Parse(time.RFC3339Nano, strings.ToUpper(value))
		if err != nil {
			return fmt.Errorf("attribute time: %w", err)
		}
		e.Time = at.UTC()
		return nil
	case kindName:
		return e.setKind(value)
	}
	if field := e.field(name); field != nil {
		*field = value
		return nil
	}
	return e.extend(name, value)
}

func (e *Event) setKind(value string) error {
	for _, k := range []Kind{KindEvent, KindCommand, KindReply} {
		if value == k.String() {
			e.Kind = k
			return nil
		}
	}
	return fmt.Errorf("attribute %s: %q is not a kind", kindName, value)
}

func (e *Event) extend(name, value string) error {
	if !validName(name) {
		return fmt.Errorf("attribute %.80q: a name is 1 to %d of a-z and 0-9", name, MaxAttribute)
	}
	if e.Extensions == nil {
		e.Extensions = map[string]string{}
	}
	e.Extensions[name] = value
	return nil
}

// Check is why readers would not take the event for what it is: its data could not be encoded, it
// has no id, source or type, a time beyond the year 9999 (RFC 3339 has none), or an extension with a
// name that is not valid or is another attribute's.
func (e *Event) Check() error {
	if e.err != nil {
		return e.err
	}
	if e.ID == "" || e.Source == "" || e.Type == "" {
		return fmt.Errorf("an event needs id, source and type, it has %.80q, %.80q and %.80q",
			e.ID, e.Source, e.Type)
	}
	if year := e.Time.UTC().Year(); year < 0 || year > 9999 {
		return fmt.Errorf("attribute time: the year %d is not one of 0 to 9999", year)
	}
	for name, value := range e.Extensions {
		var alone Event
		if err := alone.SetAttribute(name, value); err != nil {
			return err
		}
		if alone.Extensions == nil {
			return fmt.Errorf("extension %q is an attribute of its own", name)
		}
	}
	return nil
}

func validName(name string) bool {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && len(name) <= MaxAttribute && name != "data"
}

// attributes are in the order in which they are written.
var attributes = []struct {
	name string
	get  func(*Event) string
}{
	{"id", func(e *Event) string { return e.ID }},
	{"source", func(e *Event) string { return e.Source }},
	{"type", func(e *Event) string { return e.Type }},
	{"subject", func(e *Event) string { return e.Subject }},
	{"time", func(e *Event) string {
		if e.Time.IsZero() {
			return ""
		}
		return e.Time.UTC().Format(time.RFC3339Nano)
	}},
	{"datacontenttype", func(e *Event) string { return e.ContentType }},
	{"dataschema", func(e *Event) string { return e.Schema }},
	{"partitionkey", func(e *Event) string { return e.Key }},
	{"correlationid", func(e *Event) string { return e.Correlation }},
	{"causationid", func(e *Event) string { return e.Causation }},
	{"replyto", func(e *Event) string { return e.ReplyTo }},
	{"traceparent", func(e *Event) string { return e.TraceParent }},
	{"tracestate", func(e *Event) string { return e.TraceState }},
	{kindName, func(e *Event) string {
		if e.Kind == KindEvent {
			return ""
		}
		return e.Kind.String()
	}},
}

// field is where an attribute that is text lies, or nil.
func (e *Event) field(name string) *string {
	switch name {
	case "id":
		return &e.ID
	case "source":
		return &e.Source
	case "type":
		return &e.Type
	case "subject":
		return &e.Subject
	case "datacontenttype":
		return &e.ContentType
	case "dataschema":
		return &e.Schema
	case "partitionkey":
		return &e.Key
	case "correlationid":
		return &e.Correlation
	case "causationid":
		return &e.Causation
	case "replyto":
		return &e.ReplyTo
	case "traceparent":
		return &e.TraceParent
	case "tracestate":
		return &e.TraceState
	default:
		return nil
	}
}
