package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/tidings-io/tidings/bench/internal/measure"
)

// The names of peers.
const (
	stub         = "stub"
	fauxqs       = "fauxqs in memory"
	fauxqsSQLite = "fauxqs SQLite"
	moto         = "moto"
)

// peers are the stub and what is installed of the others.
func peers(ctx context.Context, bin string) ([]measure.Program, error) {
	here, err := measure.ModuleDir(ctx, "github.com/tidings-io/tidings/bench")
	if err != nil {
		return nil, err
	}
	path, err := measure.Build(ctx, here, "./sqs/stub", bin)
	if err != nil {
		return nil, err
	}
	all := []measure.Program{{Name: stub, Path: path, Args: func(p measure.Place) []string {
		return []string{p.Addr}
	}}}
	for _, p := range installed(filepath.Join(here, "sqs", "peers")) {
		if _, err := os.Stat(p.Path); err != nil {
			fmt.Fprintf(os.Stderr, "not run: %s, which is not installed: %v\n", p.Name, err)
			continue
		}
		all = append(all, p)
	}
	return all, nil
}

// installed is what may be below dir. fauxqs needs a newer Node than Debian's, so that is a package too.
func installed(dir string) []measure.Program {
	node := filepath.Join(dir, "node_modules", "node", "bin", "node")
	script := filepath.Join(dir, "fauxqs.mjs")
	return []measure.Program{
		{Name: fauxqs, Path: node, Args: func(p measure.Place) []string {
			return []string{script, port(p)}
		}},
		{Name: fauxqsSQLite, Path: node, Args: func(p measure.Place) []string {
			return []string{script, port(p), p.Dir}
		}},
		{Name: moto, Path: filepath.Join(dir, "venv", "bin", "moto_server"),
			Args: func(p measure.Place) []string { return []string{"-H", "127.0.0.1", "-p", port(p)} }},
	}
}

func port(p measure.Place) string {
	_, port, _ := net.SplitHostPort(p.Addr)
	return port
}
