package broker

import (
	"fmt"
	"iter"
	"sync"

	"github.com/tidings-io/tidings/storage"
)

// Facts are what a protocol face has to remember beside topics, queues and exchanges: keys
// and values that the engine does not read. A Tx changes them, together with whatever else
// it does. What is read here is on disk.
type Facts struct {
	b     *Broker
	space string
}

// What bounds one fact, and those that one Tx puts, in bytes; Limits.Facts bounds how many
// there are.
const (
	MaxFactKey   = 512 // of its space and its key together
	MaxFactValue = 768 << 10
	MaxFacts     = 1 << 20
)

// Facts returns the facts of a space: the name of a face, or of a part of one.
func (b *Broker) Facts(space string) Facts { return Facts{b, space} }

// Get returns the value of a key, and whether there is one. It must not be changed.
func (f Facts) Get(key string) (value []byte, ok bool) {
	v, ok := f.b.store.Get(factKey(f.space, key))
	if !ok {
		return nil, false
	}
	return v[1:], true // loadFacts and PutFact see to the first byte
}

// All goes over the facts whose keys begin with a prefix, in the order of keys. Values must
// not be changed. It looks at every key of the store: it is for start-up.
func (f Facts) All(prefix string) iter.Seq2[string, []byte] {
	all := factKey(f.space, prefix)
	return func(yield func(string, []byte) bool) {
		for key, value := range f.b.store.Scan(all) {
			if !yield(prefix+string(key[len(all):]), value[1:]) {
				return
			}
		}
	}
}

// factKey is unambiguous although the key has no length before it: it comes last.
func factKey(space, key string) []byte {
	return append(appendString([]byte{familyFact}, space), key...)
}

// factBook is which facts there are, those included that are on their way to the disk.
type factBook struct {
	mu   sync.Mutex
	keys map[string]struct{} // as on disk
}

// loadFacts reads which facts there are.
func (b *Broker) loadFacts(*removal) error {
	b.facts.keys = map[string]struct{}{}
	for key, value := range b.store.Scan([]byte{familyFact}) {
		d := decoder{b: key[1:]}
		if d.string(); d.bad {
			return fmt.Errorf("fact key ends early: %w", storage.ErrDamaged)
		}
		v := newDecoder(value)
		if v.b = nil; v.version == 0 {
			v.bad = true
		}
		if err := v.end("fact"); err != nil {
			return err
		}
		b.facts.keys[string(key)] = struct{}{}
	}
	return nil
}

// txFact is one change of a fact.
type txFact struct {
	key   []byte
	value []byte // with its format; nil: it goes
}

// PutFact sets a fact of a space. The value is copied. Commit refuses one that is beyond
// MaxFactKey or MaxFactValue, or with others beyond MaxFacts, with kind TooLarge, and a new
// one beyond Limits.Facts with Full.
func (t *Tx) PutFact(space, key string, value []byte) {
	t.facts = append(t.facts, txFact{factKey(space, key), append([]byte{valueVersion}, value...)})
}

// DeleteFact removes a fact. One that is not there is no error.
func (t *Tx) DeleteFact(space, key string) {
	t.facts = append(t.facts, txFact{key: factKey(space, key)})
}

func (t *Tx) prepareFacts() error {
	const op = "put fact"
	total := 0
	for i := range t.facts {
		key, value := len(t.facts[i].key), len(t.facts[i].value)
		total += key + value
		switch {
		case key > MaxFactKey:
			return fail(TooLarge, op, "", "its key has %d bytes, the limit is %d", key, MaxFactKey)
		case value > MaxFactValue+1:
			return fail(TooLarge, op, "", "its value has %d bytes, the limit is %d", value-1, MaxFactValue)
		case total > MaxFacts:
			return fail(TooLarge, op, "", "facts have more than %d bytes together", MaxFacts)
		}
	}
	return nil
}

// stageFacts puts changes of facts into the storage batch. The facts are locked, so that
// the order of changes in memory is the order on disk.
func (c *commit) stageFacts() error {
	if len(c.tx.facts) == 0 {
		return nil
	}
	known := c.b.facts.keys
	after := map[string]bool{} // which of the changed ones are there
	n := len(known)
	for i := range c.tx.facts {
		f := &c.tx.facts[i]
		there, changed := after[string(f.key)]
		if !changed {
			_, there = known[string(f.key)]
		}
		after[string(f.key)] = f.value != nil
		if f.value == nil {
			c.work.batch.Delete(f.key)
		} else {
			c.work.batch.Put(f.key, f.value)
		}
		switch {
		case there && f.value == nil:
			n--
		case !there && f.value != nil:
			n++
		}
	}
	if limit := c.b.config.Limits.Facts; n > limit && n > len(known) {
		return fail(Full, "put fact", "", "%d facts exist, the limit is %d", len(known), limit)
	}
	return nil
}

func (c *commit) applyFacts() {
	for i := range c.tx.facts {
		f := &c.tx.facts[i]
		if f.value == nil {
			delete(c.b.facts.keys, string(f.key))
		} else {
			c.b.facts.keys[string(f.key)] = struct{}{}
		}
	}
}

// factBytes is what a Tx adds to the disk in facts.
func (t *Tx) factBytes() (n int) {
	for i := range t.facts {
		if f := &t.facts[i]; f.value != nil {
			n += len(f.key) + len(f.value) + appendOverhead
		}
	}
	return n
}
