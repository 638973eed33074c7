package aws

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func TestTheQueryProtocolDoesTheSame(t *testing.T) {
	x := start(t, Config{})
	status, body := x.form("/", "Action", "CreateQueue", "QueueName", "orders", "Attribute.1.Name", "VisibilityTimeout",
		"Attribute.1.Value", "7", "Tag.1.Key", "team", "Tag.1.Value", "a")
	n := parseXML(t, body)
	q := x.url() + "/000000000000/orders"
	if status != 200 || n.at("CreateQueueResult", "QueueUrl") != q || n.at("ResponseMetadata", "RequestId") == "" ||
		n.XMLName.Space != "http://queue.amazonaws.com/doc/2012-11-05/" || n.XMLName.Local != "CreateQueueResponse" {
		t.Fatalf("%d %s", status, body)
	}
	_, body = x.form("/000000000000/orders", "Action", "SendMessage", "MessageBody", "a\r\n<b>\t", "DelaySeconds", "0",
		"MessageAttribute.1.Name", "logo", "MessageAttribute.1.Value.DataType", "Binary",
		"MessageAttribute.1.Value.BinaryValue", "AQID",
		"MessageAttribute.2.Name", "shop", "MessageAttribute.2.Value.DataType", "String",
		"MessageAttribute.2.Value.StringValue", "7")
	sent := parseXML(t, body)
	if want := bodyChecksum([]byte("a\r\n<b>\t")); sent.at("SendMessageResult", "MD5OfMessageBody") != want {
		t.Errorf("%s, want %s", body, want)
	}
	_, body = x.form("/", "Action", "ReceiveMessage", "QueueUrl", q, "AttributeName.1", "All", "MessageAttributeName.1", "logo",
		"MaxNumberOfMessages", "10")
	if !strings.Contains(body, "<Body>a&#xD;&#xA;&lt;b&gt;&#x9;</Body>") || strings.Count(body, "<Message>") != 1 {
		t.Errorf("received %s", body)
	}
	m := parseXML(t, body).Kids[0].Kids[0]
	if m.at("MessageAttribute", "Name") != "logo" || m.at("MessageAttribute", "Value", "BinaryValue") != "AQID" ||
		m.at("MessageAttribute", "Value", "DataType") != "Binary" || m.at("Attribute", "Name") != sysFirstReceive ||
		m.at("MessageId") != sent.at("SendMessageResult", "MessageId") {
		t.Errorf("received %s", body)
	}
	status, body = x.form("/", "Action", "DeleteMessageBatch", "QueueUrl", q, "DeleteMessageBatchRequestEntry.1.Id", "a",
		"DeleteMessageBatchRequestEntry.1.ReceiptHandle", m.at("ReceiptHandle"),
		"DeleteMessageBatchRequestEntry.3.Id", "b", "DeleteMessageBatchRequestEntry.3.ReceiptHandle", "x")
	n = parseXML(t, body)
	if status != 200 || n.at("DeleteMessageBatchResult", "DeleteMessageBatchResultEntry", "Id") != "a" ||
		n.at("DeleteMessageBatchResult", "BatchResultErrorEntry", "Id") != "b" ||
		n.at("DeleteMessageBatchResult", "BatchResultErrorEntry", "SenderFault") != "true" {
		t.Errorf("%d %s", status, body)
	}
	_, body = x.form("/", "Action", "DeleteQueue", "QueueUrl", q)
	if n := parseXML(t, body); len(n.Kids) != 1 {
		t.Errorf("an answer with nothing in it is %s", body)
	}
}

func TestTheQueryProtocolHasItsOwnErrors(t *testing.T) {
	x := start(t, Config{})
	x.queue("orders")
	for _, c := range []struct {
		pairs []string
		want  string
	}{
		{[]string{"Action", "GetQueueUrl", "QueueName", "a"}, sqsCode + "NonExistentQueue"},
		{[]string{"Action", "Teleport"}, "InvalidAction"},
		{[]string{}, "MissingParameter"},
		{[]string{"Action", "ListQueues", "MaxResults", "x"}, "MalformedInput"},
		{[]string{"Action", "ListQueues", "a.b.c.d.e.f.g.h.i.j.k.l.m", "x"}, "MalformedInput"},
		{[]string{"Action", "ListQueues", "QueueNamePrefix", "\xff"}, "MalformedInput"},
	} {
		status, body := x.form("/", c.pairs...)
		if n := parseXML(t, body); status != 400 || n.at("Error", "Code") != c.want || n.at("Error", "Type") != "Sender" ||
			n.at("RequestId") == "" || n.at("Error", "Message") == "" {
			t.Errorf("%v: %d %s, want %s", c.pairs, status, body, c.want)
		}
	}
	r, err := http.NewRequest("POST", x.url(), strings.NewReader("Action=ListQueues"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "text/plain")
	if status, _, body := x.do(r); status != 400 {
		t.Errorf("what is no form: %d %s", status, body)
	}
}

func TestAGetNamesTheQueueByItsPath(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	r, err := http.NewRequest("GET", q+"?Action=SendMessage&MessageBody=gr%C3%BC%C3%9Fe+aus", nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, _, body := x.do(r); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if m := x.one(q); m["Body"] != "grüße aus" {
		t.Errorf("received %v", m)
	}
}

func TestGetCallerIdentityIsTheAccount(t *testing.T) {
	x := start(t, Config{Account: "123456789012"})
	status, body := x.form("/", "Action", "GetCallerIdentity", "Version", "2011-06-15")
	n := parseXML(t, body)
	if status != 200 || n.at("GetCallerIdentityResult", "Account") != "123456789012" ||
		n.at("GetCallerIdentityResult", "Arn") != "arn:aws:iam::123456789012:root" || !strings.Contains(n.XMLName.Space, "sts") {
		t.Errorf("%d %s", status, body)
	}
}

func TestListsComeInPagesOnlyIfAskedFor(t *testing.T) {
	x := start(t, Config{})
	for _, name := range []string{"c", "a", "b", "other"} {
		x.queue(name)
	}
	var names []any
	in := object{"MaxResults": 2}
	for pages := 1; ; pages++ {
		doc := x.ok("ListQueues", in)
		names = append(names, doc["QueueUrls"].([]any)...)
		if doc["NextToken"] == nil {
			if pages != 2 {
				t.Errorf("%d pages", pages)
			}
			break
		}
		in["NextToken"] = doc["NextToken"]
	}
	doc := x.ok("ListQueues", object{})
	if !reflect.DeepEqual(doc["QueueUrls"], names) || len(names) != 4 || doc["NextToken"] != nil {
		t.Errorf("in pages %v, at once %v", names, doc)
	}
}

// So old SDKs, boto 2 among them, write lists and maps of one element.
func TestOneElementNeedsNoNumber(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	if status, body := x.form("/000000000000/orders", "Action", "SetQueueAttributes",
		"Attribute.Name", attrVisibility, "Attribute.Value", "7"); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if got := x.attributes(q)[attrVisibility]; got != "7" {
		t.Errorf("got %v", got)
	}
	_, body := x.form("/000000000000/orders", "Action", "GetQueueAttributes", "AttributeName", attrVisibility)
	n := parseXML(t, body)
	if got := n.at("GetQueueAttributesResult", "Attribute", "Value"); got != "7" {
		t.Errorf("got %s", body)
	}
}
