package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidings-io/tidings/console"
)

// topicFlags are the settings of a topic as flags.
type topicFlags struct {
	partitions int
	retention  string
	keep       string
	batch      string
	appendTime bool
	grow       bool
	ifMissing  bool
}

func (a *app) createCommand() *cobra.Command {
	var f topicFlags
	cmd := &cobra.Command{
		Use:   "create NAME[:PARTITIONS]...",
		Short: "Create topics, or add partitions to one",
		Long: `Create topics. With --grow, topics that exist get more partitions instead; keys then
map to other partitions than before.`,
		Example: "  tidings create orders:3 audit --retention 30d\n" +
			"  tidings create orders:6 --grow\n" +
			"  tidings create orders:3 --if-missing",
		Args:              between(1, -1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.with(func(ctx context.Context, c client, args []string) error {
			return a.create(ctx, c, args, f)
		}),
	}
	f.add(cmd)
	a.addTarget(cmd)
	return cmd
}

func (f *topicFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.IntVarP(&f.partitions, "partitions", "p", 0,
		"partitions where NAME does not say (default the server's)")
	fs.StringVar(&f.retention, "retention", "",
		"how long records are kept: 36h, 7d, forever (default 7d)")
	fs.StringVar(&f.keep, "retention-size", "",
		"how much is kept per partition: 500MB, 10GB (default no limit)")
	fs.StringVar(&f.batch, "max-batch", "", "largest batch accepted (default 1 MiB)")
	fs.BoolVar(&f.appendTime, "append-time", false,
		"records get the broker's time, not the producer's")
	fs.BoolVar(&f.grow, "grow", false, "add partitions to topics that exist")
	fs.BoolVar(&f.ifMissing, "if-missing", false, "leave topics that exist as they are")
}

func (a *app) create(ctx context.Context, c client, names []string, f topicFlags) error {
	topics, err := f.topics(names)
	if err != nil {
		return err
	}
	for _, t := range topics {
		if err := a.createOne(ctx, c, t, f); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) createOne(ctx context.Context, c client, t console.NewTopic, f topicFlags) error {
	if f.grow {
		if err := c.GrowTopic(ctx, t.Name, t.Partitions); err != nil {
			return err
		}
		a.note("topic %s has %s now", t.Name, plural(int64(t.Partitions), "partition"))
		return nil
	}
	err := c.CreateTopic(ctx, t)
	var known *failure
	if errors.As(err, &known) && known.code == "exists" {
		if f.ifMissing {
			a.note("topic %s exists already", t.Name)
			return nil
		}
		return known.hint("see it", "tidings show "+t.Name).
			hint("more partitions", fmt.Sprintf("tidings create %s:N --grow", t.Name)).
			hint("no matter", "--if-missing")
	}
	if err == nil {
		a.note("created topic %s", t.Name)
	}
	return err
}

// topics checks all arguments before the first topic is made.
func (f topicFlags) topics(names []string) ([]console.NewTopic, error) {
	cfg, err := f.config()
	if err != nil {
		return nil, err
	}
	var topics []console.NewTopic
	for _, arg := range names {
		t, err := parseTopic(arg)
		if err != nil {
			return nil, err
		}
		if t.Partitions == 0 {
			t.Partitions = f.partitions
		}
		if f.grow && t.Partitions == 0 {
			return nil, usage("--grow needs the new number of partitions").
				hint("like this", "tidings create "+t.Name+":6 --grow")
		}
		t.Config = cfg
		topics = append(topics, t)
	}
	return topics, nil
}

func (f topicFlags) config() (cfg console.TopicConfig, err error) {
	cfg.AppendTime = f.appendTime
	if cfg.RetentionSeconds, err = parseRetention(f.retention); err != nil {
		return cfg, usage("--retention: " + err.Error())
	}
	if cfg.RetentionBytes, err = parseSize(f.keep); err != nil {
		return cfg, usage("--retention-size: " + err.Error())
	}
	batch, err := parseSize(f.batch)
	if err != nil {
		return cfg, usage("--max-batch: " + err.Error())
	}
	cfg.BatchBytes = int(batch)
	return cfg, nil
}

// parseTopic reads NAME or NAME:PARTITIONS.
func parseTopic(arg string) (console.NewTopic, error) {
	name, number, counted := strings.Cut(arg, ":")
	t := console.NewTopic{Name: name}
	if !counted {
		return t, nil
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 {
		return t, usage(quote(number)+" is no number of partitions").hint("like this", name+":3")
	}
	t.Partitions = n
	return t, nil
}

// parseRetention returns seconds; "" is 0 (the default), forever -1.
func parseRetention(text string) (int64, error) {
	switch text {
	case "":
		return 0, nil
	case "forever":
		return -1, nil
	}
	d, err := console.ParseAge(text)
	if err != nil || d < time.Second {
		return 0, fmt.Errorf("%q is no time to keep records: 36h, 7d, forever", text)
	}
	return int64(d / time.Second), nil
}

// sizeUnits in the order they are tried: the longer suffix first.
var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

// parseSize reads 500MB, 1GiB or 1000; "" is 0.
func parseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/u.bytes {
			break
		}
		return n * u.bytes, nil
	}
	return 0, fmt.Errorf("%q is no size: 500MB, 10GB, 1MiB", text)
}
