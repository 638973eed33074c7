package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/tidings-io/tidings/console"
)

// queuesOf is the client of a server that has queues and exchanges: no Kafka does.
func queuesOf(c client) (*apiClient, error) {
	if api, ok := c.(*apiClient); ok {
		return api, nil
	}
	return nil, usage("Kafka has no queues and exchanges: this needs the admin API of tidings").
		hint("like this", "--server host:port, without --kafka or TIDINGS_KAFKA")
}

func queuePath(name, rest string) string { return "/queues/" + url.PathEscape(name) + rest }

func exchangePath(name, rest string) string { return "/exchanges/" + url.PathEscape(name) + rest }

func (c *apiClient) Queues(ctx context.Context) ([]console.Queue, error) {
	var doc console.Queues
	err := c.get(ctx, "/queues", &doc)
	return doc.Queues, err
}

func (c *apiClient) Queue(ctx context.Context, name string) (doc console.QueueDetail, err error) {
	err = c.get(ctx, queuePath(name, ""), &doc)
	return doc, err
}

func (c *apiClient) CreateQueue(ctx context.Context, q console.NewQueue) error {
	return c.post(ctx, "/queues", q, nil)
}

// DeleteQueue deletes a queue; unless sure only one that is empty and unused, as the
// server finds it at that moment.
func (c *apiClient) DeleteQueue(ctx context.Context, name string, sure bool) error {
	if sure {
		return c.delete(ctx, queuePath(name, ""))
	}
	return c.delete(ctx, queuePath(name, "?ifEmpty=true&ifUnused=true"))
}

func (c *apiClient) Exchanges(ctx context.Context) ([]console.Exchange, error) {
	var doc console.Exchanges
	err := c.get(ctx, "/exchanges", &doc)
	return doc.Exchanges, err
}

func (c *apiClient) Exchange(ctx context.Context, name string) (doc console.ExchangeDetail, err error) {
	err = c.get(ctx, exchangePath(name, ""), &doc)
	return doc, err
}

func (c *apiClient) CreateExchange(ctx context.Context, x console.NewExchange) error {
	return c.post(ctx, "/exchanges", x, nil)
}

// DeleteExchange deletes an exchange; unless sure only one from which no binding leads.
func (c *apiClient) DeleteExchange(ctx context.Context, name string, sure bool) error {
	if sure {
		return c.delete(ctx, exchangePath(name, ""))
	}
	return c.delete(ctx, exchangePath(name, "?ifUnused=true"))
}

func (c *apiClient) Bind(ctx context.Context, b console.Binding) error {
	return c.post(ctx, exchangePath(b.Source, "/bindings"), b, nil)
}

func (c *apiClient) Unbind(ctx context.Context, b console.Binding) error {
	return c.quick(ctx, call{http.MethodDelete, exchangePath(b.Source, "/bindings"), b}, nil)
}

func (c *apiClient) Links(ctx context.Context) ([]console.Link, error) {
	var doc console.Links
	err := c.get(ctx, "/links", &doc)
	return doc.Links, err
}

func (c *apiClient) Link(ctx context.Context, l console.Link) error {
	return c.post(ctx, "/links", l, nil)
}

func (c *apiClient) Unlink(ctx context.Context, l console.Link) error {
	return c.quick(ctx, call{http.MethodDelete, "/links", l}, nil)
}

// PublishTo publishes to the queue or exchange that the path is of.
func (c *apiClient) PublishTo(
	ctx context.Context, path string, recs []console.NewQueueRecord,
) ([]console.RoutedRecord, error) {
	var doc console.QueuePublished
	err := c.post(ctx, path, console.QueuePublish{Records: recs}, &doc)
	return doc.Records, err
}

// Browse hands the first records that wait in a queue to each.
func (c *apiClient) Browse(
	ctx context.Context, queue string, limit int64, each func(console.QueueRecord) error,
) error {
	what := call{http.MethodGet, queuePath(queue, "/records?limit="+plain(limit)), nil}
	return lines(ctx, c, what, func(line console.ConsumeLine) error {
		if line.Error != nil {
			return problemFailure(*line.Error)
		}
		return each(line.QueueRecord)
	})
}

// Consume hands the lines of a consumption to each: the first names the consumer.
func (c *apiClient) Consume(
	ctx context.Context, queue string, want console.Consume, each func(console.ConsumeLine) error,
) error {
	what := call{http.MethodPost, queuePath(queue, "/consume"), want}
	err := lines(ctx, c, what, func(line console.ConsumeLine) error {
		if line.Error != nil {
			return problemFailure(*line.Error)
		}
		return each(line)
	})
	return err
}

// Accept settles the deliveries of a consumer up to a number.
func (c *apiClient) Accept(ctx context.Context, consumer string, upTo int64) error {
	path := "/consumers/" + url.PathEscape(consumer) + "/settle"
	return c.post(ctx, path, console.Settle{UpTo: upTo, Outcome: "accept"}, nil)
}

func (c *apiClient) DeadLetters(ctx context.Context) ([]console.DeadLetterQueue, error) {
	var doc console.DeadLetters
	err := c.get(ctx, "/deadletters", &doc)
	return doc.DeadLetters, err
}

// Redrive hands each what was done so far, and returns what was done in the end.
func (c *apiClient) Redrive(
	ctx context.Context, queue string, r console.Redrive, each func(console.Redriven),
) (last console.Redriven, err error) {
	what := call{http.MethodPost, queuePath(queue, "/redrive"), r}
	err = lines(ctx, c, what, func(line console.Redriven) error {
		if line.Error != nil {
			return problemFailure(*line.Error)
		}
		last = line
		each(line)
		return nil
	})
	if err == nil && !last.Done {
		err = c.wentAway()
	}
	return last, err
}

func (c *apiClient) QueueLag(ctx context.Context, queue string) (doc console.Lags, err error) {
	err = c.get(ctx, "/lag?queue="+url.QueryEscape(queue), &doc)
	return doc, err
}

// lines makes a call that is answered with one document per line, and hands them to
// each until that fails or the answer ends.
func lines[T any](ctx context.Context, c *apiClient, what call, each func(T) error) error {
	req, err := c.request(ctx, what)
	if err != nil {
		return err
	}
	resp, err := c.send(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for d := json.NewDecoder(resp.Body); ; {
		var doc T
		err := d.Decode(&doc)
		var network net.Error
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &network):
			return c.wentAway()
		case err != nil:
			return err
		}
		if err := each(doc); err != nil {
			return err
		}
	}
}

func (c *apiClient) wentAway() error {
	return unreachable("tidings", c.addr, errors.New("the server went away")).
		hint("start it again", "tidings dev")
}
