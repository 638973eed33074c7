package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

var ctlFormatters = []string{"table", "json", "csv"}

// say writes the line that tells what will be done, if lines are for people.
func (c *ctl) say(banner func(*ctl) string) {
	if banner == nil || c.outputLess() || c.formatter == "json" || c.formatter == "csv" {
		return
	}
	if line := banner(c); line != "" {
		fmt.Fprintln(c.a.out, line)
	}
}

// outputLess is asked for where a script reads the output.
func (c *ctl) outputLess() bool { return c.quiet || c.silent }

// done says that a command has succeeded that has nothing to tell; only JSON has a word for it.
func (c *ctl) done(ctx context.Context) error {
	if c.formatter != "json" {
		return nil
	}
	node, err := c.nodeName(ctx)
	if err == nil {
		fmt.Fprintln(c.a.out, jsonText(map[string]any{"node": node, "result": "ok"}))
	}
	return err
}

// tell writes one sentence.
func (c *ctl) tell(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if c.formatter == "json" {
		text = jsonText(map[string]any{"message": text})
	}
	fmt.Fprintln(c.a.out, text)
	return nil
}

// ctlRow is a row of a list: what stands in each column.
type ctlRow []any

// ctlTable is a list as a command shows it.
type ctlTable struct {
	columns []string
	rows    []ctlRow
	// streamed lists are written row by row; of others RabbitMQ writes an empty line if there is none.
	streamed bool
}

// write writes a list in the form asked for.
func (c *ctl) write(t ctlTable) error {
	w := bufio.NewWriter(c.a.out)
	switch c.formatter {
	case "json":
		writeCtlJSON(w, t)
	case "csv":
		writeCtlCSV(w, t)
	default:
		c.writeTable(w, t)
	}
	return w.Flush()
}

// writeTable writes cells with tabs between them, as rabbitmqctl does for people and scripts alike.
func (c *ctl) writeTable(w io.Writer, t ctlTable) {
	if len(t.rows) == 0 {
		if !t.streamed {
			fmt.Fprintln(w)
		}
		return
	}
	if !c.silent && !c.noHeaders {
		fmt.Fprintln(w, strings.Join(t.columns, "\t"))
	}
	for _, row := range t.rows {
		cells := row.cells()
		for i := range cells {
			cells[i] = c.a.forOutput(cells[i])
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
}

func (r ctlRow) cells() []string {
	cells := make([]string, len(r))
	for i, v := range r {
		cells[i] = cell(v)
	}
	return cells
}

func writeCtlCSV(w io.Writer, t ctlTable) {
	if len(t.rows) == 0 {
		return
	}
	quoted := func(cells []string) {
		for i, cell := range cells {
			cells[i] = `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
		}
		fmt.Fprintln(w, strings.Join(cells, ","))
	}
	quoted(slices.Clone(t.columns))
	for _, row := range t.rows {
		quoted(row.cells())
	}
}

// writeCtlJSON writes a list with a row on each line, their fields in the order of the columns.
func writeCtlJSON(w io.Writer, t ctlTable) {
	if len(t.rows) == 0 && !t.streamed {
		fmt.Fprintln(w, "[]")
		return
	}
	fmt.Fprintln(w, "[")
	for i, row := range t.rows {
		if i > 0 {
			io.WriteString(w, ",")
		}
		io.WriteString(w, "{")
		for j, v := range row {
			if j > 0 {
				io.WriteString(w, ",")
			}
			fmt.Fprintf(w, "%s:%s", jsonText(t.columns[j]), jsonText(jsonCell(v)))
		}
		fmt.Fprintln(w, "}")
	}
	fmt.Fprintln(w, "]")
}

// jsonCell is a cell in JSON. What is not known is an empty text, as in rabbitmqctl.
func jsonCell(v any) any {
	if v == nil {
		return ""
	}
	return v
}

func jsonText(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // of what was JSON, or our own
	return strings.TrimSuffix(b.String(), "\n")
}

// cell is how a value of a document stands in a table: lists of words in brackets, tables as
// Erlang's terms.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case map[string]any:
		return term(v)
	case []any:
		words := make([]string, len(v))
		for i := range v {
			words[i] = cell(v[i])
		}
		return "[" + strings.Join(words, ", ") + "]"
	}
	return fmt.Sprint(v)
}

// term is a value inside of a table of arguments, in Erlang's words.
func term(v any) string {
	var parts []string
	switch v := v.(type) {
	case nil:
		return "undefined"
	case string:
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, "{"+term(name)+","+term(v[name])+"}")
		}
	case []any:
		for i := range v {
			parts = append(parts, term(v[i]))
		}
	default:
		return fmt.Sprint(v)
	}
	return "[" + strings.Join(parts, ",") + "]"
}
