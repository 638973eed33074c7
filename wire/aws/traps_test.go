package aws

import (
	"encoding/json"
	"encoding/xml"
	"maps"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestTheTrapsAreAvoidedByPromises: each row of the page names promises, which have tests.
func TestTheTrapsAreAvoidedByPromises(t *testing.T) {
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(b), "## Twelve traps\n")
	section, _, _ = strings.Cut(section, "\n## ")
	kept := maps.Clone(promises)
	maps.Copy(kept, snsPromises)
	rows := regexp.MustCompile(`(?m)^\| (\d+ .+) \| (.+) \|$`).FindAllStringSubmatch(section, -1)
	if len(rows) != 12 {
		t.Errorf("the page has %d traps, want 12", len(rows))
	}
	for _, row := range rows {
		for _, words := range strings.Split(row[2], " · ") {
			if kept[words] == nil {
				t.Errorf("trap %s: %q is no promise", row[1], words)
			}
		}
	}
}

// identitiesOfSQS are in the model of SQS: the code of the query protocol, and the status, by shape.
var identitiesOfSQS = map[string]identity{
	"QueueDoesNotExist":            {query: "AWS.SimpleQueueService.NonExistentQueue", status: 400},
	"QueueNameExists":              {query: "QueueAlreadyExists", status: 400},
	"BatchEntryIdsNotDistinct":     {query: "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", status: 400},
	"BatchRequestTooLong":          {query: "AWS.SimpleQueueService.BatchRequestTooLong", status: 400},
	"EmptyBatchRequest":            {query: "AWS.SimpleQueueService.EmptyBatchRequest", status: 400},
	"InvalidBatchEntryId":          {query: "AWS.SimpleQueueService.InvalidBatchEntryId", status: 400},
	"TooManyEntriesInBatchRequest": {query: "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", status: 400},
	"MessageNotInflight":           {query: "AWS.SimpleQueueService.MessageNotInflight", status: 400},
	"UnsupportedOperation":         {query: "AWS.SimpleQueueService.UnsupportedOperation", status: 400},
	"ReceiptHandleIsInvalid":       {query: "ReceiptHandleIsInvalid", status: 404},
	"InvalidAddress":               {query: "InvalidAddress", status: 404},
	"OverLimit":                    {query: "OverLimit", status: 403},
	"RequestThrottled":             {query: "RequestThrottled", status: 403},
	"ResourceNotFoundException":    {query: "ResourceNotFoundException", status: 404},
	"InvalidAttributeName":         {query: "InvalidAttributeName", status: 400},
	"InvalidAttributeValue":        {query: "InvalidAttributeValue", status: 400},
	"InvalidMessageContents":       {query: "InvalidMessageContents", status: 400},
}

func testIdentities(t *testing.T) {
	for code, want := range identitiesOfSQS {
		wantIdentity(t, code, want)
	}
	x := start(t, Config{})
	code, _ := x.fails("GetQueueUrl", object{"QueueName": "none"})
	status, body := x.form("/", "Action", "GetQueueUrl", "QueueName", "none")
	const query = "AWS.SimpleQueueService.NonExistentQueue"
	if code != query || status != 400 || !strings.Contains(body, "<Code>"+query+"</Code>") {
		t.Errorf("a queue that is not there is %s, and %d %s", code, status, body)
	}
}

func wantIdentity(t *testing.T, code string, want identity) {
	t.Helper()
	e, a, h := &Error{code, "why"}, &ask{service: services[0]}, http.Header{}
	var doc struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	err := json.Unmarshal(jsonCodec{}.refuse(h, a, "id", e), &doc)
	if err != nil || doc.Type != "com.amazonaws.sqs#"+code || doc.Message != "why" ||
		h.Get("X-Amzn-Query-Error") != want.query+";Sender" || e.identity().status != want.status {
		t.Errorf("%s in JSON is %+v, %v, %d, %v, want %+v", code, doc, h, e.identity().status, err, want)
	}
	var form struct {
		Type, Code, Message string
	}
	err = xml.Unmarshal(queryCodec{}.refuse(h, a, "id", e), &struct {
		Error any `xml:"Error"`
	}{&form})
	if err != nil || form.Type != "Sender" || form.Code != want.query || form.Message == "" {
		t.Errorf("%s in XML is %+v, %v, want %+v", code, form, err, want)
	}
}
