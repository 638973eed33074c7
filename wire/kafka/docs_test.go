package kafka

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/broker"
)

// docsPage is the page that tells what this package speaks. The tables in it are made here.
var docsPage = filepath.Join("..", "..", "docs", "wire", "kafka.md")

// generated are the parts of the page between <!-- name --> and <!-- /name -->.
var generated = map[string]func() string{
	"served":   servedTable,
	"settings": settingsTable,
	"kinds":    kindsTable,
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
		page = page[:i+len(begin)] + f() + page[j:]
	}
	compareGolden(t, docsPage, page)
}

func servedTable() string {
	var b strings.Builder
	b.WriteString("| key | request | versions | |\n|---|---|---|---|\n")
	for _, s := range Served() {
		note := ""
		if s.From != s.Min {
			note = fmt.Sprintf("%d to %d are advertised and answered with UNSUPPORTED_VERSION",
				s.Min, s.From-1)
		}
		fmt.Fprintf(&b, "| %d | %s | %d to %d | %s |\n", s.Key, s.Name, s.From, s.Max, note)
	}
	return b.String()
}

func settingsTable() string {
	var b strings.Builder
	b.WriteString("| setting | default | what it does here |\n|---|---|---|\n")
	for _, s := range topicSettings {
		doc := s.doc
		if s.refused != "" {
			doc += " Other values are refused."
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", s.name, cmp.Or(s.def, " "), doc)
	}
	return b.String()
}

func kindsTable() string {
	var b strings.Builder
	b.WriteString("| kind of error | code | of a produce |\n|---|---|---|\n")
	kinds := broker.Kinds()
	slices.SortFunc(kinds, func(x, y broker.ErrorKind) int {
		return cmp.Compare(x.String(), y.String())
	})
	for _, k := range kinds {
		other := ""
		if c := produceCode(&broker.Error{Kind: k}); c != kindCodes[k] {
			other = fmt.Sprint(c)
		}
		fmt.Fprintf(&b, "| %s | %d | %s |\n", k, kindCodes[k], other)
	}
	return b.String()
}
