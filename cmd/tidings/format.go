package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tidings-io/tidings/console"
)

// recordWriter returns how sub writes a record.
func (a *app) recordWriter(format string) (func(*bufio.Writer, console.Record), error) {
	if format != "" {
		return parseFormat(format, a.forOutput)
	}
	switch form := a.form(); {
	case a.quiet:
		return func(w *bufio.Writer, r console.Record) {
			w.WriteString(a.forOutput(valueText(r)))
			w.WriteByte('\n')
		}, nil
	case form == "json":
		return nil, usage("sub has no end, so no one document: use -o jsonl")
	case form == "jsonl":
		return func(w *bufio.Writer, r console.Record) { writeJSONLine(a.jsonOutput(w), r) }, nil
	case form == "tsv":
		return a.writeRecordTSV, nil
	}
	return a.writeRecordLine, nil
}

func valueText(r console.Record) string { return textOf(r.Value, r.ValueBase64) }
func keyText(r console.Record) string   { return textOf(r.Key, r.KeyBase64) }

func textOf(text *string, raw []byte) string {
	if text != nil {
		return *text
	}
	return string(raw)
}

func isNull(text *string, raw []byte) bool { return text == nil && raw == nil }

func (a *app) writeRecordTSV(w *bufio.Writer, r console.Record) {
	fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\n", rawTime(r.Time), r.Topic, r.Partition, r.Offset,
		a.forOutput(tsvEscaper.Replace(keyText(r))), a.forOutput(tsvEscaper.Replace(valueText(r))))
}

// writeRecordLine writes a record for eyes:
//
//	19:37:11.204  orders/0@0  key=o-1  {"id":"o-1"}
func (a *app) writeRecordLine(w *bufio.Writer, r console.Record) {
	s := a.term.out
	fmt.Fprintf(w, "%s  %s/%d@%d",
		s.paint(dim, clock(r.Time, a.now())), r.Topic, r.Partition, r.Offset)
	if !isNull(r.Key, r.KeyBase64) {
		fmt.Fprintf(w, "  %s%s", s.paint(dim, "key="), printable(keyText(r)))
	}
	for _, h := range r.Headers {
		fmt.Fprintf(w, "  %s%s", s.paint(dim, "["+printable(h.Key)+"="),
			printable(textOf(h.Value, h.ValueBase64))+s.paint(dim, "]"))
	}
	if isNull(r.Value, r.ValueBase64) {
		fmt.Fprintf(w, "  %s\n", s.paint(dim, "(null)"))
		return
	}
	fmt.Fprintf(w, "  %s\n", printable(valueText(r)))
}

// clock writes the time of day, with the date if it is not today's.
func clock(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format("15:04:05.000")
	}
	return t.Format("2006-01-02 15:04:05.000")
}

// parseFormat turns a format into pieces: text as it stands there, and verbs,
// whose text goes through clean.
func parseFormat(
	format string, clean func(string) string,
) (func(*bufio.Writer, console.Record), error) {
	var pieces []func(io.Writer, console.Record)
	text := func(s string) {
		pieces = append(pieces, func(w io.Writer, _ console.Record) { io.WriteString(w, s) })
	}
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c != '%' && c != '\\' {
			text(string(c))
			continue
		}
		if i++; i == len(format) {
			return nil, usage(fmt.Sprintf("-f: %q ends with a lone %c", format, c))
		}
		if c == '\\' {
			plainText, ok := escapes[format[i]]
			if !ok {
				return nil, usage(fmt.Sprintf(`-f: unknown escape \%c`, format[i])).
					hint("there are", `\n \t \r \0 \\`)
			}
			text(plainText)
			continue
		}
		verb, ok := verbs[format[i]]
		if !ok {
			return nil, usage(fmt.Sprintf("-f: unknown %%%c", format[i])).
				hint("there are", verbHelp)
		}
		pieces = append(pieces, func(w io.Writer, r console.Record) {
			io.WriteString(w, clean(verb(r)))
		})
	}
	return func(w *bufio.Writer, r console.Record) {
		for _, p := range pieces {
			p(w, r)
		}
	}, nil
}

var escapes = map[byte]string{'n': "\n", 't': "\t", 'r': "\r", '0': "\x00", '\\': "\\"}

const verbHelp = "%t topic, %p partition, %o offset, %k key, %v value, %h headers, " +
	"%d time, %T time in ms, %S size of the value, %%"

// verbs are the letters after a percent sign. Those that kcat has mean the same.
var verbs = map[byte]func(console.Record) string{
	't': func(r console.Record) string { return r.Topic },
	'p': func(r console.Record) string { return plain(r.Partition) },
	'o': func(r console.Record) string { return plain(r.Offset) },
	'k': keyText,
	'v': valueText,
	's': valueText,
	'S': func(r console.Record) string { return plain(len(valueText(r))) },
	'h': func(r console.Record) string { return headerList(r.Headers) },
	'd': func(r console.Record) string { return rawTime(r.Time) },
	'T': func(r console.Record) string { return plain(r.Time.UnixMilli()) },
	'%': func(console.Record) string { return "%" },
}

func headerList(headers []console.Header) string {
	var pairs []string
	for _, h := range headers {
		pairs = append(pairs, h.Key+"="+textOf(h.Value, h.ValueBase64))
	}
	return strings.Join(pairs, ",")
}
