package main

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/tidings-io/tidings/bench/internal/measure"
)

// load is producers that append records of 1 KiB, each to one partition after the other, with a
// window of unconfirmed ones.
type load struct {
	name       string
	partitions int
	producers  int
	window     int
	rate       int // records a second of all producers together; 0 is as fast as it goes
}

var loads = []load{
	{"1 partition, 1 producer, 1000 in flight", 1, 1, 1000, 0},
	{"2,000 partitions, 64 producers, 1 in flight each", 2000, 64, 1, 0},
	{"2,000 partitions, 64 producers, 16 in flight each", 2000, 64, 16, 0},
	{"2,000 partitions, 64 producers at 50 k/s together", 2000, 64, 64, 50_000},
}

// measure lets the producers run for a while, after some records to each partition: the files
// are there then, and whoever keeps records in memory first has begun to write them out.
func (l *load) measure(ctx context.Context, log appender, d time.Duration) (measure.Result, error) {
	for range warmRecords {
		if err := l.touch(ctx, log); err != nil {
			return measure.Result{}, err
		}
	}
	measure.ResetPeak(os.Getpid())
	before := measure.UsageOf(os.Getpid())
	producers := make([]producer, l.producers)
	errs := make([]error, l.producers)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range l.producers {
		wg.Go(func() {
			producers[i] = producer{load: l, log: log, id: i, start: start, end: start.Add(d)}
			errs[i] = producers[i].run(ctx)
		})
	}
	wg.Wait()
	took := time.Since(start)
	after := measure.UsageOf(os.Getpid())
	var all producer
	for i := range producers {
		all.confirmed += producers[i].confirmed
		all.times = append(all.times, producers[i].times...)
	}
	r := l.result(&all, before, after)
	r.Seconds = took.Seconds()
	if r.Figure == measure.Rate {
		r.Rate = float64(r.Records) / r.Seconds
	}
	return r, errors.Join(errs...)
}

func (l *load) result(all *producer, before, after measure.Usage) measure.Result {
	n, times := all.confirmed, all.times
	figure := measure.Rate
	if l.rate != 0 {
		figure = measure.Latency
	}
	return measure.Result{
		Load: l.name, Figure: figure, Records: n, Bytes: n * recordBytes,
		P50:       float64(measure.Percentile(times, 50).Microseconds()) / 1000,
		P99:       float64(measure.Percentile(times, 99).Microseconds()) / 1000,
		ServerCPU: (after.CPU - before.CPU).Seconds() / float64(n) * 1e6,
		PeakRSS:   float64(after.PeakRSS) / (1 << 20), RSS: float64(after.RSS) / (1 << 20),
		Written: float64(after.Written-before.Written) / float64(n*recordBytes),
	}
}

// warmRecords is how many records of each partition are not measured. With 2,000 partitions
// these are 24 MB.
const warmRecords = 12

// touch appends one record to each partition.
func (l *load) touch(ctx context.Context, log appender) error {
	confirms := make([]confirm, l.partitions)
	var err error
	for i := range confirms {
		if confirms[i], err = log.Append(ctx, i); err != nil {
			return err
		}
	}
	for _, c := range confirms {
		if err := c.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// producer is one goroutine that appends.
type producer struct {
	*load
	log        appender
	id         int
	start, end time.Time

	open      []flight // oldest first
	confirmed int64
	times     []time.Duration // of one record in timedEvery
}

// timedEvery keeps what the clock costs, in time and memory, out of the figures.
const timedEvery = 8

type flight struct {
	confirm
	since time.Time
}

// run appends until the end. With a rate every record has its time and counts from then.
func (p *producer) run(ctx context.Context) error {
	for i := 0; ; i++ {
		since := time.Now()
		if p.rate > 0 {
			nth := time.Duration(i*p.producers + p.id)
			since = p.start.Add(nth * time.Second / time.Duration(p.rate))
			if err := p.settleUntil(ctx, since); err != nil {
				return err
			}
		}
		if !since.Before(p.end) {
			break
		}
		if err := p.append(ctx, (p.id+i*p.producers)%p.partitions, since); err != nil {
			return err
		}
	}
	return p.settle(ctx, 0)
}

func (p *producer) append(ctx context.Context, partition int, since time.Time) error {
	if err := p.settle(ctx, p.window-1); err != nil {
		return err
	}
	c, err := p.log.Append(ctx, partition)
	if err == nil {
		p.open = append(p.open, flight{c, since})
	}
	return err
}

// settle waits for the oldest until at most so many are open.
func (p *producer) settle(ctx context.Context, most int) error {
	for len(p.open) > most {
		if err := p.open[0].Wait(ctx); err != nil {
			return err
		}
		if p.confirmed%timedEvery == 0 {
			p.times = append(p.times, time.Since(p.open[0].since))
		}
		p.confirmed++
		p.open = p.open[1:]
	}
	return nil
}

// settleUntil waits for a time, and takes what is confirmed meanwhile.
func (p *producer) settleUntil(ctx context.Context, due time.Time) error {
	if err := p.settle(ctx, 0); err != nil {
		return err
	}
	time.Sleep(time.Until(due))
	return nil
}
