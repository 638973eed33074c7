package aws

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzJSON decodes any body as a request of every action, which fails or gives what is no larger than the
// body allows.
func FuzzJSON(f *testing.F) {
	f.Add(`{"QueueUrl":"http://h/0/q","Entries":[{"Id":"a","MessageBody":"b","MessageAttributes":{"k":{"DataType":"Binary","BinaryValue":"YQ=="}}}]}`)
	f.Add(`{"a":"\"[[[{{{,,,:::\\"}`)
	f.Add(`{"Attributes":{"a":"b"},"tags":{}}`)
	f.Fuzz(func(t *testing.T, body string) {
		if checkDocument([]byte(body), defaultLimits.Values) != nil {
			return
		}
		for i := range sqsActions {
			if in := sqsActions[i].input(); decodeJSON([]byte(body), in) == nil {
				if _, err := encodeJSON(in); err != nil {
					t.Errorf("%s: %v", sqsActions[i].name, err)
				}
			}
		}
	})
}

// FuzzForm does the same with a form, and writes what it found as XML.
func FuzzForm(f *testing.F) {
	f.Add("Action=SendMessageBatch&SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageAttribute.1.Name=k" +
		"&SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue=v")
	f.Add("Action=CreateQueue&Attribute.2.Name=a&Attribute.2.Value=b&Tag.1.Key=%C3%BC&Attribute.01.Name=c")
	f.Add("QueueUrl.QueueUrl=a&QueueUrl=b&&=&%zz")
	f.Add("Action=Publish&MessageAttributes.entry.1.Name=a&MessageAttributes.entry.1.Value.BinaryValue=AA==&ReturnSubscriptionArn=true")
	f.Fuzz(func(t *testing.T, body string) {
		r := &http.Request{Method: "POST", Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}
		r.URL = &url.URL{Path: "/"}
		form, err := formOf(r, []byte(body), defaultLimits.Values)
		if err != nil {
			return
		}
		for _, a := range slices.Concat(sqsActions, snsActions) {
			in := a.input()
			if form.fill(reflect.ValueOf(in).Elem(), entries) != nil {
				continue
			}
			x := xmlWriter{}
			x.value("Request", reflect.ValueOf(in).Elem(), entries)
			var any node
			if err := xml.Unmarshal(x.Bytes(), &any); err != nil {
				t.Errorf("%s: %v in %s", a.name, err, x.Bytes())
			}
		}
	})
}

// FuzzProps reads any bytes as properties; what was written is read again as it was.
func FuzzProps(f *testing.F) {
	text := "v"
	p := properties{sent: 1, sender: "a", attributes: map[string]messageAttribute{
		"k": {DataType: "String", StringValue: &text}, "b": {DataType: "Binary", BinaryValue: []byte{1}}}}
	f.Add(p.append(nil))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parseProperties(b)
		if err != nil {
			return
		}
		again, err := parseProperties(p.append(nil))
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Errorf("%+v and %+v, %v", p, again, err)
		}
		Props{}.Properties(b)
	})
}

// FuzzText compares what a body may have with what XML may.
func FuzzText(f *testing.F) {
	f.Add("a\x00b")
	f.Add("\ufffd\U0001F600\r\n\t")
	f.Fuzz(func(t *testing.T, s string) {
		if !allowedText(s) {
			return
		}
		x := xmlWriter{}
		x.text("Body", s)
		var n node
		if err := xml.Unmarshal(x.Bytes(), &n); err != nil || n.Text != s || !utf8.ValidString(s) {
			t.Errorf("%q became %q, %v", s, n.Text, err)
		}
		if strings.Contains(x.String(), "\r") {
			t.Errorf("a carriage return in %q", x.String())
		}
	})
}
