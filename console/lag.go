package console

import (
	"cmp"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// lag answers with every group and topic, or those of ?group= and ?topic=, and with every
// queue, or that of ?queue=.
func (s *Server) lag(r *http.Request) (any, error) {
	wantGroup, wantTopic := r.URL.Query().Get("group"), r.URL.Query().Get("topic")
	if wantGroup != "" {
		if _, err := s.group(wantGroup); err != nil {
			return nil, err
		}
	}
	if wantTopic != "" {
		if _, err := s.topic(wantTopic); err != nil {
			return nil, err
		}
	}
	if wantQueue := r.URL.Query().Get("queue"); wantQueue != "" {
		q, err := s.queue(wantQueue)
		if err != nil {
			return nil, err
		}
		return Lags{Lag: []Lag{}, Queues: s.queueLags(q)}, nil
	}
	queues := []QueueLag{}
	if wantGroup == "" && wantTopic == "" {
		queues = s.queueLags(s.b.Queues("")...)
	}
	rows := s.lags(func(topic string) bool { return wantTopic == "" || topic == wantTopic })
	if wantGroup != "" {
		rows = slices.DeleteFunc(rows, func(l Lag) bool { return l.Group != wantGroup })
	}
	return Lags{Lag: rows, Queues: queues}, nil
}

// lags sums up cursors by group and topic, in that order.
func (s *Server) lags(want func(topic string) bool) []Lag {
	rows := []Lag{}
	for _, g := range s.sortedGroups() {
		var row *Lag
		for _, c := range s.cursorsIn(g, want) {
			if row == nil || row.Topic != c.Topic {
				rows = append(rows,
					Lag{Group: g.name, Topic: c.Topic, Members: len(g.live.Members)})
				row = &rows[len(rows)-1]
			}
			if c.Offset >= 0 {
				row.Partitions++
			}
			row.Lag += c.Lag
			row.LagSeconds = max(row.LagSeconds, c.LagSeconds)
		}
	}
	return rows
}

// cursors are a group's cursors by topic and partition: of each topic in which
// it has one, every partition.
func (s *Server) cursors(g *group) []Cursor {
	return s.cursorsIn(g, func(string) bool { return true })
}

func (s *Server) cursorsIn(g *group, want func(topic string) bool) []Cursor {
	rows := []Cursor{}
	owners := g.owners()
	for t, at := range cursorsByTopic(s.b, g.durable) {
		if !want(t.Name().Name) {
			continue
		}
		for i := range t.Partitions() {
			row := s.cursor(t.Partition(i), at.cursor(i))
			row.Member = owners[Place{Topic: row.Topic, Partition: row.Partition}]
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b Cursor) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return rows
}

// owners says which member reads which partition.
func (g *group) owners() map[Place]string {
	owners := map[Place]string{}
	for _, m := range g.live.Members {
		for _, a := range m.Assigned {
			for _, p := range a.Partitions {
				owners[Place{Topic: a.Topic, Partition: p}] = m.ID
			}
		}
	}
	return owners
}

// topicCursors are a group's cursors in one topic, by partition.
type topicCursors map[int]broker.Cursor

// cursor returns the cursor in a partition, at offset -1 where there is none.
// All records of such a partition wait: nobody can say that they were read, and
// a consumer that begins at the earliest offset will read them.
func (at topicCursors) cursor(partition int) broker.Cursor {
	if cur, ok := at[partition]; ok {
		return cur
	}
	return broker.Cursor{Offset: -1}
}

// cursorsByTopic sorts a group's cursors, those whose topic is still there; g
// may be nil.
func cursorsByTopic(b *broker.Broker, g *broker.Group) map[*broker.Topic]topicCursors {
	all := map[*broker.Topic]topicCursors{}
	if g == nil {
		return all
	}
	for key, cur := range g.Cursors() {
		t, err := b.TopicByID(key.Topic)
		if err != nil {
			continue // deleted meanwhile
		}
		if all[t] == nil {
			all[t] = topicCursors{}
		}
		all[t][key.Partition] = cur
	}
	return all
}

func (s *Server) cursor(p *broker.Partition, cur broker.Cursor) Cursor {
	start, end := p.Bounds()
	row := Cursor{
		Topic: p.Topic().Name().Name, Partition: p.Index(),
		Offset: int64(cur.Offset), Start: int64(start), End: int64(end),
		Lag: waiting(cur.Offset, start, end), Metadata: cur.Metadata, Committed: cur.Time.UTC(),
	}
	if row.Lag > 0 {
		row.LagSeconds = s.times.age(p, max(cur.Offset, start), s.c.Now())
	}
	return row
}

// waiting is how many records a reader at the cursor has before it. Records
// deleted before they were read wait for nobody.
func waiting(cursor, start, end broker.Offset) int64 {
	return int64(max(0, end-max(cursor, start)))
}

// recordLags is a group's lag by topic, in records: no disk is read for it.
func recordLags(b *broker.Broker, g *broker.Group) map[string]int64 {
	lags := map[string]int64{}
	for t, at := range cursorsByTopic(b, g) {
		for i := range t.Partitions() {
			start, end := t.Partition(i).Bounds()
			lags[t.Name().Name] += waiting(at.cursor(i).Offset, start, end)
		}
	}
	return lags
}

// timeCache remembers the time of the record at a cursor, because lag is asked
// for again and again while a stuck cursor stays.
type timeCache struct {
	mu    sync.Mutex // guards times; not held while reading
	times map[timeKey]time.Time
}

type timeKey struct {
	topic broker.ID
	part  int
	off   broker.Offset
}

// timeCacheEntries bounds the cache; beyond it, it starts anew.
const timeCacheEntries = 10_000

// age is how long ago the record at off was written, in seconds; -1 if it
// cannot be read.
func (c *timeCache) age(p *broker.Partition, off broker.Offset, now time.Time) float64 {
	key := timeKey{topic: p.Topic().ID(), part: p.Index(), off: off}
	c.mu.Lock()
	at, ok := c.times[key]
	c.mu.Unlock()
	if !ok {
		var err error
		if at, err = recordTime(p, off); err != nil {
			return -1
		}
		c.put(key, at)
	}
	return max(0, now.Sub(at).Seconds())
}

func (c *timeCache) put(key timeKey, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.times == nil || len(c.times) >= timeCacheEntries {
		c.times = map[timeKey]time.Time{}
	}
	c.times[key] = at
}

// recordTime reads the time of the first record at off or later.
func recordTime(p *broker.Partition, off broker.Offset) (time.Time, error) {
	var buf broker.Buffer
	defer buf.Release()
	if err := p.Read(&buf, off, 1); err != nil {
		return time.Time{}, err
	}
	for _, e := range buf.Entries {
		for rec, err := range broker.Records(e.Bytes) {
			if err != nil || rec.Offset >= off {
				return rec.Time, err
			}
		}
	}
	return time.Time{}, outOfRange(p, off)
}
