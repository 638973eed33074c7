package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tidings-io/tidings/console"
	"github.com/tidings-io/tidings/storage/vfs"
)

// settings say how a broker runs: the configuration file's document. What a
// flag says goes before the environment (TIDINGS_*), that before the file, and
// that before the defaults. docs/cli.md describes each.
type settings struct {
	command string   // dev or serve
	demo    bool     // dev only: run the shop of examples/shop
	fs      vfs.FS   // nil: the file system at Data
	given   []string // flags to repeat in hints, but for addresses

	portGiven map[string]bool // by face: named by a flag

	Data         string        `yaml:"data"`
	Sync         string        `yaml:"sync"`
	SyncInterval time.Duration `yaml:"sync-interval"`
	Kafka        kafkaSettings `yaml:"kafka"`
	AMQP         amqpSettings  `yaml:"amqp"`
	AWS          awsSettings   `yaml:"aws"`
	Admin        adminSettings `yaml:"admin"`
	AllowRemote  bool          `yaml:"allow-remote"`
	Topics       []topicEntry  `yaml:"topics"`
	Bind         []bindEntry   `yaml:"bind"`
	Log          string        `yaml:"log"`
	Drain        time.Duration `yaml:"drain"`
}

type kafkaSettings struct {
	Listen         string        `yaml:"listen"`
	Advertise      string        `yaml:"advertise"`
	AutoCreate     bool          `yaml:"auto-create"`
	Partitions     int           `yaml:"partitions"`
	RebalanceDelay time.Duration `yaml:"rebalance-delay"`
}

// amqpSettings: both addresses may be off. Without AMQP there is nothing to manage.
type amqpSettings struct {
	Listen     string   `yaml:"listen"`
	Management string   `yaml:"management"`
	Hosts      []string `yaml:"hosts"`
}

// off stands for an address where nothing is to listen.
const off = "off"

type adminSettings struct {
	Listen string   `yaml:"listen"`
	Hosts  []string `yaml:"hosts"`
}

// topicEntry is a topic to be there at the start: "orders:3", or with settings.
type topicEntry struct {
	Name          string `yaml:"name"`
	Partitions    int    `yaml:"partitions"`
	Retention     string `yaml:"retention"`
	RetentionSize string `yaml:"retention-size"`
	MaxBatch      string `yaml:"max-batch"`
	AppendTime    bool   `yaml:"append-time"`

	wrong error // what is wrong with the short form
}

// UnmarshalYAML takes the short form, NAME or NAME:PARTITIONS, and the long one.
func (t *topicEntry) UnmarshalYAML(unmarshal func(any) error) error {
	var short string
	if err := unmarshal(&short); err == nil {
		var parsed console.NewTopic
		parsed, t.wrong = parseTopic(short)
		t.Name, t.Partitions = parsed.Name, parsed.Partitions
		return nil
	}
	type long topicEntry
	return unmarshal((*long)(t))
}

// document checks a topic's settings.
func (t topicEntry) document() (console.NewTopic, error) {
	if t.wrong != nil {
		return console.NewTopic{}, usage("topic " + t.Name + ": " + t.wrong.Error())
	}
	if !topicName.MatchString(t.Name) {
		return console.NewTopic{}, noTopicName(t.Name)
	}
	if t.Partitions < 0 {
		return console.NewTopic{}, usage("topic " + t.Name + ": partitions must not be negative")
	}
	cfg, err := topicFlags{
		retention: t.Retention, keep: t.RetentionSize, batch: t.MaxBatch, appendTime: t.AppendTime,
	}.config()
	if err != nil {
		return console.NewTopic{}, usage("topic " + t.Name + ": " +
			strings.Replace(err.Error(), "--", "", 1))
	}
	return console.NewTopic{Name: t.Name, Partitions: t.Partitions, Config: cfg}, nil
}

// serveDefaults are for a server: nothing is created that was not asked for,
// and a group's first members may wait for each other.
func serveDefaults() settings {
	return settings{
		command: "serve",
		Data:    "./data", Sync: "always", SyncInterval: 100 * time.Millisecond,
		Kafka: kafkaSettings{
			Listen: "127.0.0.1:9092", Partitions: 1, RebalanceDelay: 3 * time.Second},
		AMQP:  amqpSettings{Listen: "localhost:5672", Management: "localhost:15672"},
		AWS:   awsSettings{Listen: "localhost:4566", Account: "000000000000", Region: "us-east-1"},
		Admin: adminSettings{Listen: "127.0.0.1:7070"},
		Log:   "info", Drain: 10 * time.Second,
	}
}

// devDefaults are for one developer: everything just works, at once.
func devDefaults() settings {
	s := serveDefaults()
	s.command = "dev"
	s.Data = "./.tidings"
	s.Kafka.AutoCreate = true
	s.Kafka.RebalanceDelay = 0
	s.Log = "warn"
	return s
}

// load reads the configuration file. What the file does not know is an error
// that shows the line.
func (s *settings) load(file string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return &failure{exit: exitNotFound, code: "not_found",
			msg: "no configuration file " + quote(file)}
	}
	if err != nil {
		return err
	}
	err = yaml.NewDecoder(bytes.NewReader(text), yaml.Strict(),
		yaml.CustomUnmarshaler(parseTime)).Decode(s)
	if err == nil || errors.Is(err, io.EOF) {
		if key, err := s.wrongValue(); err != nil {
			return atLine(file, text, key, err.Error())
		}
		return nil
	}
	return usage(file+" is not right:\n"+indent(forPeople(yaml.FormatError(err, false, true)))).
		hint("reference", "docs/cli.md, \"Configuration file\"")
}

// notATime stands for text that is no time until check finds it: only there its
// line is known.
const notATime = time.Duration(math.MinInt64)

func parseTime(d *time.Duration, text []byte) error {
	var err error
	if *d, err = time.ParseDuration(strings.Trim(string(text), "\"' \n")); err != nil {
		*d = notATime
	}
	return nil
}

// typeError is what the YAML library says of a value of another type.
var typeError = regexp.MustCompile(
	`cannot unmarshal .* into Go (?:struct field \S+|value) of type (\S+)`)

// forPeople says which value is wanted in words that are not Go's.
func forPeople(text string) string {
	return typeError.ReplaceAllStringFunc(text, func(found string) string {
		switch typeError.FindStringSubmatch(found)[1] {
		case "bool":
			return "this must be true or false"
		case "int":
			return "this must be a number"
		}
		return "this must be a word or a text"
	})
}

// atLine names where in the file the value of a key stands.
func atLine(file string, text []byte, key, msg string) *failure {
	where := file
	if path, err := yaml.PathString("$." + key); err == nil {
		if node, err := path.ReadNode(bytes.NewReader(text)); err == nil && node.GetToken() != nil {
			where = fmt.Sprintf("%s:%d", file, node.GetToken().Position.Line)
		}
	}
	return usage(where + ": " + msg)
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}

// setting is one value that a flag and the environment may set.
type setting struct {
	flag, env string
	usage     string
	set       func(*settings, string) error
}

func text(field func(*settings) *string) func(*settings, string) error {
	return func(s *settings, v string) error {
		*field(s) = v
		return nil
	}
}

func list(field func(*settings) *[]string) func(*settings, string) error {
	return func(s *settings, v string) error {
		*field(s) = strings.Split(v, ",")
		return nil
	}
}

func parsed[T any](
	field func(*settings) *T, parse func(string) (T, error),
) func(*settings, string) error {
	return func(s *settings, v string) (err error) {
		*field(s), err = parse(v)
		return err
	}
}

// settingTable is every setting but the topics.
var settingTable = []setting{
	{"data", "TIDINGS_DATA", "data directory",
		text(func(s *settings) *string { return &s.Data })},
	{"sync", "TIDINGS_SYNC",
		"acknowledged means on disk: always, interval (soon) or never (when the system likes)",
		text(func(s *settings) *string { return &s.Sync })},
	{"sync-interval", "TIDINGS_SYNC_INTERVAL", "how soon, for --sync interval",
		parsed(func(s *settings) *time.Duration { return &s.SyncInterval }, time.ParseDuration)},
	{"kafka", "TIDINGS_KAFKA_LISTEN", "address for Kafka clients, host:port or :port",
		text(func(s *settings) *string { return &s.Kafka.Listen })},
	{"advertise", "TIDINGS_KAFKA_ADVERTISE",
		"address told to Kafka clients (default: the one they dialled)",
		text(func(s *settings) *string { return &s.Kafka.Advertise })},
	{"auto-create", "TIDINGS_KAFKA_AUTO_CREATE",
		"unknown topics are created when used",
		parsed(func(s *settings) *bool { return &s.Kafka.AutoCreate }, strconv.ParseBool)},
	{"partitions", "TIDINGS_KAFKA_PARTITIONS", "partitions of a topic that does not say",
		parsed(func(s *settings) *int { return &s.Kafka.Partitions }, strconv.Atoi)},
	{"rebalance-delay", "TIDINGS_KAFKA_REBALANCE_DELAY",
		"how long a new group waits for more members",
		parsed(func(s *settings) *time.Duration { return &s.Kafka.RebalanceDelay },
			time.ParseDuration)},
	{"amqp", "TIDINGS_AMQP_LISTEN",
		"address for AMQP 0-9-1 clients (RabbitMQ's), host:port or :port; off: none",
		text(func(s *settings) *string { return &s.AMQP.Listen })},
	{"management", "TIDINGS_AMQP_MANAGEMENT",
		"address of RabbitMQ's management HTTP API, host:port or :port; off: none",
		text(func(s *settings) *string { return &s.AMQP.Management })},
	{"management-hosts", "TIDINGS_AMQP_HOSTS",
		"host names the management API answers to, beside loopback",
		list(func(s *settings) *[]string { return &s.AMQP.Hosts })},
	{"aws", "TIDINGS_AWS_LISTEN",
		"address for AWS SDKs (SQS and SNS), host:port or :port; off: none",
		text(func(s *settings) *string { return &s.AWS.Listen })},
	{"aws-hosts", "TIDINGS_AWS_HOSTS",
		"host names with a dot under which a GET for SQS is answered",
		list(func(s *settings) *[]string { return &s.AWS.Hosts })},
	{"aws-account", "TIDINGS_AWS_ACCOUNT", "account in URLs and ARNs of queues and topics, 12 digits",
		text(func(s *settings) *string { return &s.AWS.Account })},
	{"aws-region", "TIDINGS_AWS_REGION", "region in ARNs of queues and topics",
		text(func(s *settings) *string { return &s.AWS.Region })},
	{"aws-url", "TIDINGS_AWS_URL", "where subscribers of SNS find the AWS address; default: localhost and its port",
		text(func(s *settings) *string { return &s.AWS.URL })},
	{"aws-keys", "TIDINGS_AWS_KEYS", "KEY:SECRET of who must have signed requests for SQS, comma-separated",
		parsed(func(s *settings) *map[string]string { return &s.AWS.Keys }, parseKeys)},
	{"aws-reset", "TIDINGS_AWS_RESET",
		"for test suites: POST /_tidings/reset on the AWS address deletes all queues of SQS and topics of SNS",
		parsed(func(s *settings) *bool { return &s.AWS.Reset }, strconv.ParseBool)},
	{"admin", "TIDINGS_ADMIN_LISTEN", "address of the admin API and metrics, host:port or :port",
		text(func(s *settings) *string { return &s.Admin.Listen })},
	{"admin-hosts", "TIDINGS_ADMIN_HOSTS", "host names the admin API answers to, beside loopback",
		list(func(s *settings) *[]string { return &s.Admin.Hosts })},
	{"allow-remote", "TIDINGS_ALLOW_REMOTE",
		"listen beyond loopback although there are no passwords",
		parsed(func(s *settings) *bool { return &s.AllowRemote }, strconv.ParseBool)},
	{"log", "TIDINGS_LOG", "what is logged: debug, info, warn or error",
		text(func(s *settings) *string { return &s.Log })},
	{"drain", "TIDINGS_DRAIN", "how long stopping waits for requests under way",
		parsed(func(s *settings) *time.Duration { return &s.Drain }, time.ParseDuration)},
}

// parseKeys reads KEY:SECRET,KEY:SECRET. Its error does not repeat a secret.
func parseKeys(text string) (map[string]string, error) {
	keys := map[string]string{}
	for i, pair := range strings.Split(text, ",") {
		key, secret, ok := strings.Cut(strings.TrimSpace(pair), ":")
		if !ok || key == "" || secret == "" {
			return nil, fmt.Errorf("key %d is not KEY:SECRET", i+1)
		}
		keys[key] = secret
	}
	return keys, nil
}

// addSettings gives a command a flag for each setting.
func addSettings(cmd *cobra.Command, defaults settings) {
	shown := map[string]string{
		"data": defaults.Data, "sync": defaults.Sync, "kafka": defaults.Kafka.Listen,
		"amqp": defaults.AMQP.Listen, "management": defaults.AMQP.Management,
		"aws": defaults.AWS.Listen, "aws-account": defaults.AWS.Account, "aws-region": defaults.AWS.Region,
		"admin": defaults.Admin.Listen, "log": defaults.Log,
	}
	for _, s := range settingTable {
		help := s.usage
		if d := shown[s.flag]; d != "" {
			help += " (default " + d + ")"
		}
		cmd.Flags().String(s.flag, "", help)
	}
	for _, name := range []string{"auto-create", "allow-remote", "aws-reset"} {
		cmd.Flags().Lookup(name).NoOptDefVal = "true"
	}
	cmd.Flags().StringArray("topic", nil, "topic to be there, NAME or NAME:PARTITIONS; repeatable")
	cmd.Flags().String("ports", "", "auto: take free ports instead of the given ones")
	_ = cmd.RegisterFlagCompletionFunc("sync", cobra.FixedCompletions(
		[]string{"always", "interval", "never"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("ports", cobra.FixedCompletions(
		[]string{"auto"}, cobra.ShellCompDirectiveNoFileComp))
}

// apply lays environment and flags over the settings.
func (s *settings) apply(cmd *cobra.Command, env func(string) string) error {
	for _, set := range settingTable {
		source, value := set.env, env(set.env)
		if f := cmd.Flags().Lookup(set.flag); f.Changed {
			source, value = "--"+set.flag, f.Value.String()
		}
		if value == "" {
			continue
		}
		if err := set.set(s, value); err != nil {
			if set.flag == "aws-keys" {
				value = "..." // secrets are not for the screen
			}
			return usage(fmt.Sprintf("%s: %q is not right: %s", source, value, rootCause(err)))
		}
	}
	topics, _ := cmd.Flags().GetStringArray("topic")
	for _, t := range topics {
		parsed, err := parseTopic(t)
		if err != nil {
			return err
		}
		s.Topics = append(s.Topics, topicEntry{Name: parsed.Name, Partitions: parsed.Partitions})
	}
	s.given = givenFlags(cmd)
	s.portGiven = map[string]bool{}
	for _, name := range []string{"kafka", "amqp", "management", "aws", "admin"} {
		s.portGiven[name] = cmd.Flags().Changed(name)
	}
	if err := s.check(); err != nil {
		return err
	}
	return s.applyPorts(cmd)
}

// givenFlags are the flags of a command as they were typed, but for those that
// choose addresses: what a hint repeats.
func givenFlags(cmd *cobra.Command) (given []string) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		switch f.Name {
		case "kafka", "admin", "ports", "aws-keys": // the last are secrets
			return
		case "amqp", "management", "aws":
			if f.Value.String() != off {
				return
			}
		}
		for _, v := range values {
			if f.NoOptDefVal != "" {
				given = append(given, "--"+f.Name+"="+v)
			} else {
				given = append(given, "--"+f.Name+" "+shellWord(v))
			}
		}
	})
	return given
}

// shellWord quotes what a shell would take apart.
func shellWord(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\n'\"\\$`&|;<>()*?[]{}#~!") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func (s *settings) applyPorts(cmd *cobra.Command) error {
	switch ports, _ := cmd.Flags().GetString("ports"); ports {
	case "":
	case "auto":
		for _, addr := range []struct {
			flag  string
			value *string
		}{{"kafka", &s.Kafka.Listen}, {"amqp", &s.AMQP.Listen}, {"management", &s.AMQP.Management},
			{"aws", &s.AWS.Listen}, {"admin", &s.Admin.Listen}} {
			if !cmd.Flags().Lookup(addr.flag).Changed && *addr.value != off {
				*addr.value = withPort(hostOf(*addr.value), "0")
			}
		}
	default:
		return usage("--ports: the only word is auto")
	}
	return nil
}

// promise says in words what the sync policy means.
func (s *settings) promise() string {
	switch s.Sync {
	case "interval":
		return fmt.Sprintf("fsync every %s: a power cut may take that much", s.SyncInterval)
	case "never":
		return "no fsync: a power cut may take acknowledged records"
	}
	return "every acknowledged record is fsynced"
}

// dataPath is the data directory for people and programs elsewhere.
func (s *settings) dataPath() string {
	if abs, err := filepath.Abs(s.Data); err == nil {
		return abs
	}
	return s.Data
}
