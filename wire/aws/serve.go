package aws

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// handler answers what is no web page's.
func (s *Server) handler() http.Handler {
	return s.guard(http.HandlerFunc(s.serve))
}

// serve answers one request: its body, what it asks for, who sends it, the action, the answer.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == resetPath {
		s.serveReset(w, r)
		return
	}
	s.respond(w, r, door{codec: codecOf(r), check: s.checkSignature})
}

// door is how a request comes in: how it is written down, and who says whether its sender may.
type door struct {
	codec
	check  func(r *http.Request, body []byte) error
	inside bool // it is for who administers the broker
}

func (s *Server) respond(w http.ResponseWriter, r *http.Request, d door) {
	id := requestID()
	w.Header().Set("X-Amzn-Requestid", id)
	if s.serveCertificate(w, r) {
		return
	}
	c := &call{}
	a, out, err := s.run(w, r, d, c)
	var body []byte
	status := http.StatusOK
	if err == nil {
		body, err = d.answer(w.Header(), &a, id, out)
	}
	if err != nil {
		c.takeBack()
		if r.Context().Err() != nil && s.closing.Err() == nil {
			return // the client has gone
		}
		e := errorBy(a.service.kinds, err)
		if status = e.identity().status; status >= http.StatusInternalServerError {
			s.config.Logger.Error("aws request failed", "action", a.action, "request", id, "error", err)
		}
		body = d.refuse(w.Header(), &a, id, e)
	}
	if r.Context().Err() != nil || s.write(w, status, body) != nil {
		c.takeBack()
	}
}

// write hands the answer to the connection; where that fails the client has not read it to its end.
func (s *Server) write(w http.ResponseWriter, status int, body []byte) error {
	conn := http.NewResponseController(w)
	_ = conn.SetWriteDeadline(time.Now().Add(s.config.Limits.AnswerTime))
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		return err
	}
	if err := conn.Flush(); !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil // whoever wraps the connection has the rest
}

func (c *call) takeBack() {
	if c.unheard != nil {
		c.unheard()
	}
}

// serveCertificate answers with the certificate for the signatures of notifications, where that is asked for.
func (s *Server) serveCertificate(w http.ResponseWriter, r *http.Request) bool {
	signer := s.topics.signer.Load()
	if signer == nil || r.Method != http.MethodGet || r.URL.Path != signer.Path() {
		return false
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	_, _ = w.Write(signer.Certificate()) // a client that has gone hears nothing
	return true
}

func (s *Server) run(w http.ResponseWriter, r *http.Request, d door, c *call) (ask, any, error) {
	act, in, a, err := s.readRequest(w, r, d)
	if err != nil {
		return a, nil, err
	}
	*c = call{ctx: r.Context(), host: r.Host, path: a.path, sender: senderOf(r, s.config.Account),
		trace: traceOf(r), inside: d.inside}
	_, c.signed = signatureOf(r)
	out, err := act.do(s, c, in)
	return a, out, err
}

// traceOf is the X-Ray header; "": there is none that a message can have.
func traceOf(r *http.Request) string {
	if trace := r.Header.Get("X-Amzn-Trace-Id"); isTrace(trace) {
		return trace
	}
	return ""
}

// readRequest reads what is asked for, and by whom. The body is not needed afterwards.
func (s *Server) readRequest(w http.ResponseWriter, r *http.Request, d door) (
	act *action, in any, a ask, err error) {
	a = ask{service: services[0]}
	body, free, err := s.bodies.Take(w, r)
	defer free()
	if err != nil {
		return nil, nil, a, bodyError(err)
	}
	if a, err = d.open(r, body, &s.config.Limits); err != nil {
		return nil, nil, a, err
	}
	act, refused := a.service.find(a.action)
	if _, signed := signatureOf(r); refused != nil || !act.open || signed {
		if err := d.check(r, body); err != nil {
			return nil, nil, a, err
		}
	}
	if refused != nil {
		return nil, nil, a, refused
	}
	in = act.input()
	return act, in, a, a.decode(in)
}

func bodyError(err error) error {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return errorf(tooLargeRequest, "The request is larger than %d bytes.", large.Limit)
	case errors.Is(err, context.Canceled), errors.Is(err, io.ErrUnexpectedEOF):
		return err // the client has gone
	}
	return errorf(serialization, "The body of the request did not arrive.")
}

// requestID is a random UUID.
func requestID() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails
	return formatUUID(u)
}

func formatUUID(u [16]byte) string {
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	var b [36]byte
	for _, part := range [...]struct{ at, from, to int }{{0, 0, 4}, {9, 4, 6}, {14, 6, 8}, {19, 8, 10}, {24, 10, 16}} {
		if part.at > 0 {
			b[part.at-1] = '-'
		}
		hex.Encode(b[part.at:], u[part.from:part.to])
	}
	return string(b[:])
}
