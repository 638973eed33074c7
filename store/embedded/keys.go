package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tidings-io/tidings/eventstore"
)

// Keys are the keys of subjects, for an eventstore.Shredder, as facts of the broker beside the
// events: two facts for each subject, one of which stays after an erasure. Erased keys leave the
// directory when the broker lets go of the journal files that they are in, which it does as it
// writes on.
func (s *Store) Keys() eventstore.Keys { return keys{s} }

type keys struct{ s *Store }

// MaxSubject bounds the name of a subject whose data is encrypted, in bytes.
const MaxSubject = MaxKey

// Current is the key for new data of a subject; see eventstore.Keys.
func (k keys) Current(ctx context.Context, subject string) (key eventstore.Key, err error) {
	err = k.s.Do(ctx, func(_ context.Context, tx *Tx) error {
		ids, err := idsOf(tx, subject)
		if err == nil && len(ids) > 0 {
			key, err = find(tx, ids[0])
			return err
		}
		if err != nil {
			return err
		}
		key = eventstore.NewKey()
		tx.put(keyKeys+key.ID, key.Secret[:])
		tx.put(subjectKeys+subject, []byte(`["`+key.ID+`"]`))
		return nil
	})
	return key, err
}

// Find is a key by its id; see eventstore.Keys.
func (k keys) Find(_ context.Context, id string) (eventstore.Key, error) {
	v, ok := k.s.facts.Get(keyKeys + id)
	return keyOf(id, v, ok)
}

// Erase removes the keys of a subject; see eventstore.Keys.
func (k keys) Erase(ctx context.Context, subject string) error {
	return k.s.Do(ctx, func(_ context.Context, tx *Tx) error {
		ids, err := idsOf(tx, subject)
		for _, id := range ids {
			tx.put(keyKeys+id, nil) // an empty one was erased
		}
		if len(ids) > 0 {
			tx.delete(subjectKeys + subject)
		}
		return err
	})
}

func idsOf(tx *Tx, subject string) (ids []string, err error) {
	if v, ok := tx.get(subjectKeys + subject); ok {
		err = json.Unmarshal(v, &ids)
	}
	return ids, err
}

func find(tx *Tx, id string) (eventstore.Key, error) {
	v, ok := tx.get(keyKeys + id)
	return keyOf(id, v, ok)
}

func keyOf(id string, secret []byte, there bool) (key eventstore.Key, err error) {
	switch {
	case !there:
		return key, errors.New("there is no such key, nor was it erased here")
	case len(secret) == 0:
		return key, fmt.Errorf("key %s: %w", id, eventstore.ErrErased)
	case len(secret) != len(key.Secret):
		return key, fmt.Errorf("key %s has %d bytes", id, len(secret))
	}
	key.ID = id
	copy(key.Secret[:], secret)
	return key, nil
}
