package amqp

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/broker"
)

var update = flag.Bool("update", false, "write the tables of the page anew")

// docsPage is the page that tells what this package speaks. The tables in it are made here.
var docsPage = filepath.Join("..", "..", "docs", "wire", "amqp.md")

// generated are the parts of the page between <!-- name --> and <!-- /name -->.
var generated = map[string]func(testing.TB) string{
	"kinds":    kindsTable,
	"limits":   limitsTable,
	"settings": settingsTable,
}

func TestDocsSayWhatIsServed(t *testing.T) {
	b, err := os.ReadFile(docsPage)
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for name, f := range generated {
		begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
		i, j := strings.Index(page, begin), strings.Index(page, end)
		if i < 0 || j < i {
			t.Fatalf("%s has no %s ... %s", docsPage, strings.TrimSpace(begin), end)
		}
		page = page[:i+len(begin)] + f(t) + page[j:]
	}
	if page == string(b) {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the code says; go test -run TestDocs -update writes it", docsPage)
	}
	if err := os.WriteFile(docsPage, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
}

func kindsTable(testing.TB) string {
	var b strings.Builder
	b.WriteString("| kind of error | code | closes |\n|---|---|---|\n")
	kinds := broker.Kinds()
	slices.SortFunc(kinds, func(x, y broker.ErrorKind) int { return cmp.Compare(x.String(), y.String()) })
	for _, k := range kinds {
		closes := "channel"
		if e := (&Error{Code: kindCodes[k]}); e.Hard() {
			closes = "connection"
		}
		fmt.Fprintf(&b, "| %s | %d %s | %s |\n", k, kindCodes[k], replyNames[kindCodes[k]], closes)
	}
	return b.String()
}

// beyond says what happens at each limit.
var beyond = map[string]string{
	"Connections":  "a further one is closed",
	"Channels":     "530 to a channel.open, or to a tune-ok that asks for more",
	"FrameBytes":   "501; 530 to a tune-ok that asks for more",
	"MessageBytes": "406, by the size that the header declares",
	"Heartbeat":    "offered; a client may choose another. Twice of it in silence: closed",
	"Handshake":    "until connection.open, TLS handshake included: closed",
	"QueuedBytes": "waiting to be written to a connection: nothing more is delivered to it, and its " +
		"requests are not read",
	"Consumers":       "of a channel: 530",
	"ConsumerTimeout": "of a delivery that is not settled: 406, and what the channel has goes back",
	"TxBytes":         "published in an open transaction: 506",
}

func limitsTable(t testing.TB) string {
	var b strings.Builder
	b.WriteString("| limit (`amqp.Limits`) | default | beyond it |\n|---|---|---|\n")
	v := reflect.ValueOf(defaultLimits)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if beyond[name] == "" {
			t.Errorf("nothing is said of the limit %s", name)
		}
		fmt.Fprintf(&b, "| `%s` | %v | %s |\n", name, v.Field(i), beyond[name])
	}
	return b.String()
}

// settingsTable is which arguments a redeclaration must repeat.
func settingsTable(testing.TB) string {
	return "`" + strings.Join(queueArgs, "`, `") + "`.\n"
}
