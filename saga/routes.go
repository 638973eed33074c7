package saga

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidings-io/tidings"
)

// Machine is a definition of any state.
type Machine interface {
	Name() string
	Version() int
	Steps() []string
	events() []tidings.Described
	startsOn(typ string) bool
	// begins is the instance that an event starts; a record of "" is none.
	begins(e tidings.Event) (id string, begin func(context.Context, *Record) ([]Outgoing, error), err error)
	// idOf is the instance that an answer belongs to.
	idOf(e tidings.Event) (string, error)
	answered(ctx context.Context, rec *Record, e tidings.Event) ([]Outgoing, error)
	ticked(ctx context.Context, rec *Record, t tick, event string) ([]Outgoing, error)
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

func (s *saga) routes() []tidings.Route {
	timer := timerType(s.name)
	routes := []tidings.Route{tidings.Handle(timer, s.tick)}
	seen := map[string]bool{}
	for _, v := range slices.Sorted(maps.Keys(s.versions)) {
		for _, t := range s.versions[v].events() {
			key := fmt.Sprint(t.Kind(), t.Topic(), " ", t.Name())
			if seen[key] {
				continue
			}
			seen[key] = true
			routes = append(routes, tidings.Route{Kind: t.Kind(), Topic: t.Topic(), Types: []string{t.Name()},
				Handler: tidings.HandlerFunc(s.handle), Describes: []tidings.Described{t}})
		}
	}
	return routes
}

// merged makes one route of those that take the same type, which a subscription wants once.
func merged(routes []tidings.Route) []tidings.Route {
	var out []tidings.Route
	at := map[string]int{}
	for _, r := range routes {
		key := fmt.Sprint(r.Kind, r.Topic, " ", r.Types)
		i, twice := at[key]
		if !twice {
			at[key] = len(out)
			out = append(out, r)
			continue
		}
		first, second := out[i].Handler, r.Handler
		out[i].Handler = tidings.HandlerFunc(func(ctx context.Context, d *tidings.Delivery) error {
			if err := first.Handle(ctx, d); err != nil {
				return err // both are tried again: what was done is not done twice
			}
			return second.Handle(ctx, d)
		})
	}
	return out
}

// handle takes an event that starts an instance, or answers a step, or both.
func (s *saga) handle(ctx context.Context, d *tidings.Delivery) error {
	if s.newest.startsOn(d.Type) {
		if err := s.start(ctx, d.Event); err != nil {
			return err
		}
	}
	id, err := s.instance(d.Event)
	if err != nil || id == "" {
		return err
	}
	return s.store.Update(ctx, s.name, id, func(rec *Record) ([]Outgoing, error) {
		if rec.Version == 0 || rec.Status.Ended() || rec.Status == Stuck {
			return nil, nil
		}
		m, out, err := s.machine(rec, d.ID)
		if m == nil {
			return out, err
		}
		return m.answered(ctx, rec, d.Event)
	})
}

func (s *saga) start(ctx context.Context, e tidings.Event) error {
	id, begin, err := s.newest.begins(e)
	if err != nil {
		return err
	}
	if id == "" {
		return tidings.Permanent(fmt.Errorf("saga %s: %s %s starts an instance without an id", s.name, e.Type, e.ID))
	}
	return s.store.Update(ctx, s.name, id, func(rec *Record) ([]Outgoing, error) {
		if rec.Version != 0 {
			return nil, nil
		}
		return begin(ctx, rec)
	})
}

// instance is which one an answer is for: as its commands said, as a definition says, or its key.
func (s *saga) instance(e tidings.Event) (string, error) {
	if id, ok := strings.CutPrefix(e.Extensions[Extension], s.name+"/"); ok {
		return id, nil
	}
	for _, v := range slices.Sorted(maps.Keys(s.versions)) {
		if id, err := s.versions[v].idOf(e); id != "" || err != nil {
			return id, err
		}
	}
	return e.Key, nil
}

func (s *saga) tick(ctx context.Context, m tidings.Msg[tick]) error {
	return s.store.Update(ctx, s.name, m.Data.ID, func(rec *Record) ([]Outgoing, error) {
		if rec.Version == 0 || rec.Status.Ended() || rec.Status == Stuck {
			return nil, nil
		}
		def, out, err := s.machine(rec, m.ID)
		if def == nil {
			return out, err
		}
		return def.ticked(ctx, rec, m.Data, m.ID)
	})
}

// machine is the definition of an instance. One whose version or step nobody knows is stuck, and
// not dropped.
func (s *saga) machine(rec *Record, event string) (Machine, []Outgoing, error) {
	m := s.versions[rec.Version]
	switch {
	case m == nil:
		rec.halt(event, fmt.Errorf("no definition of version %d is registered", rec.Version))
	case !knows(m, append([]string{rec.Step}, rec.Undo...)):
		rec.halt(event, fmt.Errorf("version %d has no step %q", rec.Version, rec.Step))
	default:
		return m, nil, nil
	}
	return nil, nil, nil
}

func knows(m Machine, steps []string) bool {
	all := m.Steps()
	return !slices.ContainsFunc(steps, func(name string) bool { return !slices.Contains(all, name) })
}
