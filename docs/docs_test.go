// Package docs_test holds the pages against what they are about: their code compiles and runs, their
// tables say what the code says, and their links lead somewhere.
package docs_test

import (
	"flag"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the code and the tables of the pages anew")

func TestMain(m *testing.M) {
	flag.Parse()
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the code of the pages logs
	os.Exit(m.Run())
}

// A page's code lies in a test file beside it, between these two lines.
const (
	begins = "// page {"
	ends   = "// page }"
)

// codePages are the pages whose code is compiled, relative to the root.
func codePages(t *testing.T) []string {
	t.Helper()
	concepts, err := filepath.Glob("concepts/*.md")
	if err != nil || len(concepts) < 2 {
		t.Fatalf("%d pages of concepts, %v", len(concepts), err)
	}
	pages := []string{"README.md", "docs/library.md", "docs/migrating-from-watermill.md"}
	for _, page := range concepts {
		pages = append(pages, path.Join("docs", filepath.ToSlash(page)))
	}
	return pages
}

// TestTheCodeOfAPageIsCompiled compares the Go blocks of each page with the regions of the file that
// they are from, all of them and in their order.
func TestTheCodeOfAPageIsCompiled(t *testing.T) {
	for _, page := range codePages(t) {
		lines := read(t, page)
		left := map[string][][]string{}
		for _, b := range slices.Backward(blocks(page, lines)) { // so that line numbers stay true
			if _, known := left[b.file]; !known {
				left[b.file] = regions(t, b.file)
			}
			all := left[b.file]
			if len(all) == 0 {
				t.Fatalf("%s:%d: %s has no code for this block", page, b.first, b.file)
			}
			want := all[len(all)-1]
			left[b.file] = all[:len(all)-1]
			if got := lines[b.first:b.last]; !slices.Equal(got, want) && !*update {
				t.Errorf("%s:%d: it is not what stands in %s, see -update\n%s", page, b.first, b.file,
					strings.Join(want, "\n"))
			}
			lines = slices.Replace(lines, b.first, b.last, want...)
		}
		for file, rest := range left {
			if len(rest) > 0 {
				t.Errorf("%s has %d regions that %s does not show", file, len(rest), page)
			}
		}
		write(t, page, lines)
	}
}

// block is a fenced block of Go: lines first to last of a page, and the file that it is from.
type block struct {
	file        string
	first, last int
}

var fromFile = regexp.MustCompile(`^<!-- code: (\S+) -->$`)

// blocks are those of a page. They are from the test file beside it, or from the one that a comment
// above the fence names, relative to the root.
func blocks(page string, lines []string) (all []block) {
	beside := strings.TrimSuffix(page, ".md") + "_test.go"
	if page == "README.md" {
		beside = "docs/readme_test.go"
	}
	for i := 0; i < len(lines); i++ {
		if lines[i] != "```go" {
			continue
		}
		b := block{file: beside, first: i + 1}
		if m := fromFile.FindStringSubmatch(lines[max(i-1, 0)]); m != nil {
			b.file = m[1]
		}
		for i++; lines[i] != "```"; i++ {
		}
		b.last = i
		all = append(all, b)
	}
	return all
}

// regions are the marked parts of a file, without the indentation of their marks.
func regions(t *testing.T, file string) (all [][]string) {
	t.Helper()
	inside := false
	var indent string
	for i, line := range read(t, file) {
		switch mark := strings.TrimSpace(line); {
		case mark == begins && !inside, mark == ends && inside:
			if inside = !inside; inside {
				indent, _, _ = strings.Cut(line, begins)
				all = append(all, nil)
			} else if last := len(all) - 1; len(all[last]) > 0 && all[last][len(all[last])-1] == "" {
				all[last] = all[last][:len(all[last])-1] // gofmt wants a line between a function and the mark
			}
		case mark == begins || mark == ends:
			t.Fatalf("%s:%d: %s does not belong here", file, i+1, mark)
		case inside:
			last := len(all) - 1
			all[last] = append(all[last], strings.TrimPrefix(line, indent))
		}
	}
	return all
}

func TestTheRuleOfCodeCanFail(t *testing.T) {
	page := []string{"text", "```go", "x := 1", "```", "<!-- code: a/b_test.go -->", "```go", "```"}
	want := []block{{"docs/p_test.go", 2, 3}, {"a/b_test.go", 6, 6}}
	if got := blocks("docs/p.md", page); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

var link = regexp.MustCompile(`\]\(([^()\s]+)\)`)

// TestEveryLinkLeadsSomewhere looks at all pages: files, and headings of pages.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	seen := 0
	for _, page := range allPages(t) {
		for i, line := range read(t, page) {
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				target, heading, _ := strings.Cut(m[1], "#")
				if strings.Contains(target, ":") {
					continue // elsewhere
				}
				seen++
				file := page
				if target != "" {
					file = path.Join(path.Dir(page), target)
				}
				if !leads(t, file, heading) {
					t.Errorf("%s:%d: nothing is at %s", page, i+1, m[1])
				}
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d links: they are not found", seen)
	}
}

func leads(t *testing.T, file, heading string) bool {
	t.Helper()
	if _, err := os.Stat(filepath.Join("..", filepath.FromSlash(file))); err != nil {
		return false
	}
	return heading == "" || slices.ContainsFunc(read(t, file), func(line string) bool {
		return strings.HasPrefix(line, "#") && slug(line) == heading
	})
}

// slug is what GitHub makes of a heading.
func slug(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimLeft(heading, "# ")) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
			b.WriteRune(r)
		}
	}
	return b.String()
}

// allPages are the pages of the repository, relative to the root.
func allPages(t *testing.T) (pages []string) {
	t.Helper()
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "tests" || d.Name() == "bench" ||
			len(d.Name()) > 2 && d.Name()[0] == '.'):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".md"):
			rel, _ := filepath.Rel("..", name) // both are relative
			pages = append(pages, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// read is the lines of a file that is named relative to the root.
func read(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
}

// write writes a file anew, if that was asked for.
func write(t *testing.T, file string, lines []string) {
	t.Helper()
	if !*update {
		return
	}
	name := filepath.Join("..", filepath.FromSlash(file))
	if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}
