package main

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/tidings-io/tidings/bench/internal/measure"
)

// scenario is some queues on a fresh server and the loads that they meet one after the other.
type scenario struct {
	name     string
	queues   []string
	exchange string // a fanout to all of them; without, messages go to queues by name
	channels int    // of the connection that publishes, and of the one that consumes
	messages int64  // that are published
	bare     bool   // the queues are not there before the loads
	loads    []load
}

// load is one thing that is measured.
type load struct {
	name   string
	figure measure.Figure
	run    func(context.Context, *scenario, target) (measure.Outcome, error)
}

// target is a server to be loaded.
type target struct {
	addr  string
	queue amqp.Table // what its queues are declared with
}

func scenarios(quick bool) []measure.Scenario {
	share := int64(1)
	if quick {
		share = 10
	}
	waiting := fmt.Sprintf("memory with %d k waiting,", 200/share)
	all := []scenario{
		{
			name: "1 queue", queues: names(1), channels: 1, messages: 200_000 / share,
			loads: []load{{"publish 1 KiB,", measure.Rate, publishAll}, {waiting, measure.Memory, rest},
				{"consume 1 KiB,", measure.Rate, consumeAll}},
		}, {
			name: "1 queue", queues: names(1), channels: 1, messages: 200_000 / share,
			loads: []load{{"publish and consume 1 KiB at once,", measure.Rate, both}},
		}, {
			name: "at 200 msg/s", queues: names(1), channels: 1, messages: 2_000 / share,
			loads: []load{{"confirm 1 KiB", measure.Latency, publishPaced}},
		}, {
			name: "fanout to 10 queues", queues: names(10), exchange: "bench", channels: 1,
			messages: 20_000 / share,
			loads: []load{{"publish 1 KiB,", measure.Rate, publishAll},
				{"consume 1 KiB,", measure.Rate, consumeAll}},
		}, {
			name: "1,000 queues", queues: names(1000), channels: 4,
			messages: 100_000 / share, bare: true,
			loads: []load{{"declare", measure.Rate, declareAll},
				{"publish 1 KiB,", measure.Rate, publishAll}, {"consume 1 KiB,", measure.Rate, consumeAll}},
		},
	}
	bound := []measure.Scenario{start}
	for i := range all {
		bound = append(bound, all[i].bound())
	}
	return bound
}

func names(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("bench-%d", i))
	}
	return all
}

// start is what a server costs before anybody uses it.
var start = measure.Scenario{Loads: []measure.Load{
	{Name: "start to an open connection", Figure: measure.Time,
		Run: func(_ context.Context, s *measure.Server) (measure.Outcome, error) {
			return measure.Outcome{Took: s.Ready}, nil
		}},
	{Name: "memory when idle", Figure: measure.Memory,
		Run: func(ctx context.Context, s *measure.Server) (measure.Outcome, error) {
			return rest(ctx, nil, target{})
		}},
}}

// bound is the scenario as it is run.
func (s *scenario) bound() measure.Scenario {
	bound := measure.Scenario{Name: s.name}
	if !s.bare {
		bound.Setup = func(ctx context.Context, server *measure.Server) error {
			return s.setup(ctx, targetOf(server))
		}
	}
	for _, l := range s.loads {
		bound.Loads = append(bound.Loads, measure.Load{Name: l.name, Figure: l.figure,
			Run: func(ctx context.Context, server *measure.Server) (measure.Outcome, error) {
				return l.run(ctx, s, targetOf(server))
			}})
	}
	return bound
}

func targetOf(s *measure.Server) target { return target{s.Addr, queueArgs(s.Name)} }
