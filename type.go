package tidings

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
)

// Type is a typed event: its name, topic, key, codecs and what older types it reads. Declare one
// package variable for each; there is no registry.
type Type[T any] struct{ schema[T] }

// Define declares an event: its data is a T, its name the CloudEvents type. It panics where topic
// or name is empty, which the first run of the program shows.
func Define[T any](topic, name string, opts ...TypeOption[T]) *Type[T] {
	return &Type[T]{define(KindEvent, topic, name, opts)}
}

// Command is a typed command, an instruction to the one group that its address names.
type Command[T any] struct{ schema[T] }

// DefineCommand declares a command to a group: a service's name, or an address of its own. It
// panics where address or name is empty.
func DefineCommand[T any](address, name string, opts ...TypeOption[T]) *Command[T] {
	return &Command[T]{define(KindCommand, address, name, opts)}
}

// Definition is what Type and Command have in common.
type Definition[T any] interface {
	Described
	// Decode is the data of an event of this type or of an older one that it reads. Every error
	// is Permanent: the same bytes will not decode later.
	Decode(e Event) (T, error)
	older() map[string]func(Event) (T, error)
}

// Described is a declared type without its data: what a topology tells.
type Described interface {
	Name() string // the CloudEvents type
	Topic() string
	Kind() Kind
	Data() reflect.Type
	ContentType() string
}

// Names are the CloudEvents types that readers of a declared type take: its own first, then the older
// ones that it reads, see Upcast.
func Names(d Described) []string {
	names := []string{d.Name()}
	if s, ok := d.(interface{ olderNames() []string }); ok {
		names = append(names, s.olderNames()...)
	}
	return names
}

type schema[T any] struct {
	kind        Kind
	name, topic string
	key         func(T) string
	dataSchema  string
	codecs      []Codec
	upcast      map[string]func(Event) (T, error)
}

// TypeOption changes what Define and DefineCommand declare.
type TypeOption[T any] func(*schema[T])

// KeyBy sets the key: events with equal keys keep their order. It is their subject as well.
func KeyBy[T any](key func(T) string) TypeOption[T] {
	return func(s *schema[T]) { s.key = key }
}

// WithCodec encodes with a codec other than JSON. Each of more only decodes what has its content
// type, so that readers can be changed before writers.
func WithCodec[T any](c Codec, more ...Codec) TypeOption[T] {
	return func(s *schema[T]) { s.codecs = append([]Codec{c}, more...) }
}

// WithSchema sets the dataschema, a URI.
func WithSchema[T any](uri string) TypeOption[T] {
	return func(s *schema[T]) { s.dataSchema = uri }
}

// Upcast lets readers of a T take events of an older type of the same topic. Chains are followed:
// what the older type reads, the newer one reads too.
func Upcast[Old, T any](old Definition[Old], up func(Old) (T, error)) TypeOption[T] {
	return func(s *schema[T]) {
		add := func(name string, decode func(Event) (Old, error)) {
			s.upcast[name] = func(e Event) (T, error) {
				v, err := decode(e)
				if err != nil {
					var none T
					return none, err
				}
				t, err := up(v)
				return t, permanently(err, e.Type)
			}
		}
		add(old.Name(), old.Decode)
		for name, decode := range old.older() {
			add(name, decode)
		}
	}
}

func define[T any](kind Kind, topic, name string, opts []TypeOption[T]) schema[T] {
	if topic == "" || name == "" {
		panic(fmt.Sprintf("tidings: a %s needs a topic and a name, got %q and %q", kind, topic, name))
	}
	s := schema[T]{kind: kind, topic: topic, name: name, codecs: []Codec{JSON},
		upcast: map[string]func(Event) (T, error){}}
	for _, o := range opts {
		o(&s)
	}
	return s
}

func (s *schema[T]) Name() string        { return s.name }
func (s *schema[T]) Topic() string       { return s.topic }
func (s *schema[T]) Kind() Kind          { return s.kind }
func (s *schema[T]) Data() reflect.Type  { return reflect.TypeFor[T]() }
func (s *schema[T]) ContentType() string { return s.codecs[0].ContentType() }

func (s *schema[T]) olderNames() []string { return slices.Sorted(maps.Keys(s.upcast)) }

func (s *schema[T]) older() map[string]func(Event) (T, error) { return s.upcast }

// New makes an event with a fresh id and the time of now. It needs no context, so that code that
// only decides stays pure: source, correlation, causation and trace are set when it is published.
// Where the data cannot be encoded, Err of the event and every publisher say so.
func (s *schema[T]) New(data T, opts ...EventOption) Event {
	e := Event{Kind: s.kind, Topic: s.topic, ID: NewID(), Type: s.name, Time: time.Now().UTC(),
		ContentType: s.codecs[0].ContentType(), Schema: s.dataSchema}
	if s.key != nil {
		e.Key = s.key(data)
		e.Subject = e.Key
	}
	e.Payload, e.err = s.codecs[0].Encode(data)
	if e.err != nil {
		e.err = fmt.Errorf("encode %s: %w", s.name, e.err)
	}
	for _, o := range opts {
		o(&e)
	}
	return e
}

// Decode is the data of e, brought up to T where it is of an older type.
func (s *schema[T]) Decode(e Event) (T, error) {
	var v T
	if e.Type != s.name {
		if up, ok := s.upcast[e.Type]; ok {
			return up(e)
		}
		return v, Permanent(fmt.Errorf("%w: %q is not %q", ErrType, e.Type, s.name))
	}
	c, err := codecFor(s.codecs, e.ContentType)
	if err == nil {
		err = c.Decode(e.Payload, &v)
	}
	return v, permanently(err, e.Type)
}

func permanently(err error, typ string) error {
	if err == nil {
		return nil
	}
	return Permanent(fmt.Errorf("decode %s: %w", typ, err))
}

// EventOption changes one event.
type EventOption func(*Event)

// WithID sets the id, where the fact has a natural one or must be published again as the same.
func WithID(id string) EventOption { return func(e *Event) { e.ID = id } }

// WithKey sets the key of this one event.
func WithKey(key string) EventOption { return func(e *Event) { e.Key = key } }

// WithSubject sets the subject, which is the key otherwise.
func WithSubject(subject string) EventOption { return func(e *Event) { e.Subject = subject } }

// WithTime sets the time of the fact.
func WithTime(at time.Time) EventOption { return func(e *Event) { e.Time = at.UTC() } }

// WithExtension sets an extension attribute. A name that is not 1 to 64 lower-case letters and
// digits is an error when the event is published.
func WithExtension(name, value string) EventOption {
	return func(e *Event) {
		if err := e.SetAttribute(name, value); err != nil && e.err == nil {
			e.err = err
		}
	}
}
