package aws

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// quickRequests are those that are read by hand.
func quickRequests() []any {
	return []any{&sendMessageInput{}, &sendMessageBatchInput{}, &receiveMessageInput{}, &deleteMessageInput{},
		&deleteMessageBatchInput{}}
}

// quickAnswers are those that are written by hand.
func quickAnswers() []any {
	return []any{&sentMessage{}, &sendMessageBatchOutput{}, &receiveMessageOutput{},
		&deleteMessageBatchOutput{}, &nothing{}}
}

// fill sets every field that a client can, or may be told of, to something.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString([]string{"a", "", `q"\/` + "\n\r\t\b\f\x01\x7f", "ü\u2028\u2029\U0001F600<&>", "\xff"}[rand.IntN(5)])
	case reflect.Bool:
		v.SetBool(rand.IntN(2) == 0)
	case reflect.Int32:
		v.SetInt(rand.Int64N(100) - 50)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rand.IntN(3), 3))
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for i := range rand.IntN(3) {
			e := reflect.New(v.Type().Elem()).Elem()
			fill(e)
			v.SetMapIndex(reflect.ValueOf(fmt.Sprint("k", i)), e)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
	if !v.CanInterface() {
		return // a struct in one: its fields are
	}
	if a, ok := v.Addr().Interface().(*messageAttribute); ok {
		a.StringListValues, a.BinaryListValues = nil, nil // no action has them
	}
}

// TestQuickRequests reads everything that an SDK can say by hand, but for binary values, as encoding/json
// reads it. A further field of a request that is not read by hand fails.
func TestQuickRequests(t *testing.T) {
	for range 2000 {
		for _, in := range quickRequests() {
			v := reflect.ValueOf(in).Elem()
			settable(v)
			body, err := json.Marshal(in)
			if err != nil {
				t.Fatal(err)
			}
			// SDKs leave out what is not set.
			for _, none := range []string{`"DelaySeconds":null,`, `"MessageAttributes":null,`} {
				body = bytes.ReplaceAll(body, []byte(none), nil)
			}
			compareQuick(t, body, in, true)
		}
	}
}

// settable fills a request with what has no binary value.
func settable(v reflect.Value) {
	fill(v)
	for _, p := range attributesIn(v) {
		for name, a := range p {
			a.BinaryValue = nil
			p[name] = a
		}
	}
}

func attributesIn(v reflect.Value) (all []map[string]messageAttribute) {
	switch v.Kind() {
	case reflect.Map:
		if m, ok := v.Interface().(map[string]messageAttribute); ok {
			all = append(all, m)
		}
	case reflect.Slice:
		for i := range v.Len() {
			all = append(all, attributesIn(v.Index(i))...)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			all = append(all, attributesIn(v.Field(i))...)
		}
	}
	return all
}

// compareQuick reads a document by hand and by encoding/json. What is read by hand must be the same; with
// must, it must be read so.
func compareQuick(t *testing.T, body []byte, kind any, must bool) {
	t.Helper()
	quick, slow := reflect.New(reflect.TypeOf(kind).Elem()).Interface(), reflect.New(reflect.TypeOf(kind).Elem()).Interface()
	ok, err := readQuick(body, quick), json.Unmarshal(body, slow)
	switch {
	case !ok && must:
		t.Fatalf("%T is not read by hand: %s", kind, body)
	case !ok && !reflect.ValueOf(quick).Elem().IsZero():
		t.Errorf("%s leaves %+v", body, quick)
	case ok && (err != nil || !reflect.DeepEqual(quick, slow)):
		t.Errorf("%s: by hand %+v, else %+v and %v", body, quick, slow, err)
	}
}

// TestUnusualRequestsAreReadAllTheSame reads by encoding/json what is not read by hand.
func TestUnusualRequestsAreReadAllTheSame(t *testing.T) {
	for _, body := range []string{
		`{"queueurl":"a"}`, `{"QueueUrl":null}`, `{"QueueUrl":"a","QueueUrl":"b"}`, `{"Other":[{}],"QueueUrl":"a"}`,
		`{"DelaySeconds":1.0}`, `{"DelaySeconds":1e1}`, `{"DelaySeconds":01}`, `{"DelaySeconds":-0}`, `{"DelaySeconds":-}`,
		`{"DelaySeconds":2147483648}`, `{"QueueUrl":"a"} {}`, `{"QueueUrl":"a"`, `{"QueueUrl":"a",}`, "{\"QueueUrl\":\"\n\"}",
		`{"QueueUrl":"\ud800"}`, `{"QueueUrl":"\x"}`, `{"Queue\u0055rl":"a"}`, `{"MessageAttributes":{"a":{"BinaryValue":"YQ=="}}}`,
		`{"MessageAttributes":{"a":{"StringListValues":["a"]}}}`, `[]`, `{} `, ` { } `, "", `{"QueueUrl":1}`, `nul`,
	} {
		for _, in := range quickRequests() {
			compareQuick(t, []byte(body), in, false)
		}
	}
	var in sendMessageInput
	if err := decodeJSON([]byte(`{"queueurl":"a","Other":1,"DelaySeconds":null}`), &in); err != nil || in.QueueUrl != "a" {
		t.Errorf("got %+v and %v", in, err)
	}
}

// FuzzQuickJSON holds what is read by hand against encoding/json.
func FuzzQuickJSON(f *testing.F) {
	f.Add(`{"QueueUrl":"http://h/0/q","Entries":[{"Id":"a","MessageBody":"b\n","DelaySeconds":-1,"MessageAttributes":{"k":{"DataType":"String","StringValue":"v"}}},{}]}`)
	f.Add(`{"QueueUrl":"u","AttributeNames":["All"],"WaitTimeSeconds":20,"MaxNumberOfMessages":10}`)
	f.Add(`{"QueueUrl":"u","Entries":[{"Id":"0","ReceiptHandle":"x"}]}`)
	f.Add(` {"QueueUrl" : "u" , "ReceiptHandle":"A\\A" } `)
	f.Fuzz(func(t *testing.T, body string) {
		if checkDocument([]byte(body), defaultLimits.Values) != nil {
			return
		}
		for _, in := range quickRequests() {
			compareQuick(t, []byte(body), in, false)
		}
	})
}

// TestQuickAnswers writes every answer by hand as encoding/json writes it.
func TestQuickAnswers(t *testing.T) {
	for range 2000 {
		for _, out := range quickAnswers() {
			fill(reflect.ValueOf(out).Elem())
			quick, err := encodeJSON(out)
			if slow, _ := encodeSlowly(out); err != nil || !bytes.Equal(quick, slow) {
				t.Fatalf("%T by hand:\n%s\nelse:\n%s", out, quick, slow)
			}
		}
	}
}

// FuzzQuoted holds a string that is written by hand against encoding/json.
func FuzzQuoted(f *testing.F) {
	f.Add("a\"\\\x00\x1f\x7f\b\f\n\r\t/<>&'")
	f.Add("\u2028\u2029\ufffd\xff\xe2\x80ü\U0001F600" + strings.Repeat("x", 100))
	f.Fuzz(func(t *testing.T, s string) {
		slow, _ := encodeSlowly(s)
		if quick := appendQuoted(nil, s); !bytes.Equal(quick, slow) {
			t.Errorf("%q by hand: %s, else: %s", s, quick, slow)
		}
	})
}

// TestControlCharactersAreFound at every place, and none elsewhere.
func TestControlCharactersAreFound(t *testing.T) {
	for c := range 256 {
		for n := range 20 {
			b := bytes.Repeat([]byte{0x80}, 20)
			b[n] = byte(c)
			if got := hasControl(b); got != (c < ' ') {
				t.Errorf("%#x at %d: got %t", c, n, got)
			}
		}
	}
}

// TestStringsAreSkipped finds the end of a string behind whatever is escaped in it.
func TestStringsAreSkipped(t *testing.T) {
	for text, want := range map[string]int{`a"b"`: 2, `"`: 1, `\"a"b`: 4, `\\"b"`: 3, `\\\"\""`: 7, `\`: 1, ``: 0,
		`\u0022"`: 7, strings.Repeat(`\"`, 1<<20) + `"`: 2<<20 + 1} {
		got, ended := skipString([]byte(text))
		if got != want || ended != (text != `\` && text != ``) {
			t.Errorf("%.20s: got %d and %t, want %d", text, got, ended, want)
		}
	}
	if n, ended := skipString([]byte(`a\"`)); n != 3 || ended {
		t.Errorf("an escaped quote ends: got %d and %t", n, ended)
	}
}
