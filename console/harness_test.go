package console

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
)

// bench is a broker in memory behind a listening API.
type bench struct {
	t   *testing.T
	fs  *vfs.Faulty
	b   *broker.Broker
	s   *Server
	url string
}

func newBench(t *testing.T, c Config) *bench {
	t.Helper()
	h := &bench{t: t, fs: vfs.NewFaulty(vfs.NewMem())}
	if c.Metrics == nil {
		c.Metrics = &Metrics{}
	}
	var err error
	h.b, err = broker.Open("", broker.Config{FS: h.fs, Observer: c.Metrics, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	c.Addr = "127.0.0.1:0"
	if h.s, err = Listen(h.b, c); err != nil {
		t.Fatal(err)
	}
	h.url = "http://" + h.s.Addr().String()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.s.Close(ctx); err != nil {
			t.Errorf("close API: %v", err)
		}
		if err := h.b.Close(); err != nil && h.b.Err() == nil {
			t.Errorf("close broker: %v", err)
		}
	})
	return h
}

// request makes a request as curl would send it.
func (h *bench) request(method, path, body string) *http.Request {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if method != http.MethodGet {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// do returns status and body.
func (h *bench) do(r *http.Request) (int, string) {
	h.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func (h *bench) get(path string) (int, string) {
	h.t.Helper()
	return h.do(h.request(http.MethodGet, path, ""))
}

func (h *bench) post(path, body string) (int, string) {
	h.t.Helper()
	return h.do(h.request(http.MethodPost, path, body))
}

// want makes a request and compares the status; it returns the body.
func (h *bench) want(status int, method, path, body string) string {
	h.t.Helper()
	got, answer := h.do(h.request(method, path, body))
	if got != status {
		h.t.Fatalf("%s %s: got %d %s, want %d", method, path, got, answer, status)
	}
	return answer
}

// fetch decodes a document.
func fetch[T any](h *bench, path string) T {
	h.t.Helper()
	var doc T
	if err := json.Unmarshal([]byte(h.want(200, "GET", path, "")), &doc); err != nil {
		h.t.Fatalf("GET %s: %v", path, err)
	}
	return doc
}

// wantProblem makes a request that is refused, and compares code and message.
func (h *bench) wantProblem(status int, code, method, path, body string) Problem {
	h.t.Helper()
	answer := h.want(status, method, path, body)
	var doc ErrorDocument
	d := json.NewDecoder(bytes.NewReader([]byte(answer)))
	if err := d.Decode(&doc); err != nil || doc.Error.Code != code || doc.Error.Message == "" {
		h.t.Fatalf("%s %s: got %s, want code %s", method, path, answer, code)
	}
	return doc.Error
}

// topic creates a topic with records, each "key=value" or "value".
func (h *bench) topic(name string, partitions int) *broker.Topic {
	h.t.Helper()
	t, err := h.b.CreateTopic(h.t.Context(), broker.TopicSpec{Name: name, Partitions: partitions})
	if err != nil {
		h.t.Fatal(err)
	}
	return t
}

// write appends one batch with a record per value, a second apart from at on.
func (h *bench) write(t *broker.Topic, partition int, at time.Time, values ...string) {
	h.t.Helper()
	var recs []broker.Record
	for i, v := range values {
		recs = append(recs, broker.Record{
			Value: []byte(v), Time: at.Add(time.Duration(i) * time.Second)})
	}
	a, err := t.Partition(partition).Write(h.t.Context(), recs...)
	if err == nil {
		err = a.Confirm.Wait(h.t.Context())
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// cursor commits a group's place.
func (h *bench) cursor(group string, t *broker.Topic, partition int, off broker.Offset) {
	h.t.Helper()
	tx := h.b.Begin()
	tx.SaveCursor("", group, t.Partition(partition), broker.Cursor{Offset: off, LeaderEpoch: -1})
	c, err := tx.Commit(h.t.Context())
	if err == nil {
		err = c.Wait(h.t.Context())
	}
	if err != nil {
		h.t.Fatal(err)
	}
}
