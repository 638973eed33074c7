package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tidings-io/tidings/bench/internal/measure"
)

// report is everything that a run has to say.
type report struct {
	Command string          `json:"command"`
	Machine measure.Machine `json:"machine"`
	Rounds  int             `json:"rounds"`
	Places  []tested        `json:"places"`
}

// tested is a place with what was measured there.
type tested struct {
	place   place
	Name    string   `json:"place"`
	Results []result `json:"results"`
}

func (r *report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// writeMarkdown writes what docs/benchmarks.md shows: a table for each place, and one of what order
// costs.
func (r *report) writeMarkdown(w io.Writer) error {
	m := r.Machine
	var b strings.Builder
	fmt.Fprintf(&b, "`%s`, %s: %d cores (%s), %d GiB, data on %s where 4 KiB are durable in "+
		"%s (p99 %s), kernel %s, %s. Medians of %d rounds; the ratio is ours to the other's in "+
		"the same round, median (lowest to highest).\n", r.Command, m.Date, m.Cores, m.CPU,
		(m.MemoryMiB+512)>>10, m.FileSystem, m.SyncP50, m.SyncP99, m.Kernel, m.Go, r.Rounds)
	for i := range r.Places {
		r.Places[i].write(&b)
	}
	r.writeOrder(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *tested) write(b *strings.Builder) {
	names := []string{t.place.sides[0].name, t.place.sides[1].name}
	processor := "client + broker"
	if t.place.program == nil {
		processor = "all"
	}
	fmt.Fprintf(b, "\n| %s | %s | best | ratio | processor us an event, %s | allocations an event |\n"+
		"|%s\n", t.place.name, strings.Join(names, " | "), processor, strings.Repeat("---|", 7))
	for _, l := range loads {
		ours, theirs := t.of(l.name, names[0]), t.of(l.name, names[1])
		if len(ours)+len(theirs) == 0 {
			continue
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n", l.name, headline(ours),
			headline(theirs), best(ours, theirs), ratio(ours, theirs),
			each(processorOf, ours, theirs), each(allocationsOf, ours, theirs))
	}
}

// of is the results of a side at a load, round by round.
func (t *tested) of(load, side string) (some []result) {
	for _, r := range t.Results {
		if r.Load == load && r.Server == side {
			some = append(some, r)
		}
	}
	return some
}

// median is that of some figure.
func median(rs []result, figure func(*result) float64) float64 {
	var values []float64
	for i := range rs {
		values = append(values, figure(&rs[i]))
	}
	return measure.Median(values)
}

func rateOf(r *result) float64 { return r.Rate }

// headline is what a load is about: the rate, and how long a publish took.
func headline(rs []result) string {
	if len(rs) == 0 {
		return "-"
	}
	text := measure.Thousands(median(rs, rateOf)) + "/s"
	if rs[0].P99 > 0 {
		text += fmt.Sprintf(", p50 %.2f ms, p99 %.2f ms",
			median(rs, func(r *result) float64 { return r.P50 }),
			median(rs, func(r *result) float64 { return r.P99 }))
	}
	return text
}

// best is the best round of each side: on a shared machine it says most about what can be had.
func best(sides ...[]result) string {
	return each(func(rs []result) string {
		top := slices.MaxFunc(rs, func(a, b result) int { return int(a.Rate - b.Rate) })
		return measure.Thousands(top.Rate) + "/s"
	}, sides...)
}

func processorOf(rs []result) string {
	client := median(rs, func(r *result) float64 { return r.ClientCPU })
	server := median(rs, func(r *result) float64 { return r.ServerCPU })
	if server == 0 {
		return fmt.Sprintf("%.1f", client)
	}
	return fmt.Sprintf("%.1f + %.1f", client, server)
}

func allocationsOf(rs []result) string {
	return fmt.Sprintf("%.1f", median(rs, func(r *result) float64 { return r.Allocations }))
}

// each shows a figure of all sides that were measured.
func each(figure func([]result) string, sides ...[]result) string {
	var texts []string
	for _, rs := range sides {
		if len(rs) > 0 {
			texts = append(texts, figure(rs))
		}
	}
	return strings.Join(texts, " / ")
}

// ratio compares the rates of each round.
func ratio(ours, theirs []result) string {
	var ratios []float64
	for i := range min(len(ours), len(theirs)) {
		ratios = append(ratios, ours[i].Rate/theirs[i].Rate)
	}
	if len(ratios) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)",
		measure.Median(ratios), slices.Min(ratios), slices.Max(ratios))
}

// writeOrder shows what the order of keys costs: ours with it and without, in the same rounds.
func (r *report) writeOrder(b *strings.Builder) {
	var rows []string
	row := func(t *tested, name, with, without string) {
		keyed, free := t.of(with, oursName), t.of(without, oursName)
		if len(keyed) > 0 && len(free) > 0 {
			rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s | %s |\n", name, headline(keyed),
				headline(free), ratio(keyed, free), each(processorOf, keyed, free)))
		}
	}
	for i := range r.Places {
		t := &r.Places[i]
		row(t, t.Name, inOrder, unordered)
		row(t, t.Name+", data as bytes", inOrderBytes, unorderedBytes)
	}
	if len(rows) == 0 {
		return
	}
	b.WriteString("\n| a backlog, 64 at once | in the order of 1,000 keys | without keys | ratio | " +
		"processor us an event |\n|---|---|---|---|---|\n" + strings.Join(rows, ""))
}
