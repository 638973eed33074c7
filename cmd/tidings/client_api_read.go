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

// Read follows the API's record stream. The server reads ahead no further than
// this side takes.
func (c *apiClient) Read(
	ctx context.Context, r readRequest, each func(console.Record) error,
) error {
	path := "/topics/" + url.PathEscape(r.topic) + "/records?" + r.query().Encode()
	req, err := c.request(ctx, call{http.MethodGet, path, nil})
	if err != nil {
		return err
	}
	resp, err := c.send(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	err = readLines(json.NewDecoder(resp.Body), r, each)
	var network net.Error
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &network):
		return c.wentAway()
	}
	return err
}

func readLines(d *json.Decoder, r readRequest, each func(console.Record) error) error {
	for got := int64(0); ; got++ {
		var line console.StreamLine
		err := d.Decode(&line)
		switch {
		case errors.Is(err, io.EOF) && r.follow && (r.limit == 0 || got < r.limit):
			return io.ErrUnexpectedEOF // a stream that follows has no end of its own
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case line.Error != nil:
			return problemFailure(*line.Error)
		case line.Skipped != nil:
			if r.skipped != nil {
				r.skipped(*line.Skipped)
			}
			got--
			continue
		}
		if err := each(line.Record); err != nil {
			return err
		}
	}
}

func (r readRequest) query() url.Values {
	q := url.Values{"from": {r.from}}
	if r.follow {
		q.Set("follow", "true")
	}
	if r.limit > 0 {
		q.Set("limit", plain(r.limit))
	}
	for _, p := range r.partitions {
		q.Add("partition", plain(p))
	}
	return q
}
