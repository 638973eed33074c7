package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/tidings-io/tidings/bench/internal/measure"
)

// place is a broker, and the sides that meet there.
type place struct {
	name  string
	sides []contender // ours first
	// program is the broker, nil where each side has its own in this process: sides are opened
	// with its address, or with a directory then.
	program func(ctx context.Context, o *options, bin string) (measure.Program, error)
	sizes   sizes
}

type contender struct {
	name string
	open func(ctx context.Context, at string, s setting) (side, error)
}

// Names of sides.
const (
	oursName   = "tidings"
	bareName   = "the broker alone"
	theirsName = "Watermill"
)

// places are all that there are on this machine.
func places(quick bool) []place {
	inProcess := sizes{events: 150_000, time: 2 * time.Second, atMost: 2 * time.Second}
	overNetwork := sizes{events: 20_000, time: time.Second, atMost: time.Second}
	if quick {
		inProcess = sizes{events: 4_000, time: 200 * time.Millisecond, atMost: 200 * time.Millisecond}
		overNetwork = inProcess
	}
	kafka := []contender{{oursName, oursKafka}, {theirsName, theirsKafka}}
	amqp := []contender{{oursName, oursAMQP}, {theirsName, theirsAMQP}}
	all := []place{
		{"in the process", []contender{{oursName, oursEmbedded}, {bareName, newBare}}, nil, inProcess},
		{"Kafka, by Tidings", kafka, tidingsKafka, overNetwork},
		{"AMQP, by Tidings", amqp, tidingsAMQP, overNetwork},
	}
	if _, err := exec.LookPath("rabbitmq-server"); err != nil {
		fmt.Fprintln(os.Stderr, "not run: RabbitMQ, which is not installed")
		return all
	}
	return append(all, place{"AMQP, by RabbitMQ", amqp, rabbitMQ, overNetwork})
}

// loads are those that a place meets.
func (p *place) loads() []load {
	return slices.DeleteFunc(slices.Clone(loads), func(l load) bool {
		return l.inProcess && p.program != nil
	})
}

// contenders are the sides that a load meets.
func (p *place) contenders(l *load) []contender {
	return slices.DeleteFunc(slices.Clone(p.sides), func(c contender) bool {
		return slices.Contains(l.without, c.name)
	})
}

// tidingsKafka is the real program.
func tidingsKafka(ctx context.Context, o *options, bin string) (measure.Program, error) {
	path, err := o.program(ctx, bin)
	return measure.Program{Name: "tidings", Path: path, Args: func(p measure.Place) []string {
		return []string{"serve", "--data", p.Dir, "--ports", "auto", "--log", "error"}
	}}, err
}

func tidingsAMQP(ctx context.Context, o *options, bin string) (measure.Program, error) {
	path, err := o.program(ctx, bin)
	return measure.Program{Name: "tidings", Path: path, Answers: answers,
		Args: func(p measure.Place) []string {
			return []string{"serve", "--data", p.Dir, "--amqp", p.Addr, "--ports", "auto", "--log", "error"}
		}}, err
}

func rabbitMQ(context.Context, *options, string) (measure.Program, error) {
	p := measure.RabbitMQ("RabbitMQ")
	p.Answers = answers
	return p, nil
}

// program is the path of a tidings program, which is built once.
func (o *options) program(ctx context.Context, bin string) (string, error) {
	path := filepath.Join(bin, "bench-tidings")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	root, err := measure.ModuleDir(ctx, "github.com/tidings-io/tidings")
	if err != nil {
		return "", err
	}
	return measure.Build(ctx, root, "./cmd/tidings", bin)
}

func amqpURL(addr string) string { return "amqp://guest:guest@" + addr + "/" }

// answers returns nil when a connection can be opened.
func answers(_ context.Context, addr string) error {
	c, err := amqp091.Dial(amqpURL(addr))
	if err != nil {
		return err
	}
	return c.Close()
}
