package eventstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/tidings-io/tidings"
)

// Key encrypts the data of one subject: AES-256-GCM.
type Key struct {
	ID     string
	Secret [32]byte
}

// String hides the secret from logs.
func (k Key) String() string { return "key " + k.ID }

// GoString hides the secret from logs.
func (k Key) GoString() string { return k.String() }

// NewKey makes a random key, for those who write stores of keys.
func NewKey() Key {
	k := Key{ID: tidings.NewID()}
	_, _ = rand.Read(k.Secret[:]) // never fails: crypto/rand
	return k
}

// Keys keep the keys of subjects, beside the events or in a place of their own.
type Keys interface {
	// Current is the key for new data of a subject, made and durable where there is none. After
	// Erase it is another one.
	Current(ctx context.Context, subject string) (Key, error)
	// Find is a key by its id. It is ErrErased where the key was erased, and another error where
	// it never was there: events of a lost store of keys must not pass for erased ones.
	Find(ctx context.Context, id string) (Key, error)
	// Erase removes all keys of a subject, durably on return, and remembers their ids. A subject
	// without any is no error.
	Erase(ctx context.Context, subject string) error
}

// sealedName is the extension of a sealed event: the id of its key.
const sealedName = "sealedby"

// KeyAge is how long a sequence of events goes on with a key that it has looked up: an erasure
// reaches readers that are in the middle of one after this time, and those that begin at once.
const KeyAge = time.Second

// Shredder is a Store in which the data of somebody can be erased. It encrypts the payload of every
// event that has a Subject, which it binds to the event's id; attributes stay as they are. All
// writers and readers of a store use a Shredder with the same keys. Events that were appended
// without one are read as they are.
type Shredder struct {
	sealing
	store Store
}

// NewShredder makes a Shredder of a store and its keys. It keeps snapshots where the store does,
// encrypted with the keys of all events in them.
func NewShredder(store Store, keys Keys) *Shredder {
	return &Shredder{sealing{store, keys}, store}
}

// In is a transaction of the store, or any other view of its streams, seen through the Shredder.
// Keys are found and made outside of tx, which with a database takes another connection. SQLite
// has one writer, which tx is once it has written: there ask Keys.Current for the key of a new
// subject before tx begins.
func (s *Shredder) In(tx Streams) Streams { return &sealing{tx, s.keys} }

// Erase destroys the keys of a subject, durably on return. Events of the subject that were appended
// before are Erased from then on, snapshots with their data are not used any more, and what is
// appended later gets a new key. See the package for what an erasure does not reach.
func (s *Shredder) Erase(ctx context.Context, subject string) error {
	if subject == "" {
		return errors.New("erase: no subject")
	}
	if err := s.keys.Erase(ctx, subject); err != nil {
		return fmt.Errorf("erase subject %q: %w", subject, err)
	}
	return nil
}

// All ranges over all streams, decrypted; see Store.
func (s *Shredder) All(ctx context.Context, from int64) iter.Seq2[Recorded, error] {
	return s.opened(ctx, s.store.All(ctx, from))
}

// Follow ranges over all streams and goes on, decrypted; see Store.
func (s *Shredder) Follow(ctx context.Context, from int64) iter.Seq2[Recorded, error] {
	return s.opened(ctx, s.store.Follow(ctx, from))
}

// Head is the store's.
func (s *Shredder) Head(ctx context.Context) (int64, error) { return s.store.Head(ctx) }
