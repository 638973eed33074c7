package console

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tidings-io/tidings/broker"
)

// defaultExchange is how the exchange without a name is named in paths and documents.
const defaultExchange = "amq.default"

func shownExchange(name string) string { return cmp.Or(name, defaultExchange) }

func (s *Server) listExchanges(*http.Request) (any, error) {
	doc := Exchanges{Exchanges: []Exchange{}}
	for _, x := range s.b.Exchanges("") {
		doc.Exchanges = append(doc.Exchanges, exchangeRow(x, len(x.Bindings())))
	}
	return doc, nil
}

func exchangeRow(x *broker.Exchange, bindings int) Exchange {
	spec := x.Spec()
	return Exchange{
		Name: shownExchange(spec.Name), Type: spec.Type, Durable: spec.Durable, AutoDelete: spec.AutoDelete,
		Internal: spec.Internal, BuiltIn: x.BuiltIn(), Alternate: spec.Alternate, BoundTo: bindings,
	}
}

func (s *Server) showExchange(r *http.Request) (any, error) {
	x, err := s.exchange(r.PathValue("exchange"))
	if err != nil {
		return nil, err
	}
	return exchangeDetail(x), nil
}

func exchangeDetail(x *broker.Exchange) ExchangeDetail {
	bindings := bindingRows(x.Bindings())
	return ExchangeDetail{Exchange: exchangeRow(x, len(bindings)), Args: argsDocument(x.Spec().Args),
		Bindings: bindings}
}

// exchange finds an exchange or says which name comes close.
func (s *Server) exchange(name string) (*broker.Exchange, error) {
	real := name
	if name == defaultExchange {
		real = ""
	}
	x, err := s.b.Exchange("", real)
	if name == "" || broker.KindOf(err) == broker.NotFound {
		var names []string
		for _, x := range s.b.Exchanges("") {
			names = append(names, shownExchange(x.Name().Name))
		}
		return nil, notFound("exchange", name, meant(name, names))
	}
	return x, err
}

// ownExchange is one that may be deleted, and bound.
func (s *Server) ownExchange(name, what string) (*broker.Exchange, error) {
	x, err := s.exchange(name)
	if err == nil && x.Name().Name == "" {
		return nil, invalid("the default exchange leads to every queue by its name: it cannot be %s", what)
	}
	return x, err
}

func (s *Server) createExchange(r *http.Request) (any, error) {
	var doc NewExchange
	if err := decode(r, &doc); err != nil {
		return nil, err
	}
	switch {
	case strings.HasPrefix(doc.Name, reservedPrefix):
		return nil, invalid("names that begin with %s are given by the server", reservedPrefix)
	case doc.Name == "":
		return nil, invalid("an exchange needs a name")
	case s.b.Relays(doc.Type):
		return nil, invalid("exchanges of type %s are made by their own protocol", quote(doc.Type))
	}
	args, err := brokerArgs(doc.Args)
	if err != nil {
		return nil, err
	}
	alternate, err := s.c.Queues.Alternate(args)
	if err != nil {
		return nil, err
	}
	x, made, err := s.b.DeclareExchange(r.Context(), broker.ExchangeSpec{
		Name: doc.Name, Type: doc.Type, Durable: doc.Durable == nil || *doc.Durable,
		AutoDelete: doc.AutoDelete, Internal: doc.Internal, Alternate: alternate, Args: args,
	})
	switch {
	case broker.KindOf(err) == broker.Unsupported:
		return nil, invalid("there is no type of exchange named %s", quote(doc.Type))
	case err == nil && !made:
		err = &broker.Error{Kind: broker.Exists, Op: "create exchange", Name: doc.Name}
	}
	if err != nil {
		return nil, err
	}
	return created{exchangeDetail(x)}, nil
}

// deleteExchange deletes an exchange, unless ?ifUnused= forbids it.
func (s *Server) deleteExchange(r *http.Request) (any, error) {
	x, err := s.ownExchange(r.PathValue("exchange"), "deleted")
	if err != nil {
		return nil, err
	}
	o, err := deleteOptions(r)
	switch {
	case err != nil:
		return nil, err
	case o.IfEmpty:
		return nil, invalid("ifEmpty: an exchange holds no records")
	case x.BuiltIn():
		return nil, invalid("exchange %s is always there", x.Name().Name)
	case s.b.Relays(x.Spec().Type):
		return nil, invalid("exchange %s is of type %s, which is deleted by its own protocol",
			x.Name().Name, quote(x.Spec().Type))
	}
	gone := exchangeDetail(x)
	return gone, s.b.DeleteExchange(r.Context(), x, o.IfUnused)
}

func (s *Server) bind(r *http.Request) (any, error) {
	b, err := s.binding(r)
	if err != nil {
		return nil, err
	}
	if err := s.b.Bind(r.Context(), b); err != nil {
		return nil, err
	}
	return created{bindingRows([]broker.Binding{b})[0]}, nil
}

// unbind ends a binding; one that is not there is named.
func (s *Server) unbind(r *http.Request) (any, error) {
	b, err := s.binding(r)
	if err != nil {
		return nil, err
	}
	x, err := s.b.Exchange("", b.Source)
	if err != nil {
		return nil, err
	}
	there := slices.ContainsFunc(x.Bindings(), func(o broker.Binding) bool {
		return o.Destination == b.Destination && o.Key == b.Key && broker.EqualValues(o.Args, b.Args)
	})
	if !there {
		return nil, &problem{status: http.StatusNotFound, Problem: Problem{Code: "not_found",
			Message: "there is no binding " + b.String()}}
	}
	if err := s.b.Unbind(r.Context(), b); err != nil {
		return nil, err
	}
	return bindingRows([]broker.Binding{b})[0], nil
}

// binding reads a request's binding and finds both ends.
func (s *Server) binding(r *http.Request) (b broker.Binding, err error) {
	var doc Binding
	if err := decode(r, &doc); err != nil {
		return b, err
	}
	x, err := s.ownExchange(r.PathValue("exchange"), "bound")
	if err != nil {
		return b, err
	}
	if doc.Source != "" && doc.Source != x.Name().Name {
		return b, invalid("the binding is from exchange %s, the path says %s", doc.Source, x.Name().Name)
	}
	b = broker.Binding{Source: x.Name().Name, Key: doc.Key}
	if b.Args, err = brokerArgs(doc.Args); err != nil {
		return b, err
	}
	b.Destination, err = s.destination(doc)
	return b, err
}

// destination finds what a binding is to lead to.
func (s *Server) destination(doc Binding) (n broker.Name, err error) {
	switch {
	case doc.Queue != "" && doc.Topic == "" && doc.ToExchange == "":
		q, err := s.queue(doc.Queue)
		if err == nil && q.Spec().Owner != nil {
			err = &broker.Error{Kind: broker.Denied, Op: "bind", Name: q.String(), Err: errExclusive}
		}
		if err != nil {
			return n, err
		}
		return q.Name(), nil
	case doc.Topic != "" && doc.Queue == "" && doc.ToExchange == "":
		t, err := s.topic(doc.Topic)
		if err != nil {
			return n, err
		}
		return t.Name(), nil
	case doc.ToExchange != "" && doc.Queue == "" && doc.Topic == "":
		to, err := s.ownExchange(doc.ToExchange, "bound")
		if err != nil {
			return n, err
		}
		return to.Name(), nil
	}
	return n, invalid("a binding leads to one of queue, topic and toExchange, a link to a queue or toExchange")
}

// publishTo publishes to an exchange; queuePublish to one queue by its name.
func (s *Server) publishTo(r *http.Request) (any, error) {
	x, err := s.exchange(r.PathValue("exchange"))
	if err != nil {
		return nil, err
	}
	if x.Spec().Internal {
		return nil, invalid("exchange %s is internal: it takes records of other exchanges only", x.Name().Name)
	}
	return s.publishRecords(r, x, nil)
}

func (s *Server) queuePublish(r *http.Request) (any, error) {
	q, err := s.queue(r.PathValue("queue"))
	if err != nil {
		return nil, err
	}
	x, err := s.b.Exchange("", "")
	if err != nil {
		return nil, err
	}
	return s.publishRecords(r, x, q)
}

// publishRecords publishes all records of a request in one atomic commit and answers
// when it is on disk; q, where not nil, is the queue that its name leads to.
func (s *Server) publishRecords(r *http.Request, x *broker.Exchange, q *broker.Queue) (any, error) {
	var doc QueuePublish
	if err := decode(r, &doc); err != nil {
		return nil, err
	}
	if err := s.checkCount(len(doc.Records)); err != nil {
		return nil, err
	}
	tx := s.b.Begin()
	at := make([]int, len(doc.Records))
	for i, d := range doc.Records {
		if q != nil && d.Key != "" {
			return nil, invalid("record %d: a queue takes no key; publish to an exchange", i)
		}
		if q != nil {
			d.Key = q.Name().Name
		}
		rec, err := s.newQueueRecord(x, d)
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
		at[i] = tx.Publish(x, rec)
	}
	confirm, err := tx.Commit(r.Context())
	if err == nil {
		err = confirm.Wait(r.Context())
	}
	if err != nil {
		return nil, err
	}
	answer := QueuePublished{Records: make([]RoutedRecord, len(at))}
	for i := range at {
		routed := tx.Routed(at[i])
		answer.Records[i] = RoutedRecord{Queues: routed.Queues, Refused: routed.Refused}
	}
	return answer, nil
}

// persistent is the delivery mode of records that are on disk before the answer.
const persistent = 2

func (s *Server) newQueueRecord(x *broker.Exchange, d NewQueueRecord) (rec broker.QueueRecord, err error) {
	if d.Value != nil && d.ValueBase64 != nil {
		return rec, invalid("a value is text or base64, not both")
	}
	rec = broker.QueueRecord{Exchange: x.Name().Name, Key: d.Key, Body: Bytes(d.Value, d.ValueBase64)}
	properties, err := brokerArgs(d.Properties)
	if err != nil {
		return rec, err
	}
	if _, given := properties.Get("delivery_mode"); !given {
		properties = append(properties, broker.Arg{Name: "delivery_mode", Value: int64(persistent)})
	}
	return rec, s.c.Queues.Describe(&rec, properties)
}
