package tidings

import (
	"errors"
	"fmt"
	"slices"
)

// group is what a service reads as one group: subscriptions that share a policy, with all of
// their routes.
type group struct {
	name   string
	topics []string
	policy Policy // as it was given
	routes []Route
	table  map[routeKey]*bound
	rest   map[source]*bound // takes the types that no other does
	byLane bool              // what has a lane keeps the order of that
}

// source is where an event comes from.
type source struct {
	kind  Kind
	topic string
}

type routeKey struct {
	source
	typ string
}

// bound is a route with the middleware of its service around it.
type bound struct {
	handler Handler
	batch   BatchHandler
	limit   batchLimit
	open    *batch // what is being collected; guarded by the dispatcher's mutex
}

// check asks policy and routes whether the transport is enough for them.
func (g *group) check(c Capabilities) error {
	if err := g.policy.check(c); err != nil {
		return err
	}
	for _, r := range g.routes {
		if r.Needs == nil {
			continue
		}
		if err := r.Needs(g.policy, c); err != nil {
			return err
		}
	}
	return nil
}

// lookup is the route of an event, nil for none.
func (g *group) lookup(e *Event) *bound {
	from := source{e.Kind, e.Topic}
	if b := g.table[routeKey{from, e.Type}]; b != nil {
		return b
	}
	return g.rest[from]
}

func (g *group) deadLetters() string {
	if g.policy.DeadLetter != "" {
		return g.policy.DeadLetter
	}
	return DeadLetters(g.name)
}

// wrapping is the middleware of a service, the first outermost.
type wrapping struct {
	one   []Middleware
	batch []BatchMiddleware
}

// add takes a route in, under the given middleware.
func (g *group) add(r Route, wrap wrapping) error {
	b, err := bind(r, wrap)
	if err != nil {
		return err
	}
	from := source{r.Kind, r.Topic}
	if r.Kind == KindEvent && !slices.Contains(g.topics, r.Topic) {
		g.topics = append(g.topics, r.Topic)
	}
	g.routes = append(g.routes, r)
	g.byLane = g.byLane || r.ByLane
	if len(r.Types) == 0 {
		if g.rest[from] != nil {
			return fmt.Errorf("two routes take the rest of %s", r.Topic)
		}
		g.rest[from] = b
	}
	for _, typ := range r.Types {
		if g.table[routeKey{from, typ}] != nil {
			return fmt.Errorf("two routes take type %s of %s", typ, r.Topic)
		}
		g.table[routeKey{from, typ}] = b
	}
	return nil
}

func bind(r Route, wrap wrapping) (*bound, error) {
	switch {
	case r.Topic == "" || r.Kind > KindCommand:
		return nil, errors.New("a route needs a topic, or the address of commands")
	case (r.Handler == nil) == (r.Batch == nil):
		return nil, fmt.Errorf("a route of %s needs either a handler or a batch handler", r.Topic)
	case r.BatchMax < 0 || r.BatchWait < 0:
		return nil, fmt.Errorf("a route of %s has a negative bound of batches", r.Topic)
	}
	b := &bound{limit: limitOf(r)}
	if r.Handler != nil {
		b.handler = wrapped(r.Handler, wrap.one)
	} else {
		b.batch = wrapped(r.Batch, wrap.batch)
	}
	return b, nil
}

func wrapped[H any, M ~func(H) H](h H, middleware []M) H {
	for _, m := range slices.Backward(middleware) {
		h = m(h)
	}
	return h
}
