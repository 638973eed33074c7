package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/eventstore"
)

// Publisher adds publishes to a transaction of the broker; transport/embedded.Transport is one.
type Publisher interface {
	// Enlist makes publishes a part of tx.
	Enlist(tx *broker.Tx, events ...tidings.Event) error
	// EnlistAt makes publishes at a later time a part of tx.
	EnlistAt(tx *broker.Tx, at time.Time, events ...tidings.Event) error
}

// Config says what a Store is. Its zero value is a store named "events" in the default namespace
// that cannot publish.
type Config struct {
	// Namespace of the broker; default: the broker's own.
	Namespace string
	// Name of the event store in it; default "events". Letters, digits, '.', '_' and '-'.
	Name string
	// Publisher publishes what transactions publish; without, Tx.Publish is ErrUnsupported.
	Publisher Publisher
	// MaxOnce bounds the events that the inbox remembers by id, of all groups; default 500,000.
	// Beyond it Once fails with ErrInboxFull until Prune has made room.
	MaxOnce int
}

// Store is the stores of the patterns in a broker. It is safe for use by many goroutines and needs
// no Close: it ends with its broker.
type Store struct {
	b       *broker.Broker
	streams *broker.Streams
	config  Config
	facts   broker.Facts
	space   string

	// turn is held by the one transaction that commits: a channel, as it may wait for room on the
	// disk. once, the marks of the inbox, is changed by whoever has it.
	turn chan struct{}
	once int

	fresh fresh
}

// Open opens the store of a name in a broker, or creates it there, durably on return.
func Open(ctx context.Context, b *broker.Broker, c Config) (*Store, error) {
	if c.Name == "" {
		c.Name = "events"
	}
	if c.MaxOnce == 0 {
		c.MaxOnce = 500_000
	}
	if c.MaxOnce < 0 {
		return nil, fmt.Errorf("open store %s: MaxOnce is %d", c.Name, c.MaxOnce)
	}
	streams, err := openStreams(ctx, b, c)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", c.Name, err)
	}
	s := &Store{b: b, streams: streams, config: c, turn: make(chan struct{}, 1)}
	s.space = "store/" + c.Namespace + "/" + c.Name
	if len(s.space) > maxSpace {
		return nil, fmt.Errorf("open store %s: namespace and name have more than %d bytes",
			c.Name, maxSpace)
	}
	s.facts = b.Facts(s.space)
	s.fresh.values = map[string]pending{}
	for range s.facts.All(onceKeys) {
		s.once++
	}
	return s, nil
}

func openStreams(ctx context.Context, b *broker.Broker, c Config) (*broker.Streams, error) {
	s, err := b.CreateStreams(ctx, c.Namespace, c.Name)
	if errors.Is(err, broker.Exists) {
		return b.Streams(c.Namespace, c.Name)
	}
	return s, err
}

// Append appends events to a stream; see eventstore.Streams.
func (s *Store) Append(ctx context.Context, stream string, at eventstore.Expect,
	events ...tidings.Event) (int64, error) {
	events, err := eventstore.Prepare(ctx, s.config.Name, stream, at, events)
	if err != nil {
		return 0, err
	}
	a, err := s.streams.Append(ctx, stream, broker.Expect(at), encodeAll(events)...)
	if errors.Is(err, broker.Conflict) {
		return s.appendedBefore(ctx, stream, at, events, conflict(err))
	}
	if err != nil {
		return 0, err
	}
	return a.Version, a.Confirm.Wait(ctx)
}

// appendedBefore answers an append that conflicts with itself as before; what it conflicts with is
// durable.
func (s *Store) appendedBefore(ctx context.Context, stream string, at eventstore.Expect,
	events []tidings.Event, conflict error) (int64, error) {
	version, ok, err := eventstore.Appended(ctx, s, stream, at, events)
	if err != nil {
		return 0, fmt.Errorf("%w, and whether by the same events: %w", conflict, err)
	}
	if !ok {
		return 0, conflict
	}
	return version, nil
}

// conflict turns the broker's conflict of versions into that of package eventstore.
func conflict(err error) error {
	if c, ok := errors.AsType[*broker.VersionConflict](err); ok {
		return &eventstore.ConflictError{Stream: c.Stream, Expected: eventstore.Expect(c.Expected),
			Actual: c.Actual}
	}
	return err
}
