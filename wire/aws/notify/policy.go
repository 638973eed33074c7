package notify

import (
	"math"
	"time"
)

// Policy says how messages are delivered to one subscription. The zero value has no retries: DefaultPolicy
// is that where nothing was said.
type Policy struct {
	Retry       Retry
	PerSecond   int // deliveries; 0: no bound
	ContentType string
}

// DefaultPolicy has SNS's 3 retries, 20 seconds apart.
func DefaultPolicy() Policy {
	return Policy{Retry: defaultRetry, ContentType: defaultContentType}
}

// Retry is SNS's healthyRetryPolicy: four phases of retries, of which the first has no delay, the second
// the least, the third delays that grow by a function, and the fourth the greatest. All delays of a policy
// that was parsed take at most an hour.
type Retry struct {
	MinDelay        int      `json:"minDelayTarget"` // seconds, at least 1
	MaxDelay        int      `json:"maxDelayTarget"`
	Retries         int      `json:"numRetries"` // of all phases, at most 100
	MaxDelayRetries int      `json:"numMaxDelayRetries"`
	NoDelayRetries  int      `json:"numNoDelayRetries"`
	MinDelayRetries int      `json:"numMinDelayRetries"`
	Backoff         Function `json:"backoffFunction"`
}

var defaultRetry = Retry{MinDelay: 20, MaxDelay: 20, Retries: 3, Backoff: Linear}

const (
	defaultContentType = "text/plain; charset=UTF-8"

	maxRetries      = 100
	maxRetrySeconds = 3600 // of all delays together
)

// Function is how delays grow from the least to the greatest.
type Function string

// The functions. SNS shows curves of them, and no formulas.
const (
	Linear      Function = "linear"      // by the same seconds each time
	Arithmetic  Function = "arithmetic"  // by seconds that grow evenly
	Geometric   Function = "geometric"   // by the same factor
	Exponential Function = "exponential" // by seconds that double
)

// Delay is how long after a failure the retry with this number, from 1 on, is due; ok is false where there is
// no such retry.
func (r *Retry) Delay(retry int) (d time.Duration, ok bool) {
	last := r.Retries - r.MaxDelayRetries
	first := r.NoDelayRetries + r.MinDelayRetries
	switch {
	case retry < 1 || retry > r.Retries:
		return 0, false
	case retry <= r.NoDelayRetries:
		return 0, true
	case retry <= first:
		return seconds(float64(r.MinDelay)), true
	case retry > last:
		return seconds(float64(r.MaxDelay)), true
	}
	return seconds(r.backoff(retry-first-1, last-first-1)), true
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// backoff is the delay of step i, from 0 to the last one.
func (r *Retry) backoff(i, last int) float64 {
	least, most := float64(r.MinDelay), float64(r.MaxDelay)
	if last == 0 {
		return least
	}
	part := float64(i) / float64(last)
	switch r.Backoff {
	case Arithmetic:
		part = float64(i*(i+1)) / float64(last*(last+1))
	case Geometric:
		return least * math.Pow(most/least, part)
	case Exponential:
		part = (math.Exp2(float64(i)) - 1) / (math.Exp2(float64(last)) - 1)
	}
	return least + (most-least)*part
}

// total is how long all delays are.
func (r *Retry) total() (sum time.Duration) {
	for i := 1; i <= r.Retries; i++ {
		d, _ := r.Delay(i)
		sum += d
	}
	return sum
}

// Throttle and Request are SNS's throttlePolicy and requestPolicy.
type (
	Throttle struct {
		PerSecond *int `json:"maxReceivesPerSecond"`
	}
	Request struct {
		ContentType string `json:"headerContentType"`
	}
)

// SubscriptionPolicy is what a subscription says in its attribute DeliveryPolicy. Its JSON is that attribute
// as SNS shows it.
type SubscriptionPolicy struct {
	Retry      *Retry    `json:"healthyRetryPolicy"`
	Sickly     *Retry    `json:"sicklyRetryPolicy"` // is kept and shown
	Throttle   *Throttle `json:"throttlePolicy"`
	Request    *Request  `json:"requestPolicy"`
	Guaranteed bool      `json:"guaranteed"` // is kept and shown
}

// TopicPolicy is what a topic says for its subscriptions that do not say it themselves.
type TopicPolicy struct {
	HTTP TopicHTTP `json:"http"`
}

// TopicHTTP is the policy of a topic for HTTP and HTTPS.
type TopicHTTP struct {
	Retry            *Retry    `json:"defaultHealthyRetryPolicy,omitempty"`
	Sickly           *Retry    `json:"defaultSicklyRetryPolicy,omitempty"`
	DisableOverrides bool      `json:"disableSubscriptionOverrides"`
	Throttle         *Throttle `json:"defaultThrottlePolicy,omitempty"`
	Request          *Request  `json:"defaultRequestPolicy,omitempty"`
}

// Effective is the topic's policy as EffectiveDeliveryPolicy shows it: with SNS's own where it says nothing.
func (t TopicPolicy) Effective() TopicPolicy {
	if t.HTTP.Retry == nil {
		retry := defaultRetry
		t.HTTP.Retry = &retry
	}
	if t.HTTP.Request == nil {
		t.HTTP.Request = &Request{ContentType: defaultContentType}
	}
	return t
}

// Effective is the policy of a subscription to such a topic, as its EffectiveDeliveryPolicy shows it.
func (s SubscriptionPolicy) Effective(topic TopicPolicy) SubscriptionPolicy {
	t := topic.Effective().HTTP
	if t.DisableOverrides {
		s = SubscriptionPolicy{}
	}
	if s.Retry == nil {
		s.Retry = t.Retry
	}
	if s.Sickly == nil {
		s.Sickly = t.Sickly
	}
	if s.Throttle == nil {
		s.Throttle = t.Throttle
	}
	if s.Request == nil {
		s.Request = t.Request
	}
	return s
}

// Policy is what an effective policy means.
func (s SubscriptionPolicy) Policy() Policy {
	p := DefaultPolicy()
	if s.Retry != nil {
		p.Retry = *s.Retry
	}
	if s.Throttle != nil && s.Throttle.PerSecond != nil {
		p.PerSecond = *s.Throttle.PerSecond
	}
	if s.Request != nil {
		p.ContentType = s.Request.ContentType
	}
	return p
}
