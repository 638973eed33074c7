package main

import (
	"context"

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

// load is one thing that is measured. Its functions get the address of the server.
type load struct {
	name   string
	figure measure.Figure
	warm   func(context.Context, *scenario, string) error // before it, not measured; may be nil
	run    func(context.Context, *scenario, string) (measure.Outcome, error)
}

const topic = "bench"

var bulk = []load{
	{"produce", measure.Rate, nil, produceAll}, {"consume", measure.Rate, nil, consumeAll},
}

func scenarios(quick bool) []measure.Scenario {
	all := []scenario{
		{"1000 B, 2,000 partitions, 64 producers of 16 in flight", 2000, 200_000, 1000,
			[]load{{"produce", measure.Rate, warmMany, produceMany}}},
		{"100 B, 1 partition", 1, 10_000_000, 100, bulk},
		{"100 B, 6 partitions", 6, 10_000_000, 100, bulk},
		{"1000 B, 1 partition", 1, 1_000_000, 1000, bulk},
		{"1000 B, 6 partitions", 6, 1_000_000, 1000, bulk},
		{"1000 B, 6 partitions, 8 clients", 6, 1_000_000, 1000,
			[]load{{"produce", measure.Rate, nil, produceTogether}}},
		{"100 B at 500 rec/s", 1, 3_000, 100, []load{{"publish", measure.Latency, nil, publishPaced}}},
	}
	var bound []measure.Scenario
	for i := range all {
		if quick {
			all[i].records = max(all[i].records/10, 1000)
		}
		bound = append(bound, all[i].bind())
	}
	return bound
}

// bind is the scenario as it is run.
func (s *scenario) bind() measure.Scenario {
	bound := measure.Scenario{
		Name: s.name,
		Setup: func(ctx context.Context, server *measure.Server) error {
			return makeTopic(ctx, server.Addr, s.partitions)
		},
	}
	for _, l := range s.loads {
		b := measure.Load{Name: l.name, Figure: l.figure}
		if l.warm != nil {
			b.Warm = func(ctx context.Context, server *measure.Server) error {
				return l.warm(ctx, s, server.Addr)
			}
		}
		b.Run = func(ctx context.Context, server *measure.Server) (measure.Outcome, error) {
			out, err := l.run(ctx, s, server.Addr)
			out.Bytes = out.Records * int64(s.size)
			return out, err
		}
		bound.Loads = append(bound.Loads, b)
	}
	return bound
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
