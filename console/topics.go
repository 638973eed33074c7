package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/tidings-io/tidings/broker"
)

func (s *Server) listTopics(*http.Request) (any, error) {
	lags := s.lagByTopic()
	doc := Topics{Topics: []Topic{}}
	for _, t := range s.b.Topics("") {
		doc.Topics = append(doc.Topics, topicRow(t, lags[t.Name().Name]))
	}
	return doc, nil
}

// topicLag sums up the groups of one topic.
type topicLag struct {
	groups int
	worst  int64
}

func (s *Server) lagByTopic() map[string]topicLag {
	lags := map[string]topicLag{}
	for _, g := range s.b.Groups("") {
		for topic, lag := range recordLags(s.b, g) {
			t := lags[topic]
			lags[topic] = topicLag{groups: t.groups + 1, worst: max(t.worst, lag)}
		}
	}
	return lags
}

func topicRow(t *broker.Topic, lag topicLag) Topic {
	row := Topic{
		Name: t.Name().Name, ID: t.ID().String(), Partitions: t.Partitions(),
		Created: t.Created().UTC(), Groups: lag.groups, Lag: lag.worst,
	}
	for i := range t.Partitions() {
		p := t.Partition(i)
		start, end := p.Bounds()
		row.Records += int64(end - start)
		row.Bytes += p.SizeBytes()
	}
	return row
}

func (s *Server) showTopic(r *http.Request) (any, error) {
	t, err := s.topic(r.PathValue("topic"))
	if err != nil {
		return nil, err
	}
	return s.topicDetail(t), nil
}

func (s *Server) topicDetail(t *broker.Topic) TopicDetail {
	name := t.Name().Name
	lags := s.lags(func(topic string) bool { return topic == name })
	sum := topicLag{groups: len(lags)}
	for _, l := range lags {
		sum.worst = max(sum.worst, l.Lag)
	}
	return TopicDetail{
		Topic: topicRow(t, sum), Config: configDocument(t.Effective()),
		PartitionList: partitionRows(t), GroupList: lags,
	}
}

func partitionRows(t *broker.Topic) []Partition {
	rows := make([]Partition, t.Partitions())
	for i := range rows {
		p := t.Partition(i)
		start, end := p.Bounds()
		rows[i] = Partition{
			Partition: i, Start: int64(start), End: int64(end), Bytes: p.SizeBytes()}
	}
	return rows
}

// topic finds a topic or says which name comes close.
func (s *Server) topic(name string) (*broker.Topic, error) {
	t, err := s.b.Topic("", name)
	if broker.KindOf(err) == broker.NotFound {
		return nil, notFound("topic", name, s.didYouMean(name))
	}
	return t, err
}

func (s *Server) didYouMean(name string) string {
	var names []string
	for _, t := range s.b.Topics("") {
		names = append(names, t.Name().Name)
	}
	if near := Nearest(name, names); near != "" {
		return "did you mean " + near + "?"
	}
	return ""
}

func (s *Server) createTopic(r *http.Request) (any, error) {
	var doc NewTopic
	if err := decode(r, &doc); err != nil {
		return nil, err
	}
	if doc.Partitions < 0 {
		return nil, invalid("partitions must not be negative")
	}
	t, err := s.b.CreateTopic(r.Context(), broker.TopicSpec{
		Name: doc.Name, Partitions: cmp.Or(doc.Partitions, s.c.Partitions),
		Config: brokerConfig(doc.Config),
	})
	if err != nil {
		return nil, err
	}
	return created{s.topicDetail(t)}, nil
}

// ensureTopic finds a topic, or creates it where that is allowed.
func (s *Server) ensureTopic(ctx context.Context, name string) (*broker.Topic, error) {
	t, err := s.topic(name)
	var p *problem
	if !s.c.AutoCreate || !errors.As(err, &p) || p.status != http.StatusNotFound {
		return t, err
	}
	t, err = s.b.CreateTopic(ctx, broker.TopicSpec{Name: name, Partitions: s.c.Partitions})
	if broker.KindOf(err) == broker.Exists {
		return s.topic(name) // another publisher was faster
	}
	return t, err
}

func (s *Server) growTopic(r *http.Request) (any, error) {
	var doc Grow
	if err := decode(r, &doc); err != nil {
		return nil, err
	}
	name := r.PathValue("topic")
	if _, err := s.topic(name); err != nil {
		return nil, err
	}
	if err := s.b.GrowTopic(r.Context(), "", name, doc.Partitions); err != nil {
		return nil, err
	}
	return s.showTopic(r)
}

func (s *Server) deleteTopic(r *http.Request) (any, error) {
	t, err := s.topic(r.PathValue("topic"))
	if err != nil {
		return nil, err
	}
	gone := topicRow(t, topicLag{})
	if err := s.b.DeleteTopic(r.Context(), "", gone.Name); err != nil {
		return nil, err
	}
	return gone, nil
}

// segmentBytes is the store's default, which it does not tell.
const segmentBytes = 64 << 20

func configDocument(c broker.TopicConfig) TopicConfig {
	doc := TopicConfig{
		RetentionSeconds: int64((c.RetentionTime + time.Second - 1) / time.Second),
		RetentionBytes:   c.RetentionBytes, SegmentBytes: cmp.Or(c.SegmentBytes, segmentBytes),
		BatchBytes: c.BatchBytes, AppendTime: c.AppendTime, Extra: c.Extra,
	}
	if c.RetentionTime < 0 {
		doc.RetentionSeconds = -1
	}
	return doc
}

func brokerConfig(doc TopicConfig) broker.TopicConfig {
	c := broker.TopicConfig{
		RetentionTime:  time.Duration(doc.RetentionSeconds) * time.Second,
		RetentionBytes: doc.RetentionBytes, SegmentBytes: doc.SegmentBytes,
		BatchBytes: doc.BatchBytes, AppendTime: doc.AppendTime, Extra: doc.Extra,
	}
	if doc.RetentionSeconds < 0 {
		c.RetentionTime = -1
	}
	return c
}

// Nearest returns the name that a typing error most likely meant, or "".
func Nearest(name string, names []string) string {
	best, dist := "", len(name)/3+2
	slices.SortFunc(names, cmp.Compare[string])
	for _, n := range names {
		if d := editDistance(name, n); d < dist {
			best, dist = n, d
		}
	}
	return best
}

// editDistance counts insertions, deletions, changes and swaps of neighbours
// (optimal string alignment), so that "legder" is one step from "ledger".
func editDistance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			d := min(row[j+1]+1, next[j]+1)
			if a[i] == b[j] {
				d = min(d, row[j])
			} else {
				d = min(d, row[j]+1)
			}
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				d = min(d, before[j-1]+1)
			}
			next[j+1] = d
		}
		before, row = row, next
	}
	return row[len(b)]
}
