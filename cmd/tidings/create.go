package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
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
		Short: "Create topics, a queue or an exchange",
		Long: `Create topics. With --grow, topics that exist get more partitions instead; keys then
map to other partitions than before. Queues, exchanges and topics of SNS have commands of their
own: tidings create queue NAME, tidings create exchange NAME, tidings create sqs NAME, tidings
create sns NAME. A topic with such a name is queue:1, exchange:1, sqs:1 or sns:1.`,
		Example: "  tidings create orders:3 audit --retention 30d\n" +
			"  tidings create orders:6 --grow\n" +
			"  tidings create orders:3 --if-missing\n" +
			"  tidings create queue mail --ttl 1h --dead-letter-queue dead",
		Args:              between(1, -1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.with(func(ctx context.Context, c client, args []string) error {
			return a.create(ctx, c, args, f)
		}),
	}
	f.add(cmd)
	a.addTarget(cmd)
	cmd.AddCommand(a.createQueueCommand(), a.createExchangeCommand(), a.createSQSCommand(),
		a.createSNSCommand())
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
	if err := mayCreate(ctx, c, topics, f); err != nil {
		return err
	}
	for _, t := range topics {
		if err := a.createOne(ctx, c, t, f); err != nil {
			return err
		}
	}
	return nil
}

// mayCreate finds out whether all of it can be done before the first topic is
// made.
func mayCreate(ctx context.Context, c client, topics []console.NewTopic, f topicFlags) error {
	if len(topics) == 1 {
		return nil // the server will say it
	}
	rows, err := c.Topics(ctx)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, t := range rows {
		there[t.Name] = true
	}
	for _, t := range topics {
		switch {
		case !topicName.MatchString(t.Name):
			return noTopicName(t.Name)
		case f.grow && !there[t.Name]:
			return notFoundNear("topic", t.Name, slices.Collect(maps.Keys(there)))
		case !f.grow && !f.ifMissing && there[t.Name]:
			return existsFailure(&failure{exit: exitConflict, code: "exists",
				msg: "create topic " + t.Name + ": already exists; nothing was created"}, t.Name)
		}
	}
	return nil
}

// topicName is what Kafka takes for one, and so does every server.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func noTopicName(name string) *failure {
	return invalid("%q is no name of a topic: letters, digits, '.', '_' and '-', at most 249", name)
}

func existsFailure(f *failure, topic string) *failure {
	return f.hint("see it", "tidings show "+topic).
		hint("more partitions", fmt.Sprintf("tidings create %s:N --grow", topic)).
		hint("no matter", "--if-missing")
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
		return existsFailure(known, t.Name)
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
		if slices.ContainsFunc(topics, func(o console.NewTopic) bool { return o.Name == t.Name }) {
			return nil, usage("topic " + quote(t.Name) + " is named twice")
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
