package saga

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tidings-io/tidings"
)

// Machine is a definition of any state.
type Machine interface {
	Name() string
	Version() int
	Steps() []string
	types() []tidings.Described
	startsOn(typ string) bool
	// begins is the instance that an event starts.
	begins(e tidings.Event) (
		id string, begin func(context.Context, *Record) ([]Outgoing, error), err error)
	// idsOf are the instances that an answer may belong to which does not say it.
	idsOf(e tidings.Event) ([]string, error)
	answered(ctx context.Context, rec *Record, in arrival) ([]Outgoing, error)
	ticked(ctx context.Context, rec *Record, t tick, e tidings.Event) ([]Outgoing, error)
}

// Routes are what drives sagas: subscribe them to a service. Definitions of one name are versions
// of a saga; only the highest one starts instances. It panics where two have one name and version.
func Routes(st Store, machines ...Machine) []tidings.Route {
	var routes []tidings.Route
	for _, s := range sagas(st, machines) {
		routes = append(routes, s.routes()...)
	}
	return merged(routes)
}

// saga is all versions of one.
type saga struct {
	name     string
	store    Store
	versions map[int]Machine
	newest   Machine
}

func sagas(st Store, machines []Machine) []*saga {
	byName := map[string]*saga{}
	for _, m := range machines {
		s := byName[m.Name()]
		if s == nil {
			s = &saga{name: m.Name(), store: st, versions: map[int]Machine{}, newest: m}
			byName[m.Name()] = s
		}
		if s.versions[m.Version()] != nil {
			panic(fmt.Sprintf("saga %s: two definitions of version %d", m.Name(), m.Version()))
		}
		s.versions[m.Version()] = m
		if m.Version() > s.newest.Version() {
			s.newest = m
		}
	}
	all := make([]*saga, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		all = append(all, byName[name])
	}
	return all
}

// routes are one for each type, so that those of several sagas can be merged.
func (s *saga) routes() []tidings.Route {
	routes := []tidings.Route{tidings.Handle(timerType(s.name), s.tick)}
	seen := map[string]bool{}
	for _, v := range slices.Sorted(maps.Keys(s.versions)) {
		for _, t := range s.versions[v].types() {
			for i, name := range tidings.Names(t) {
				r := tidings.Route{Kind: t.Kind(), Topic: t.Topic(), Types: []string{name},
					Handler: tidings.HandlerFunc(s.handle)}
				if i == 0 {
					r.Describes = []tidings.Described{t}
				}
				if key := routeKey(r); !seen[key] {
					seen[key] = true
					routes = append(routes, r)
				}
			}
		}
	}
	return routes
}

func routeKey(r tidings.Route) string { return fmt.Sprint(r.Kind, r.Topic, " ", r.Types) }

// merged makes one route of those that take the same type, which a subscription wants once.
func merged(routes []tidings.Route) []tidings.Route {
	var out []tidings.Route
	at := map[string]int{}
	for _, r := range routes {
		key := routeKey(r)
		i, twice := at[key]
		if !twice {
			at[key] = len(out)
			out = append(out, r)
			continue
		}
		out[i].Handler = both(out[i].Handler, r.Handler)
		if out[i].Describes == nil {
			out[i].Describes = r.Describes
		}
	}
	return out
}

// both has an event handled twice. After an error it is handled again by both: what was done is not
// done twice. One that may go away counts before one that stays.
func both(one, two tidings.Handler) tidings.Handler {
	return tidings.HandlerFunc(func(ctx context.Context, d *tidings.Delivery) error {
		first, second := one.Handle(ctx, d), two.Handle(ctx, d)
		switch {
		case first == nil || second != nil && !tidings.IsPermanent(second):
			return second
		case second == nil || !tidings.IsPermanent(first):
			return first
		}
		return errors.Join(first, second)
	})
}

// handle takes an event that starts an instance, or answers a step, or both.
func (s *saga) handle(ctx context.Context, d *tidings.Delivery) error {
	if s.newest.startsOn(d.Type) {
		if err := s.start(ctx, d.Event); err != nil {
			return err
		}
	}
	arrivals, err := s.arrivals(d.Event)
	if err != nil {
		return err
	}
	for _, in := range arrivals {
		err := s.update(ctx, in.id, d.Event, func(m Machine, rec *Record) ([]Outgoing, error) {
			if rec.movedBy(d.Event) {
				return nil, nil
			}
			return m.answered(ctx, rec, in)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *saga) start(ctx context.Context, e tidings.Event) error {
	id, begin, err := s.newest.begins(e)
	if err != nil {
		return err
	}
	if !validID(id) {
		return fmt.Errorf("%s %s: %w", e.Type, e.ID, errID(s.name, id))
	}
	return s.store.Update(ctx, s.name, id, func(rec *Record) ([]Outgoing, error) {
		if rec.Version != 0 {
			return nil, nil
		}
		return begin(ctx, rec)
	})
}

// arrivals are which instances an event may be for: as its cause said, as a definition says, or
// its key.
func (s *saga) arrivals(e tidings.Event) ([]arrival, error) {
	if id, p, ok := parse(s.name, e.Extensions[Extension]); ok {
		return []arrival{{Event: e, id: id, named: true, purpose: p}}, nil
	}
	var all []arrival
	seen := map[string]bool{}
	for _, v := range slices.Sorted(maps.Keys(s.versions)) {
		ids, err := s.versions[v].idsOf(e)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if !seen[id] && validID(id) {
				all = append(all, arrival{Event: e, id: id})
			}
			seen[id] = true
		}
	}
	return all, nil
}

func (s *saga) tick(ctx context.Context, m tidings.Msg[tick]) error {
	return s.update(ctx, m.Data.ID, m.Event, func(def Machine, rec *Record) ([]Outgoing, error) {
		return def.ticked(ctx, rec, m.Data, m.Event)
	})
}

// update moves an instance that has not ended. One that no definition can move is stuck, and what
// came is among the dead letters, from where it can be handled again when there is one.
func (s *saga) update(ctx context.Context, id string, e tidings.Event,
	fn func(Machine, *Record) ([]Outgoing, error)) error {
	var broken *brokenError
	err := s.store.Update(ctx, s.name, id, func(rec *Record) (out []Outgoing, err error) {
		broken = nil
		if rec.Version == 0 || rec.Status.Ended() {
			return nil, nil
		}
		m, err := s.machine(rec)
		if err == nil {
			out, err = fn(m, rec)
		}
		if errors.As(err, &broken) {
			rec.halt(e, err)
			return nil, nil
		}
		return out, err
	})
	if err == nil && broken != nil {
		err = tidings.Permanent(broken)
	}
	return err
}

// machine is the definition of an instance.
func (s *saga) machine(rec *Record) (Machine, error) {
	m := s.versions[rec.Version]
	if m == nil {
		err := fmt.Errorf("no definition of version %d is registered", rec.Version)
		return nil, &brokenError{err}
	}
	return m, unknownStep(m, rec)
}

// unknownStep is an error where a definition does not have what an instance is about to do.
func unknownStep(m Machine, rec *Record) error {
	for _, name := range append([]string{rec.Step}, rec.Undo...) {
		if !slices.Contains(m.Steps(), name) {
			return &brokenError{fmt.Errorf("version %d has no step %q", rec.Version, name)}
		}
	}
	return nil
}
