package aws

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// sns sends a request of SNS, and returns the status and the answer.
func (x *rig) sns(action string, pairs ...string) (int, node) {
	x.t.Helper()
	v := url.Values{"Action": {action}, "Version": {"2010-03-31"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequest("POST", x.url()+"/", strings.NewReader(v.Encode()))
	if err != nil {
		x.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	status, _, body := x.do(r)
	return status, parseXML(x.t, body)
}

// snsOK wants an answer, and returns what stands in its result.
func (x *rig) snsOK(action string, pairs ...string) node {
	x.t.Helper()
	status, n := x.sns(action, pairs...)
	if status != http.StatusOK || n.XMLName.Local != action+"Response" || n.at("ResponseMetadata", "RequestId") == "" {
		x.t.Fatalf("%s %v: %d %s %s", action, pairs, status, n.at("Error", "Code"), n.at("Error", "Message"))
	}
	return n.below(action + "Result")
}

// snsFails wants an error.
func (x *rig) snsFails(action string, pairs ...string) (status int, code, message string) {
	x.t.Helper()
	status, n := x.sns(action, pairs...)
	if status < 400 {
		x.t.Fatalf("%s %v: %d, want an error", action, pairs, status)
	}
	return status, n.at("Error", "Code"), n.at("Error", "Message")
}

func (x *rig) wantSNS(status int, code, message, action string, pairs ...string) {
	x.t.Helper()
	if s, c, m := x.snsFails(action, pairs...); s != status || c != code || m != message {
		x.t.Errorf("%s %.300v: got %d %s %q\nwant %d %s %q", action, pairs, s, c, m, status, code, message)
	}
}

// below is the element of a name; one without anything where there is none.
func (n *node) below(name string) node {
	for i := range n.Kids {
		if n.Kids[i].XMLName.Local == name {
			return n.Kids[i]
		}
	}
	return node{}
}

// entries reads a map.
func (n *node) entries(name string) map[string]string {
	out := map[string]string{}
	list := n.below(name)
	for i := range list.Kids {
		out[list.Kids[i].at("key")] = list.Kids[i].at("value")
	}
	return out
}

// members reads one text of each element of a list.
func (n *node) members(name string, path ...string) (all []string) {
	list := n.below(name)
	for i := range list.Kids {
		all = append(all, list.Kids[i].at(path...))
	}
	return all
}

// topic makes a topic and returns its ARN. More are attributes.
func (x *rig) topic(name string, more ...string) string {
	x.t.Helper()
	n := x.snsOK("CreateTopic", append([]string{"Name", name}, attributePairs(more)...)...)
	return n.at("TopicArn")
}

func attributePairs(more []string) (pairs []string) {
	for i := 0; i+1 < len(more); i += 2 {
		at := "Attributes.entry." + string(rune('1'+i/2))
		pairs = append(pairs, at+".key", more[i], at+".value", more[i+1])
	}
	return pairs
}

// subscribe makes a subscription of a queue, and returns its ARN. More are attributes.
func (x *rig) subscribe(topic, queue string, more ...string) string {
	x.t.Helper()
	return x.subscribeTo(topic, "sqs", queueARN(queue), more...)
}

func (x *rig) subscribeTo(topic, protocol, endpoint string, more ...string) string {
	x.t.Helper()
	pairs := []string{"TopicArn", topic, "Protocol", protocol, "Endpoint", endpoint, "ReturnSubscriptionArn", "true"}
	n := x.snsOK("Subscribe", append(pairs, attributePairs(more)...)...)
	return n.at("SubscriptionArn")
}

func queueARN(queueURL string) string {
	return "arn:aws:sqs:us-east-1:000000000000:" + queueURL[strings.LastIndexByte(queueURL, '/')+1:]
}

// announce publishes to a topic, and returns the id of the message.
func (x *rig) announce(topic, message string, more ...string) string {
	x.t.Helper()
	n := x.snsOK("Publish", append([]string{"TopicArn", topic, "Message", message}, more...)...)
	return n.at("MessageId")
}

// envelopeOf reads the document in a message.
func envelopeOf(x *rig, m object) (doc object) {
	x.t.Helper()
	if err := json.Unmarshal([]byte(m["Body"].(string)), &doc); err != nil {
		x.t.Fatalf("%v: %v", m, err)
	}
	return doc
}
