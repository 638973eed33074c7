package tidings

import "slices"

// Topology is what a service reads and publishes, as declared.
type Topology struct {
	Service  string
	Receives []Receives
	Sends    []Described // what Produces declared
}

// Receives is a route of a service.
type Receives struct {
	Group       string
	Kind        Kind
	Topic       string      // the address, for commands
	Types       []string    // none for all that no other route of the group takes
	Describes   []Described // the declared types behind Types
	Reply       Described   // what a Replier answers with, or nil
	DeadLetters string      // the group that takes what failed
	Policy      Policy      // with defaults spelled out
}

// Topology describes the service. A subscription that Run would refuse is left out.
func (s *Service) Topology() Topology {
	groups, _ := s.arrange()
	s.mu.Lock()
	t := Topology{Service: s.name, Sends: slices.Clone(s.produces)}
	s.mu.Unlock()
	for _, g := range groups {
		for _, r := range g.routes {
			t.Receives = append(t.Receives, Receives{Group: g.name, Kind: r.Kind, Topic: r.Topic,
				Types: r.Types, Describes: r.Describes, Reply: r.reply,
				DeadLetters: g.deadLetters(), Policy: g.policy.complete()})
		}
	}
	return t
}
