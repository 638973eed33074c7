package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/tidings-io/tidings/console"
)

// apiTimeout bounds requests that should answer at once. Streams and backups
// have no such bound.
const apiTimeout = 30 * time.Second

// answerBytes bounds how much of a document is read: 100,000 topics fit.
const answerBytes = 256 << 20

// apiClient speaks to the admin API of tidings.
type apiClient struct {
	addr string
	http *http.Client
}

func newAPIClient(addr string) *apiClient {
	return &apiClient{addr: addr, http: &http.Client{
		// No proxy: the admin API is this machine's, or one named on purpose.
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}}
}

func (c *apiClient) Close() { c.http.CloseIdleConnections() }

func (c *apiClient) Info(ctx context.Context) (doc console.Info, err error) {
	if err = c.get(ctx, "", &doc); err == nil && doc.API != console.APIVersion {
		err = failed("%s speaks admin API %q; this program speaks %q",
			c.addr, doc.API, console.APIVersion)
	}
	return doc, err
}

func (c *apiClient) Topics(ctx context.Context) ([]console.Topic, error) {
	var doc console.Topics
	err := c.get(ctx, "/topics", &doc)
	return doc.Topics, err
}

func (c *apiClient) Topic(ctx context.Context, name string) (doc console.TopicDetail, err error) {
	err = c.get(ctx, "/topics/"+url.PathEscape(name), &doc)
	return doc, err
}

func (c *apiClient) CreateTopic(ctx context.Context, t console.NewTopic) error {
	return c.post(ctx, "/topics", t, nil)
}

func (c *apiClient) GrowTopic(ctx context.Context, name string, partitions int) error {
	path := "/topics/" + url.PathEscape(name) + "/partitions"
	return c.post(ctx, path, console.Grow{Partitions: partitions}, nil)
}

func (c *apiClient) DeleteTopic(ctx context.Context, name string) error {
	return c.delete(ctx, "/topics/"+url.PathEscape(name))
}

func (c *apiClient) Groups(ctx context.Context) ([]console.Group, error) {
	var doc console.Groups
	err := c.get(ctx, "/groups", &doc)
	return doc.Groups, err
}

func (c *apiClient) Group(ctx context.Context, name string) (doc console.GroupDetail, err error) {
	err = c.get(ctx, "/groups/"+url.PathEscape(name), &doc)
	return doc, err
}

func (c *apiClient) DeleteGroup(ctx context.Context, name string) error {
	return c.delete(ctx, "/groups/"+url.PathEscape(name))
}

func (c *apiClient) Lag(ctx context.Context, group, topic string) (doc console.Lags, err error) {
	q := url.Values{}
	if group != "" {
		q.Set("group", group)
	}
	if topic != "" {
		q.Set("topic", topic)
	}
	err = c.get(ctx, "/lag?"+q.Encode(), &doc)
	return doc, err
}

func (c *apiClient) Reset(
	ctx context.Context, group string, r console.Reset,
) (plan console.ResetPlan, err error) {
	err = c.post(ctx, "/groups/"+url.PathEscape(group)+"/reset", r, &plan)
	return plan, err
}

func (c *apiClient) Publish(
	ctx context.Context, topic string, recs []console.NewRecord,
) ([]console.Place, error) {
	var doc console.Published
	path := "/topics/" + url.PathEscape(topic) + "/records"
	err := c.post(ctx, path, console.Publish{Records: recs}, &doc)
	return doc.Records, err
}

// Backup is not part of client: no Kafka can do it.
func (c *apiClient) Backup(ctx context.Context, dir string) (doc console.BackedUp, err error) {
	req, err := c.request(ctx, call{http.MethodPost, "/backup", console.BackupTo{Dir: dir}})
	if err != nil {
		return doc, err
	}
	return doc, c.do(req, &doc)
}

// Storage is not part of client: no Kafka can do it.
func (c *apiClient) Storage(ctx context.Context) (doc console.Storage, err error) {
	err = c.get(ctx, "/storage", &doc)
	return doc, err
}

// Kafka finds the Kafka listener of this server. One that listens on every
// address is reached where the admin API is.
func (c *apiClient) Kafka(ctx context.Context) ([]string, error) {
	info, err := c.Info(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range info.Listeners {
		if l.Name != "kafka" {
			continue
		}
		host, port, err := net.SplitHostPort(l.Addr)
		if err != nil {
			return nil, failed("the server names no usable Kafka address: %s", err)
		}
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			host, _, _ = net.SplitHostPort(c.addr)
		}
		return []string{net.JoinHostPort(host, port)}, nil
	}
	return nil, failed("the server at %s has no Kafka listener", c.addr)
}

func (c *apiClient) get(ctx context.Context, path string, doc any) error {
	return c.quick(ctx, call{http.MethodGet, path, nil}, doc)
}

func (c *apiClient) post(ctx context.Context, path string, body, doc any) error {
	return c.quick(ctx, call{http.MethodPost, path, body}, doc)
}

func (c *apiClient) delete(ctx context.Context, path string) error {
	return c.quick(ctx, call{http.MethodDelete, path, struct{}{}}, nil)
}

// call is one request: a path below /api/v1, and a document or nil.
type call struct {
	method, path string
	body         any
}

// quick makes a call that must be answered within apiTimeout.
func (c *apiClient) quick(ctx context.Context, what call, doc any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, apiTimeout, errNoAnswer)
	defer cancel()
	req, err := c.request(ctx, what)
	if err != nil {
		return err
	}
	return c.do(req, doc)
}

var errNoAnswer = fmt.Errorf("no answer within %s", apiTimeout)

func (c *apiClient) request(ctx context.Context, what call) (*http.Request, error) {
	var r io.Reader
	if what.body != nil {
		b, err := json.Marshal(what.body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(b)
	}
	url := "http://" + c.addr + "/api/v1" + what.path
	req, err := http.NewRequestWithContext(ctx, what.method, url, r)
	if err != nil {
		return nil, usage(fmt.Sprintf("%q is no server address", c.addr)).
			hint("like this", "--server 127.0.0.1:7070")
	}
	if what.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

func (c *apiClient) do(req *http.Request, doc any) error {
	resp, err := c.send(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if doc == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, answerBytes)).Decode(doc); err != nil {
		return c.foreign(err)
	}
	return nil
}

// send returns a 2xx response, or the failure that the server or the network told.
func (c *apiClient) send(req *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.netFailure(req.Context(), err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	var doc console.ErrorDocument
	err = json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&doc)
	if err != nil || doc.Error.Code == "" {
		return nil, c.foreign(fmt.Errorf("status %s", resp.Status))
	}
	return nil, problemFailure(doc.Error)
}

// foreign says that something else than tidings answered.
func (c *apiClient) foreign(err error) *failure {
	why := fmt.Errorf("what answers there is not tidings (%s)", rootCause(err))
	return unreachable("tidings", c.addr, why).
		hint("other server", "--server host:port, or TIDINGS_SERVER").
		hint("any Kafka", "--kafka host:port")
}

func (c *apiClient) netFailure(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return unreachable("tidings", c.addr,
			errors.New("it closed the connection without an answer")).
			hint("a Kafka port", "if it is one:  --kafka "+c.addr).
			hint("other server", "--server host:port, or TIDINGS_SERVER")
	}
	return unreachable("tidings", c.addr, err).
		hint("start one", "tidings dev").
		hint("other server", "--server host:port, or TIDINGS_SERVER").
		hint("any Kafka", "--kafka host:port")
}

// problemFailure gives what the API says its exit code.
func problemFailure(p console.Problem) *failure {
	f := &failure{exit: exitFailed, code: p.Code, msg: p.Message}
	switch p.Code {
	case "not_found":
		f.exit = exitNotFound
	case "exists", "conflict":
		f.exit = exitConflict
	case "invalid", "out_of_range", "too_large":
		f.exit = exitUsage
	}
	if meant, ok := strings.CutPrefix(p.Hint, didYouMean+" "); ok {
		f = f.hint(didYouMean, meant)
	} else if p.Hint != "" {
		f = f.hint("hint", p.Hint)
	}
	switch {
	case strings.HasPrefix(p.Message, "no topic named"):
		f = f.hint("see all", "tidings ls")
	case strings.HasPrefix(p.Message, "no group named"):
		f = f.hint("see all", "tidings ls groups")
	case strings.HasPrefix(p.Message, "no queue named"):
		f = f.hint("see all", "tidings ls queues")
	case strings.HasPrefix(p.Message, "no exchange named"):
		f = f.hint("see all", "tidings ls exchanges")
	}
	return f
}
