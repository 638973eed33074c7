package aws

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
)

var update = flag.Bool("update", false, "write the tables of the page anew")

// generated are the parts of the page between <!-- name --> and <!-- /name -->.
var generated = map[string]func(testing.TB) string{
	"actions":    func(testing.TB) string { return actionsTable(Actions()) },
	"attributes": attributesTable,
	"kinds":      func(testing.TB) string { return kindsTable(kindCodes) },
	"limits":     limitsTable,
}

// snsGenerated are those of the page of SNS.
var snsGenerated = map[string]func(testing.TB) string{
	"actions":    func(testing.TB) string { return actionsTable(SNSActions()) },
	"attributes": snsAttributesTable,
	"kinds":      func(testing.TB) string { return kindsTable(snsKindCodes) },
}

func TestDocsSayWhatIsServed(t *testing.T) {
	checkTables(t, page, generated)
	checkTables(t, snsPage, snsGenerated)
}

func checkTables(t *testing.T, page string, generated map[string]func(testing.TB) string) {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for name, f := range generated {
		begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
		i, j := strings.Index(text, begin), strings.Index(text, end)
		if i < 0 || j < i {
			t.Fatalf("%s has no %s ... %s", page, strings.TrimSpace(begin), end)
		}
		text = text[:i+len(begin)] + f(t) + text[j:]
	}
	if text == string(b) {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the code says; go test -run TestDocs -update writes it", page)
	}
	if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func actionsTable(served, refused []string) string {
	return "| served | refused |\n|---|---|\n| " + strings.Join(served, ", ") + " | " + strings.Join(refused, ", ") + " |\n"
}

func kindsTable(codes map[broker.ErrorKind]string) string {
	var b strings.Builder
	b.WriteString("| kind of error | shape | code | status |\n|---|---|---|---|\n")
	kinds := broker.Kinds()
	slices.SortFunc(kinds, func(x, y broker.ErrorKind) int { return cmp.Compare(x.String(), y.String()) })
	for _, k := range kinds {
		id := identities[codes[k]]
		fmt.Fprintf(&b, "| %s | %s | %s | %d |\n", k, codes[k], id.query, id.status)
	}
	return b.String()
}

// attributesTable has every attribute of a queue, and what it can be.
func attributesTable(testing.TB) string {
	var b strings.Builder
	b.WriteString("| attribute | values | default |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		a, values := attributes[name], "text"
		switch {
		case a.readOnly:
			values = "read only"
		case a.max > 0:
			values = fmt.Sprintf("%d to %d", a.min, a.max)
		case a.values != nil:
			values = strings.Join(a.values, ", ")
		case a.check != nil:
			values = "JSON"
		}
		if a.refused != "" {
			values += "; of FIFO queues"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, values, cmp.Or(a.def, "–"))
	}
	return b.String()
}

// snsAttributesTable has those that can be set of topics and subscriptions.
func snsAttributesTable(testing.TB) string {
	var b strings.Builder
	b.WriteString("| attribute | of | default |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(topicAttributes)) {
		of := "topics"
		if topicAttributes[name].fifo {
			of = "FIFO topics"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, of, cmp.Or(topicAttributes[name].def, "–"))
	}
	for _, name := range slices.Sorted(maps.Keys(subscriptionAttributes)) {
		fmt.Fprintf(&b, "| `%s` | subscriptions | %s |\n", name, cmp.Or(subscriptionAttributes[name], "–"))
	}
	return b.String()
}

// beyond says what happens at each limit.
var beyond = map[string]string{
	"Connections": "a further one is closed; a long poll takes one",
	"BodyBytes":   "of a request: 413",
	"Bodies":      "requests above 256 KiB in memory at once: more wait",
	"Values":      "names and values in one request: MalformedInput",
	"InFlight":    "messages of a queue: OverLimit; a FIFO queue gives nothing more",
	"MoveTasks":   "message move tasks at a time: RequestThrottled",
	"Attempts":    "receives with a ReceiveRequestAttemptId that can be tried again: the oldest are forgotten",
	"BodyTime":    "to receive a body: MalformedInput",
	"AnswerTime":  "for a client to read an answer: closed",
}

func limitsTable(t testing.TB) string {
	var b strings.Builder
	b.WriteString("| limit | default | beyond it |\n|---|---|---|\n")
	v := reflect.ValueOf(defaultLimits)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if beyond[name] == "" {
			t.Errorf("the page does not say what is beyond %s", name)
		}
		value := fmt.Sprint(v.Field(i).Interface())
		if d, ok := v.Field(i).Interface().(time.Duration); ok {
			value = d.String()
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, value, beyond[name])
	}
	return b.String()
}
