package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidings-io/tidings/console"
)

// bare is tidings without a command: what it is, whether a server runs, and
// what to type next.
func (a *app) bare(cmd *cobra.Command, _ []string) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	c := newAPIClient(a.serverAddr())
	defer c.Close()
	info, err := c.Info(ctx)
	fmt.Fprintf(a.out, "%s  a durable broker that Kafka clients connect to unchanged\n\n",
		a.term.out.paint(bold, "tidings "+buildVersion()))
	if err != nil {
		a.bareStopped(err)
	} else {
		a.bareRunning(info)
	}
	fmt.Fprint(a.out, "\n  all commands         tidings help\n"+
		"  one of them          tidings sub --help\n"+
		"  completion           tidings completion bash --help\n")
	return nil
}

func (a *app) bareStopped(err error) {
	addr := a.serverAddr()
	var f *failure
	if errors.As(err, &f) && f.exit != exitUnreachable {
		fmt.Fprintf(a.out, "  %s\n\n", f.msg)
	} else {
		fmt.Fprintf(a.out, "  no server runs at %s\n\n", addr)
	}
	fmt.Fprint(a.out, "  start one            tidings dev\n"+
		"  publish a record     tidings pub orders 'hello'\n"+
		"  read it              tidings sub orders --from start\n")
}

func (a *app) bareRunning(info console.Info) {
	kafka := ""
	for _, l := range info.Listeners {
		if l.Name == "kafka" {
			kafka = ", Kafka at " + l.Addr
		}
	}
	fmt.Fprintf(a.out, "  a server runs at %s%s (pid %d, %s, %s)\n\n", a.serverAddr(), kafka,
		info.PID, plural(int64(info.Topics), "topic"), plural(int64(info.Groups), "group"))
	fmt.Fprint(a.out, "  see what is there    tidings ls\n"+
		"  publish a record     tidings pub orders 'hello'\n"+
		"  read it              tidings sub orders --from start\n")
}
