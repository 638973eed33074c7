// Package measure is what the benchmarks share: brokers as processes, what they use, the
// statistics and the tables.
package measure

import (
	"slices"
	"time"
)

// Median is the middle value, 0 of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// Percentile is the value below which p of 100 lie, 0 of none.
func Percentile(times []time.Duration, p int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(times))
	return v[(len(v)-1)*p/100]
}

// Figure is what a load is about: it is shown first, and compared.
type Figure string

// The figures. Of a rate more is better, of the others less.
const (
	Rate      Figure = ""
	Latency   Figure = "latency" // the slowest of 100
	Memory    Figure = "memory"  // resident at the end of the load
	Time      Figure = "time"
	Processor Figure = "processor" // that the server uses
)

// Result is one measurement of one server.
type Result struct {
	Load    string `json:"load"`
	Figure  Figure `json:"figure,omitempty"`
	Server  string `json:"server"`
	Round   int    `json:"round"`
	Records int64  `json:"records"`
	Bytes   int64  `json:"bytes"` // of record values

	Seconds   float64 `json:"seconds"`
	Rate      float64 `json:"records_per_second"`
	P50       float64 `json:"p50_ms,omitempty"`
	P99       float64 `json:"p99_ms,omitempty"`
	ServerCPU float64 `json:"server_cpu_seconds_per_million"`
	ClientCPU float64 `json:"client_cpu_seconds_per_million"`
	PeakRSS   float64 `json:"server_peak_rss_mib"`
	RSS       float64 `json:"server_rss_mib"`
	Busy      float64 `json:"server_cpu_percent,omitempty"` // of one processor
	Written   float64 `json:"disk_bytes_per_value_byte"`
}

func (r *Result) value() float64 {
	switch r.Figure {
	case Latency:
		return r.P99
	case Memory:
		return r.RSS
	case Time:
		return r.Seconds
	case Processor:
		return r.Busy
	}
	return r.Rate
}

// Pair compares a server with its peers at one load: medians, and the ratios of rounds side by
// side.
type Pair struct {
	Load   string    `json:"load"`
	Ours   Result    `json:"ours"` // medians
	Peers  []Result  `json:"peers"`
	Ratios []float64 `json:"ratios"` // ours to the best peer of the round, one a round
	Ratio  float64   `json:"ratio"`  // median of Ratios
}

// Compare pairs the results of a server and its peers by load and round, in the order of the
// loads. A load that the server, or every peer, did not meet is left out; one peer that did not is
// there with no result.
func Compare(results []Result, ours string, peers ...string) []Pair {
	var pairs []Pair
	var loads []string
	for _, r := range results {
		if !slices.Contains(loads, r.Load) {
			loads = append(loads, r.Load)
		}
	}
	for _, load := range loads {
		sides := [][]Result{of(results, load, ours)}
		for _, peer := range peers {
			sides = append(sides, of(results, load, peer))
		}
		met := func(rs []Result) bool { return len(rs) > 0 }
		if !met(sides[0]) || !slices.ContainsFunc(sides[1:], met) {
			continue
		}
		pairs = append(pairs, pair(load, sides[0], sides[1:]))
	}
	return pairs
}

func of(all []Result, load, server string) []Result {
	var some []Result
	for _, r := range all {
		if r.Load == load && r.Server == server {
			some = append(some, r)
		}
	}
	return some
}

func pair(load string, ours []Result, peers [][]Result) Pair {
	p := Pair{Load: load, Ours: medians(ours)}
	for _, rs := range peers {
		p.Peers = append(p.Peers, medians(rs))
	}
	for round := range ours {
		if best, ok := bestOf(peers, round); ok && best > 0 {
			p.Ratios = append(p.Ratios, ours[round].value()/best)
		}
	}
	p.Ratio = Median(p.Ratios)
	return p
}

// bestOf is the best figure of a round among the peers, where all were measured that met the load.
func bestOf(peers [][]Result, round int) (best float64, ok bool) {
	var values []float64
	var figure Figure
	for _, rs := range peers {
		switch {
		case len(rs) == 0:
			continue
		case round >= len(rs):
			return 0, false
		}
		figure = rs[round].Figure
		values = append(values, rs[round].value())
	}
	if figure == Rate {
		return slices.Max(values), true
	}
	return slices.Min(values), true
}

// medians takes each field's own. That of none is no result.
func medians(rs []Result) Result {
	if len(rs) == 0 {
		return Result{}
	}
	m := rs[0]
	m.Round = 0
	for _, field := range []func(*Result) *float64{
		func(r *Result) *float64 { return &r.Seconds },
		func(r *Result) *float64 { return &r.Rate },
		func(r *Result) *float64 { return &r.P50 },
		func(r *Result) *float64 { return &r.P99 },
		func(r *Result) *float64 { return &r.ServerCPU },
		func(r *Result) *float64 { return &r.ClientCPU },
		func(r *Result) *float64 { return &r.PeakRSS },
		func(r *Result) *float64 { return &r.RSS },
		func(r *Result) *float64 { return &r.Busy },
		func(r *Result) *float64 { return &r.Written },
	} {
		var values []float64
		for i := range rs {
			values = append(values, *field(&rs[i]))
		}
		*field(&m) = Median(values)
	}
	return m
}
