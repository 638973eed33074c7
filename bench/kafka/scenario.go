package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/tidings-io/tidings/bench/internal/measure"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// scenario is a topic on a fresh server and the loads that it meets one after the other.
type scenario struct {
	name       string
	partitions int
	records    int64 // of each load, where the load does not go by time
	size       int   // bytes of a record's value
	loads      []load
}

// load is one thing that is measured.
type load struct {
	name string
	warm func(context.Context, *scenario, string) error // before it, not measured; may be nil
	run  func(context.Context, *scenario, string) (outcome, error)
}

// outcome is what a load saw.
type outcome struct {
	records int64
	took    time.Duration
	times   []time.Duration // from sending to acknowledgement, where that is measured
	paced   bool            // the rate was given: only times matter
}

const topic = "bench"

var bulk = []load{{"produce", nil, produceAll}, {"consume", nil, consumeAll}}

func scenarios(quick bool) []scenario {
	all := []scenario{
		{"1000 B, 2,000 partitions, 64 producers of 16 in flight", 2000, 200_000, 1000,
			[]load{{"produce", warmMany, produceMany}}},
		{"100 B, 1 partition", 1, 10_000_000, 100, bulk},
		{"100 B, 6 partitions", 6, 10_000_000, 100, bulk},
		{"1000 B, 1 partition", 1, 1_000_000, 1000, bulk},
		{"1000 B, 6 partitions", 6, 1_000_000, 1000, bulk},
		{"1000 B, 6 partitions, 8 clients", 6, 1_000_000, 1000,
			[]load{{"produce", nil, produceTogether}}},
		{"100 B at 500 rec/s", 1, 3_000, 100, []load{{"publish", nil, publishPaced}}},
	}
	if quick {
		for i := range all {
			all[i].records = max(all[i].records/10, 1000)
		}
	}
	return all
}

// all runs every scenario in every round. Who begins alternates, so that what the machine does
// beside us hits both alike.
func (o *options) all(
	ctx context.Context, programs []measure.Program,
) ([]measure.Result, error) {
	var results []measure.Result
	for _, s := range scenarios(o.quick) {
		if !o.run.MatchString(s.fullNames()) {
			continue
		}
		rs, err := o.rounded(ctx, programs, &s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		results = append(results, rs...)
	}
	return results, nil
}

// rounded runs all rounds of a scenario, and removes what they have written at the end.
func (o *options) rounded(
	ctx context.Context, programs []measure.Program, s *scenario,
) (results []measure.Result, err error) {
	dir, err := os.MkdirTemp(o.dir, "tidings-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for round := range o.rounds {
		if err := measure.AwaitQuiet(ctx, o.patience); err != nil {
			return nil, err
		}
		for i := range programs {
			p := programs[(i+round)%len(programs)]
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

func (s *scenario) fullNames() string {
	var names []string
	for _, l := range s.loads {
		names = append(names, l.name+" "+s.name)
	}
	return strings.Join(names, "\n")
}

// one runs a scenario on a fresh server.
func (o *options) one(
	ctx context.Context, p measure.Program, s *scenario, dir string,
) (results []measure.Result, err error) {
	server, err := measure.Start(ctx, p, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if err := makeTopic(ctx, server.Addr, s.partitions); err != nil {
		return nil, err
	}
	for _, l := range s.loads {
		r, err := o.measure(ctx, server, s, l)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
		fmt.Fprintf(os.Stderr, "%-12s %-60s %10.0f rec/s  p50 %6.2f p99 %6.2f ms  "+
			"cpu %.2f+%.2f s/M  rss %.0f MiB  disk %.2f\n", r.Server, r.Load, r.Rate,
			r.P50, r.P99, r.ServerCPU, r.ClientCPU, r.PeakRSS, r.Written)
		results = append(results, r)
	}
	return results, nil
}

func makeTopic(ctx context.Context, addr string, partitions int) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return err
	}
	defer cl.Close()
	_, err = kadm.NewClient(cl).CreateTopic(ctx, int32(partitions), 1, nil, topic)
	return err
}

// measure runs a load and reads what the server used for it.
func (o *options) measure(
	ctx context.Context, server *measure.Server, s *scenario, l load,
) (measure.Result, error) {
	if l.warm != nil {
		if err := l.warm(ctx, s, server.Addr); err != nil {
			return measure.Result{}, err
		}
	}
	stop, err := o.startProfile(ctx, server, l.name+" "+s.name)
	if err != nil {
		return measure.Result{}, err
	}
	_ = measure.ResetPeak(server.PID) // where there is no /proc there is no figure either
	before, own := measure.UsageOf(server.PID), measure.SelfCPU()
	out, err := l.run(ctx, s, server.Addr)
	after := measure.UsageOf(server.PID)
	if err = errors.Join(err, stop()); err != nil {
		return measure.Result{}, err
	}
	millions := float64(out.records) / 1e6
	r := measure.Result{
		Load: l.name + " " + s.name, Server: server.Name,
		Records: out.records, Bytes: out.records * int64(s.size), Seconds: out.took.Seconds(),
		P50:       milliseconds(measure.Percentile(out.times, 50)),
		P99:       milliseconds(measure.Percentile(out.times, 99)),
		ServerCPU: (after.CPU - before.CPU).Seconds() / millions,
		ClientCPU: (measure.SelfCPU() - own).Seconds() / millions,
		PeakRSS:   mebibytes(after.PeakRSS), RSS: mebibytes(after.RSS),
	}
	r.Written = float64(after.Written-before.Written) / float64(r.Bytes)
	if !out.paced {
		r.Rate = float64(out.records) / out.took.Seconds()
	}
	return r, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
func mebibytes(n int64) float64            { return float64(n) / (1 << 20) }
