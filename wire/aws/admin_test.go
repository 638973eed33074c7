package aws

import (
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
		{"/sqs/Fly", ``, 400, "InvalidAction"},
		{"/ec2/RunInstances", ``, 400, "There is no service ec2."},
	} {
		if status, got := post(test.path, test.body); status != test.status || !strings.Contains(got, test.want) {
			t.Errorf("%s: got %d %s, want %d %s", test.path, status, got, test.status, test.want)
		}
	}
}
