package broker

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// model is what a broker must be: plain maps and slices, no disk.
type model struct {
	topics  map[string]*modelTopic
	groups  map[string]*modelGroup
	streams map[string][]string // of the one event store "s"
	all     []string            // its events by position
}

type modelTopic struct{ parts []*modelPart }

type modelPart struct {
	records   []string // "" where trimmed
	start     int
	producers map[int64]*modelProducer
}

// modelProducer has the batches of the current epoch; the broker knows five.
type modelProducer struct {
	epoch   int16
	batches []modelBatch
}

type modelBatch struct {
	seq  int32
	n    int
	base int
}

type modelGroup struct {
	state   string
	cursors map[string]int // by "topic/partition"
}

func newModel() *model {
	return &model{
		topics: map[string]*modelTopic{}, groups: map[string]*modelGroup{},
		streams: map[string][]string{},
	}
}

func (m *model) grow(topic string, n int) {
	t := m.topics[topic]
	for len(t.parts) < n {
		t.parts = append(t.parts, &modelPart{producers: map[int64]*modelProducer{}})
	}
}

func (m *model) part(topic string, i int) *modelPart { return m.topics[topic].parts[i] }

func (m *model) deleteTopic(topic string) {
	delete(m.topics, topic)
	for _, g := range m.groups {
		maps.DeleteFunc(g.cursors, func(at string, _ int) bool {
			return strings.HasPrefix(at, topic+"/")
		})
	}
}

func (m *model) group(name string) *modelGroup {
	if m.groups[name] == nil {
		m.groups[name] = &modelGroup{cursors: map[string]int{}}
	}
	return m.groups[name]
}

func (p *modelPart) append(values []string) int {
	p.records = append(p.records, values...)
	return len(p.records) - len(values)
}

// appendFrom is an idempotent append; it returns what the broker must answer.
func (p *modelPart) appendFrom(id int64, epoch int16, seq int32, values []string) string {
	s := p.producers[id]
	switch {
	case s == nil || epoch > s.epoch && seq == 0:
		s = &modelProducer{epoch: epoch}
		p.producers[id] = s
	case epoch < s.epoch:
		return "fenced"
	case epoch > s.epoch:
		return "out of order"
	default:
		for _, b := range s.batches[max(0, len(s.batches)-5):] {
			if b.seq == seq && b.n == len(values) {
				return fmt.Sprintf("duplicate of %d", b.base)
			}
		}
		if last := s.batches[len(s.batches)-1]; seq != last.seq+int32(last.n) {
			return "out of order"
		}
	}
	base := p.append(values)
	s.batches = append(s.batches, modelBatch{seq, len(values), base})
	return fmt.Sprintf("at %d", base)
}

func (m *model) appendStream(stream string, want int, values []string) string {
	if want >= 0 && want != len(m.streams[stream]) {
		return "conflict"
	}
	base := len(m.all)
	for _, v := range values {
		m.streams[stream] = append(m.streams[stream], v)
		event := fmt.Sprintf("%s/%d@%d %s", stream, len(m.streams[stream]), len(m.all), v)
		m.all = append(m.all, event)
	}
	return fmt.Sprintf("at %d, version %d", base, len(m.streams[stream]))
}

// String shows everything there is to see, in a fixed order.
func (m *model) String() string {
	var s strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m.topics)) {
		for i, p := range m.topics[name].parts {
			fmt.Fprintf(&s, "%s/%d from %d: %v\n", name, i, p.start, p.records[p.start:])
			for _, id := range slices.Sorted(maps.Keys(p.producers)) {
				b := p.producers[id].batches
				last := b[len(b)-1]
				fmt.Fprintf(&s, "  producer %d epoch %d: %d@%d\n", id, p.producers[id].epoch,
					last.seq+int32(last.n)-1, last.base+last.n-1)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.groups)) {
		g := m.groups[name]
		fmt.Fprintf(&s, "group %s: %q", name, g.state)
		for _, at := range slices.Sorted(maps.Keys(g.cursors)) {
			fmt.Fprintf(&s, " %s=%d", at, g.cursors[at])
		}
		s.WriteString("\n")
	}
	for _, e := range m.all {
		fmt.Fprintf(&s, "event %s\n", e)
	}
	return s.String()
}

// show is String of a real broker.
func show(b *Broker) (string, error) {
	m := newModel()
	for _, t := range b.Topics("") {
		mt := &modelTopic{}
		m.topics[t.Name().Name] = mt
		for _, p := range t.all() {
			mp, err := showPart(p)
			if err != nil {
				return "", err
			}
			mt.parts = append(mt.parts, mp)
		}
	}
	for _, g := range b.Groups("") {
		mg := m.group(g.Name().Name)
		mg.state = string(g.State())
		for key, c := range g.Cursors() {
			mg.cursors[fmt.Sprintf("%s/%d", key.Name, key.Partition)] = int(c.Offset)
		}
	}
	err := showStreams(b, m)
	return m.String(), err
}

func showPart(p *Partition) (*modelPart, error) {
	start, _ := p.Bounds()
	mp := &modelPart{start: int(start), producers: map[int64]*modelProducer{}}
	recs, err := readAll(p, start)
	if err != nil {
		return nil, err
	}
	mp.records = make([]string, start)
	for i, r := range recs {
		if r.Offset != start+Offset(i) {
			return nil, fmt.Errorf("%s: record %d has offset %d", p, i, r.Offset)
		}
		mp.records = append(mp.records, string(r.Value))
	}
	for _, s := range p.Producers() {
		mp.producers[s.ID] = &modelProducer{s.Epoch, []modelBatch{{s.LastSeq, 1, int(s.LastOff)}}}
	}
	return mp, nil
}

// showStreams adds the events by position and makes sure that the index by stream
// has the same ones.
func showStreams(b *Broker, m *model) error {
	s, err := b.Streams("", "s")
	if err != nil {
		return err
	}
	perStream := map[string][]string{}
	for e, err := range s.All(ctx, 0) {
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s/%d@%d %s", e.Stream, e.Version, e.Position, e.Value)
		m.all = append(m.all, line)
		perStream[e.Stream] = append(perStream[e.Stream], line)
	}
	for stream, want := range perStream {
		got := []string{}
		for e, err := range s.Read(ctx, stream, 1) {
			if err != nil {
				return err
			}
			got = append(got, fmt.Sprintf("%s/%d@%d %s", e.Stream, e.Version, e.Position, e.Value))
		}
		if !slices.Equal(got, want) || s.Version(stream) != int64(len(want)) {
			return fmt.Errorf("stream %s at version %d has %q, the log has %q",
				stream, s.Version(stream), got, want)
		}
	}
	return nil
}

// action is one random operation, for the model and for the broker. Both answer
// with a word; the words must be the same. The model's part can be done again on
// another model, to replay a history.
type action struct {
	text string
	on   func(m *model) string
	real func(b *Broker) (string, Confirm)
}

// word is the answer of a broker.
func word(a Appended, err error) (string, Confirm) {
	switch {
	case err != nil:
		return kindWord(err), Confirm{}
	case a.Duplicate:
		return fmt.Sprintf("duplicate of %d", a.Base), a.Confirm
	case a.Version > 0:
		return fmt.Sprintf("at %d, version %d", a.Base, a.Version), a.Confirm
	}
	return fmt.Sprintf("at %d", a.Base), a.Confirm
}

func kindWord(err error) string {
	if err == nil {
		return "done"
	}
	return KindOf(err).String()
}

// die draws random actions that make sense for a state.
type die struct {
	*rand.Rand
	serial int
}

func (d *die) values() []string {
	vs := make([]string, 1+d.IntN(3))
	for i := range vs {
		d.serial++
		vs[i] = fmt.Sprint("v", d.serial)
	}
	return vs
}

func toRecords(values []string) []Record {
	recs := make([]Record, len(values))
	for i, v := range values {
		recs[i] = Record{Value: []byte(v), Time: at(100)}
	}
	return recs
}
