package notify

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 5, 2, 12, 54, 6, 655_900_000, time.FixedZone("", 3600))

func example() *Notification {
	return &Notification{Type: Message, MessageID: "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
		TopicARN: "arn:aws:sns:us-east-1:000000000000:MyTopic", Message: "Hello world!", Time: noon}
}

// The documents are written as SNS writes them, in examples of its guide and in recorded messages.
func TestDocumentsHaveTheKeysOfSNSInItsOrder(t *testing.T) {
	signed := func(change func(*Notification)) *Notification {
		n := example()
		n.SignatureVersion, n.Signature, n.SigningCertURL = "1", "EXAMPLE", "https://localhost/x.pem"
		change(n)
		return n
	}
	const url = "http://localhost:4566/?Action=Unsubscribe&SubscriptionArn=a"
	for _, x := range []struct {
		name, url string
		n         *Notification
		want      string
	}{
		{"standard", url, signed(func(*Notification) {}), `{
  "Type" : "Notification",
  "MessageId" : "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
  "TopicArn" : "arn:aws:sns:us-east-1:000000000000:MyTopic",
  "Message" : "Hello world!",
  "Timestamp" : "2026-05-02T11:54:06.655Z",
  "SignatureVersion" : "1",
  "Signature" : "EXAMPLE",
  "SigningCertURL" : "https://localhost/x.pem",
  "UnsubscribeURL" : "http://localhost:4566/?Action=Unsubscribe&SubscriptionArn=a"
}`},
		{"with a subject and attributes", url, signed(func(n *Notification) {
			n.Subject = "My First Message"
			n.Attributes = map[string]Attribute{"b": {"Binary", "AgME"}, "a": {"Number", "99.12"}}
		}), `{
  "Type" : "Notification",
  "MessageId" : "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
  "TopicArn" : "arn:aws:sns:us-east-1:000000000000:MyTopic",
  "Subject" : "My First Message",
  "Message" : "Hello world!",
  "Timestamp" : "2026-05-02T11:54:06.655Z",
  "SignatureVersion" : "1",
  "Signature" : "EXAMPLE",
  "SigningCertURL" : "https://localhost/x.pem",
  "UnsubscribeURL" : "http://localhost:4566/?Action=Unsubscribe&SubscriptionArn=a",
  "MessageAttributes" : {
    "a" : {"Type":"Number","Value":"99.12"},
    "b" : {"Type":"Binary","Value":"AgME"}
  }
}`},
		{"FIFO", url, func() *Notification {
			n := example()
			n.SequenceNumber, n.Subject = "10000000000000003000", "s"
			n.Attributes = map[string]Attribute{"a": {"String", "x"}}
			return n
		}(), `{
  "Type" : "Notification",
  "MessageId" : "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
  "SequenceNumber" : "10000000000000003000",
  "TopicArn" : "arn:aws:sns:us-east-1:000000000000:MyTopic",
  "Subject" : "s",
  "Message" : "Hello world!",
  "Timestamp" : "2026-05-02T11:54:06.655Z",
  "UnsubscribeURL" : "http://localhost:4566/?Action=Unsubscribe&SubscriptionArn=a",
  "MessageAttributes" : {
    "a" : {"Type":"String","Value":"x"}
  }
}`},
		{"confirmation", "", signed(func(n *Notification) {
			n.Type, n.Token, n.SubscribeURL = SubscriptionConfirmation, "2336", "http://localhost/?Token=2336"
			n.Message = Confirmation(n.Type, n.TopicARN, "")
		}), `{
  "Type" : "SubscriptionConfirmation",
  "MessageId" : "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
  "Token" : "2336",
  "TopicArn" : "arn:aws:sns:us-east-1:000000000000:MyTopic",
  "Message" : "You have chosen to subscribe to the topic arn:aws:sns:us-east-1:000000000000:MyTopic.\nTo confirm the subscription, visit the SubscribeURL included in this message.",
  "SubscribeURL" : "http://localhost/?Token=2336",
  "Timestamp" : "2026-05-02T11:54:06.655Z",
  "SignatureVersion" : "1",
  "Signature" : "EXAMPLE",
  "SigningCertURL" : "https://localhost/x.pem"
}`},
	} {
		if got := string(x.n.Envelope().Document(x.url)); got != x.want {
			t.Errorf("%s: got\n%s\nwant\n%s", x.name, got, x.want)
		}
	}
}

func TestOneEnvelopeMakesTheDocumentsOfAllSubscriptions(t *testing.T) {
	e := example().Envelope()
	first := e.Document("http://a/")
	second := e.Document("http://b/")
	if want := bytes.ReplaceAll(first, []byte("http://a/"), []byte("http://b/")); !bytes.Equal(second, want) {
		t.Errorf("the second is\n%s\nwant\n%s", second, want)
	}
}

// What a parser reads is what was published, byte by byte: a signature is over that.
func TestAnyTextSurvivesTheDocument(t *testing.T) {
	var every strings.Builder
	for r := rune(0); r < 0x300; r++ {
		every.WriteRune(r)
	}
	for _, text := range []string{every.String(), "\u2028\u2029<&>\U0001F600", `"\`, ""} {
		n := example()
		n.Message, n.Attributes = text, map[string]Attribute{text: {"String", text}}
		var got struct {
			Message           string
			MessageAttributes map[string]Attribute
		}
		if err := json.Unmarshal(n.Envelope().Document(""), &got); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got.Message != text || got.MessageAttributes[text] != (Attribute{"String", text}) {
			t.Errorf("got %q and %q, want %q", got.Message, got.MessageAttributes, text)
		}
	}
	n := example()
	n.Message = "a\xffb"
	if doc := n.Envelope().Document(""); !json.Valid(doc) || !bytes.Contains(doc, []byte("a\uFFFDb")) {
		t.Errorf("what is not UTF-8 makes %s", doc)
	}
}

func FuzzDocument(f *testing.F) {
	f.Add("subject", "message\n")
	f.Fuzz(func(t *testing.T, subject, message string) {
		n := example()
		n.Subject, n.Message = subject, message
		var got struct{ Subject, Message string }
		if err := json.Unmarshal(n.Envelope().Document(subject), &got); err != nil {
			t.Fatal(err)
		}
		if want := strings.ToValidUTF8(message, "\uFFFD"); got.Message != want {
			t.Errorf("got %q, want %q", got.Message, want)
		}
	})
}
