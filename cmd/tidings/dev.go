package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) devCommand() *cobra.Command {
	var demo bool
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a broker for development in this directory",
		Long: `Run a broker on this machine only, with its data in ./.tidings. Unknown topics are
created when used, and groups do not wait for members. Ctrl-C stops it; the data
stays. With --demo a shop of five services runs in it, and customers buy.`,
		Example: "  tidings dev\n  tidings dev --demo\n  tidings dev --topic orders:3 --topic audit\n" +
			"  tidings dev --ports auto --data \"$(mktemp -d)\" --sync never    # for tests",
		Args:              between(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s := devDefaults()
			if err := s.apply(cmd, a.env); err != nil {
				return err
			}
			s.demo = demo
			return a.runNode(cmd.Context(), s, "Ctrl-C stops, data stays")
		},
	}
	cmd.Flags().BoolVar(&demo, "demo", false, "run the shop of examples/shop, with live orders")
	addSettings(cmd, devDefaults())
	return cmd
}

func (a *app) serveCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a broker as configured",
		Long: `Run a broker with a configuration file, environment (TIDINGS_*) and flags; later
ones win. Nothing is created that was not asked for, and it listens on loopback
unless told otherwise. SIGTERM drains and stops it.`,
		Example: "  tidings serve -c tidings.yaml\n" +
			"  tidings serve --data /var/lib/tidings --topic orders:3\n" +
			"  TIDINGS_DATA=/data tidings serve --kafka 0.0.0.0:9092 --allow-remote",
		Args:              between(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s := serveDefaults()
			if file == "" {
				file = a.env("TIDINGS_CONFIG")
			}
			if file != "" {
				if err := s.load(file); err != nil {
					return err
				}
			}
			if err := s.apply(cmd, a.env); err != nil {
				return err
			}
			return a.runNode(cmd.Context(), s, "SIGTERM drains and stops")
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file (YAML)")
	addSettings(cmd, serveDefaults())
	return cmd
}

// runNode runs a broker until the context ends.
func (a *app) runNode(ctx context.Context, s settings, stops string) error {
	if ctx.Err() != nil {
		return nil
	}
	level, err := s.logLevel()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(a.errOut, &slog.HandlerOptions{Level: level}))
	tuneRuntime(a.env)
	n, err := startNode(ctx, s, log)
	if err != nil {
		return err
	}
	a.greet(n, stops)
	if s.demo {
		if n.demo, err = startDemo(ctx, n, a.out); err != nil {
			return errors.Join(err, n.close())
		}
	}
	err = n.run(ctx)
	if err == nil {
		a.note("stopped; the data is in %s", s.Data)
	}
	return err
}

// greet says where the broker is and what to type next. Programs that start
// one wait for the first line.
func (a *app) greet(n *node, stops string) {
	kafka, admin := n.kafka.Addr().String(), n.admin.Addr().String()
	ready := a.now().Sub(a.started).Round(time.Millisecond).Milliseconds()
	fmt.Fprintf(a.out, "%s  ready in %d ms    data %s    %s\n",
		a.term.out.paint(bold, "tidings"), ready, n.s.Data, n.s.promise())
	fmt.Fprintf(a.out, "  Kafka  %s\n", kafka)
	if n.amqp != nil {
		fmt.Fprintf(a.out, "  AMQP   amqp://guest:guest@%s/\n", reachable(n.amqp.Addr().String()))
	}
	if n.manage != nil {
		fmt.Fprintf(a.out, "  management  http://guest:guest@%s/api\n", reachable(n.manage.Addr().String()))
	}
	if n.aws != nil {
		a.greetAWS(n)
	}
	fmt.Fprintf(a.out, "  admin  http://%s/api/v1  %s  metrics  /metrics  %s  health  /healthz\n",
		admin, a.term.glyph("·", "|"), a.term.glyph("·", "|"))
	server := ""
	if admin != "127.0.0.1:7070" {
		server = " --server " + reachable(admin)
	}
	sep := "  " + a.term.glyph("·", "|") + "  "
	if n.s.demo {
		fmt.Fprintf(a.out, "  demo   a shop of five services; somebody buys every %v%stidings sub orders%s%stidings lag%s\n",
			demoEvery, sep, server, sep, server)
	}
	fmt.Fprintf(a.out, "  next:  %s        %s\n", strings.Join([]string{
		"tidings pub orders 'hello'" + server,
		"tidings sub orders --from start" + server,
		"kcat -b " + strings.Replace(reachable(kafka), "127.0.0.1", "localhost", 1) + " -L",
	}, sep), stops)
}

// greetAWS says where SDKs find SQS and SNS, and how they are told.
func (a *app) greetAWS(n *node) {
	sep := "  " + a.term.glyph("·", "|") + "  "
	at := "http://" + reachable(n.aws.Addr().String())
	says := []string{at, "SQS and SNS", "export AWS_ENDPOINT_URL=" + at}
	if len(n.s.AWS.Keys) == 0 {
		says[2] += ", any keys"
	}
	if n.s.AWS.Reset {
		says = append(says, "POST /_tidings/reset deletes it all")
	}
	fmt.Fprintf(a.out, "  AWS    %s\n", strings.Join(says, sep))
}

// reachable turns a wildcard address into one that can be dialled here.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

func (s *settings) logLevel() (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.Log)); err != nil {
		return 0, usage("log: " + quote(s.Log) + " is none of debug, info, warn, error")
	}
	return level, nil
}
