// Command tidings is the broker and its command line.
//
//	tidings dev                        a broker in this directory
//	tidings serve -c tidings.yaml      a broker as configured
//	tidings pub orders 'hello'         publish a record
//	tidings sub orders --from start    read records, and those to come
//	tidings help                       everything else
//
// Each command is one file. Commands see a server through the client interface
// (client.go), which has two implementations: the admin API of tidings, and any
// Kafka. What people read goes to stderr, what programs read to stdout.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	started := time.Now()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the next one kills: a drain must not trap anyone.
	context.AfterFunc(ctx, stop)
	a := &app{
		in: os.Stdin, out: os.Stdout, errOut: os.Stderr,
		env: os.Getenv, now: time.Now, started: started,
		term: terminalOf(os.Getenv,
			isTerminal(os.Stdin), isTerminal(os.Stdout), isTerminal(os.Stderr)),
	}
	os.Exit(a.run(ctx, arguments(os.Args)))
}
