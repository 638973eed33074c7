package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// defaultManagement is where RabbitMQ's management API is, unless said otherwise.
const defaultManagement = "http://guest:guest@localhost:15672"

// manageClient speaks to a management API, that of this program or of RabbitMQ.
type manageClient struct {
	base *url.URL
	user *url.Userinfo
	http *http.Client
}

// newManageClient takes a URL; what it leaves out is as in defaultManagement.
func newManageClient(address string) (*manageClient, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, ctlFailed(ctlUsage, "%q is no URL of a management API: it is like %s",
			withoutPassword(address), defaultManagement)
	}
	user := base.User
	if user == nil {
		user = url.UserPassword("guest", "guest")
	}
	if base.Port() == "" && base.Scheme == "http" {
		base.Host = net.JoinHostPort(base.Hostname(), "15672")
	}
	base.User, base.RawQuery, base.Fragment = nil, "", ""
	base.Path = strings.TrimSuffix(strings.TrimSuffix(base.Path, "/"), "/api")
	// No proxy: the API is this machine's, or one named on purpose.
	return &manageClient{base: base, user: user, http: &http.Client{Transport: &http.Transport{
		DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext}}}, nil
}

// withoutPassword is an address as it may be shown, also one that is no URL.
func withoutPassword(address string) string {
	start := strings.Index(address, "://") + len("://")
	at := strings.LastIndexByte(address, '@')
	if start < len("://") || at < start {
		return address
	}
	user, _, secret := strings.Cut(address[start:at], ":")
	if !secret {
		return address
	}
	return address[:start] + user + ":***" + address[at:]
}

// as is the same API for another user.
func (m *manageClient) as(user, password string) *manageClient {
	other := *m
	other.user = url.UserPassword(user, password)
	return &other
}

func (m *manageClient) close() { m.http.CloseIdleConnections() }

// shown is the API's address, without the password.
func (m *manageClient) shown() string { return m.base.String() }

// manageError is what the API answered instead of doing it.
type manageError struct {
	status int
	reason string
	doc    ctlDoc // all of the answer
}

func (e *manageError) Error() string { return e.reason }

// isStatus says whether the API answered with a status.
func isStatus(err error, status int) bool {
	var e *manageError
	return errors.As(err, &e) && e.status == status
}

// isMissing says whether the API answered that something is not there.
func isMissing(err error) bool { return isStatus(err, http.StatusNotFound) }

// get asks for the document at a path, whose parts are escaped.
func (m *manageClient) get(ctx context.Context, doc any, path ...string) error {
	return m.call(ctx, manageCall{method: http.MethodGet, path: path, into: doc})
}

func (m *manageClient) put(ctx context.Context, body any, path ...string) error {
	return m.call(ctx, manageCall{method: http.MethodPut, path: path, body: body})
}

func (m *manageClient) delete(ctx context.Context, path ...string) error {
	return m.call(ctx, manageCall{method: http.MethodDelete, path: path})
}

// manageCall is one request: a path below /api, and what goes in and comes out; nil: nothing.
type manageCall struct {
	method string
	path   []string
	query  url.Values
	reason string // header X-Reason
	body   any    // json.RawMessage goes as it is
	into   any
}

func (m *manageClient) call(ctx context.Context, what manageCall) error {
	req, err := m.request(ctx, what)
	if err != nil {
		return err
	}
	resp, err := m.http.Do(req)
	if err != nil {
		return m.unreachable(err)
	}
	defer resp.Body.Close()
	body := io.LimitReader(resp.Body, answerBytes)
	if resp.StatusCode >= 300 {
		return m.refused(resp, body)
	}
	if what.into == nil {
		return nil
	}
	dec := json.NewDecoder(body)
	dec.UseNumber()
	if err := dec.Decode(what.into); err != nil {
		return m.unreachable(fmt.Errorf("what answers there is no management API (%s)", rootCause(err)))
	}
	return nil
}

func (m *manageClient) request(ctx context.Context, what manageCall) (*http.Request, error) {
	var body io.Reader
	if what.body != nil {
		b, err := json.Marshal(what.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	link := m.base.String() + "/api"
	for _, part := range what.path {
		link += "/" + url.PathEscape(part)
	}
	if len(what.query) > 0 {
		link += "?" + what.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, what.method, link, body)
	if err != nil {
		return nil, err
	}
	password, _ := m.user.Password()
	req.SetBasicAuth(m.user.Username(), password)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if what.reason != "" {
		req.Header.Set("X-Reason", what.reason)
	}
	return req, nil
}

// refused is the error that the API tells. RabbitMQ has no document for paths that it does not know.
func (m *manageClient) refused(resp *http.Response, body io.Reader) error {
	e := &manageError{status: resp.StatusCode, reason: resp.Status}
	err := json.NewDecoder(io.LimitReader(body, 1<<20)).Decode(&e.doc)
	switch reason := e.doc["reason"].(type) {
	case string:
		e.reason = html.UnescapeString(reason)
	case nil:
	default:
		e.reason = erlangText(reason)
	}
	switch {
	case err != nil && resp.StatusCode >= http.StatusInternalServerError:
		return m.unreachable(fmt.Errorf("what answers there is no management API (status %s)", resp.Status))
	case e.loginFailed():
		e.reason = fmt.Sprintf("%s does not let user '%s' in: %s", m.shown(), m.user.Username(), e.reason)
	}
	return e
}

// loginFailed says whether the password was wrong; one who may not use the API gets the same status.
func (e *manageError) loginFailed() bool {
	return e.status == http.StatusUnauthorized && strings.Contains(e.reason, "Login failed")
}

// erlangText makes reasons readable that RabbitMQ tells as Erlang's terms: texts are lists of numbers.
func erlangText(v any) string {
	list, ok := v.([]any)
	if !ok {
		return fmt.Sprint(v)
	}
	var text strings.Builder
	parts := make([]string, len(list))
	for i, part := range list {
		parts[i] = erlangText(part)
		if n, ok := part.(float64); ok && n >= ' ' && n <= '~' {
			text.WriteByte(byte(n))
		}
	}
	if len(list) > 0 && text.Len() == len(list) {
		return text.String()
	}
	return strings.Join(parts, " ")
}

func (m *manageClient) unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	return &ctlFailure{ctlUnavailable, fmt.Sprintf("Error: unable to perform an operation: "+
		"cannot reach the management API at %s: %s\n  start a broker: tidings dev\n"+
		"  other server:   --url http://user:password@host:15672, or TIDINGS_MANAGEMENT_URL", m.shown(),
		rootCause(err))}
}
