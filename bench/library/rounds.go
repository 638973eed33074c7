package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/tidings-io/tidings/bench/internal/measure"
)

// result is one measurement of one side.
type result struct {
	measure.Result
	Allocations float64 `json:"allocations"` // of this process, for each event
}

// at runs the loads of a place on one broker, all of them in each round.
func (o *options) at(ctx context.Context, p *place, bin string) (results []result, err error) {
	chosen := slices.DeleteFunc(p.loads(), func(l load) bool {
		return !o.run.MatchString(p.name + ": " + l.name)
	})
	if len(chosen) == 0 {
		return nil, nil
	}
	dir, err := os.MkdirTemp(o.dir, "tidings-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	t := table{options: o, place: p, dir: dir}
	if p.program != nil {
		program, err := p.program(ctx, o, bin)
		if err != nil {
			return nil, err
		}
		if t.server, err = measure.Start(ctx, program, dir); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, t.server.Stop()) }()
	}
	for round := range o.rounds {
		if err := measure.AwaitQuiet(ctx, o.patience); err != nil {
			return nil, err
		}
		for i := range chosen {
			rs, err := t.round(ctx, &chosen[i], round)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", chosen[i].name, err)
			}
			results = append(results, rs...)
		}
	}
	return results, nil
}

// table is a place that is set.
type table struct {
	*options
	place  *place
	server *measure.Server // nil: in this process
	dir    string
	used   int // names
}

// round lets a load meet the sides in turn.
func (t *table) round(ctx context.Context, l *load, round int) (results []result, err error) {
	sides := t.place.contenders(l)
	for i := range sides {
		c := &sides[(i+round)%len(sides)]
		if t.only != "" && t.only != c.name {
			continue
		}
		r, err := t.one(ctx, c, l)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		r.Round = round + 1
		fmt.Fprintf(os.Stderr, "%-18s %-16s %-56s %8.0f/s  p50 %6.2f p99 %6.2f ms  "+
			"cpu %5.2f+%5.2f us  %5.1f allocs  %d in %.2f s\n", t.place.name, r.Server, r.Load, r.Rate,
			r.P50, r.P99, r.ClientCPU, r.ServerCPU, r.Allocations, r.Records, r.Seconds)
		results = append(results, r)
	}
	return results, nil
}

// loadTimeout bounds a load with what goes before it.
const loadTimeout = 2 * time.Minute

// closeTimeout bounds how long a side may say goodbye to a broker that may be gone.
const closeTimeout = 10 * time.Second

// one measures a side once.
func (t *table) one(ctx context.Context, c *contender, l *load) (r result, err error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	t.used++
	at, err := t.address()
	if err != nil {
		return r, err
	}
	s, err := c.open(ctx, at, l.setting)
	if err != nil {
		return r, err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		err = errors.Join(err, s.close(last))
		if t.server == nil {
			err = errors.Join(err, os.RemoveAll(at))
		}
	}()
	var before, after usage
	stop := func() error { return nil }
	out, err := l.run(ctx, &stage{side: s, topic: fmt.Sprintf("orders-%d", t.used),
		sizes: t.place.sizes, start: func() {
			stop = t.startProfile(c.name, l)
			before = t.usage()
		}})
	after = t.usage()
	if err = errors.Join(err, stop()); err != nil {
		return r, err
	}
	if out.Records == 0 {
		return r, errors.New("no event was handled in time")
	}
	return newResult(c, l, out, before, after), nil
}

// address is that of the server, or a new directory.
func (t *table) address() (string, error) {
	if t.server != nil {
		return t.server.Addr, nil
	}
	return os.MkdirTemp(t.dir, "process-")
}

// usage is what was used since the start of processes. Garbage of before is collected first.
type usage struct {
	client, server time.Duration
	allocations    uint64
}

func (t *table) usage() (u usage) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.client, u.allocations = measure.SelfCPU(), m.Mallocs
	if t.server != nil {
		u.server = measure.UsageOf(t.server.PID).CPU
	}
	return u
}

func newResult(c *contender, l *load, out measure.Outcome, before, after usage) result {
	n := float64(out.Records)
	micros := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / n }
	millis := func(p int) float64 {
		return float64(measure.Percentile(out.Times, p).Microseconds()) / 1000
	}
	return result{
		Result: measure.Result{
			Load: l.name, Server: c.name, Records: out.Records, Bytes: out.Bytes,
			Seconds: out.Took.Seconds(), Rate: n / out.Took.Seconds(), P50: millis(50), P99: millis(99),
			ServerCPU: micros(after.server - before.server),
			ClientCPU: micros(after.client - before.client),
		},
		Allocations: float64(after.allocations-before.allocations) / n,
	}
}

// startProfile records a processor profile, and what was allocated, until stop.
func (t *table) startProfile(side string, l *load) (stop func() error) {
	if t.profile == "" {
		return func() error { return nil }
	}
	name := unsafe.ReplaceAllString(strings.ToLower(t.place.name+" "+l.name+" "+side), "-")
	path := filepath.Join(t.profile, name)
	err := os.MkdirAll(t.profile, 0o755)
	var f *os.File
	if err == nil {
		f, err = os.Create(path + ".cpu.pb.gz")
	}
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		return func() error { return err }
	}
	return func() error {
		pprof.StopCPUProfile()
		allocs, err := os.Create(path + ".allocs.pb.gz")
		if err != nil {
			return errors.Join(err, f.Close())
		}
		return errors.Join(f.Close(), pprof.Lookup("allocs").WriteTo(allocs, 0), allocs.Close())
	}
}

var unsafe = regexp.MustCompile(`[^a-z0-9]+`)
