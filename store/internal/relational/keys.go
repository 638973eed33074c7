package relational

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidings-io/tidings/eventstore"
)

// Keys is an eventstore.Keys. A key is a row, which stays without its secret after an erasure. The
// old secret leaves the files of the database with its next vacuum, and its log as that is
// recycled.
type Keys[Tx any] struct {
	core                       *Core[Tx]
	current, make, find, erase string
}

// Keys are the keys of subjects in the database.
func (c *Core[Tx]) Keys() *Keys[Tx] {
	return &Keys[Tx]{
		core:    c,
		current: c.sql(`select id, secret from {p}subject_key where subject = $1`),
		make: c.sql(`insert into {p}subject_key (id, subject, secret) values ($1, $2, $3)
			on conflict do nothing`),
		find:  c.sql(`select id, secret from {p}subject_key where id = $1`),
		erase: c.sql(`update {p}subject_key set subject = null, secret = null where subject = $1`),
	}
}

// Current is that of eventstore.Keys. Of two that make a key the first wins.
func (k *Keys[Tx]) Current(ctx context.Context, subject string) (eventstore.Key, error) {
	for {
		key, ok, err := k.query(ctx, k.current, subject)
		if ok || err != nil {
			return key, err
		}
		made := eventstore.NewKey()
		if _, err := k.core.db.Exec(ctx, k.make, made.ID, subject, made.Secret[:]); err != nil {
			return key, err
		}
	}
}

// Find is that of eventstore.Keys.
func (k *Keys[Tx]) Find(ctx context.Context, id string) (eventstore.Key, error) {
	key, ok, err := k.query(ctx, k.find, id)
	if err == nil && !ok {
		err = errors.New("there is no such key, nor was it erased here")
	}
	return key, err
}

// Erase is that of eventstore.Keys.
func (k *Keys[Tx]) Erase(ctx context.Context, subject string) error {
	_, err := k.core.db.Exec(ctx, k.erase, subject)
	return err
}

func (k *Keys[Tx]) query(ctx context.Context, text, arg string) (
	key eventstore.Key, ok bool, err error) {
	var secret []byte
	err = k.core.db.Query(ctx, text, []any{arg}, func(scan Scan) error {
		ok = true
		return scan(&key.ID, &secret)
	})
	switch {
	case err != nil || !ok:
		return key, false, err
	case len(secret) == 0:
		return key, false, fmt.Errorf("key %s: %w", key.ID, eventstore.ErrErased)
	case len(secret) != len(key.Secret):
		return key, false, fmt.Errorf("key %s has %d bytes", key.ID, len(secret))
	}
	copy(key.Secret[:], secret)
	return key, true, nil
}
