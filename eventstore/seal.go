package eventstore

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/tidings-io/tidings"
)

// sealing encrypts what goes into some streams, and decrypts what comes out.
type sealing struct {
	in   Streams
	keys Keys
}

// Append seals events and appends them.
func (s *sealing) Append(ctx context.Context, stream string, at Expect, events ...tidings.Event) (
	int64, error) {
	sealed, err := s.seal(ctx, events)
	if err != nil {
		return 0, err
	}
	return s.in.Append(ctx, stream, at, sealed...)
}

func (s *sealing) seal(ctx context.Context, events []tidings.Event) ([]tidings.Event, error) {
	out := slices.Clone(events)
	for i := range out {
		e := &out[i]
		if e.Extensions[sealedName] != "" {
			return nil, fmt.Errorf("event %s has extension %s: it is sealed already",
				e.ID, sealedName)
		}
		if e.Subject != "" && e.Err() == nil {
			key, err := s.keys.Current(ctx, e.Subject)
			if err != nil {
				return nil, fmt.Errorf("key of subject %q: %w", e.Subject, err)
			}
			seal(key, e)
		}
	}
	return out, nil
}

func seal(key Key, e *tidings.Event) {
	e.Payload = encrypt(key, e.Payload, e.ID)
	e.Extensions = maps.Clone(e.Extensions)
	if e.Extensions == nil {
		e.Extensions = map[string]string{}
	}
	e.Extensions[sealedName] = key.ID
}

// Read ranges over a stream, decrypted; see Streams.
func (s *sealing) Read(ctx context.Context, stream string, from int64) iter.Seq2[Recorded, error] {
	return s.opened(ctx, s.in.Read(ctx, stream, from))
}

func (s *sealing) opened(ctx context.Context, events iter.Seq2[Recorded, error]) iter.Seq2[
	Recorded, error] {
	return func(yield func(Recorded, error) bool) {
		known := keyring{keys: s.keys}
		for r, err := range events {
			if err == nil {
				err = known.open(ctx, &r)
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// keyring remembers keys for one sequence of events.
type keyring struct {
	keys  Keys
	known map[string]Key
	since time.Time
}

// maxKeyring bounds the keys of one keyring.
const maxKeyring = 256

func (k *keyring) open(ctx context.Context, r *Recorded) error {
	id := r.Extensions[sealedName]
	if id == "" {
		return nil
	}
	r.Sealed = id
	key, err := k.find(ctx, id)
	if errors.Is(err, ErrErased) {
		r.Erased, r.Payload = true, nil
		r.Extensions = without(r.Extensions, sealedName)
		return nil
	}
	if err == nil {
		r.Payload, err = decrypt(key, r.Payload, r.ID)
	}
	if err != nil {
		return fmt.Errorf("open event at position %d: key %s: %w", r.Position, id, err)
	}
	r.Extensions = without(r.Extensions, sealedName)
	return nil
}

func (k *keyring) find(ctx context.Context, id string) (Key, error) {
	if time.Since(k.since) > KeyAge || len(k.known) >= maxKeyring {
		k.known, k.since = map[string]Key{}, time.Now()
	}
	if key, ok := k.known[id]; ok {
		return key, nil
	}
	key, err := k.keys.Find(ctx, id)
	if err == nil {
		k.known[id] = key
	}
	return key, err
}

func without(ext map[string]string, name string) map[string]string {
	if len(ext) == 1 {
		return nil
	}
	ext = maps.Clone(ext)
	delete(ext, name)
	return ext
}

// LoadSnapshot is a snapshot of the store, decrypted; there is none where one of its keys is gone.
func (s *sealing) LoadSnapshot(ctx context.Context, stream string) (Snapshot, bool, error) {
	kept, err := s.snapshots()
	if err != nil {
		return Snapshot{}, false, err
	}
	snap, ok, err := kept.LoadSnapshot(ctx, stream)
	if !ok || err != nil {
		return Snapshot{}, false, err
	}
	for _, id := range slices.Backward(snap.Keys) {
		key, err := s.keys.Find(ctx, id)
		if errors.Is(err, ErrErased) {
			return Snapshot{}, false, kept.DropSnapshot(ctx, stream)
		}
		if err == nil {
			snap.State, err = decrypt(key, snap.State, stream)
		}
		if err != nil {
			return Snapshot{}, false, fmt.Errorf("open snapshot of %s: key %s: %w", stream, id, err)
		}
	}
	return snap, true, nil
}

// SaveSnapshot encrypts a snapshot with each of its keys. Where one of them is gone it keeps none.
func (s *sealing) SaveSnapshot(ctx context.Context, snap Snapshot) error {
	kept, err := s.snapshots()
	if err != nil {
		return err
	}
	for _, id := range snap.Keys {
		key, err := s.keys.Find(ctx, id)
		if errors.Is(err, ErrErased) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("seal snapshot of %s: key %s: %w", snap.Stream, id, err)
		}
		snap.State = encrypt(key, snap.State, snap.Stream)
	}
	return kept.SaveSnapshot(ctx, snap)
}

// DropSnapshot is the store's.
func (s *sealing) DropSnapshot(ctx context.Context, stream string) error {
	kept, err := s.snapshots()
	if err != nil {
		return err
	}
	return kept.DropSnapshot(ctx, stream)
}

func (s *sealing) snapshots() (Snapshots, error) {
	if kept, ok := s.in.(Snapshots); ok {
		return kept, nil
	}
	return nil, fmt.Errorf("snapshots are %w", tidings.ErrUnsupported)
}

// encrypt returns a nonce and what it encrypts, bound to what it is of.
func encrypt(key Key, plain []byte, of string) []byte {
	gcm := cipherOf(key)
	return gcm.Seal(nil, nil, plain, []byte(of))
}

func decrypt(key Key, sealed []byte, of string) ([]byte, error) {
	return cipherOf(key).Open(nil, nil, sealed, []byte(of))
}

// cipherOf takes nonces from chance: AES-256-GCM with 96 random bits, for at most 2^32 events of
// one key.
func cipherOf(key Key) cipher.AEAD {
	block, err := aes.NewCipher(key.Secret[:])
	if err != nil {
		panic("eventstore: " + err.Error()) // 32 bytes are a key
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("eventstore: " + err.Error()) // AES has blocks of 16 bytes
	}
	return gcm
}
