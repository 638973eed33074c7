package measure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Scenario is a fresh server and the loads that it meets one after the other.
type Scenario struct {
	Name  string
	Skips []string                             // names of programs that do not meet it
	Setup func(context.Context, *Server) error // before the loads, not measured; may be nil
	Loads []Load
}

// Load is one thing that is measured.
type Load struct {
	Name   string
	Figure Figure
	Warm   func(context.Context, *Server) error // before it, not measured; may be nil
	Run    func(context.Context, *Server) (Outcome, error)
}

// Outcome is what a load saw.
type Outcome struct {
	Records int64
	Bytes   int64 // of record values
	Took    time.Duration
	Times   []time.Duration // from sending to acknowledgement, where that is measured
	Busy    time.Duration   // processor time of the server within Took, where that is the figure
}

// loadTimeout bounds a load with what goes before it.
const loadTimeout = 5 * time.Minute

// all runs every scenario in every round. Who begins alternates, so that what the machine does
// beside us hits all alike.
func (o *Options) all(
	ctx context.Context, programs []Program, scenarios []Scenario,
) ([]Result, error) {
	var results []Result
	for i := range scenarios {
		s := &scenarios[i]
		if !o.Run.MatchString(s.fullNames()) {
			continue
		}
		rs, err := o.rounded(ctx, programs, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		results = append(results, rs...)
	}
	return results, nil
}

// rounded runs all rounds of a scenario, and removes what they have written at the end.
func (o *Options) rounded(
	ctx context.Context, programs []Program, s *Scenario,
) (results []Result, err error) {
	dir, err := os.MkdirTemp(o.Dir, "tidings-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for round := range o.Rounds {
		if err := AwaitQuiet(ctx, o.Patience); err != nil {
			return nil, err
		}
		for i := range programs {
			p := programs[(i+round)%len(programs)]
			if slices.Contains(s.Skips, p.Name) {
				continue
			}
			rs, err := o.one(ctx, p, s, dir)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.Name, err)
			}
			for _, r := range rs {
				r.Round = round + 1
				results = append(results, r)
			}
		}
	}
	return results, nil
}

func (s *Scenario) fullNames() string {
	var names []string
	for i := range s.Loads {
		names = append(names, s.fullName(&s.Loads[i]))
	}
	return strings.Join(names, "\n")
}

func (s *Scenario) fullName(l *Load) string { return strings.TrimSpace(l.Name + " " + s.Name) }

// one runs a scenario on a fresh server.
func (o *Options) one(
	ctx context.Context, p Program, s *Scenario, dir string,
) (results []Result, err error) {
	server, err := Start(ctx, p, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if s.Setup != nil {
		if err := s.Setup(ctx, server); err != nil {
			return nil, err
		}
	}
	for i := range s.Loads {
		r, err := o.measure(ctx, server, s, &s.Loads[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Loads[i].Name, err)
		}
		fmt.Fprintf(os.Stderr, "%-12s %-60s %10.0f rec/s  p50 %6.2f p99 %6.2f ms  "+
			"cpu %.2f+%.2f s/M  rss %.0f peak %.0f MiB  disk %.2f  took %.2f s\n", r.Server,
			r.Load, r.Rate, r.P50, r.P99, r.ServerCPU, r.ClientCPU, r.RSS, r.PeakRSS, r.Written,
			r.Seconds)
		results = append(results, r)
	}
	return results, nil
}

// measure runs a load and reads what the server used for it.
func (o *Options) measure(
	ctx context.Context, server *Server, s *Scenario, l *Load,
) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	if l.Warm != nil {
		if err := l.Warm(ctx, server); err != nil {
			return Result{}, err
		}
	}
	stop, err := o.startProfile(ctx, server, s.fullName(l))
	if err != nil {
		return Result{}, err
	}
	ResetPeak(server.PID)
	before, own := UsageOf(server.PID), SelfCPU()
	out, err := l.Run(ctx, server)
	after, ownAfter := UsageOf(server.PID), SelfCPU()
	if err = errors.Join(err, stop()); err != nil {
		return Result{}, err
	}
	r := Result{
		Load: s.fullName(l), Figure: l.Figure, Server: server.Name,
		Records: out.Records, Bytes: out.Bytes, Seconds: out.Took.Seconds(),
		P50:     milliseconds(Percentile(out.Times, 50)),
		P99:     milliseconds(Percentile(out.Times, 99)),
		PeakRSS: mebibytes(after.PeakRSS), RSS: mebibytes(after.RSS),
		Busy: percent(out.Busy, out.Took),
	}
	if out.Records > 0 {
		r.ServerCPU = perMillion(after.CPU-before.CPU, r.Records)
		r.ClientCPU = perMillion(ownAfter-own, r.Records)
	}
	if r.Bytes > 0 {
		r.Written = float64(after.Written-before.Written) / float64(r.Bytes)
	}
	if l.Figure == Rate {
		r.Rate = float64(r.Records) / r.Seconds
	}
	return r, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
func mebibytes(n int64) float64            { return float64(n) / (1 << 20) }

// percent is a share of one processor.
func percent(busy, took time.Duration) float64 {
	if took == 0 {
		return 0
	}
	return 100 * busy.Seconds() / took.Seconds()
}

func perMillion(d time.Duration, records int64) float64 {
	return d.Seconds() * 1e6 / float64(records)
}
