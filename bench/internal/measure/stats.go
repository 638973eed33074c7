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

// Result is one measurement of one server.
type Result struct {
	Load    string `json:"load"`
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
	Written   float64 `json:"disk_bytes_per_value_byte"`
}

// Pair compares two servers at one load: medians, and the ratios of rounds side by side.
type Pair struct {
	Load      string    `json:"load"`
	Ours      Result    `json:"ours"` // medians
	Peer      Result    `json:"peer"`
	Ratios    []float64 `json:"ratios"` // ours to peer, of what Latency says, one a round
	Ratio     float64   `json:"ratio"`  // median of Ratios
	IsLatency bool      `json:"latency"`
}

// Compare pairs the results of two servers by load and round, in the order of the loads.
func Compare(results []Result, ours, peer string) []Pair {
	var pairs []Pair
	var loads []string
	for _, r := range results {
		if !slices.Contains(loads, r.Load) {
			loads = append(loads, r.Load)
		}
	}
	for _, load := range loads {
		a, b := of(results, load, ours), of(results, load, peer)
		if len(a) == 0 || len(b) == 0 {
			continue
		}
		pairs = append(pairs, pair(load, a, b))
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

func pair(load string, a, b []Result) Pair {
	p := Pair{Load: load, Ours: medians(a), Peer: medians(b), IsLatency: a[0].Rate == 0}
	for i := range min(len(a), len(b)) {
		if p.IsLatency {
			p.Ratios = append(p.Ratios, a[i].P99/b[i].P99)
		} else {
			p.Ratios = append(p.Ratios, a[i].Rate/b[i].Rate)
		}
	}
	p.Ratio = Median(p.Ratios)
	return p
}

// medians takes each field's own.
func medians(rs []Result) Result {
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
