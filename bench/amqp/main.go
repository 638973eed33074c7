// Command amqp compares the tidings server with RabbitMQ through AMQP 0-9-1 as its clients speak
// it. Queues are durable, messages persistent and of 1 KiB, and a publish counts when it is
// confirmed.
//
// RabbitMQ comes with three kinds of queue. Each is a peer of its own, and the ratio is to the
// best of them in the same round. Classic queues of version 1, the quorum queue, of one member,
// and tidings sync before they confirm; classic queues of version 2 write and do not sync.
//
// In every round each load meets one server, then the others, each as a new process on an empty
// directory; who begins changes from round to round.
//
// Client and servers share the machine's cores, and the client is RabbitMQ's own for Go,
// unchanged. A publish with its confirm costs it some 8 us of processor time, a delivery with its
// ack some 12 us, each with a write to the socket: more than they cost tidings. So the rates say
// what a pair of client and server does together; the servers' own share is in the column of
// processor time, and each line on standard error shows server + client.
//
//	go run ./amqp                     # most of an hour; prints a Markdown table
//	go run ./amqp -quick -rounds 1
//	go run ./amqp -run 'consume' -only ours -server embedded -profile /tmp/profiles
package main

import (
	"context"

	"github.com/tidings-io/tidings/bench/internal/measure"
)

func main() {
	b := measure.Bench{Name: "amqp", Servers: servers, Scenarios: scenarios}
	b.Main()
}

// servers says what is compared.
func servers(ctx context.Context, o *measure.Options, bin string) ([]measure.Program, error) {
	ours, err := o.Ours(ctx, bin, serve, embedded)
	if err != nil {
		return nil, err
	}
	all := []measure.Program{ours}
	if o.Against != "" {
		all = append(all, o.Other(serve))
	} else {
		for _, kind := range queueKinds {
			all = append(all, measure.RabbitMQ(kind.name))
		}
	}
	for i := range all {
		all[i].Answers = answers
	}
	return all, nil
}

// serve runs a tidings program with every face open: Kafka, AMQP, the management API and the
// admin API.
func serve(p measure.Place) []string {
	return []string{
		"serve", "--data", p.Dir, "--amqp", p.Addr, "--ports", "auto", "--log", "error"}
}

// embedded runs bench/server.
func embedded(p measure.Place) []string {
	return []string{"-data", p.Dir, "-amqp", p.Addr, "-pprof", p.Spare[0]}
}
