package measure

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Report is everything that a run has to say.
type Report struct {
	Command string   `json:"command"`
	Machine Machine  `json:"machine"`
	Ours    string   `json:"ours"`
	Peers   []string `json:"peers"`
	Rounds  int      `json:"rounds"`
	Pairs   []Pair   `json:"pairs"`
	Results []Result `json:"results"`
}

// WriteJSON writes the report as one document.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteMarkdown writes the report as the tables that docs/benchmarks.md shows.
func (r *Report) WriteMarkdown(w io.Writer) error {
	m, peer := r.Machine, "the peer's"
	if len(r.Peers) > 1 {
		peer = "that of the best peer"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "`%s`, %s: %d cores (%s), %d GiB, data on %s where 4 KiB are durable in "+
		"%s (p99 %s), kernel %s, %s. Medians of %d rounds; the ratio is ours to %s in the "+
		"same round, median (lowest to highest).\n\n",
		r.Command, m.Date, m.Cores, m.CPU, (m.MemoryMiB+512)>>10, m.FileSystem,
		m.SyncP50, m.SyncP99, m.Kernel, m.Go, r.Rounds, peer)
	fmt.Fprintf(&b, "| load | %s | %s | ratio | server CPU s per million records | server "+
		"peak RSS MiB | disk bytes per value byte |\n|%s\n",
		r.Ours, strings.Join(r.Peers, " | "), strings.Repeat("---|", 6+len(r.Peers)))
	for _, p := range r.Pairs {
		b.WriteString(p.row())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// row is a line of the table. Each server has a column for what the load is about, and a share of
// the columns at the end.
func (p *Pair) row() string {
	sides := append([]Result{p.Ours}, p.Peers...)
	var headlines []string
	for i := range sides {
		headlines = append(headlines, sides[i].headline())
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", p.Load,
		strings.Join(headlines, " | "), p.ratio(),
		each("%.2f", sides, func(r Result) float64 { return r.ServerCPU }),
		each("%.0f", sides, func(r Result) float64 { return r.PeakRSS }),
		each("%.2f", sides, func(r Result) float64 { return r.Written }))
}

// ratio is a dash where the best peer used nothing that could be measured.
func (p *Pair) ratio() string {
	if len(p.Ratios) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", p.Ratio, slices.Min(p.Ratios), slices.Max(p.Ratios))
}

// each shows the value of every side, or a dash where none was measured.
func each(format string, sides []Result, value func(Result) float64) string {
	var texts []string
	measured := false
	for _, r := range sides {
		if r.Server == "" {
			continue
		}
		v := value(r)
		measured = measured || v != 0
		texts = append(texts, fmt.Sprintf(format, v))
	}
	if !measured {
		return "-"
	}
	return strings.Join(texts, " / ")
}

// headline is the figure that a load is about.
func (r *Result) headline() string {
	if r.Server == "" {
		return "-"
	}
	switch r.Figure {
	case Latency:
		return fmt.Sprintf("p50 %.2f ms, p99 %.2f ms", r.P50, r.P99)
	case Memory:
		return fmt.Sprintf("%.0f MiB", r.RSS)
	case Time:
		return fmt.Sprintf("%.0f ms", r.Seconds*1000)
	case Processor:
		return fmt.Sprintf("%.2f %% of one", r.Busy)
	}
	rate := fmt.Sprintf("%s rec/s", Thousands(r.Rate))
	if r.Bytes > 0 && r.Records > 0 {
		rate += fmt.Sprintf(", %.0f MB/s", r.Rate*float64(r.Bytes)/float64(r.Records)/1e6)
	}
	if r.P99 > 0 {
		rate += ", p99 " + fmt.Sprintf("%.2f ms", r.P99)
	}
	return rate
}

// Thousands prints a rate with as many digits as it deserves.
func Thousands(rate float64) string {
	switch {
	case rate >= 1e6:
		return fmt.Sprintf("%.2f M", rate/1e6)
	case rate >= 1e4:
		return fmt.Sprintf("%.0f k", rate/1e3)
	case rate >= 1e3:
		return fmt.Sprintf("%.1f k", rate/1e3)
	}
	return fmt.Sprintf("%.0f", rate)
}
