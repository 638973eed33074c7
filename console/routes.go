package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// Handler is the whole API behind its guard, for a server of one's own.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range s.routes() {
		mux.Handle(pattern, h)
	}
	mux.Handle("/", s.answer(unknownPath))
	return s.guard(mux)
}

// routes is the API: docs/api.md describes each, and a test sees to it.
func (s *Server) routes() map[string]http.Handler {
	return map[string]http.Handler{
		"GET /{$}":                               s.answer(s.info),
		"GET /api/v1":                            s.answer(s.info),
		"GET /api/v1/topics":                     s.answer(s.listTopics),
		"POST /api/v1/topics":                    s.answer(s.createTopic),
		"GET /api/v1/topics/{topic}":             s.answer(s.showTopic),
		"DELETE /api/v1/topics/{topic}":          s.answer(s.deleteTopic),
		"POST /api/v1/topics/{topic}/partitions": s.answer(s.growTopic),
		"POST /api/v1/topics/{topic}/records":    s.answer(s.publish),
		"GET /api/v1/topics/{topic}/records":     http.HandlerFunc(s.stream),
		"GET /api/v1/groups":                     s.answer(s.listGroups),
		"GET /api/v1/groups/{group}":             s.answer(s.showGroup),
		"DELETE /api/v1/groups/{group}":          s.answer(s.deleteGroup),
		"POST /api/v1/groups/{group}/reset":      s.answer(s.resetGroup),
		"GET /api/v1/lag":                        s.answer(s.lag),

		"GET /api/v1/queues":                           s.answer(s.listQueues),
		"POST /api/v1/queues":                          s.answer(s.createQueue),
		"GET /api/v1/queues/{queue}":                   s.answer(s.showQueue),
		"DELETE /api/v1/queues/{queue}":                s.answer(s.deleteQueue),
		"POST /api/v1/queues/{queue}/purge":            s.answer(s.purgeQueue),
		"GET /api/v1/queues/{queue}/records":           http.HandlerFunc(s.browse),
		"POST /api/v1/queues/{queue}/records":          s.answer(s.queuePublish),
		"POST /api/v1/queues/{queue}/consume":          http.HandlerFunc(s.consume),
		"POST /api/v1/consumers/{consumer}/settle":     s.answer(s.settle),
		"POST /api/v1/queues/{queue}/redrive":          http.HandlerFunc(s.redrive),
		"GET /api/v1/deadletters":                      s.answer(s.deadLetters),
		"GET /api/v1/exchanges":                        s.answer(s.listExchanges),
		"POST /api/v1/exchanges":                       s.answer(s.createExchange),
		"GET /api/v1/exchanges/{exchange}":             s.answer(s.showExchange),
		"DELETE /api/v1/exchanges/{exchange}":          s.answer(s.deleteExchange),
		"POST /api/v1/exchanges/{exchange}/bindings":   s.answer(s.bind),
		"DELETE /api/v1/exchanges/{exchange}/bindings": s.answer(s.unbind),
		"POST /api/v1/exchanges/{exchange}/records":    s.answer(s.publishTo),

		"GET /api/v1/links":    s.answer(s.listLinks),
		"POST /api/v1/links":   s.answer(s.link),
		"DELETE /api/v1/links": s.answer(s.unlink),

		"POST /api/v1/aws/{service}/{action}": s.aws(),

		"GET /api/v1/storage": s.answer(s.storage),
		"POST /api/v1/backup": s.answer(s.backup),
		"GET /healthz":        http.HandlerFunc(s.healthz),
		"GET /metrics":        s.metricsHandler(),
	}
}

// aws is SNS and SQS for administration: the errors are those of AWS.
func (s *Server) aws() http.Handler {
	if s.c.AWS == nil {
		return s.answer(func(*http.Request) (any, error) {
			return nil, &broker.Error{Kind: broker.Unsupported, Op: "aws",
				Err: errors.New("this server does not listen for AWS")}
		})
	}
	return http.StripPrefix("/api/v1/aws", s.c.AWS)
}

// answer is a handler that returns its document, or an error.
type answer func(r *http.Request) (any, error)

func (s *Server) answer(a answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		free, err := s.takeBody(w, r)
		if err == nil {
			defer free()
			var doc any
			if doc, err = a(r); err == nil {
				s.writeAnswer(w, doc)
				return
			}
		}
		p := asProblem(err)
		if p.status >= http.StatusInternalServerError {
			s.c.Logger.Warn("admin request", "method", r.Method, "path", r.URL.Path, "err", err)
		}
		s.setWriteDeadline(w)
		writeProblem(w, p)
	})
}

func (s *Server) writeAnswer(w http.ResponseWriter, doc any) {
	status := http.StatusOK
	if c, ok := doc.(created); ok {
		doc, status = c.doc, http.StatusCreated
	}
	s.setWriteDeadline(w)
	writeJSON(w, status, doc)
}

// created marks a document to be answered with 201.
type created struct{ doc any }

// takeBody receives the body of a request that changes something.
func (s *Server) takeBody(w http.ResponseWriter, r *http.Request) (free func(), err error) {
	if !changes(r) {
		return func() {}, nil
	}
	body, free, err := s.bodies.Take(w, r)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return free, err
}

// setWriteDeadline bounds how long a client may take to read an answer.
func (s *Server) setWriteDeadline(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.c.Limits.AnswerTime))
}

// decode reads one JSON document, refusing fields it does not know: a
// misspelt setting must not be taken for the default.
func decode(r *http.Request, doc any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	d.UseNumber() // arguments of queues: an integer is none that a float can hold
	err := d.Decode(doc)
	switch {
	case errors.Is(err, io.EOF):
		return invalid("the request has no body")
	case err != nil:
		return invalid("request body: %s", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid("request body: more than one JSON document")
	}
	return nil
}

func unknownPath(r *http.Request) (any, error) {
	return nil, &problem{status: http.StatusNotFound, Problem: Problem{
		Code:    "not_found",
		Message: fmt.Sprintf("%s %s is not part of the API", r.Method, r.URL.Path),
		Hint:    "see docs/api.md; it starts at /api/v1",
	}}
}

func (s *Server) info(*http.Request) (any, error) {
	listeners := append(s.c.Listeners(), s.listener()...)
	return Info{
		Name: "tidings", Version: s.c.Version, API: APIVersion,
		ID: s.b.ID().String(), PID: os.Getpid(), Started: s.started.UTC(),
		Data: s.c.Data, Sync: s.c.Sync, AutoCreate: s.c.AutoCreate,
		Listeners: listeners,
		Topics:    len(s.b.Topics("")), Groups: len(s.groupNames()),
	}, nil
}

// listener is this API's own row; none when a handler is used without Listen.
func (s *Server) listener() []Listener {
	if s.ln == nil {
		return []Listener{}
	}
	l := s.ln.(*limited)
	return []Listener{{Name: "admin", Addr: s.ln.Addr().String(), Connections: len(l.tokens)}}
}
