package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// settingsOf runs the parsing of serve with a file, environment and flags.
func settingsOf(t *testing.T, file string, env map[string]string, flags ...string) (settings,
	error) {
	t.Helper()
	s := serveDefaults()
	if file != "" {
		name := filepath.Join(t.TempDir(), "tidings.yaml")
		if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.load(name); err != nil {
			return s, err
		}
	}
	cmd := &cobra.Command{Use: "serve"}
	addSettings(cmd, s)
	if err := cmd.ParseFlags(flags); err != nil {
		t.Fatal(err)
	}
	return s, s.apply(cmd, func(name string) string { return env[name] })
}

func TestExampleConfigurationIsRight(t *testing.T) {
	got, err := settingsOf(t, documentedExample(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	key := "alert.#"
	want := settings{
		command: "serve", Data: "/var/lib/tidings", Sync: "always",
		SyncInterval: 100 * time.Millisecond,
		Kafka: kafkaSettings{Listen: "0.0.0.0:9092", Advertise: "events.example.org:9092",
			Partitions: 3, RebalanceDelay: 3 * time.Second},
		AMQP: amqpSettings{Listen: "off", Management: "localhost:15672"},
		AWS: awsSettings{Listen: "localhost:4566", Account: "000000000000", Region: "us-east-1",
			Queues: []sqsEntry{{Name: "dead"}, {Name: "jobs", Visibility: "1m", DeadLetterQueue: "dead", MaxReceives: 5,
				Tags: map[string]string{"team": "a"}}},
			Topics: []snsEntry{{Name: "alerts"}, {Name: "invoices", DisplayName: "Invoices"}}},
		Admin:       adminSettings{Listen: "127.0.0.1:7070", Hosts: []string{"tidings.internal"}},
		portGiven:   map[string]bool{"kafka": false, "amqp": false, "management": false, "aws": false, "admin": false},
		AllowRemote: true, Log: "info", Drain: 10 * time.Second,
		Topics: []topicEntry{{Name: "orders", Partitions: 6}, {Name: "audit", Partitions: 1,
			Retention: "forever", RetentionSize: "10GB", MaxBatch: "4MiB", AppendTime: true}},
		Bind: []bindEntry{
			{From: "sns/alerts", To: "jobs", Raw: true, Filter: map[string]any{"level": []any{"high"}},
				FilterScope: "attributes", DeadLetterQueue: "dead"},
			{From: "amq.topic", To: "sns/alerts", Key: &key},
			{From: "topic/orders", To: "exchange/amq.topic", FromStart: true},
			{From: "amq.headers", To: "topic/audit", Args: map[string]any{"x-match": "any", "source": "shop"}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// documentedExample is the configuration file in docs/cli.md.
func documentedExample(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "```yaml\n")
	example, _, closed := strings.Cut(after, "```")
	if !found || !closed {
		t.Fatal("docs/cli.md has no example configuration")
	}
	return example
}

func TestLaterSettingsWin(t *testing.T) {
	got, err := settingsOf(t, "data: /file\nsync: never\nlog: error\nkafka:\n  partitions: 5\n",
		map[string]string{"TIDINGS_SYNC": "interval", "TIDINGS_LOG": "warn"}, "--log", "debug")
	if err != nil {
		t.Fatal(err)
	}
	want := []any{"/file", "interval", "debug", 5}
	if got := []any{got.Data, got.Sync, got.Log, got.Kafka.Partitions}; !reflect.DeepEqual(got,
		want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWrongConfigurationNamesItsLine(t *testing.T) {
	for file, want := range map[string]string{
		"data: /d\nsink: always\n":          `[2:1] unknown field "sink"`,
		"kafka:\n  lissten: x\n":            `[2:3] unknown field "lissten"`,
		"data: /d\ndata: /e\n":              `[2:1] mapping key "data" already defined at [1:1]`,
		"kafka:\n  partitions: many\n":      "[2:15] this must be a number",
		"allow-remote: perhaps\n":           "[1:15] this must be true or false",
		"data: [a]\n":                       "[1:7] this must be a word or a text",
		"data: /d\ndrain: 10\n":             "tidings.yaml:2: drain: a time is written with its unit",
		"drain: soon\n":                     "tidings.yaml:1: drain: a time is written with its unit",
		"drain: -1s\n":                      "tidings.yaml:1: drain: must not be negative",
		"kafka:\n  rebalance-delay: 5\n":    "tidings.yaml:2: rebalance-delay: a time is written",
		"data: /d\nsync: sometimes\n":       `tidings.yaml:2: sync: "sometimes" is none of`,
		"topics:\n  - a\n  - orders:0\n":    `tidings.yaml:3: topic orders: "0" is no number`,
		"topics:\n  - a\n  - a:2\n":         "tidings.yaml:3: topic a is named twice",
		"topics: [a, b c]\n":                `tidings.yaml:1: "b c" is no name of a topic`,
		"admin:\n  listen: foo:bar\n":       `tidings.yaml:2: admin: "bar" is no port`,
		"data: [\n":                         "[1:7]",
		"topics:\n  - name: a\n    kept: 1": `unknown field "kept"`,
		"topics: ['orders:x']\n":            `"x" is no number of partitions`,

		"aws:\n  queues: [a, a]\n":                      "tidings.yaml:2: queue a: it is named twice",
		"aws:\n  queues:\n  - {name: a, delay: soon}\n": `tidings.yaml:3: queue a: delay: "soon" is no time`,
		"aws:\n  queues:\n  - {name: a, kept: 1}\n":     `[3:15] unknown field "kept"`,
		"aws:\n  queues: [{delay: 1s}]\n":               "tidings.yaml:2: queue: a name is missing",
		"aws:\n  topics: [a, a]\n":                      "tidings.yaml:2: topic of SNS a: it is named twice",
		"aws:\n  listen: off\n  topics: [a]\n":          "tidings.yaml:3: topic of SNS a: aws.listen is off",
		"bind:\n- {from: a}\n":                          "tidings.yaml:2: bind a : from and to are needed",
		"bind:\n- {from: topic/a, to: topic/b}\n":       "tidings.yaml:2: bind topic/a topic/b: a topic leads to a queue",
		"bind:\n- {from: a, to: b, raw: true}\n":        "tidings.yaml:2: bind a b: raw, filter, filter-scope and",
		"bind:\n- {from: a, to: b}\n- {from: sns/a, to: b, filter: '{}', filter-scope: half}\n": "tidings.yaml:3: bind sns/a b: " +
			"filter-scope must be one of attributes, body",
		"aws: {listen: off}\nbind:\n- {from: a, to: sns/b}\n": "tidings.yaml:3: bind a sns/b: aws.listen is off",
	} {
		_, err := settingsOf(t, file, nil)
		var f *failure
		if !errors.As(err, &f) || f.exit != exitUsage || !strings.Contains(f.msg, want) {
			t.Errorf("%q: got %v, want a usage failure with %s", file, err, want)
		}
	}
}

func TestWrongSettingsNameTheirSource(t *testing.T) {
	for _, c := range []struct {
		file, env string
		flags     []string
		want      string
	}{
		{"sync: often\n", "", nil, `sync: "often"`},
		{"", "TIDINGS_SYNC_INTERVAL=soon", nil, "TIDINGS_SYNC_INTERVAL"},
		{"", "TIDINGS_ALLOW_REMOTE=perhaps", nil, "TIDINGS_ALLOW_REMOTE"},
		{"", "", []string{"--partitions", "0"}, "partitions"},
		{"", "", []string{"--partitions", "x"}, "--partitions"},
		{"", "", []string{"--drain", "x"}, "--drain"},
		{"", "", []string{"--log", "loud"}, "log"},
		{"topics: [{name: a, retention: soon}]\n", "", nil, "topic a: retention"},
		{"", "", []string{"--drain", "-1s"}, "drain: must not be negative"},
		{"", "", []string{"--topic", "orders:3", "--topic", "orders:4"},
			"topic orders is named twice"},
		{"topics: [orders]\n", "", []string{"--topic", "orders"}, "topic orders is named twice"},
		{"", "", []string{"--kafka", ":99999"}, `kafka: "99999" is no port`},
		{"", "", []string{"--kafka", "foo:bar"}, `kafka: "bar" is no port`},
		{"", "", []string{"--admin", ":-1"}, `admin: "-1" is no port`},
		{"", "", []string{"--advertise", "events:http"}, `advertise: "http" is no port`},
		{"admin: {listen: '0.0.0.0:17070'}\n", "", []string{"--ports", "auto"},
			"admin: other machines can reach 0.0.0.0:17070"},
	} {
		name, value, _ := strings.Cut(c.env, "=")
		_, err := settingsOf(t, c.file, map[string]string{name: value}, c.flags...)
		var f *failure
		if !errors.As(err, &f) || f.exit != exitUsage || !strings.Contains(f.msg, c.want) {
			t.Errorf("%+v: got %v, want a usage failure that says %s", c, err, c.want)
		}
	}
}

func TestFreePortsAreTakenWhereNoneIsNamed(t *testing.T) {
	got, err := settingsOf(t, "", nil, "--ports", "auto", "--kafka", ":19092")
	if err != nil {
		t.Fatal(err)
	}
	if got.Kafka.Listen != "127.0.0.1:19092" || got.Admin.Listen != "127.0.0.1:0" {
		t.Errorf("got %s and %s, want 127.0.0.1:19092 and 127.0.0.1:0", got.Kafka.Listen,
			got.Admin.Listen)
	}
}

func TestEveryCommandAndSettingIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	docs := string(text)
	for _, s := range settingTable {
		for _, word := range []string{"`--" + s.flag, s.env} {
			if !strings.Contains(docs, word) {
				t.Errorf("docs/cli.md does not name %s", word)
			}
		}
	}
	a := &app{in: &bytes.Buffer{}, out: &bytes.Buffer{}, errOut: &bytes.Buffer{},
		env: func(string) string { return "" }, now: time.Now}
	for _, cmd := range a.root().Commands() {
		if !strings.Contains(docs, "tidings "+cmd.Name()) {
			t.Errorf("docs/cli.md does not name tidings %s", cmd.Name())
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(docs, "--"+f.Name) && !strings.Contains(docs,
				"`-"+f.Shorthand+"`") {
				t.Errorf("docs/cli.md does not name %s --%s", cmd.Name(), f.Name)
			}
		})
	}
}

func TestKeysForAWSAreReadAndNotRepeated(t *testing.T) {
	s, err := settingsOf(t, "", map[string]string{"TIDINGS_AWS_KEYS": "AKID:secret, AKIE:a:b"})
	if want := map[string]string{"AKID": "secret", "AKIE": "a:b"}; err != nil || !reflect.DeepEqual(s.AWS.Keys, want) {
		t.Errorf("got %v, %v, want %v", s.AWS.Keys, err, want)
	}
	_, err = settingsOf(t, "", map[string]string{"TIDINGS_AWS_KEYS": "AKID:secret,AKIE"})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want an error without the secret", err)
	}
	_, err = settingsOf(t, "", map[string]string{"TIDINGS_AWS_ACCOUNT": "7"})
	if err == nil {
		t.Error("an account of one digit is taken")
	}
}
