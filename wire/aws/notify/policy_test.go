package notify

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
)

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What SNS showed of these policies was recorded.
func TestPoliciesAreShownAsSNSShowsThem(t *testing.T) {
	topic, err := ParseTopicPolicy(`{"http":{"defaultRequestPolicy":{"headerContentType":"application/json"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"http":{"disableSubscriptionOverrides":false,"defaultRequestPolicy":` +
		`{"headerContentType":"application/json"}}}`
	if got := text(t, topic); got != want {
		t.Errorf("the topic's policy is\n%s\nwant\n%s", got, want)
	}
	want = `{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":20,"maxDelayTarget":20,"numRetries":3,` +
		`"numMaxDelayRetries":0,"numNoDelayRetries":0,"numMinDelayRetries":0,"backoffFunction":"linear"},` +
		`"disableSubscriptionOverrides":false,"defaultRequestPolicy":{"headerContentType":"text/plain; charset=UTF-8"}}}`
	if got := text(t, TopicPolicy{}.Effective()); got != want {
		t.Errorf("no policy of a topic is effective as\n%s\nwant\n%s", got, want)
	}
	sub, err := ParseSubscriptionPolicy(`{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":0},
		"throttlePolicy":{"maxReceivesPerSecond":1000}}`)
	if err != nil {
		t.Fatal(err)
	}
	const retry = `"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":0,` +
		`"numMaxDelayRetries":0,"numNoDelayRetries":0,"numMinDelayRetries":0,"backoffFunction":"linear"}`
	want = `{` + retry + `,"sicklyRetryPolicy":null,"throttlePolicy":{"maxReceivesPerSecond":1000},` +
		`"requestPolicy":null,"guaranteed":false}`
	if got := text(t, sub); got != want {
		t.Errorf("the subscription's policy is\n%s\nwant\n%s", got, want)
	}
	want = `{` + retry + `,"sicklyRetryPolicy":null,"throttlePolicy":{"maxReceivesPerSecond":1000},` +
		`"requestPolicy":{"headerContentType":"application/json"},"guaranteed":false}`
	if got := text(t, sub.Effective(topic)); got != want {
		t.Errorf("it is effective as\n%s\nwant\n%s", got, want)
	}
	if got, want := sub.Effective(topic).Policy(), (Policy{Retry: Retry{MinDelay: 1, MaxDelay: 1, Backoff: Linear},
		PerSecond: 1000, ContentType: "application/json"}); got != want {
		t.Errorf("it means %+v, want %+v", got, want)
	}
}

func TestATopicCanForbidOverrides(t *testing.T) {
	topic, err := ParseTopicPolicy(`{"http":{"disableSubscriptionOverrides":true,
		"defaultThrottlePolicy":{"maxReceivesPerSecond":2}}}`)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := ParseSubscriptionPolicy(`{"throttlePolicy":{"maxReceivesPerSecond":9}}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := sub.Effective(topic).Policy().PerSecond; got != 2 {
		t.Errorf("the subscription gets %d a second, want the topic's 2", got)
	}
	if got := (SubscriptionPolicy{}).Effective(TopicPolicy{}).Policy(); got != DefaultPolicy() {
		t.Errorf("without any policy it is %+v", got)
	}
}

func retryWith(more string) string {
	return `{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":2,"numRetries":3` + more + `}}`
}

// The first are SNS's own words, as users have met them; those that nobody has shown are in its manner.
func TestWrongPoliciesAreRefusedInTheWordsOfSNS(t *testing.T) {
	for _, x := range []struct{ policy, want string }{
		{`{"healthyRetryPolicy":{"minDelayTarget":0,"maxDelayTarget":0,"numRetries":0}}`,
			"DeliveryPolicy: healthyRetryPolicy.minDelayTarget must be greater than or equal to 1"},
		{`{"healthyRetryPolicy":{"minDelayTarget":1,"numRetries":0}}`,
			"DeliveryPolicy: healthyRetryPolicy.maxDelayTarget must be specified"},
		{`{"healthyRetryPolicy":{"minDelayTarget":5,"maxDelayTarget":3,"numRetries":43}}`,
			"DeliveryPolicy: healthyRetryPolicy.maxDelayTarget must be greater than or equal to minDelayTarget"},
		{retryWith(`,"numNoDelayRetries":1,"numMinDelayRetries":1,"numMaxDelayRetries":2`),
			"DeliveryPolicy: healthyRetryPolicy.numRetries must be greater than or equal to total of " +
				"numMinDelayRetries, numNoDelayRetries and numMaxDelayRetries"},
		{`{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":101}}`,
			"DeliveryPolicy: healthyRetryPolicy.numRetries must be less than or equal to 100"},
		{`{"http":{}}`, "DeliveryPolicy: Unexpected JSON member: http"},

		{`{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":3601,"numRetries":1}}`,
			"DeliveryPolicy: healthyRetryPolicy.maxDelayTarget must be less than or equal to 3600"},
		{`{"healthyRetryPolicy":{"minDelayTarget":100,"maxDelayTarget":100,"numRetries":37}}`,
			"DeliveryPolicy: healthyRetryPolicy must not take more than 3600 seconds in total"},
		{retryWith(`,"numNoDelayRetries":-1`),
			"DeliveryPolicy: healthyRetryPolicy.numNoDelayRetries must be greater than or equal to 0"},
		{retryWith(`,"numNoDelayRetries":1.5`), "DeliveryPolicy: healthyRetryPolicy.numNoDelayRetries must be an integer"},
		{retryWith(`,"numNoDelayRetries":"1"`), "DeliveryPolicy: healthyRetryPolicy.numNoDelayRetries must be an integer"},
		{retryWith(`,"backoffFunction":"cubic"`),
			"DeliveryPolicy: healthyRetryPolicy.backoffFunction must be one of linear, arithmetic, geometric, exponential"},
		{retryWith(`,"backoffFunction":1`),
			"DeliveryPolicy: healthyRetryPolicy.backoffFunction must be one of linear, arithmetic, geometric, exponential"},
		{retryWith(`,"retries":1`), "DeliveryPolicy: Unexpected JSON member: healthyRetryPolicy.retries"},
		{`{"throttlePolicy":{"maxReceivesPerSecond":0}}`,
			"DeliveryPolicy: throttlePolicy.maxReceivesPerSecond must be greater than or equal to 1"},
		{`{"requestPolicy":{"headerContentType":"text/plain\r\nX: y"}}`,
			"DeliveryPolicy: requestPolicy.headerContentType is not supported"},
		{`{"requestPolicy":{"headerContentType":"video/mp4"}}`,
			"DeliveryPolicy: requestPolicy.headerContentType is not supported"},
		{`{"guaranteed":3}`, "DeliveryPolicy: guaranteed must be a boolean"},
		{`[]`, "DeliveryPolicy: failed to parse JSON"},
		{`null`, "DeliveryPolicy: failed to parse JSON"},
		{`{`, "DeliveryPolicy: failed to parse JSON"},
		{`{"healthyRetryPolicy":[]}`, "DeliveryPolicy: failed to parse JSON"},
	} {
		_, err := ParseSubscriptionPolicy(x.policy)
		var p *PolicyError
		if !errors.As(err, &p) || err.Error() != x.want {
			t.Errorf("%s:\n%v, want\n%s", x.policy, err, x.want)
		}
	}
	for _, x := range []struct{ policy, want string }{
		{`{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":300}}}`,
			"DeliveryPolicy: http.defaultHealthyRetryPolicy.numRetries must be less than or equal to 100"},
		{`{"throttlePolicy":{"maxReceivesPerSecond":1}}`, "DeliveryPolicy: Unexpected JSON member: throttlePolicy"},
		{`{"http":{"throttlePolicy":{}}}`, "DeliveryPolicy: Unexpected JSON member: http.throttlePolicy"},
	} {
		if _, err := ParseTopicPolicy(x.policy); err == nil || err.Error() != x.want {
			t.Errorf("%s:\n%v, want\n%s", x.policy, err, x.want)
		}
	}
}

func TestWhatIsNullWasNotSaid(t *testing.T) {
	p, err := ParseSubscriptionPolicy(`{"healthyRetryPolicy":null,"sicklyRetryPolicy":null,
		"throttlePolicy":{"maxReceivesPerSecond":null},"requestPolicy":{},"guaranteed":null}`)
	if err != nil || p.Effective(TopicPolicy{}).Policy() != DefaultPolicy() {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestRetriesHaveFourPhases(t *testing.T) {
	// That of SNS's guide: 3 at once, 2 after a second, 10 from 1 to 60 seconds, and 35 after 60.
	p, err := ParseSubscriptionPolicy(`{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":60,"numRetries":50,
		"numNoDelayRetries":3,"numMinDelayRetries":2,"numMaxDelayRetries":35,"backoffFunction":"exponential"},
		"throttlePolicy":{"maxReceivesPerSecond":10}}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		retry int
		want  time.Duration
	}{{1, 0}, {3, 0}, {4, time.Second}, {5, time.Second}, {6, time.Second}, {15, time.Minute}, {16, time.Minute},
		{50, time.Minute}} {
		if d, ok := p.Retry.Delay(x.retry); !ok || d.Round(time.Millisecond) != x.want {
			t.Errorf("retry %d is after %v (%v), want %v", x.retry, d, ok, x.want)
		}
	}
	for _, none := range []int{-1, 0, 51} {
		if _, ok := p.Retry.Delay(none); ok {
			t.Errorf("there is a retry %d", none)
		}
	}
	r := defaultRetry
	if r.total() != time.Minute {
		t.Errorf("the default takes %v, want a minute", r.total())
	}
	if r.Retries = 0; r.total() != 0 {
		t.Errorf("no retries take %v", r.total())
	}
	r = Retry{MinDelay: 3, MaxDelay: 9, Retries: 1, Backoff: Geometric}
	if d, _ := r.Delay(1); d != 3*time.Second {
		t.Errorf("a single retry of the third phase is after %v, want the least", d)
	}
}

// Each function grows from the least delay to the greatest, each slower at first than the one before.
func TestBackoffFunctionsGrowFromTheLeastToTheGreatest(t *testing.T) {
	middle := time.Hour
	for _, f := range []Function{Linear, Arithmetic, Geometric, Exponential} {
		r := Retry{MinDelay: 5, MaxDelay: 260, Retries: 10, Backoff: f}
		last := time.Duration(0)
		for i := 1; i <= 10; i++ {
			d, ok := r.Delay(i)
			if !ok || d <= last {
				t.Errorf("%s: retry %d is after %v, the one before %v", f, i, d, last)
			}
			if last = d; i == 5 {
				if d >= middle {
					t.Errorf("%s is not steeper than the one before: %v", f, d)
				}
				middle = d
			}
		}
		first, _ := r.Delay(1)
		if first != 5*time.Second || last.Round(time.Millisecond) != 260*time.Second {
			t.Errorf("%s goes from %v to %v", f, first, last)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add(retryWith(`,"backoffFunction":"geometric"`))
	f.Add(`{"http":{"defaultThrottlePolicy":{"maxReceivesPerSecond":1}}}`)
	f.Fuzz(func(t *testing.T, policy string) {
		_, _ = ParseTopicPolicy(policy)
		p, err := ParseSubscriptionPolicy(policy)
		if err != nil {
			return
		}
		again, err := ParseSubscriptionPolicy(text(t, p))
		if err != nil || text(t, again) != text(t, p) {
			t.Errorf("%s is shown as %s: %v", policy, text(t, p), err)
		}
		if r := p.Effective(TopicPolicy{}).Policy().Retry; r.total() > time.Hour {
			t.Errorf("%s takes %v", policy, r.total())
		}
	})
}
