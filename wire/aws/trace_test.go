package aws

import (
	"net/http"
	"strings"
	"testing"
)

// As the documentation of X-Ray has it.
func testTrace(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	const root, own = "Root=1-5759e988-bd862e3fe1be46a994272793", "Root=1-67891233-abcdef012345678912345678"
	traced := func(action, body string) {
		r, err := http.NewRequest("POST", x.url()+"/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Target", "AmazonSQS."+action)
		r.Header.Set("X-Amzn-Trace-Id", root)
		if status, _, answer := x.do(r); status != 200 {
			t.Fatalf("%d %s", status, answer)
		}
	}
	traced("SendMessage", `{"QueueUrl":"`+q+`","MessageBody":"a"}`)
	traced("SendMessageBatch", `{"QueueUrl":"`+q+`","Entries":[{"Id":"b","MessageBody":"b","MessageSystemAttributes":
		{"AWSTraceHeader":{"DataType":"String","StringValue":"`+own+`"}}}]}`)
	got := x.get(q, "MessageSystemAttributeNames", []string{sysTrace})
	if len(got) != 2 {
		t.Fatalf("received %v", got)
	}
	for i, want := range []string{root, own} {
		if a, _ := got[i]["Attributes"].(object); a[sysTrace] != want {
			t.Errorf("received %v, want %s", got[i], want)
		}
	}
}
