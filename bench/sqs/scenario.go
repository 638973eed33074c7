package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tidings-io/tidings/bench/internal/measure"
)

// scenario is a queue on a fresh server and the loads that it meets one after the other.
type scenario struct {
	name    string
	waiting int64         // messages that are in the queue before
	lasts   time.Duration // each load that goes by time
	skips   []string      // servers that do not meet it
	loads   []load
}

// load is one thing that is measured.
type load struct {
	name   string
	figure measure.Figure
	run    func(context.Context, *scenario, *measure.Server) (measure.Outcome, error)
}

// slow are servers that a large backlog takes minutes, or all memory.
var slow = []string{fauxqs, fauxqsSQLite, moto}

func scenarios(quick bool) []measure.Scenario {
	lasts, million := 10*time.Second, int64(1_000_000)
	if quick {
		lasts, million = time.Second, 100_000
	}
	bulk := []load{{"send 1 KiB,", measure.Rate, sendAll},
		{"receive and delete 1 KiB,", measure.Rate, takeAll}}
	waiting := fmt.Sprintf("%d k waiting", million/1000)
	all := []scenario{
		{name: "1 queue", lasts: lasts, loads: bulk},
		{name: "1 queue", lasts: lasts, loads: []load{
			{"send, receive and delete 1 KiB at once,", measure.Rate, both}}},
		{name: "at 100 msg/s", lasts: lasts, loads: []load{
			{"send one of 1 KiB", measure.Latency, sendPaced}}},
		{name: waiting, waiting: million, lasts: lasts, skips: slow, loads: append([]load{
			{"memory with", measure.Memory, rest}}, with(bulk)...)},
		{name: fmt.Sprintf("%d idle long polls", polls), lasts: 2 * lasts, skips: []string{moto},
			loads: []load{{"processor of", measure.Processor, holdPolls}}},
	}
	bound := []measure.Scenario{start}
	for i := range all {
		bound = append(bound, all[i].bound())
	}
	return bound
}

// with is the loads beside something else.
func with(loads []load) (out []load) {
	for _, l := range loads {
		out = append(out, load{l.name + " with", l.figure, l.run})
	}
	return out
}

// start is what a server costs before anybody uses it.
var start = measure.Scenario{Loads: []measure.Load{
	{Name: "start to an answer", Figure: measure.Time,
		Run: func(_ context.Context, s *measure.Server) (measure.Outcome, error) {
			return measure.Outcome{Took: s.Ready}, nil
		}},
	{Name: "memory when idle", Figure: measure.Memory,
		Run: func(ctx context.Context, s *measure.Server) (measure.Outcome, error) {
			return rest(ctx, nil, s)
		}},
}}

// bound is the scenario as it is run.
func (s *scenario) bound() measure.Scenario {
	bound := measure.Scenario{Name: s.name, Skips: s.skips, Setup: s.setup}
	for _, l := range s.loads {
		bound.Loads = append(bound.Loads, measure.Load{Name: l.name, Figure: l.figure,
			Run: func(ctx context.Context, server *measure.Server) (measure.Outcome, error) {
				return l.run(ctx, s, server)
			}})
	}
	return bound
}
