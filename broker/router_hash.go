package broker

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
)

// maxWeight is RabbitMQ's largest weight of a binding.
const maxWeight = 10_000

// consistentWays lead a record to one destination by the hash of its key, of one
// of its headers or of one of its properties. A binding's key is its weight: its
// share of the hashes. Of several bindings of a destination the heaviest counts.
//
// Every binding draws a number from the record's hash and its destination's name,
// and the highest wins (weighted rendezvous hashing). So a new destination takes
// its share evenly from all others and no hash moves between those; a destination
// that goes leaves its hashes to all others; and neither the order of binding nor
// a restart matters. A ring would need many points per destination to be half as
// even. The price is one draw per binding and record, some 30 ns.
type consistentWays struct {
	hash  func(*routed) uint64
	draws []draw
}

type draw struct {
	*entry
	weight float64
	seed   uint64
}

func newConsistentWays(args Args) (ways, error) {
	header, byHeader, err := args.Text("hash-header")
	if err != nil {
		return nil, err
	}
	property, byProperty, err := args.Text("hash-property")
	if err != nil {
		return nil, err
	}
	switch {
	case byHeader && byProperty:
		return nil, fail(Invalid, "make exchange", "",
			"hash-header and hash-property exclude each other")
	case byHeader:
		return &consistentWays{hash: func(m *routed) uint64 { return headerHash(m, header) }}, nil
	case !byProperty:
		return &consistentWays{hash: keyHash}, nil
	case property == "correlation_id", property == "message_id", property == "timestamp":
		return &consistentWays{hash: func(m *routed) uint64 { return propertyHash(m, property) }}, nil
	}
	return nil, fail(Invalid, "make exchange", "",
		"hash-property is %q, want correlation_id, message_id or timestamp", property)
}

func (w *consistentWays) put(e *entry) error {
	weight, err := strconv.Atoi(e.key)
	if err != nil || weight < 1 || weight > maxWeight {
		return fail(Invalid, "bind", e.to.Name().String(),
			"the binding key %q is not a weight from 1 to %d", e.key, maxWeight)
	}
	w.draws = append(w.draws, draw{entry: e, weight: float64(weight), seed: nameHash(e.to.Name())})
	return nil
}

func (w *consistentWays) drop(e *entry) { w.draws = without(w.draws, e.order) }

func (w *consistentWays) route(m *routed, hit func(destination)) {
	if len(w.draws) == 0 {
		return
	}
	hash := w.hash(m)
	winner, most := 0, math.Inf(-1)
	for i := range w.draws {
		if score := w.draws[i].score(hash); score > most {
			winner, most = i, score
		}
	}
	hit(w.draws[winner].to)
}

// score makes the wins of draws proportional to their weights: of independent
// exponential variables the least is the one of rate w with probability w/sum.
func (d *draw) score(hash uint64) float64 {
	uniform := (float64(mix(hash^d.seed)>>11) + 0.5) / (1 << 53)
	return math.Log(uniform) / d.weight
}

func keyHash(m *routed) uint64 { return textHash(m.key) }

// headerHash takes all records without the header for one.
func headerHash(m *routed, name string) uint64 {
	if m.attributes == nil {
		return 0
	}
	v, ok := m.attributes().Get(name)
	if !ok {
		return 0
	}
	return textHash(canonicalValue(v))
}

func propertyHash(m *routed, name string) uint64 {
	if m.property == nil {
		return 0
	}
	return textHash(m.property(name))
}

func nameHash(n Name) uint64 {
	return textHash(string(rune(n.Kind)) + n.Namespace + "\x00" + n.Name)
}

// textHash is FNV-1a. It may never change: where a key leads depends on it.
func textHash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// mix spreads every bit over all others, which FNV-1a does not: the last step of
// MurmurHash3.
func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// modulusWays lead to one of n bindings by the key's hash modulo n; a binding's
// key means nothing. They are counted in the order of names, so that a restart
// changes nothing. A change of n moves nearly every key.
type modulusWays struct{ entries []*entry }

func (w *modulusWays) put(e *entry) error {
	i, _ := slices.BinarySearchFunc(w.entries, e, compareByName)
	w.entries = slices.Insert(w.entries, i, e)
	return nil
}

func (w *modulusWays) drop(e *entry) {
	i, _ := slices.BinarySearchFunc(w.entries, e, compareByName)
	w.entries = slices.Delete(w.entries, i, i+1)
}

func compareByName(a, b *entry) int {
	return cmp.Or(compareNames(a.to.Name(), b.to.Name()), cmp.Compare(a.order, b.order))
}

func (w *modulusWays) route(m *routed, hit func(destination)) {
	if n := uint64(len(w.entries)); n > 0 {
		hit(w.entries[keyHash(m)%n].to)
	}
}

// randomWays lead through one binding at random; keys mean nothing.
type randomWays struct{ fanoutWays }

func (w *randomWays) route(_ *routed, hit func(destination)) {
	if n := len(w.entries); n > 0 {
		hit(w.entries[rand.IntN(n)].to)
	}
}

// localRandomWays is for queues on the node that a client is connected to. Here
// every queue is; what is left is that keys must be empty.
type localRandomWays struct{ randomWays }

func (w *localRandomWays) put(e *entry) error {
	if e.key != "" {
		return fail(Invalid, "bind", e.to.Name().String(), "the binding key %q is not empty", e.key)
	}
	return w.randomWays.put(e)
}
