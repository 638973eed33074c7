package kafka

import (
	"slices"
	"sync"

	"github.com/tidings-io/tidings/broker"
)

// readers knows which groups a client has members in. A fetch does not name its group; with
// this it can be attributed to the one that has assigned the partition to the client.
type readers struct {
	mu     sync.Mutex
	groups map[readerAt]map[*group]int // how many members a group has of a client
}

// readerAt is a client as a member and a fetch both show it.
type readerAt struct{ client, host string }

func (r *readers) add(m *member, g *group) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := readerAt{m.client, m.host}
	if r.groups[at] == nil {
		r.groups[at] = make(map[*group]int)
	}
	r.groups[at][g]++
}

func (r *readers) remove(m *member, g *group) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := readerAt{m.client, m.host}
	if r.groups[at][g]--; r.groups[at][g] == 0 {
		delete(r.groups[at], g)
	}
	if len(r.groups[at]) == 0 {
		delete(r.groups, at)
	}
}

// of returns the groups of a client, in no order.
func (r *readers) of(client, host string) []*group {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*group
	for g := range r.groups[readerAt{client, host}] {
		all = append(all, g)
	}
	return all
}

// reader returns the name of the group in which a client has a partition assigned, "" if there
// is none.
func (c *coordinator) reader(client, host string, p *broker.Partition) string {
	for _, g := range c.readers.of(client, host) {
		if g.assigns(readerAt{client, host}, p) {
			return g.name
		}
	}
	return ""
}

func (g *group) assigns(at readerAt, p *broker.Partition) bool {
	g.lock()
	defer g.unlock()
	return g.state == groupStable && g.kind == consumerKind &&
		slices.ContainsFunc(g.members, func(m *member) bool {
			return m.client == at.client && m.host == at.host &&
				assigned(m.assigned, p.Topic().Name().Name, int32(p.Index()))
		})
}
