package broker

import (
	"cmp"
	"slices"
	"strings"
)

// router is the routing table of one exchange: bindings in, destinations out. It
// keeps nothing on disk and knows nothing of queues; whoever owns the exchange
// tells it of each binding, in order.
//
// The same key, arguments and destination are one binding, however often they are
// added. Two bindings with other keys or arguments may lead to one destination and
// may both match: then it is hit twice, and the caller delivers once.
//
// route calls may run at the same time; add and remove need the router alone.
type router struct {
	ways ways
	all  map[bindingID]*entry
	last uint64
}

// destination is where a binding leads: a queue, a topic, or another exchange. Two are the
// same if == says so. Its name stays, because hashing exchanges choose by it and
// should choose the same after a restart.
type destination interface {
	Name() Name
}

// binding is one way out of an exchange.
type binding struct {
	key  string
	args Args
	to   destination
}

// routed is what a router may ask of a record. The functions are called at most
// once by a route, and only where the kind of exchange needs them. Attributes have
// no other types of values than Args allow; who decodes them bounds their depth.
type routed struct {
	key        string
	keys       []string                 // beside key: CC and BCC
	attributes func() Args              // the record's headers; nil: there are none
	property   func(name string) string // "message_id"; "" where absent; nil: there are none
}

// ways are the places of bindings in one kind of exchange. An entry is put once
// and dropped once; put refuses a binding that this kind cannot have.
type ways interface {
	put(e *entry) error
	drop(e *entry)
	route(m *routed, hit func(destination))
}

// entry is a binding and its place in the order of binding.
type entry struct {
	binding
	order uint64
}

// bindingID is all that makes a binding the one it is.
type bindingID struct {
	key, args string
	to        destination
}

// kindsOfExchange names what is built. A delayed exchange is a kind of delivery,
// not of routing: its owner makes the router that its x-delayed-type names.
var kindsOfExchange = map[string]func(Args) (ways, error){
	"direct":            func(Args) (ways, error) { return directWays{}, nil },
	"fanout":            func(Args) (ways, error) { return &fanoutWays{}, nil },
	"topic":             func(Args) (ways, error) { return &topicWays{}, nil },
	"headers":           func(Args) (ways, error) { return &headersWays{}, nil },
	"x-consistent-hash": newConsistentWays,
	"x-modulus-hash":    func(Args) (ways, error) { return &modulusWays{}, nil },
	"x-random":          func(Args) (ways, error) { return &randomWays{}, nil },
	"x-local-random":    func(Args) (ways, error) { return &localRandomWays{}, nil },
}

// newRouter makes the router of an exchange with these arguments.
// Kinds: Unsupported (there is no such kind of exchange), Invalid (arguments).
func newRouter(kind string, args Args) (*router, error) {
	build, ok := kindsOfExchange[kind]
	if !ok {
		return nil, fail(Unsupported, "make exchange", "", "of type %q", kind)
	}
	w, err := build(args)
	if err != nil {
		return nil, err
	}
	return &router{ways: w, all: map[bindingID]*entry{}}, nil
}

// add takes a binding, and reports whether it is a new one.
// Kind: Invalid (this kind of exchange cannot have such a binding).
func (r *router) add(b binding) (bool, error) {
	if err := checkArgs("bind", b.to.Name().String(), b.args); err != nil {
		return false, err
	}
	id := b.id()
	if r.all[id] != nil {
		return false, nil
	}
	e := &entry{binding: b, order: r.last + 1}
	if err := r.ways.put(e); err != nil {
		return false, err
	}
	r.all[id] = e
	r.last++
	return true, nil
}

// remove forgets a binding, and reports whether it was there.
func (r *router) remove(b binding) bool {
	if checkArgs("unbind", "", b.args) != nil {
		return false // add would have refused it
	}
	id := b.id()
	e := r.all[id]
	if e == nil {
		return false
	}
	delete(r.all, id)
	r.ways.drop(e)
	return true
}

// route calls hit for each binding that matches: for the record's key, then for
// each other key, in the order of binding. An exchange that asks for one way out
// of many hits once.
func (r *router) route(m *routed, hit func(destination)) { r.ways.route(m, hit) }

func (r *router) empty() bool { return len(r.all) == 0 }

func (b *binding) id() bindingID {
	return bindingID{key: b.key, args: b.args.canonical(), to: b.to}
}

// directWays leads from a key to what is bound with exactly this key.
type directWays map[string][]*entry

func (w directWays) put(e *entry) error {
	w[e.key] = append(w[e.key], e)
	return nil
}

func (w directWays) drop(e *entry) {
	if left := without(w[e.key], e.order); len(left) > 0 {
		w[e.key] = left
	} else {
		delete(w, e.key)
	}
}

func (w directWays) route(m *routed, hit func(destination)) {
	hitAll(w[m.key], hit)
	for _, key := range m.keys {
		hitAll(w[key], hit)
	}
}

// fanoutWays leads everywhere; keys mean nothing.
type fanoutWays struct{ entries []*entry }

func (w *fanoutWays) put(e *entry) error {
	w.entries = append(w.entries, e)
	return nil
}

func (w *fanoutWays) drop(e *entry) { w.entries = without(w.entries, e.order) }

func (w *fanoutWays) route(_ *routed, hit func(destination)) { hitAll(w.entries, hit) }

func hitAll(entries []*entry, hit func(destination)) {
	for _, e := range entries {
		hit(e.to)
	}
}

func (e *entry) rank() uint64 { return e.order }

// without removes one element of a list that is in the order of binding, as every
// list is that only ever grew at its end.
func without[E interface{ rank() uint64 }](list []E, order uint64) []E {
	i, _ := slices.BinarySearchFunc(list, order, func(e E, order uint64) int {
		return cmp.Compare(e.rank(), order)
	})
	return slices.Delete(list, i, i+1)
}

func compareNames(a, b Name) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind),
		strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}
