package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tidings-io/tidings/console"
)

// recordWriter returns how sub writes a record.
func (a *app) recordWriter(format string) (func(*bufio.Writer, console.Record), error) {
	if format != "" {
		return parseFormat(format)
	}
	switch form := a.form(); {
	case a.quiet:
		return func(w *bufio.Writer, r console.Record) {
			w.Write(value(r))
			w.WriteByte('\n')
		}, nil
	case form == "json":
		return nil, usage("sub has no end, so no one document: use -o jsonl")
	case form == "jsonl":
		return writeRecordJSON, nil
	case form == "tsv":
		return writeRecordTSV, nil
	}
	return a.writeRecordLine, nil
}

func value(r console.Record) []byte { return console.Bytes(r.Value, r.ValueBase64) }
func key(r console.Record) []byte   { return console.Bytes(r.Key, r.KeyBase64) }

func isNull(text *string, raw []byte) bool { return text == nil && raw == nil }

func writeRecordJSON(w *bufio.Writer, r console.Record) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(r) // the writer's error sticks and is reported at the end
}

func writeRecordTSV(w *bufio.Writer, r console.Record) {
	fmt.Fprintf(w, "%s\t%s\t%d\t%d\t", rawTime(r.Time), r.Topic, r.Partition, r.Offset)
	tsvEscaper.WriteString(w, string(key(r)))
	w.WriteByte('\t')
	tsvEscaper.WriteString(w, string(value(r)))
	w.WriteByte('\n')
}

// writeRecordLine writes a record for eyes:
//
//	19:37:11.204  orders/0@0  key=o-1  {"id":"o-1"}
func (a *app) writeRecordLine(w *bufio.Writer, r console.Record) {
	s := a.term.out
	fmt.Fprintf(w, "%s  %s/%d@%d",
		s.paint(dim, clock(r.Time, a.now())), r.Topic, r.Partition, r.Offset)
	if !isNull(r.Key, r.KeyBase64) {
		fmt.Fprintf(w, "  %s%s", s.paint(dim, "key="), printable(string(key(r))))
	}
	for _, h := range r.Headers {
		fmt.Fprintf(w, "  %s%s", s.paint(dim, "["+printable(h.Key)+"="),
			printable(string(console.Bytes(h.Value, h.ValueBase64)))+s.paint(dim, "]"))
	}
	if isNull(r.Value, r.ValueBase64) {
		fmt.Fprintf(w, "  %s\n", s.paint(dim, "(null)"))
		return
	}
	fmt.Fprintf(w, "  %s\n", printable(string(value(r))))
}

// clock writes the time of day, with the date if it is not today's.
func clock(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format("15:04:05.000")
	}
	return t.Format("2006-01-02 15:04:05.000")
}

// parseFormat turns a format into pieces: text, and verbs.
func parseFormat(format string) (func(*bufio.Writer, console.Record), error) {
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
		pieces = append(pieces, verb)
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
var verbs = map[byte]func(io.Writer, console.Record){
	't': func(w io.Writer, r console.Record) { io.WriteString(w, r.Topic) },
	'p': func(w io.Writer, r console.Record) { fmt.Fprint(w, r.Partition) },
	'o': func(w io.Writer, r console.Record) { fmt.Fprint(w, r.Offset) },
	'k': func(w io.Writer, r console.Record) { w.Write(key(r)) },
	'v': func(w io.Writer, r console.Record) { w.Write(value(r)) },
	's': func(w io.Writer, r console.Record) { w.Write(value(r)) },
	'S': func(w io.Writer, r console.Record) { fmt.Fprint(w, len(value(r))) },
	'h': func(w io.Writer, r console.Record) { io.WriteString(w, headerList(r.Headers)) },
	'd': func(w io.Writer, r console.Record) { io.WriteString(w, rawTime(r.Time)) },
	'T': func(w io.Writer, r console.Record) { fmt.Fprint(w, r.Time.UnixMilli()) },
	'%': func(w io.Writer, _ console.Record) { io.WriteString(w, "%") },
}

func headerList(headers []console.Header) string {
	var pairs []string
	for _, h := range headers {
		pairs = append(pairs, h.Key+"="+string(console.Bytes(h.Value, h.ValueBase64)))
	}
	return strings.Join(pairs, ",")
}
