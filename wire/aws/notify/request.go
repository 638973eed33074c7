package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// agent is SNS's, by which some programs tell its requests from others.
const agent = "Amazon Simple Notification Service Agent"

// request is the POST of a message, with SNS's headers.
func (s *Subscription) request(ctx context.Context, p *Post) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Endpoint.url.String(), bytes.NewReader(p.Body))
	if err != nil {
		return nil, err
	}
	h := r.Header
	h.Set("User-Agent", agent)
	h.Set("Content-Type", defaultContentType)
	h.Set("X-Amz-Sns-Message-Type", string(p.Type))
	h.Set("X-Amz-Sns-Message-Id", p.MessageID)
	h.Set("X-Amz-Sns-Topic-Arn", s.TopicARN)
	if p.Type != SubscriptionConfirmation { // before that there is no ARN
		h.Set("X-Amz-Sns-Subscription-Arn", s.ARN)
	}
	if p.Type == Message && s.Policy.ContentType != "" {
		h.Set("Content-Type", s.Policy.ContentType)
	}
	if p.Raw {
		h.Set("X-Amz-Sns-Rawdelivery", "true")
	}
	if u := s.Endpoint.user; u != nil {
		password, _ := u.Password()
		r.SetBasicAuth(u.Username(), password)
	}
	return r, nil
}

// Failure is why a post did not arrive.
type Failure struct {
	Status int    // of the answer; 0: there was none
	Reason string // without secrets, at most 1 KiB
	// Final says that no retry helps.
	Final bool
	cut   bool // it was the deliverer that ended it
}

// Error is the reason.
func (f *Failure) Error() string { return f.Reason }

// post sends a message once; nil: the endpoint has it.
func (d *Deliverer) post(s *Subscription, p *Post) *Failure {
	ctx, stop := context.WithTimeout(d.posts, d.config.Limits.Timeout)
	defer stop()
	r, err := s.request(ctx, p)
	if err != nil {
		return &Failure{Reason: reason(err), Final: true}
	}
	answer, err := d.client.Do(r)
	if err != nil {
		return d.unanswered(err)
	}
	defer answer.Body.Close()
	// What is read leaves the connection for the next post; nobody looks at it.
	_, _ = io.CopyN(io.Discard, answer.Body, d.config.Limits.ResponseBytes)
	switch code := answer.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	default:
		text := fmt.Sprintf("the endpoint answered %d %s", code, http.StatusText(code))
		return &Failure{Status: code, Reason: text,
			Final: code < http.StatusInternalServerError && code != http.StatusTooManyRequests}
	}
}

func (d *Deliverer) unanswered(err error) *Failure {
	f := &Failure{Reason: reason(err), cut: d.posts.Err() != nil}
	var slow net.Error
	if errors.As(err, &slow) && slow.Timeout() {
		f.Reason = fmt.Sprintf("the endpoint did not answer within %v", d.config.Limits.Timeout)
	}
	return f
}

// maxReason is how many bytes of a reason are kept, which is what dead letters have of it.
const maxReason = 1024

// reason is an error's text without the URL that net/http puts into it.
func reason(err error) string {
	var with *url.Error
	if errors.As(err, &with) {
		err = with.Err
	}
	text := err.Error()
	return text[:min(len(text), maxReason)]
}

// newTransport is net/http's with all that an endpoint can hold on to bounded. It speaks HTTP/1.1, as SNS.
func newTransport(l Limits) http.RoundTripper {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: l.Timeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    l.Timeout,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    l.PerEndpoint,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}
}
