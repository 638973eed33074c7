package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/console"
	"github.com/tidings-io/tidings/storage"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/wire/amqp"
	"github.com/tidings-io/tidings/wire/amqp/management"
	"github.com/tidings-io/tidings/wire/aws"
	"github.com/tidings-io/tidings/wire/kafka"
)

// node is a running broker with its faces.
type node struct {
	s       settings
	b       *broker.Broker
	kafka   *kafka.Server
	amqp    *amqp.Server       // nil: off
	manage  *management.Server // nil: off
	aws     *aws.Server        // nil: off
	topics  *aws.Topics        // of SNS: they have subscribers also where aws is off
	admin   *console.Server
	metrics *console.Metrics
	log     *slog.Logger
	demo    *demo // nil: none
}

// startNode opens the store first, so that a second server on the same data
// hears who holds it, and not which port is taken.
func startNode(ctx context.Context, s settings, log *slog.Logger) (*node, error) {
	n := &node{s: s, log: log, metrics: &console.Metrics{}}
	for _, step := range []func(context.Context) error{
		n.prepareData, n.openBroker, n.createTopics, n.listenAWS, n.listenKafka, n.listenAMQP,
		n.listenManagement, n.listenAdmin,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, n.close())
		}
	}
	return n, nil
}

func (n *node) prepareData(context.Context) error {
	if n.s.fs != nil {
		return nil
	}
	return n.s.prepareData()
}

func (n *node) openBroker(context.Context) error {
	policy, err := n.s.syncPolicy()
	if err != nil {
		return err
	}
	n.topics, err = aws.NewTopics(aws.TopicsConfig{Account: n.s.AWS.Account, Region: n.s.AWS.Region, URL: n.s.AWS.URL,
		Logger: n.log})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(n.s.Data, 0o755); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	n.b, err = broker.Open(n.s.Data, broker.Config{
		FS: n.s.fs,
		Storage: storage.Config{
			Sync: policy, SyncInterval: n.s.SyncInterval, Owner: n.owner(), Logger: n.log,
		},
		Observer: n.metrics, Logger: n.log,
		FromTopic: amqp.FromTopic,
		Props: map[broker.PropsFormat]broker.PropsReader{
			broker.PropsAMQP: amqp.Props{}, broker.PropsSQS: aws.Props{}},
		Relays: map[string]func(*broker.Broker) broker.Relay{aws.TopicType: n.topics.Relay},
	})
	if err != nil {
		n.b = nil
		return n.openFailure(err)
	}
	return n.topics.Deliver()
}

// owner is what a second server on the same data is told about this one.
func (n *node) owner() string {
	return fmt.Sprintf("tidings %s (pid %d, since %s)", n.s.command, os.Getpid(),
		time.Now().Format(time.DateTime))
}

// openFailure says what to do about data that cannot be opened.
func (n *node) openFailure(err error) error {
	switch {
	case errors.Is(err, vfs.ErrLocked):
		return lockedFailure(err, n.s.Data).
			hint("use that one", "tidings ls").
			hint("other data", "tidings "+n.s.command+" --data DIR --ports auto")
	case errors.Is(err, storage.ErrDamaged):
		return failed("%s", err).
			hint("look closer", "tidings doctor --data "+n.s.Data).
			hint("repair", "tidings repair --data "+n.s.Data)
	case errors.Is(err, storage.ErrFormat):
		return failed("%s", err).hint("hint", "the data was written by a newer tidings: use that")
	}
	return fmt.Errorf("open %s: %w", n.s.Data, err)
}

// createTopics makes the topics that were asked for; those there are stay as
// they are.
func (n *node) createTopics(ctx context.Context) error {
	for _, entry := range n.s.Topics {
		doc, err := entry.document()
		if err != nil {
			return err
		}
		partitions := doc.Partitions
		if partitions == 0 {
			partitions = n.s.Kafka.Partitions
		}
		_, err = n.b.CreateTopic(ctx, broker.TopicSpec{
			Name: doc.Name, Partitions: partitions, Config: brokerConfig(doc.Config),
		})
		if err != nil && broker.KindOf(err) != broker.Exists {
			return err
		}
	}
	return nil
}

func brokerConfig(c console.TopicConfig) broker.TopicConfig {
	cfg := broker.TopicConfig{
		RetentionTime:  time.Duration(c.RetentionSeconds) * time.Second,
		RetentionBytes: c.RetentionBytes, BatchBytes: c.BatchBytes, AppendTime: c.AppendTime,
	}
	if c.RetentionSeconds < 0 {
		cfg.RetentionTime = -1
	}
	return cfg
}

func (n *node) listenKafka(context.Context) (err error) {
	n.kafka, err = kafka.Listen(n.b, kafka.Config{
		Addr: n.s.Kafka.Listen, Advertise: n.s.Kafka.Advertise, AllowRemote: n.s.AllowRemote,
		AutoCreate: n.s.Kafka.AutoCreate, DefaultPartitions: n.s.Kafka.Partitions,
		InitialRebalanceDelay: n.s.Kafka.RebalanceDelay, Logger: n.log,
	})
	return n.s.listenFailure(err, "kafka")
}

func (n *node) listenAMQP(context.Context) (err error) {
	if n.s.AMQP.Listen == off {
		return nil
	}
	n.amqp, err = amqp.Listen(n.b, amqp.Config{
		Addr: n.s.AMQP.Listen, AllowRemote: n.s.AllowRemote, Logger: n.log,
	})
	return n.s.listenFailure(err, "amqp")
}

func (n *node) listenManagement(context.Context) (err error) {
	if !n.s.manages() {
		return nil
	}
	n.manage, err = management.Listen(n.b, n.amqp, management.Config{
		Addr: n.s.AMQP.Management, AllowRemote: n.s.AllowRemote, Hosts: n.s.AMQP.Hosts, Logger: n.log,
		MachineMemory: machineMemory(),
	})
	return n.s.listenFailure(err, "management")
}

// listenAWS is the first to listen: what it makes before that is there for all publishers.
func (n *node) listenAWS(ctx context.Context) (err error) {
	if n.s.AWS.Listen == off {
		return n.declare(ctx, nil)
	}
	n.aws, err = aws.Listen(n.b, aws.Config{
		Addr: n.s.AWS.Listen, AllowRemote: n.s.AllowRemote, Hosts: n.s.AWS.Hosts,
		Account: n.s.AWS.Account, Region: n.s.AWS.Region, Keys: n.s.AWS.Keys, Reset: n.s.AWS.Reset,
		Topics: n.topics, Logger: n.log, Prepare: func(s *aws.Server) error { return n.declare(ctx, s) },
	})
	return n.s.listenFailure(err, "aws")
}

func (n *node) listenAdmin(context.Context) (err error) {
	var actions http.Handler
	if n.aws != nil {
		actions = n.aws.Admin()
	}
	n.admin, err = console.Listen(n.b, console.Config{
		Addr: n.s.Admin.Listen, AllowRemote: n.s.AllowRemote, Hosts: n.s.Admin.Hosts,
		Version: buildVersion(), Data: n.s.dataPath(), Sync: n.s.Sync,
		AutoCreate: n.s.Kafka.AutoCreate, Partitions: n.s.Kafka.Partitions,
		Metrics: n.metrics, Logger: n.log, Listeners: n.listeners,
		Groups: kafkaGroups{n.kafka}, Queues: amqp.Vocabulary{Broker: n.b}, AWS: actions,
		DeadLetters: n.snsDeadLetters,
		Backup:      n.backup,
	})
	return n.s.listenFailure(err, "admin")
}

func (n *node) listeners() []console.Listener {
	all := []console.Listener{{
		Name: "kafka", Addr: n.kafka.Addr().String(), Connections: n.kafka.Stats().Connections,
	}}
	if n.amqp != nil {
		stats := n.amqp.Stats()
		all = append(all, console.Listener{
			Name: "amqp", Addr: n.amqp.Addr().String(), Connections: stats.Connections,
			Channels: stats.Channels,
		})
	}
	if n.aws != nil {
		all = append(all, console.Listener{
			Name: "aws", Addr: n.aws.Addr().String(), Connections: n.aws.Connections(),
		})
	}
	return all
}

// snsDeadLetters are the queues that get dead letters of topics of SNS.
func (n *node) snsDeadLetters() map[string][]string {
	all := n.topics.DeadLetters()
	for _, topics := range all {
		for i := range topics {
			topics[i] = "sns/" + topics[i]
		}
	}
	return all
}

// kafkaGroups lets the admin API see and change the groups of the Kafka face.
type kafkaGroups struct{ *kafka.Server }

// Groups translates what the face tells.
func (k kafkaGroups) Groups() []console.LiveGroup {
	var all []console.LiveGroup
	for _, g := range k.Server.Groups() {
		live := console.LiveGroup{Name: g.Name, State: g.State, Protocol: g.Protocol}
		for _, m := range g.Members {
			live.Members = append(live.Members, console.Member{
				ID: m.ID, Client: m.Client, Host: m.Host, Assigned: assignedTopics(m.Assigned)})
		}
		all = append(all, live)
	}
	return all
}

func assignedTopics(topics map[string][]int32) []console.Assigned {
	rows := []console.Assigned{}
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		row := console.Assigned{Topic: name, Partitions: []int{}}
		for _, p := range topics[name] {
			row.Partitions = append(row.Partitions, int(p))
		}
		rows = append(rows, row)
	}
	return rows
}

// backup copies the store into a directory that is not there yet, or empty.
func (n *node) backup(ctx context.Context, dir string) error {
	return backupInto(ctx, n.b, dir)
}

// source is what can be copied while it is in use.
type source interface {
	Backup(ctx context.Context, dst vfs.FS) error
}

func backupInto(ctx context.Context, s source, dir string) error {
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		return &broker.Error{Kind: broker.Exists, Op: "backup", Name: dir,
			Err: errors.New("the directory is not empty")}
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Clean(dir), 0o755); err != nil {
		return err
	}
	return s.Backup(ctx, vfs.OS(dir))
}

// run waits until the context ends or the store fails, then closes. A store
// that failed is an error with its reason.
func (n *node) run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return n.close()
	case <-n.b.Failed():
		why := n.b.Err()
		closeErr := n.close()
		return failed("the store failed and accepts nothing more: %s", errors.Join(why, closeErr)).
			hint("what is on disk", "is safe: every record that was acknowledged").
			hint("look closer", "tidings doctor --data "+n.s.Data)
	}
}

// close lets requests under way end, for at most the drain time, and then
// closes the store.
func (n *node) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), n.s.Drain)
	defer cancel()
	var errs []error
	if n.demo != nil {
		errs = append(errs, n.demo.Close(ctx))
	}
	if n.admin != nil {
		errs = append(errs, n.admin.Close(ctx))
	}
	if n.aws != nil {
		errs = append(errs, n.aws.Close(ctx))
	}
	if n.manage != nil {
		errs = append(errs, n.manage.Close(ctx))
	}
	if n.amqp != nil {
		errs = append(errs, n.amqp.Close(ctx))
	}
	if n.kafka != nil {
		errs = append(errs, n.kafka.Close(ctx))
	}
	if n.b != nil {
		errs = append(errs, n.topics.Close(ctx), n.b.Close())
	}
	for i, err := range errs {
		if errors.Is(err, context.DeadlineExceeded) {
			n.log.Warn("connections were cut at the end of the drain time", "drain", n.s.Drain)
			errs[i] = nil
		}
	}
	return errors.Join(errs...)
}

func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}
