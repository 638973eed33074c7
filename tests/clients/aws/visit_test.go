package aws

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/tests/clients/server"
)

// visit is one call of the tour that clients make which are not in Go. Inputs may have "$name" for what an
// earlier visit kept.
type visit struct {
	action  string
	service string                           // "": that of the tour
	before  func(*testing.T, map[string]any) // what happens first; it may keep something
	input   in
	keep    map[string]string // names for values of the output, by their paths
	want    map[string]any    // values of the output by their paths, such as "Messages.0.Body"
	fails   *refusal          // what is answered instead; the message may be left out
}

type (
	keep = map[string]string
	want = map[string]any
)

// some is a value that is there, whichever it is; none is one that is not, or is an empty list.
type presence bool

const (
	some presence = true
	none presence = false
)

// toursOf are the visits by service, in their order.
var toursOf = map[string][]visit{
	"sqs": slices.Concat(sqsTour, fifoTour),
	"sns": snsTour,
	"sts": {{action: "GetCallerIdentity", want: want{"Account": "000000000000"}}},
}

// TestClientsTourEveryActionThatIsServed: each engine makes every visit, and there is one for each action.
func TestClientsTourEveryActionThatIsServed(t *testing.T) {
	tours := map[string][]visit{}
	s := server.Start(t)
	for service, tour := range toursOf {
		served := servedBy(t, s, service)
		if len(served) == 0 {
			t.Fatalf("no action of %s is served", service)
		}
		visited := map[string]bool{}
		for _, v := range tour {
			if v.service != "" || slices.Contains(served, v.action) {
				tours[service] = append(tours[service], v)
				visited[v.action] = visited[v.action] || v.service == "" && v.fails == nil
			}
		}
		for _, action := range served {
			if !visited[action] {
				t.Errorf("nobody visits %s of %s", action, service)
			}
		}
	}
	for _, e := range engines {
		t.Run(e.name(), func(t *testing.T) {
			needed(t, e)
			s := server.Start(t)
			call := e.open(t, s)
			for service, visits := range tours {
				tourWith(t, e, call, service, visits)
			}
		})
	}
}

// servedBy asks for every action that AWS has, as its SDK does: served is what is not refused by name.
func servedBy(t *testing.T, s *server.Server, service string) (served []string) {
	t.Helper()
	if service == "sts" {
		return []string{"GetCallerIdentity"} // of which there are no requests
	}
	text, err := os.ReadFile("../../../wire/aws/testdata/golden/" + service + ".requests")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		action, body, _ := strings.Cut(strings.TrimSpace(line), " ")
		r, err := http.NewRequestWithContext(bounded(t), "POST", s.SQS, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if service == "sqs" {
			r.Header.Set("Content-Type", "application/x-amz-json-1.0")
			r.Header.Set("X-Amz-Target", "AmazonSQS."+action)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if !refusedByName.Match(answer) {
			served = append(served, action)
		}
	}
	return served
}

// refusedByName is in the answer for an action that is not built.
var refusedByName = regexp.MustCompile(`(?i)the action \w+ is not (built|valid)`)

func tourWith(t *testing.T, e engine, call caller, service string, visits []visit) {
	t.Helper()
	kept := map[string]any{}
	for i, v := range visits {
		if e.lacks(v.action) {
			continue
		}
		if v.before != nil {
			v.before(t, kept)
		}
		o, err := call(bounded(t), cmp.Or(v.service, service), v.action, resolve(v.input, kept).(in))
		if err := v.judge(o, err, kept, typed(e)); err != nil {
			t.Fatalf("visit %d, %s: %v", i, v.action, err)
		}
	}
}

// typed says whether an engine has types of errors.
func typed(e engine) bool {
	_, ok := e.(commandLine)
	return !ok
}

// resolve puts in what was kept.
func resolve(v any, kept map[string]any) any {
	switch v := v.(type) {
	case string:
		if name, ok := strings.CutPrefix(v, "$"); ok {
			return kept[name]
		}
	case in:
		made := in{}
		for key, value := range v {
			if made[key] = value; key != "$bytes" {
				made[key] = resolve(value, kept)
			}
		}
		return made
	case []in:
		made := make([]in, len(v))
		for i := range v {
			made[i] = resolve(v[i], kept).(in)
		}
		return made
	}
	return v
}

// judge says what is wrong with an answer, and keeps what is to be kept of it.
func (v *visit) judge(o out, err error, kept map[string]any, typed bool) error {
	if v.fails != nil {
		return v.fails.judge(err, typed)
	}
	if err != nil {
		return err
	}
	for path, expected := range v.want {
		got := at(map[string]any(o), path)
		if expected = resolve(expected, kept); !matches(got, expected) {
			return fmt.Errorf("%s is %v, want %v", path, got, expected)
		}
	}
	for path, name := range v.keep {
		if kept[name] = at(map[string]any(o), path); kept[name] == nil {
			return fmt.Errorf("%s is not there", path)
		}
	}
	return nil
}

func matches(got, want any) bool {
	switch want {
	case some:
		return got != nil && got != ""
	case none:
		list, ok := got.([]any)
		return got == nil || ok && len(list) == 0
	}
	return fmt.Sprint(got) == fmt.Sprint(want)
}

// at is the value that a path leads to, also into a document that is a string.
func at(v any, path string) any {
	for part := range strings.SplitSeq(path, ".") {
		if text, ok := v.(string); ok && json.Unmarshal([]byte(text), &v) != nil {
			return nil
		}
		switch w := v.(type) {
		case map[string]any:
			v = field(w, part)
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(w) {
				return nil
			}
			v = w[i]
		default:
			return nil
		}
	}
	return v
}

// field is a field of an object. Not all SDKs write names as AWS does, such as queueUrls.
func field(w map[string]any, name string) any {
	for key, value := range w {
		if strings.EqualFold(key, name) {
			return value
		}
	}
	return nil
}

func (r *refusal) judge(err error, typed bool) error {
	var got *refusal
	if !errors.As(err, &got) {
		return fmt.Errorf("answered, or failed with %v, want %w", err, r)
	}
	if got.Code != r.Code || typed && got.Type != r.Type || r.Message != "" && got.Message != r.Message {
		return fmt.Errorf("refused with %w, want %w", got, r)
	}
	return nil
}

// TestJavaScriptFindsTheServerByTheURLOfAQueue: without an endpoint the SDK takes the host of QueueUrl.
func TestJavaScriptFindsTheServerByTheURLOfAQueue(t *testing.T) {
	e := javascript
	needed(t, e)
	s := server.Start(t)
	made, err := e.open(t, s)(bounded(t), "sqs", "CreateQueue", in{"QueueName": "found"})
	if err != nil {
		t.Fatal(err)
	}
	without := e.open(t, s, "NO_ENDPOINT=")
	call := func(action string, input in) out {
		t.Helper()
		input["QueueUrl"] = made["QueueUrl"]
		o, err := without(bounded(t), "sqs", action, input)
		if err != nil {
			t.Fatalf("%s: %v", action, err)
		}
		return o
	}
	call("SendMessage", in{"MessageBody": "x"})
	if got := at(map[string]any(call("ReceiveMessage", in{"WaitTimeSeconds": 5})),
		"Messages.0.Body"); got != "x" {
		t.Errorf("received %v", got)
	}
}
