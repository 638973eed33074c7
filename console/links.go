package console

import (
	"net/http"

	"github.com/tidings-io/tidings/broker"
)

func (s *Server) listLinks(*http.Request) (any, error) {
	doc := Links{Links: []Link{}}
	for _, l := range s.b.Links() {
		if l.Namespace == "" {
			doc.Links = append(doc.Links, linkRow(l))
		}
	}
	return doc, nil
}

func linkRow(l broker.Link) Link {
	row := Link{Topic: l.Topic, Key: l.Key, Group: l.Group()}
	if l.To.Kind == broker.KindQueue {
		row.Queue = l.To.Name
	} else {
		row.ToExchange = l.To.Name
	}
	return row
}

func (s *Server) link(r *http.Request) (any, error) {
	l, from, err := s.wantedLink(r)
	if err != nil {
		return nil, err
	}
	if err := s.b.Link(r.Context(), l, from == "start"); err != nil {
		return nil, err
	}
	return created{linkRow(l)}, nil
}

// unlink ends a link; one that is not there is named.
func (s *Server) unlink(r *http.Request) (any, error) {
	l, _, err := s.wantedLink(r)
	if err != nil {
		return nil, err
	}
	err = s.b.Unlink(r.Context(), l)
	if broker.KindOf(err) == broker.NotFound {
		return nil, &problem{status: http.StatusNotFound, Problem: Problem{Code: "not_found",
			Message: "there is no link " + l.String()}}
	}
	return linkRow(l), err
}

// wantedLink reads a request's link and finds both ends.
func (s *Server) wantedLink(r *http.Request) (l broker.Link, from string, err error) {
	var doc Link
	if err := decode(r, &doc); err != nil {
		return l, "", err
	}
	switch {
	case doc.From != "" && doc.From != "start" && doc.From != "end":
		return l, "", invalid("from is start or end, not %s", quote(doc.From))
	case doc.Group != "":
		return l, "", invalid("the group of a link is the server's to name")
	case doc.Queue != "" && doc.Key != nil:
		return l, "", invalid("a queue takes every record: a key means nothing")
	}
	t, err := s.topic(doc.Topic)
	if err != nil {
		return l, "", err
	}
	to, err := s.destination(Binding{Queue: doc.Queue, ToExchange: doc.ToExchange})
	return broker.Link{Topic: t.Name().Name, To: to, Key: doc.Key}, doc.From, err
}
