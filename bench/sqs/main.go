// Command sqs compares the tidings server through SQS, as aws-sdk-go-v2 speaks it, with a stub and
// with other servers of SQS. Bodies are of 1 KiB, batches of 10, from 8 workers that share a
// client; a message counts when it is answered, and tidings answers when it is on disk.
//
// The stub is no queue: it reads a request and writes an answer that was made beforehand. It costs
// next to nothing, so its rate is what the client can do on this machine, which it shares with
// the server: the ceiling of every server. It is the best of the peers in every rate, so the ratio is
// the share of that ceiling.
//
// fauxqs, in memory and with SQLite, and the server of moto are peers where they are installed, in the
// directory peers: `npm ci`, and `python3 -m venv venv && venv/bin/pip install -r requirements.txt`.
// What is not there is named on standard error.
//
// In every round each load meets one server, then the others, each as a new process on an empty
// directory; who begins changes from round to round. Loads end by time, since the servers are a
// hundred times apart.
//
//	go run ./sqs                      # about forty minutes; prints a Markdown table
//	go run ./sqs -quick -rounds 1
//	go run ./sqs -run '^send' -only ours -server embedded -profile /tmp/profiles
package main

import (
	"context"

	"github.com/tidings-io/tidings/bench/internal/measure"
)

func main() {
	b := measure.Bench{Name: "sqs", Servers: servers, Scenarios: scenarios}
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
		others, err := peers(ctx, bin)
		if err != nil {
			return nil, err
		}
		all = append(all, others...)
	}
	for i := range all {
		all[i].Answers = answers
	}
	return all, nil
}

// serve runs a tidings program with every face open.
func serve(p measure.Place) []string {
	return []string{
		"serve", "--data", p.Dir, "--aws", p.Addr, "--ports", "auto", "--log", "error"}
}

// embedded runs bench/server.
func embedded(p measure.Place) []string {
	return []string{"-data", p.Dir, "-aws", p.Addr, "-pprof", p.Spare[0]}
}
