package aws

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Who mounts the actions for administration needs no signature, and has the errors of the JSON protocol.
func TestAdministrationNeedsNoSignature(t *testing.T) {
	x := start(t, Config{Keys: map[string]string{"AKID": "secret"}})
	post := func(path, body string) (int, string) {
		w := httptest.NewRecorder()
		x.s.Admin().ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)))
		return w.Code, w.Body.String()
	}
	for _, test := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/sqs/CreateQueue", `{"QueueName":"orders"}`, 200, "/000000000000/orders"},
		{"/sqs/SendMessage", `{"QueueUrl":"/000000000000/orders","MessageBody":"x"}`, 200, "MD5OfMessageBody"},
		{"/sts/GetCallerIdentity", ``, 200, "000000000000"},
		{"/sqs/SendMessage", `{"QueueUrl":"/000000000000/none","MessageBody":"x"}`, 400, "QueueDoesNotExist"},
		{"/sqs/SendMessage", `{`, 400, "SerializationException"},
		{"/sqs/SendMessage", `[]`, 400, "The request is not a JSON object: array."},
		{"/sqs/Fly", ``, 400, "InvalidAction"},
		{"/ec2/RunInstances", ``, 400, "There is no service ec2."},
	} {
		if status, got := post(test.path, test.body); status != test.status || !strings.Contains(got, test.want) {
			t.Errorf("%s: got %d %s, want %d %s", test.path, status, got, test.status, test.want)
		}
	}
}

// Who administers the broker sees which subscriptions nobody has confirmed, and can end them.
func TestAdministrationEndsWhatNobodyHasConfirmed(t *testing.T) {
	x := start(t, Config{})
	topic := x.topic("alerts")
	x.subscribeTo(topic, "http", "http://127.0.0.1:1/")
	var list struct{ Subscriptions []listedSubscription }
	do := func(action string, in, out any) {
		t.Helper()
		if err := x.s.Do(t.Context(), "sns", action, in, out); err != nil {
			t.Fatal(err)
		}
	}
	do("ListSubscriptionsByTopic", object{"TopicArn": topic}, &list)
	if len(list.Subscriptions) != 1 || !isARN(list.Subscriptions[0].SubscriptionArn) {
		t.Fatalf("got %v, want one with its ARN", list)
	}
	listed := x.snsOK("ListSubscriptionsByTopic", "TopicArn", topic)
	if got := listed.members("Subscriptions", "SubscriptionArn"); len(got) != 1 || got[0] != "PendingConfirmation" {
		t.Errorf("a client sees %v, want PendingConfirmation", got)
	}
	do("Unsubscribe", object{"SubscriptionArn": list.Subscriptions[0].SubscriptionArn}, &object{})
	listed = x.snsOK("ListSubscriptionsByTopic", "TopicArn", topic)
	if got := listed.members("Subscriptions", "SubscriptionArn"); len(got) != 0 {
		t.Errorf("after its end there is %v", got)
	}
}

func TestDoFailsAsActionsDo(t *testing.T) {
	x := start(t, Config{})
	for _, test := range []struct{ service, action, code string }{
		{"sqs", "GetQueueUrl", missingParameter}, {"sns", "Fly", invalidAction}, {"ec2", "RunInstances", invalidAction},
		{"sns", "CheckIfPhoneNumberIsOptedOut", invalidAction},
	} {
		err := x.s.Do(t.Context(), test.service, test.action, object{}, &object{})
		var got *Error
		if !errors.As(err, &got) || got.Code != test.code {
			t.Errorf("%s %s: got %v, want %s", test.service, test.action, err, test.code)
		}
	}
}

// What Prepare makes is there for the first request, and its error leaves nothing behind that listens.
func TestPrepareIsBeforeTheFirstRequest(t *testing.T) {
	x := start(t, Config{Prepare: func(s *Server) error {
		return s.Do(t.Context(), "sqs", "CreateQueue", object{"QueueName": "jobs"}, &object{})
	}})
	if got := x.names(); got != "jobs" {
		t.Errorf("got %q, want jobs", got)
	}
	wrong := errors.New("wrong")
	c := x.c
	c.Prepare = func(*Server) error { return wrong }
	if _, err := Listen(x.b, c); !errors.Is(err, wrong) {
		t.Errorf("got %v, want %v", err, wrong)
	}
}

// A signature is needed for its end, but not by who administers the broker.
func TestASignedRequestAloneEndsAGuardedSubscription(t *testing.T) {
	x := start(t, Config{})
	topic := x.topic("news")
	url, got := endpoint(t, 200)
	sub := x.subscribeTo(topic, "http", url)
	r, err := http.NewRequest("GET", (<-got).document(t)["SubscribeURL"]+"&AuthenticateOnUnsubscribe=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20261126/us-east-1/sns/aws4_request")
	if status, _, body := x.do(r); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if status, code, _ := x.snsFails("Unsubscribe", "SubscriptionArn", sub); status != 403 || code != "AuthorizationError" {
		t.Errorf("got %d %s", status, code)
	}
	w := httptest.NewRecorder()
	x.s.Admin().ServeHTTP(w, httptest.NewRequest("POST", "/sns/Unsubscribe", strings.NewReader(`{"SubscriptionArn":"`+sub+`"}`)))
	if w.Code != 200 {
		t.Errorf("administration: %d %s", w.Code, w.Body)
	}
	x.wantSNS(404, "NotFound", "Subscription does not exist", "GetSubscriptionAttributes", "SubscriptionArn", sub)
}

func TestAStatementOfAPolicyMayStandAlone(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders", "Policy", `{"Version":"2012-10-17","Statement":{"Sid":"own","Effect":"Deny"}}`)
	x.ok("AddPermission", object{"QueueUrl": q, "Label": "more", "AWSAccountIds": []string{"123456789012"},
		"Actions": []string{"SendMessage"}})
	var p policy
	if err := json.Unmarshal([]byte(x.attributes(q)["Policy"].(string)), &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Statements) != 2 || p.labelled("own") != 0 || p.labelled("more") != 1 {
		t.Errorf("got %s, want the statement of before and the permission", p.Statements)
	}
}
