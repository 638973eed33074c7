package console

import (
	"cmp"
	"maps"
	"net/http"
	"slices"

	"github.com/tidings-io/tidings/broker"
)

// deadLetterLook is how many records of a queue are looked at to count reasons.
const deadLetterLook = 1000

// deadLetters lists the queues that dead letters of others can reach, and those that have some of the
// library.
func (s *Server) deadLetters(*http.Request) (any, error) {
	from := s.deadLetterQueues()
	doc := DeadLetters{DeadLetters: []DeadLetterQueue{}}
	for _, q := range slices.SortedFunc(maps.Keys(from), func(a, b *broker.Queue) int {
		return cmp.Compare(a.Name().Name, b.Name().Name)
	}) {
		row, err := s.deadLetterRow(q, from[q])
		if broker.KindOf(err) == broker.NotFound {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		doc.DeadLetters = append(doc.DeadLetters, row)
	}
	return doc, nil
}

// deadLetterQueues says of each of them where dead letters come from, as far as that is a setting.
func (s *Server) deadLetterQueues() map[*broker.Queue][]string {
	from := map[*broker.Queue][]string{}
	for _, q := range s.b.Queues("") {
		for _, to := range s.deadLettersOf(q) {
			from[to] = append(from[to], q.Name().Name)
		}
		if s.beginsWithLetter(q) && from[q] == nil {
			from[q] = []string{}
		}
	}
	if s.c.DeadLetters == nil {
		return from
	}
	for name, others := range s.c.DeadLetters() {
		if q, err := s.b.Queue("", name); err == nil {
			from[q] = append(from[q], others...)
		}
	}
	return from
}

// beginsWithLetter says whether the record that is next has been put there by the library.
func (s *Server) beginsWithLetter(q *broker.Queue) (yes bool) {
	err := q.Look(1, func(d *broker.Delivery) bool {
		yes = s.letter(&d.Record) != nil
		return false
	})
	return yes && err == nil // of a queue that cannot be read nothing is known
}

// deadLetterRow looks at the first records of a queue.
func (s *Server) deadLetterRow(q *broker.Queue, from []string) (DeadLetterQueue, error) {
	row := DeadLetterQueue{Queue: q.Name().Name, Ready: q.Stats().Ready, From: from, Reasons: []DeathCount{}}
	count := map[string]int64{}
	err := q.Look(deadLetterLook, func(d *broker.Delivery) bool {
		if row.Examined++; row.Examined == 1 {
			row.OldestSeconds = max(0, s.c.Now().Sub(d.Record.Time).Seconds())
		}
		deaths := s.deaths(&d.Record)
		if len(deaths) == 0 {
			return true
		}
		count[deaths[0].Reason]++
		first := deaths[len(deaths)-1]
		if first.Reason == failed && !slices.Contains(row.From, first.Queue) {
			row.From = append(row.From, first.Queue)
		}
		return true
	})
	for _, reason := range slices.Sorted(maps.Keys(count)) {
		row.Reasons = append(row.Reasons, DeathCount{Reason: reason, Count: count[reason]})
	}
	return row, err
}

// deadLettersOf are the queues that dead letters of one can reach. Where they keep the
// keys of their publish, which nobody knows before, every binding may lead on.
func (s *Server) deadLettersOf(q *broker.Queue) []*broker.Queue {
	set := q.Spec().Settings
	if !set.DeadLetters {
		return nil
	}
	if set.DeadLetterTo == "" {
		if set.DeadLetterKey == nil {
			return nil // each goes to the queue that has its key for a name: mostly this one
		}
		to, err := s.b.Queue("", *set.DeadLetterKey)
		if err != nil {
			return nil
		}
		return []*broker.Queue{to}
	}
	reach := reachable{s: s, key: set.DeadLetterKey, seen: map[string]bool{}}
	reach.exchange(set.DeadLetterTo)
	return reach.queues
}

// reachable follows bindings.
type reachable struct {
	s      *Server
	key    *string
	seen   map[string]bool
	queues []*broker.Queue
}

func (r *reachable) exchange(name string) {
	x, err := r.s.b.Exchange("", name)
	if err != nil || r.seen[name] {
		return
	}
	r.seen[name] = true
	for _, b := range x.Bindings() {
		switch {
		case x.Spec().Type == "direct" && r.key != nil && *r.key != b.Key:
		case b.Destination.Kind == broker.KindExchange:
			r.exchange(b.Destination.Name)
		case b.Destination.Kind == broker.KindQueue:
			if q, err := r.s.b.Queue("", b.Destination.Name); err == nil && !slices.Contains(r.queues, q) {
				r.queues = append(r.queues, q)
			}
		}
	}
	if alternate := x.Spec().Alternate; alternate != "" {
		r.exchange(alternate)
	}
}
