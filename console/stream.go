package console

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// streamQuery is what a reader asked for.
type streamQuery struct {
	from       Position
	partitions []int // none: all
	follow     bool  // go on at the end; else stop at the ends found at the start
	limit      int64 // records; 0: no limit
}

// stream answers with one JSON document per line, as fast as the client takes
// them and no faster: nothing is read ahead beyond Limits.StreamBytes. It ends
// with the limit, at the end (unless following), or when the client goes.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	m, q, err := s.openStream(r)
	if err != nil {
		writeProblem(w, asProblem(err))
		return
	}
	s.streaming(w, r, func(ctx context.Context, out *lineWriter) error {
		return s.copyRecords(ctx, m, q, out)
	})
}

// streaming lets run write lines, if few enough do so already, until the client goes or
// the server closes. An error of run is the last line.
func (s *Server) streaming(
	w http.ResponseWriter, r *http.Request, run func(ctx context.Context, out *lineWriter) error,
) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		writeProblem(w, problem{status: http.StatusServiceUnavailable, Problem: Problem{
			Code:    "busy",
			Message: fmt.Sprintf("%d record streams are open already", cap(s.streams))}})
		return
	}
	ctx, cancel := s.untilClosing(r.Context())
	defer cancel()
	out := newLineWriter(w)
	if err := run(ctx, out); err != nil && ctx.Err() == nil {
		p := asProblem(err)
		out.write(ErrorDocument{Error: p.Problem})
	}
	out.flush()
}

// untilClosing returns a context that also ends when the server closes.
func (s *Server) untilClosing(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.closing, cancel)
	return ctx, func() { stop(); cancel() }
}

func (s *Server) openStream(r *http.Request) (*merge, streamQuery, error) {
	q, err := parseStreamQuery(r.URL.Query(), s.c.Now())
	if err != nil {
		return nil, q, err
	}
	t, err := s.topic(r.PathValue("topic"))
	if err != nil {
		return nil, q, err
	}
	m := &merge{topic: t.Name().Name, budget: s.c.Limits.StreamBytes}
	m.exists = func() error {
		_, err := s.b.TopicByID(t.ID())
		return err
	}
	for _, i := range q.indices(t) {
		p := t.Partition(i)
		if p == nil {
			return nil, q, invalid("topic %s has no partition %d (it has %d, from 0)",
				m.topic, i, t.Partitions())
		}
		from, err := q.from.resolve(r.Context(), p)
		if err != nil {
			return nil, q, err
		}
		m.sources = append(m.sources, newSource(p, from, q.follow))
	}
	return m, q, nil
}

func (q streamQuery) indices(t *broker.Topic) []int {
	if len(q.partitions) > 0 {
		return q.partitions
	}
	all := make([]int, t.Partitions())
	for i := range all {
		all[i] = i
	}
	return all
}

func parseStreamQuery(v url.Values, now time.Time) (q streamQuery, err error) {
	for key := range v {
		switch key {
		case "from", "partition", "follow", "limit":
		default:
			return q, invalid("unknown parameter %q: from, partition, follow, limit", key)
		}
	}
	if q.from, err = ParsePosition(cmp.Or(v.Get("from"), "end"), now); err != nil {
		return q, invalid("from: %s", err)
	}
	if q.follow, err = strconv.ParseBool(cmp.Or(v.Get("follow"), "false")); err != nil {
		return q, invalid("follow: %q is neither true nor false", v.Get("follow"))
	}
	q.limit, err = strconv.ParseInt(cmp.Or(v.Get("limit"), "0"), 10, 64)
	if err != nil || q.limit < 0 {
		return q, invalid("limit: %q is no number of records", v.Get("limit"))
	}
	for _, text := range v["partition"] {
		i, err := strconv.Atoi(text)
		if err != nil {
			return q, invalid("partition: %q is no number", text)
		}
		q.partitions = append(q.partitions, i)
	}
	return q, nil
}

// copyRecords moves records from the merge to the client until one of them ends.
func (s *Server) copyRecords(ctx context.Context, m *merge, q streamQuery, out *lineWriter) error {
	out.flush() // headers: the client knows that it is being served
	for sent := int64(0); ; {
		round, err := m.next()
		if err != nil {
			return err
		}
		for _, line := range round {
			out.raw(line.json)
			if line.record {
				sent++
			}
			if sent == q.limit && q.limit > 0 {
				break
			}
		}
		s.observe(m)
		if out.flush(); out.err != nil || sent == q.limit && q.limit > 0 || m.finished() {
			return out.err
		}
		if len(round) == 0 {
			if err := m.wait(ctx); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// observe reports what was handed out, once per partition and round.
func (s *Server) observe(m *merge) {
	for _, d := range m.takeDelivered() {
		if s.b.Observing() {
			s.b.Observe(&d)
		}
	}
}

// lineWriter writes lines and flushes them; the first error sticks.
type lineWriter struct {
	w   http.ResponseWriter
	rc  *http.ResponseController
	err error
}

func newLineWriter(w http.ResponseWriter) *lineWriter {
	h := w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return &lineWriter{w: w, rc: http.NewResponseController(w)}
}

func (l *lineWriter) write(doc any) {
	b, err := json.Marshal(doc)
	if err != nil {
		l.err = err
		return
	}
	l.raw(append(b, '\n'))
}

func (l *lineWriter) raw(line []byte) {
	if l.err == nil {
		_, l.err = l.w.Write(line)
	}
}

func (l *lineWriter) flush() {
	if l.err == nil {
		l.err = l.rc.Flush()
	}
}
