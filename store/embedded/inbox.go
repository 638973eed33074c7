package embedded

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tidings-io/tidings/inbox"
)

// ErrInboxFull: the inbox remembers Config.MaxOnce events; Prune makes room.
var ErrInboxFull = errors.New("inbox full")

var _ inbox.Store[*Tx] = (*Store)(nil)

// Once runs fn in a transaction that marks (group, id) as handled, unless it is marked already. It
// is inbox.Store; fn may run more than once, and what it gathered is committed once.
func (s *Store) Once(ctx context.Context, group, id string,
	fn func(ctx context.Context, tx *Tx) error) (already bool, err error) {
	if err := inbox.Check(group, id); err != nil {
		return false, err
	}
	key := onceKey(group, id)
	err = s.Do(ctx, func(ctx context.Context, tx *Tx) error {
		if _, already = tx.get(key); already {
			return nil
		}
		tx.put(key, binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixMilli())))
		return fn(ctx, tx)
	})
	return already && err == nil, err
}

// maxPlain is the longest group and id that stand in a key as they are.
const maxPlain = 200

// onceKey is unambiguous by the length of the group in it.
func onceKey(group, id string) string {
	key := fmt.Sprintf("%d/%s/%s", len(group), group, id)
	if len(key) > maxPlain {
		sum := sha256.Sum256([]byte(key))
		key = "#" + hex.EncodeToString(sum[:])
	}
	return onceKeys + key
}

func isOnce(key string) bool { return strings.HasPrefix(key, onceKeys) }

// Advance runs fn in a transaction that moves the position of group in lane to offset, unless it is
// there or further already. It needs one fact for each lane, and a transport with
// Capabilities.Positions.
func (s *Store) Advance(ctx context.Context, group, lane string, offset int64,
	fn func(ctx context.Context, tx *Tx) error) (already bool, err error) {
	if err := inbox.CheckPosition(group, lane, offset); err != nil {
		return false, err
	}
	key := laneKeys + strings.TrimPrefix(onceKey(group, lane), onceKeys)
	err = s.Do(ctx, func(ctx context.Context, tx *Tx) error {
		v, ok := tx.get(key)
		if already = ok && number(v) >= offset; already {
			return nil
		}
		tx.put(key, binary.BigEndian.AppendUint64(nil, uint64(offset)))
		return fn(ctx, tx)
	})
	return already && err == nil, err
}

func number(v []byte) int64 {
	if len(v) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(v))
}

// pruneBatch bounds what one transaction of Prune forgets.
const pruneBatch = 1000

// Prune forgets events that Once has marked more than olderThan ago, in durable steps, and says how
// many. What is delivered again after that is handled again: olderThan must exceed every
// redelivery, the redrive of dead letters included. It looks at every fact of the broker.
func (s *Store) Prune(ctx context.Context, olderThan time.Duration) (n int, err error) {
	if olderThan <= 0 {
		return 0, fmt.Errorf("prune what is older than %v: an age is above 0", olderThan)
	}
	before := time.Now().Add(-olderThan).UnixMilli()
	old := func(v []byte) bool { return number(v) < before }
	var keys []string
	for key, v := range s.facts.All(onceKeys) {
		if old(v) {
			keys = append(keys, key)
		}
		if len(keys) == pruneBatch {
			gone, err := s.forget(ctx, keys, old)
			if n += gone; err != nil {
				return n, err
			}
			keys = keys[:0]
		}
	}
	gone, err := s.forget(ctx, keys, old)
	return n + gone, err
}

// forget deletes the values that are still old, which others may have changed meanwhile.
func (s *Store) forget(ctx context.Context, keys []string, old func(v []byte) bool) (
	n int, err error) {
	err = s.Do(ctx, func(_ context.Context, tx *Tx) error {
		n = 0
		for _, key := range keys {
			if v, ok := tx.get(key); ok && old(v) {
				tx.delete(key)
				n++
			}
		}
		return nil
	})
	if err != nil {
		n = 0
	}
	return n, err
}
