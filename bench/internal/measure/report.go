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
	Peer    string   `json:"peer"`
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
	m := r.Machine
	var b strings.Builder
	fmt.Fprintf(&b, "`%s`, %s: %d cores (%s), %d GiB, data on %s where 4 KiB are durable in "+
		"%s (p99 %s), kernel %s, %s. Medians of %d rounds; the ratio is ours to the peer's in the "+
		"same round, median (lowest to highest).\n\n",
		r.Command, m.Date, m.Cores, m.CPU, (m.MemoryMiB+512)>>10, m.FileSystem,
		m.SyncP50, m.SyncP99, m.Kernel, m.Go, r.Rounds)
	fmt.Fprintf(&b, "| load | %s | %s | ratio | server CPU s per million records | server "+
		"peak RSS MiB | disk bytes per value byte |\n|---|---|---|---|---|---|---|\n",
		r.Ours, r.Peer)
	for _, p := range r.Pairs {
		fmt.Fprintf(&b, "| %s | %s | %s | %.2f (%.2f to %.2f) | %s | %s | %s |\n", p.Load,
			p.Ours.headline(), p.Peer.headline(), p.Ratio,
			slices.Min(p.Ratios), slices.Max(p.Ratios),
			both("%.2f", p.Ours.ServerCPU, p.Peer.ServerCPU),
			both("%.0f", p.Ours.PeakRSS, p.Peer.PeakRSS),
			both("%.2f", p.Ours.Written, p.Peer.Written))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// both shows the value of ours and of the peer, or a dash where neither was measured.
func both(format string, ours, peer float64) string {
	if ours == 0 && peer == 0 {
		return "-"
	}
	return fmt.Sprintf(format+" / "+format, ours, peer)
}

// headline is the figure that a load is about.
func (r *Result) headline() string {
	latency := fmt.Sprintf("p50 %.2f ms, p99 %.2f ms", r.P50, r.P99)
	if r.Rate == 0 {
		return latency
	}
	rate := fmt.Sprintf("%s rec/s", thousands(r.Rate))
	if r.Bytes > 0 && r.Records > 0 {
		rate += fmt.Sprintf(", %.0f MB/s", r.Rate*float64(r.Bytes)/float64(r.Records)/1e6)
	}
	if r.P99 > 0 {
		rate += ", p99 " + fmt.Sprintf("%.2f ms", r.P99)
	}
	return rate
}

func thousands(rate float64) string {
	switch {
	case rate >= 1e6:
		return fmt.Sprintf("%.2f M", rate/1e6)
	case rate >= 1e4:
		return fmt.Sprintf("%.0f k", rate/1e3)
	}
	return fmt.Sprintf("%.1f k", rate/1e3)
}
