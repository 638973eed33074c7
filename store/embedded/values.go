package embedded

import (
	"bytes"
	"sync"

	"github.com/tidings-io/tidings/broker"
)

// Families of keys within the store's space of facts.
const (
	valueKeys      = "v/"
	onceKeys       = "o/"
	laneKeys       = "l/"
	snapshotKeys   = "s/"
	keyKeys        = "k/" // keys by their ids
	subjectKeys    = "u/" // ids of keys by subject
	checkpointKeys = "c/"
	skippedKeys    = "x/" // events that projections passed over
	activeKeys     = "a/" // versions of projections that readers use
)

// maxSpace leaves MaxKey bytes for keys.
const maxSpace = broker.MaxFactKey - MaxKey - 8

// MaxKey bounds the key of a value, in bytes.
const MaxKey = 384

// value is what a key has; nil bytes with there set are an empty one.
type value struct {
	bytes []byte
	there bool
}

func (v value) equal(w value) bool { return v.there == w.there && bytes.Equal(v.bytes, w.bytes) }

// pending is a value that may not be on disk yet.
type pending struct {
	value
	confirm broker.Confirm
}

// fresh are values that have been committed and may not be on disk, where the broker shows them.
// It is as large as what waits for the disk.
type fresh struct {
	mu     sync.Mutex
	values map[string]pending
	order  []written // of their commits
}

type written struct {
	key     string
	confirm broker.Confirm
}

// get is the value of a key as the last commit left it, and when that is durable.
func (s *Store) get(key string) (value, broker.Confirm) {
	s.fresh.mu.Lock()
	p, ok := s.fresh.values[key]
	s.fresh.mu.Unlock()
	if ok {
		return p.value, p.confirm
	}
	// The value has gone from fresh only when the broker has it.
	v, ok := s.facts.Get(key)
	return value{v, ok}, broker.Confirm{}
}

// add enters what a commit has written.
func (f *fresh) add(writes map[string]value, confirm broker.Confirm) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settleLocked()
	for key, v := range writes {
		f.values[key] = pending{v, confirm}
		f.order = append(f.order, written{key, confirm})
	}
}

// settleLocked forgets what has become durable.
func (f *fresh) settleLocked() {
	n := 0
	for n < len(f.order) && f.order[n].confirm.Done() {
		if w := f.order[n]; f.values[w.key].confirm == w.confirm {
			delete(f.values, w.key)
		}
		n++
	}
	f.order = f.order[n:]
}
