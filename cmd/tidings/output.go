package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// column is one column of a listing of T: how people see a cell, and how
// programs do.
type column[T any] struct {
	title string
	right bool // aligned to the right: numbers
	show  func(T) string
	raw   func(T) string // nil: as shown
	style func(T) style  // nil: none; never the only sign of anything
}

// listing is the result of a command in all the forms it can be written in.
type listing[T any] struct {
	columns []column[T]
	rows    []T
	name    func(T) string // for -q
	doc     any            // for -o json: the API's document
}

// render writes a listing in the form asked for.
func render[T any](a *app, l listing[T]) error {
	w := bufio.NewWriter(a.out)
	switch form := a.form(); {
	case a.quiet && l.name != nil:
		for _, r := range l.rows {
			fmt.Fprintln(w, a.forOutput(l.name(r)))
		}
	case form == "json":
		writeJSON(a.jsonOutput(w), l.doc)
	case form == "jsonl":
		for _, r := range l.rows {
			writeJSONLine(a.jsonOutput(w), r)
		}
	case form == "tsv":
		writeTSV(w, l, a.forOutput)
	default:
		writeTable(w, a.term.out, l)
	}
	return w.Flush()
}

// form is the output form: as asked, else a table for eyes and TSV for pipes.
func (a *app) form() string {
	switch {
	case a.output != "":
		return a.output
	case a.term.out.tty:
		return "table"
	}
	return "tsv"
}

// note tells people something that is no data.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.errOut, format+"\n", args...)
}

func writeJSON(w io.Writer, doc any) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	_ = enc.Encode(doc) // our own documents always encode; a broken pipe ends us anyway
}

func writeJSONLine(w io.Writer, doc any) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(doc)
}

func writeTSV[T any](w io.Writer, l listing[T], clean func(string) string) {
	for _, r := range l.rows {
		for i, c := range l.columns {
			if i > 0 {
				io.WriteString(w, "\t")
			}
			cell := c.raw
			if cell == nil {
				cell = c.show
			}
			io.WriteString(w, clean(tsvEscaper.Replace(cell(r))))
		}
		io.WriteString(w, "\n")
	}
}

// tsvEscaper keeps one row on one line and one cell in one column.
var tsvEscaper = strings.NewReplacer("\\", `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`)

func writeTable[T any](w io.Writer, s stream, l listing[T]) {
	cells := make([][]string, len(l.rows))
	width := make([]int, len(l.columns))
	for i, c := range l.columns {
		width[i] = utf8.RuneCountInString(c.title)
	}
	for r, row := range l.rows {
		for i, c := range l.columns {
			cell := printable(c.show(row))
			cells[r] = append(cells[r], cell)
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	if len(l.rows) == 0 {
		return
	}
	titles := make([]string, len(l.columns))
	for i, c := range l.columns {
		titles[i] = c.title
	}
	fmt.Fprintln(w, s.paint(bold, tableLine(l.columns, width, titles)))
	for r, row := range cells {
		for i, c := range l.columns {
			if c.style != nil {
				row[i] = s.paintCell(c.style(l.rows[r]), row[i], width[i])
			}
		}
		fmt.Fprintln(w, tableLine(l.columns, width, row))
	}
}

// paintCell colours a cell and fills it up, since colour hides how wide it is.
func (s stream) paintCell(st style, cell string, width int) string {
	if st == "" {
		return cell
	}
	return s.paint(st, cell) + strings.Repeat(" ", width-utf8.RuneCountInString(cell))
}

func tableLine[T any](columns []column[T], width []int, cells []string) string {
	var b strings.Builder
	for i, c := range columns {
		pad := strings.Repeat(" ", max(0, width[i]-utf8.RuneCountInString(cells[i])))
		if i > 0 {
			b.WriteString("  ")
		}
		if c.right {
			b.WriteString(pad + cells[i])
		} else {
			b.WriteString(cells[i] + pad)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// forOutput is text as it goes to stdout: as it is into a pipe, printable on a
// terminal.
func (a *app) forOutput(s string) string {
	if a.term.out.tty {
		return printable(s)
	}
	return s
}

// jsonOutput is where JSON goes that is meant for w. JSON itself leaves DEL, C1
// controls and changes of direction as they are; on a terminal they are escaped.
func (a *app) jsonOutput(w io.Writer) io.Writer {
	if a.term.out.tty {
		return jsonEscaper{w}
	}
	return w
}

// jsonEscaper writes what does not print as JSON escapes; only strings hold such.
type jsonEscaper struct{ w io.Writer }

// Write takes whole documents.
func (e jsonEscaper) Write(p []byte) (int, error) {
	var b strings.Builder
	for _, r := range string(p) {
		if r == '\n' || strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	if _, err := io.WriteString(e.w, b.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// printable makes text safe for a terminal: control characters, which could
// move its cursor or change its title, and bytes that are no text are escaped.
func printable(s string) string {
	clean := utf8.ValidString(s)
	for _, r := range s {
		clean = clean && strconv.IsPrint(r)
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		_, width := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && width == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}

// count writes 12034 as 12,034, and what is not known as a dash.
func count(n int64) string {
	if n < 0 {
		return "-"
	}
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// known writes a number unrounded, and what is not known as a dash.
func known(n int64) string {
	if n < 0 {
		return "-"
	}
	return plain(n)
}

func plain[N int | int64](n N) string { return strconv.FormatInt(int64(n), 10) }

// size writes bytes in powers of 1000, as disks are sold.
func size(n int64) string {
	if n < 0 {
		return "-"
	}
	if n < 1000 {
		return plain(n) + " B"
	}
	f, unit := float64(n)/1000, 0
	for f >= 999.5 && unit < 4 {
		f, unit = f/1000, unit+1
	}
	digits := 1
	if f >= 100 {
		digits = 0
	}
	name := []string{"kB", "MB", "GB", "TB", "PB"}[unit]
	return strconv.FormatFloat(f, 'f', digits, 64) + " " + name
}

// seconds writes an age: 0.4 s, 12 s, 3 min, 5 h, 2 d.
func seconds(s float64) string {
	switch {
	case s < 0:
		return "-"
	case s == 0:
		return "0 s"
	case s < 10:
		return strconv.FormatFloat(s, 'f', 1, 64) + " s"
	case s < 120:
		return strconv.FormatFloat(s, 'f', 0, 64) + " s"
	case s < 2*3600:
		return strconv.FormatFloat(s/60, 'f', 0, 64) + " min"
	case s < 48*3600:
		return strconv.FormatFloat(s/3600, 'f', 0, 64) + " h"
	}
	return strconv.FormatFloat(s/86400, 'f', 0, 64) + " d"
}

func rawSeconds(s float64) string {
	if s < 0 {
		return "-"
	}
	return strconv.FormatFloat(s, 'f', 3, 64)
}

// stamp writes a time for people, in their zone.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func rawTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// plural writes "1 record" and "2 records".
func plural(n int64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return count(n) + " " + word + "s"
}
