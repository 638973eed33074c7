package aws

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// testdata/golden has the requests, answers and errors that AWS keeps beside its SDK for Go, with every field
// set, one a line: tests/clients/aws compares them with the SDK.

// golden returns the lines of a file by their first word.
func golden(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/golden/" + file)
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		lines[name] = rest
	}
	return lines
}

func TestEveryFieldOfTheSDKsRequestsIsRead(t *testing.T) {
	requests := golden(t, "sqs.requests")
	for i := range sqsActions {
		a := &sqsActions[i]
		in := a.input()
		if err := decodeJSON([]byte(requests[a.name]), in); err != nil || requests[a.name] == "" {
			t.Errorf("%s: %v", a.name, err)
			continue
		}
		sameJSON(t, a.name, in, requests[a.name])
	}
}

// answers are the outputs of actions whose answers the SDK has; it has none where it checks sums.
var answers = map[string]any{
	"AddPermission": &nothing{}, "CancelMessageMoveTask": &cancelMoveTaskOutput{},
	"ChangeMessageVisibility": &nothing{}, "ListMessageMoveTasks": &listMoveTasksOutput{},
	"StartMessageMoveTask":         &startMoveTaskOutput{},
	"ChangeMessageVisibilityBatch": &changeVisibilityBatchOutput{}, "CreateQueue": &queueURLOutput{},
	"DeleteMessage": &nothing{}, "DeleteMessageBatch": &deleteMessageBatchOutput{}, "DeleteQueue": &nothing{},
	"GetQueueAttributes": &getQueueAttributesOutput{}, "GetQueueUrl": &queueURLOutput{},
	"ListDeadLetterSourceQueues": &listSourcesOutput{}, "ListQueueTags": &listQueueTagsOutput{},
	"ListQueues": &listQueuesOutput{}, "PurgeQueue": &nothing{}, "RemovePermission": &nothing{},
	"SetQueueAttributes": &nothing{}, "TagQueue": &nothing{}, "UntagQueue": &nothing{},
}

func TestEveryFieldOfTheSDKsAnswersIsWritten(t *testing.T) {
	recorded := golden(t, "sqs.responses")
	for i := range sqsActions {
		name := sqsActions[i].name
		body, known := recorded[name]
		out, ours := answers[name]
		if known != ours {
			t.Errorf("%s: the SDK has an answer: %v, and it is compared: %v", name, known, ours)
		}
		if !known {
			continue
		}
		if err := json.Unmarshal([]byte(body), out); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		sameJSON(t, name, out, body)
	}
}

// sameJSON says whether a value is encoded as recorded: all fields, and no others.
func sameJSON(t *testing.T, name string, v any, recorded string) {
	t.Helper()
	encoded, err := encodeJSON(v)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	var got, want any
	if json.Unmarshal(encoded, &got) != nil || json.Unmarshal([]byte(recorded), &want) != nil {
		t.Errorf("%s: not JSON: %s, %s", name, encoded, recorded)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %s, want %s", name, encoded, recorded)
	}
}

// neverAnswered are errors that SQS has and this server has no use for.
var neverAnswered = []string{"InvalidIdFormat", "InvalidSecurity", "PurgeQueueInProgress", "QueueDeletedRecently"}

func TestTheSDKsErrorsAreAnsweredAsRecorded(t *testing.T) {
	recorded := golden(t, "sqs.errors")
	for _, name := range neverAnswered {
		if _, ok := identities[name]; ok || recorded[name] == "" {
			t.Errorf("%s is answered, or is no error of SQS", name)
		}
		delete(recorded, name)
	}
	for name, line := range recorded {
		status, body, _ := strings.Cut(line, " ")
		e := &Error{Code: name}
		if strings.Contains(body, `"message"`) {
			e.Message = "__Message__"
		} else {
			body = strings.TrimSuffix(body, "}") + `,"message":""}`
		}
		if got := strconv.Itoa(e.identity().status); got != status {
			t.Errorf("%s: status %s, want %s", name, got, status)
		}
		got := jsonCodec{}.refuse(http.Header{}, &ask{}, "", e)
		if got = bytes.Replace(got, []byte("com.amazonaws.sqs#"), nil, 1); string(got) != body {
			t.Errorf("%s: got %s, want %s", name, got, body)
		}
	}
}

func TestEveryFieldOfTheSDKsFormsIsRead(t *testing.T) {
	requests := golden(t, "sns.requests")
	for i := range snsActions {
		name := snsActions[i].name
		in := snsActions[i].input()
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		a, err := queryCodec{}.open(r, []byte(requests[name]), &Limits{Values: 100})
		if err == nil {
			err = a.decode(in)
		}
		want, bad := url.ParseQuery(requests[name])
		if err != nil || bad != nil || a.action != name || a.service.name != "sns" {
			t.Errorf("%s: understood as %s of %s, %v, %v", name, a.action, a.service.name, err, bad)
			continue
		}
		got := url.Values{"Action": {name}, "Version": {a.service.version}}
		formOfValue(got, "", reflect.ValueOf(in).Elem(), entries)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// formOfValue writes a value as the form from which it was read.
func formOfValue(form url.Values, name string, v reflect.Value, f field) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			formOfValue(form, name, v.Elem(), f)
		}
	case reflect.Struct:
		for _, kid := range fieldsOf(v.Type()) {
			formOfValue(form, strings.TrimPrefix(name+"."+kid.query, "."), v.FieldByIndex(kid.index), kid)
		}
	case reflect.Map:
		for i, key := range v.MapKeys() {
			at := name + "." + strconv.Itoa(i+1) + "."
			form.Set(at+f.key, key.String())
			formOfValue(form, at+f.value, v.MapIndex(key), entries)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			form.Set(name, base64.StdEncoding.EncodeToString(v.Bytes()))
			return
		}
		for i := range v.Len() {
			formOfValue(form, name+"."+strconv.Itoa(i+1), v.Index(i), f)
		}
	default:
		if !v.IsZero() {
			form.Set(name, fmt.Sprint(v))
		}
	}
}
