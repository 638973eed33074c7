package aws

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"time"
)

// handler answers what is no web page's.
func (s *Server) handler() http.Handler {
	return s.guard(http.HandlerFunc(s.serve))
}

// serve answers one request: its body, what it asks for, who sends it, the action, the answer.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	id := requestID()
	w.Header().Set("X-Amzn-Requestid", id)
	codec := codecOf(r)
	a, out, err := s.run(w, r, codec)
	var body []byte
	status := http.StatusOK
	if err == nil {
		body, err = codec.answer(w.Header(), &a, id, out)
	}
	if err != nil {
		if r.Context().Err() != nil && s.life.Err() == nil {
			return // the client has gone
		}
		e := asError(err)
		if status = e.identity().status; status >= http.StatusInternalServerError {
			s.config.Logger.Error("aws request failed", "action", a.action, "request", id, "error", err)
		}
		body = codec.refuse(w.Header(), &a, id, e)
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.config.Limits.AnswerTime))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone hears nothing
}

func (s *Server) run(w http.ResponseWriter, r *http.Request, codec codec) (ask, any, error) {
	act, in, a, err := s.readRequest(w, r, codec)
	if err != nil {
		return a, nil, err
	}
	c := &call{ctx: r.Context(), host: r.Host, path: a.path, sender: senderOf(r, s.config.Account)}
	out, err := act.do(s, c, in)
	return a, out, err
}

// readRequest reads what is asked for, and by whom. The body is not needed afterwards.
func (s *Server) readRequest(w http.ResponseWriter, r *http.Request, codec codec) (
	act *action, in any, a ask, err error) {
	a = ask{service: services[0]}
	body, free, err := s.takeBody(w, r)
	if err != nil {
		return nil, nil, a, err
	}
	defer free()
	if a, err = codec.open(r, body, &s.config.Limits); err != nil {
		return nil, nil, a, err
	}
	if err := s.checkSignature(r, body); err != nil {
		return nil, nil, a, err
	}
	act, refused := a.service.find(a.action)
	if refused != nil {
		return nil, nil, a, refused
	}
	in = act.input()
	return act, in, a, a.decode(in)
}

// takeBody receives the body within its time and size, so that what the action does afterwards may take as
// long as it needs. Few large bodies are held at a time.
func (s *Server) takeBody(w http.ResponseWriter, r *http.Request) (body []byte, free func(), err error) {
	free = func() {}
	limit := s.config.Limits.BodyBytes
	switch n := r.ContentLength; {
	case n == 0:
		return nil, free, nil
	case n > limit:
		return nil, free, tooLarge(limit)
	case n < 0 || n > largeBody:
		select {
		case s.bodies <- struct{}{}:
			free = func() { <-s.bodies }
		case <-r.Context().Done():
			return nil, free, r.Context().Err()
		}
	}
	rc := http.NewResponseController(w) // recorders in tests have no deadlines; connections do
	_ = rc.SetReadDeadline(time.Now().Add(s.config.Limits.BodyTime))
	var b bytes.Buffer
	if r.ContentLength > 0 {
		b.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, limit)); err != nil {
		free()
		return nil, nil, bodyError(err, limit)
	}
	_ = rc.SetReadDeadline(time.Time{})
	return b.Bytes(), free, nil
}

func bodyError(err error, limit int64) error {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return tooLarge(limit)
	case errors.Is(err, context.Canceled), errors.Is(err, io.ErrUnexpectedEOF):
		return err // the client has gone
	}
	return errorf(serialization, "The body of the request did not arrive.")
}

func tooLarge(limit int64) error {
	return errorf(tooLargeRequest, "The request is larger than %d bytes.", limit)
}

// requestID is a random UUID.
func requestID() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails
	return formatUUID(u)
}

func formatUUID(u [16]byte) string {
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	b := make([]byte, 0, 36)
	for i, part := range [][]byte{u[:4], u[4:6], u[6:8], u[8:10], u[10:]} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, part)
	}
	return string(b)
}
