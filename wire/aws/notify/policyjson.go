package notify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"mime"
	"slices"
	"strings"
	"time"
)

// PolicyError is what is wrong with a DeliveryPolicy, in SNS's words: what stands behind
// "Invalid parameter: ", or behind "Invalid parameter: Attributes Reason: " where it is one of several.
type PolicyError struct{ Reason string }

// Error reads "DeliveryPolicy: healthyRetryPolicy.minDelayTarget must be greater than or equal to 1".
func (e *PolicyError) Error() string { return "DeliveryPolicy: " + e.Reason }

func wrongPolicy(format string, args ...any) error {
	return &PolicyError{Reason: fmt.Sprintf(format, args...)}
}

// ParseSubscriptionPolicy reads a DeliveryPolicy of a subscription. Errors are a PolicyError.
func ParseSubscriptionPolicy(text string) (p SubscriptionPolicy, err error) {
	o := parseObject(json.RawMessage(text), "", "healthyRetryPolicy", "sicklyRetryPolicy", "throttlePolicy",
		"requestPolicy", "guaranteed")
	p.Retry, p.Sickly = o.retry("healthyRetryPolicy"), o.retry("sicklyRetryPolicy")
	p.Throttle, p.Request = o.throttle("throttlePolicy"), o.request("requestPolicy")
	p.Guaranteed = o.boolean("guaranteed")
	return p, o.err
}

// ParseTopicPolicy reads a DeliveryPolicy of a topic. Errors are a PolicyError.
func ParseTopicPolicy(text string) (p TopicPolicy, err error) {
	top := parseObject(json.RawMessage(text), "", "http")
	o := top.object("http", "defaultHealthyRetryPolicy", "defaultSicklyRetryPolicy",
		"disableSubscriptionOverrides", "defaultThrottlePolicy", "defaultRequestPolicy")
	p.HTTP.Retry, p.HTTP.Sickly = o.retry("defaultHealthyRetryPolicy"), o.retry("defaultSicklyRetryPolicy")
	p.HTTP.DisableOverrides = o.boolean("disableSubscriptionOverrides")
	p.HTTP.Throttle, p.HTTP.Request = o.throttle("defaultThrottlePolicy"), o.request("defaultRequestPolicy")
	return p, o.err
}

// object is one of JSON that is being read; err is the first thing wrong with it.
type object struct {
	path    string // "", or with a point at its end
	members map[string]json.RawMessage
	err     error
}

// parseObject reads one that has these members at most.
func parseObject(raw json.RawMessage, path string, names ...string) *object {
	o := &object{path: path}
	if json.Unmarshal(raw, &o.members) != nil || o.members == nil {
		o.err = wrongPolicy("failed to parse JSON")
		return o
	}
	for _, name := range slices.Sorted(maps.Keys(o.members)) {
		if !slices.Contains(names, name) && o.err == nil {
			o.err = wrongPolicy("Unexpected JSON member: %s", path+name)
		}
		if bytes.Equal(o.members[name], []byte("null")) {
			delete(o.members, name)
		}
	}
	return o
}

func (o *object) has(name string) bool { return o.err == nil && o.members[name] != nil }

func (o *object) fail(name, format string, args ...any) {
	if o.err == nil {
		o.err = wrongPolicy("%s%s %s", o.path, name, fmt.Sprintf(format, args...))
	}
}

// object reads a member that is one; what is not there is empty.
func (o *object) object(name string, names ...string) *object {
	if !o.has(name) {
		return &object{err: o.err}
	}
	in := parseObject(o.members[name], o.path+name+".", names...)
	o.err = in.err
	return in
}

func (o *object) boolean(name string) (v bool) {
	if o.has(name) && json.Unmarshal(o.members[name], &v) != nil {
		o.fail(name, "must be a boolean")
	}
	return v
}

// number reads a whole one from least to most; absent ones are 0.
func (o *object) number(name string, least, most int) int {
	if !o.has(name) {
		return 0
	}
	var v float64
	switch err := json.Unmarshal(o.members[name], &v); {
	case err != nil || v != math.Trunc(v):
		o.fail(name, "must be an integer")
	case v < float64(least):
		o.fail(name, "must be greater than or equal to %d", least)
	case v > float64(most):
		o.fail(name, "must be less than or equal to %d", most)
	}
	return int(v)
}

func (o *object) required(name string, least, most int) int {
	if !o.has(name) {
		o.fail(name, "must be specified")
	}
	return o.number(name, least, most)
}

func (o *object) retry(name string) *Retry {
	if !o.has(name) {
		return nil
	}
	in := o.object(name, "minDelayTarget", "maxDelayTarget", "numRetries", "numMaxDelayRetries",
		"numNoDelayRetries", "numMinDelayRetries", "backoffFunction")
	r := &Retry{MinDelay: in.required("minDelayTarget", 1, maxRetrySeconds),
		MaxDelay:        in.required("maxDelayTarget", 1, maxRetrySeconds),
		Retries:         in.required("numRetries", 0, maxRetries),
		MaxDelayRetries: in.number("numMaxDelayRetries", 0, maxRetries),
		NoDelayRetries:  in.number("numNoDelayRetries", 0, maxRetries),
		MinDelayRetries: in.number("numMinDelayRetries", 0, maxRetries), Backoff: in.function("backoffFunction")}
	switch {
	case r.MaxDelay < r.MinDelay:
		in.fail("maxDelayTarget", "must be greater than or equal to minDelayTarget")
	case r.Retries < r.MaxDelayRetries+r.NoDelayRetries+r.MinDelayRetries:
		in.fail("numRetries", "must be greater than or equal to total of numMinDelayRetries, "+
			"numNoDelayRetries and numMaxDelayRetries")
	case in.err == nil && r.total() > maxRetrySeconds*time.Second:
		o.fail(name, "must not take more than %d seconds in total", maxRetrySeconds)
	}
	if o.err == nil {
		o.err = in.err
	}
	return r
}

var functions = []Function{Linear, Arithmetic, Geometric, Exponential}

func (o *object) function(name string) Function {
	f := Linear
	if !o.has(name) {
		return f
	}
	_ = json.Unmarshal(o.members[name], &f) // what is no string stays what it was, and is found below
	if o.members[name][0] != '"' || !slices.Contains(functions, f) {
		o.fail(name, "must be one of linear, arithmetic, geometric, exponential")
	}
	return f
}

func (o *object) throttle(name string) *Throttle {
	if !o.has(name) {
		return nil
	}
	in := o.object(name, "maxReceivesPerSecond")
	t := &Throttle{}
	if in.has("maxReceivesPerSecond") {
		n := in.number("maxReceivesPerSecond", 1, math.MaxInt32)
		t.PerSecond = &n
	}
	if o.err == nil {
		o.err = in.err
	}
	return t
}

func (o *object) request(name string) *Request {
	if !o.has(name) {
		return nil
	}
	in := o.object(name, "headerContentType")
	r := &Request{ContentType: defaultContentType}
	if in.has("headerContentType") {
		err := json.Unmarshal(in.members["headerContentType"], &r.ContentType)
		if err != nil || !isContentType(r.ContentType) {
			in.fail("headerContentType", "is not supported")
		}
	}
	if o.err == nil {
		o.err = in.err
	}
	return r
}

// contentTypes are those that SNS has.
var contentTypes = []string{"text/css", "text/csv", "text/html", "text/plain", "text/xml",
	"application/atom+xml", "application/json", "application/octet-stream", "application/soap+xml",
	"application/x-www-form-urlencoded", "application/xhtml+xml", "application/xml"}

func isContentType(s string) bool {
	kind, _, err := mime.ParseMediaType(s)
	noText := func(r rune) bool { return r < ' ' || r > '~' }
	return err == nil && slices.Contains(contentTypes, kind) && len(s) <= 256 && !strings.ContainsFunc(s, noText)
}
