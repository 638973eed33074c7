// Command kafka compares the tidings server with franz-go's kfake through Kafka's protocol.
// Both keep their data on disk and sync it before they acknowledge.
//
// In every round each load meets one server, then the other, each as a new process on an empty
// directory; who begins changes from round to round. Client and servers share the machine's
// cores, so the rates say what a pair of client and server does together; the servers' own
// share is in the column of processor time.
//
//	go run ./kafka                    # about ten minutes; prints a Markdown table
//	go run ./kafka -quick -o json
//	go run ./kafka -run 'produce' -server embedded -profile /tmp/profiles
package main

import (
	"context"

	"github.com/tidings-io/tidings/bench/internal/measure"
)

func main() {
	b := measure.Bench{Name: "kafka", Servers: servers, Scenarios: scenarios}
	b.Main()
}

// servers compiles what is compared.
func servers(ctx context.Context, o *measure.Options, bin string) ([]measure.Program, error) {
	ours, err := o.Ours(ctx, bin, serve, embedded)
	if err != nil {
		return nil, err
	}
	if o.Against != "" {
		return []measure.Program{ours, o.Other(serve)}, nil
	}
	here, err := measure.ModuleDir(ctx, "github.com/tidings-io/tidings/bench")
	if err != nil {
		return nil, err
	}
	path, err := measure.Build(ctx, here, "./peer", bin)
	peer := measure.Program{Name: "kfake -sync", Path: path, Args: func(p measure.Place) []string {
		return []string{"-data", p.Dir}
	}}
	return []measure.Program{ours, peer}, err
}

// serve runs a tidings program on free ports.
func serve(p measure.Place) []string {
	return []string{"serve", "--data", p.Dir, "--ports", "auto", "--log", "error"}
}

// embedded runs bench/server.
func embedded(p measure.Place) []string { return []string{"-data", p.Dir, "-pprof", p.Spare[0]} }
