package guarantees

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of the page anew")

// page is what users can rely on.
var page = filepath.Join("..", "..", "..", "docs", "guarantees.md")

// proven is every claim, in the order of the page, and where it is proven.
func proven() (words []string, where map[string]string) {
	where = map[string]string{}
	add := func(claim, names string) { words, where[claim] = append(words, claim), names }
	for _, c := range flows {
		var names []string
		for _, p := range places {
			if c.applies == nil || c.applies(p) {
				names = append(names, p.name)
			}
		}
		add(c.words, strings.Join(names, ", "))
	}
	for _, c := range storeClaims {
		var names []string
		for name := range eventStores {
			names = append(names, name)
		}
		slices.Sort(names)
		add(c.words, "event store: "+strings.Join(names, ", "))
	}
	add(rememberClaim, "tidingstest, SQLite")
	return words, where
}

func TestDocsClaimWhatIsProven(t *testing.T) {
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	words, where := proven()
	var told []string
	for _, m := range regexp.MustCompile(`(?m)^- \*\*([^*]+)\*\*`).FindAllStringSubmatch(string(b), -1) {
		told = append(told, strings.Join(strings.Fields(m[1]), " "))
	}
	if !slices.Equal(told, words) {
		t.Errorf("%s claims\n%s\nand there are tests of\n%s", page,
			strings.Join(told, "\n"), strings.Join(words, "\n"))
	}
	checkTable(t, string(b), words, where)
}

// checkTable compares the table of the page, between its marks, with where claims are proven.
func checkTable(t *testing.T, text string, words []string, where map[string]string) {
	t.Helper()
	var table strings.Builder
	table.WriteString("| claim | proven on |\n|---|---|\n")
	for _, claim := range words {
		fmt.Fprintf(&table, "| %s | %s |\n", strings.TrimSuffix(claim, "."), where[claim])
	}
	const begin, end = "<!-- proven -->\n", "<!-- /proven -->"
	i, j := strings.Index(text, begin), strings.Index(text, end)
	if i < 0 || j < i {
		t.Fatalf("%s has no %s ... %s", page, strings.TrimSpace(begin), end)
	}
	want := text[:i+len(begin)] + table.String() + text[j:]
	if text == want {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the tests say; go test -run TestDocs -update writes it", page)
	}
	if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
