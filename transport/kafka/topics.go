package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// addressSuffix makes the name of a group that of the topic that is its address.
	addressSuffix = ".direct"
	maxName       = 249
	// maxKnown bounds the cache of topics. When it is full it begins anew.
	maxKnown = 10_000
)

func address(group string) string { return group + addressSuffix }

// checkTopic says whether events can be published to a topic.
func checkTopic(topic string) error {
	if strings.HasSuffix(topic, addressSuffix) {
		return fmt.Errorf("kafka: topic %q: names ending in %q are addresses of groups", topic, addressSuffix)
	}
	return checkName("topic", topic, maxName)
}

// checkGroup says whether a group can have an address.
func checkGroup(group string) error {
	return checkName("group", group, maxName-len(addressSuffix))
}

// checkName refuses what Kafka does not take as the name of a topic.
func checkName(what, name string, most int) error {
	strange := strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') &&
			r != '.' && r != '_' && r != '-'
	})
	if strange >= 0 || name == "" || name == "." || name == ".." || len(name) > most {
		return fmt.Errorf("kafka: %s %.300q: a name is 1 to %d of a-z, A-Z, 0-9, '.', '_' and '-', "+
			"and not '.' or '..'", what, name, most)
	}
	return nil
}

// topics knows which topics there are, and makes them.
type topics struct {
	config *Config
	client *kgo.Client // the producer
	admin  *kadm.Client

	mu    sync.Mutex
	known map[string]int // topics that were there, and the most bytes of a batch
}

// batchBytes is how large a batch for a topic may be.
func (t *Transport) batchBytes(topic string) int32 { return int32(t.topics.batchBytes(topic)) }

func (ts *topics) batchBytes(topic string) int {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if n, ok := ts.known[topic]; ok {
		return n
	}
	return ts.config.MaxBytes + tidings.CopyBytes
}

// eventBytes is how large an event for a topic may be: so that a copy of it, which has some headers
// more, has room as well.
func (ts *topics) eventBytes(topic string, e *tidings.Event) int {
	if e.IsCopy() {
		return ts.batchBytes(topic)
	}
	return ts.batchBytes(topic) - tidings.CopyBytes
}

func (ts *topics) has(topic string) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	_, ok := ts.known[topic]
	return ok
}

func (ts *topics) learn(topic string, maxBytes int) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if len(ts.known) >= maxKnown {
		clear(ts.known)
	}
	ts.known[topic] = maxBytes
}

// forget is for a topic that turned out to be gone.
func (ts *topics) forget(topic string) {
	ts.mu.Lock()
	delete(ts.known, topic)
	ts.mu.Unlock()
	ts.client.PurgeTopicsFromProducing(topic)
}

// ensure makes a topic unless it is there.
func (ts *topics) ensure(ctx context.Context, topic string) error {
	if ts.has(topic) {
		return nil
	}
	there, err := ts.exists(ctx, topic)
	if err == nil && !there {
		err = ts.create(ctx, topic, ts.config.Partitions, map[string]*string{})
	}
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return err
	}
	unbound := int64(ts.config.MaxBytes + tidings.CopyBytes)
	maxBytes, err := ts.setting(ctx, topic, "max.message.bytes", unbound)
	if err != nil {
		return err
	}
	ts.learn(topic, int(min(maxBytes, unbound)))
	return nil
}

// exists says whether a topic is there.
func (ts *topics) exists(ctx context.Context, topic string) (bool, error) {
	_, err := ts.look(ctx, topic)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return false, nil
	}
	return err == nil, err
}

// look asks the brokers. The least age is so short that no answer of before will do; kadm's own
// functions then find this one among what the client remembers.
func (ts *topics) look(
	ctx context.Context, topic string,
) (detail kmsg.MetadataResponseTopic, err error) {
	q := kmsg.NewPtrMetadataRequest()
	q.Topics = append(q.Topics, kmsg.MetadataRequestTopic{Topic: &topic})
	resp, err := ts.client.RequestCachedMetadata(ctx, q, time.Nanosecond)
	if err == nil && len(resp.Topics) != 1 {
		err = kerr.UnknownTopicOrPartition
	}
	if err == nil {
		detail = resp.Topics[0]
		err = kerr.ErrorForCode(detail.ErrorCode)
	}
	if err != nil {
		return detail, fmt.Errorf("kafka: look for topic %q: %w", topic, err)
	}
	return detail, nil
}

// defaultBytes is max.message.bytes where nobody says otherwise.
const defaultBytes = 1_048_588

// create makes a topic, and waits until brokers know it. It takes what Config.MaxBytes lets through, so
// that there is a dead letter of whatever a topic of others takes.
func (ts *topics) create(
	ctx context.Context, topic string, partitions int, settings map[string]*string,
) error {
	if most := ts.config.MaxBytes + tidings.CopyBytes; most > defaultBytes {
		text := strconv.Itoa(most)
		settings["max.message.bytes"] = &text
	}
	_, err := ts.admin.CreateTopic(ctx, int32(partitions), int16(ts.config.ReplicationFactor),
		settings, topic)
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed),
		errors.Is(err, kerr.PolicyViolation):
		return fmt.Errorf("kafka: topic %q is not there, and may not be created: %w", topic, err)
	case err != nil:
		return fmt.Errorf("kafka: create topic %q: %w", topic, err)
	}
	return ts.await(ctx, topic)
}

// await asks until a topic is there with all its leaders: brokers learn of it one after the other.
func (ts *topics) await(ctx context.Context, topic string) error {
	return persist(ctx, func() error {
		detail, err := ts.look(ctx, topic)
		for _, p := range detail.Partitions {
			if err == nil {
				err = kerr.ErrorForCode(p.ErrorCode)
			}
		}
		return err
	})
}

// persist does what fails in a way that passes again, until ctx ends.
func persist(ctx context.Context, do func() error) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := do()
		if !kerr.IsRetriable(err) {
			return err
		}
		if sleep(ctx, pause) != nil {
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

// remove deletes a topic, or finds that it is gone.
func (ts *topics) remove(ctx context.Context, topic string) error {
	ts.forget(topic)
	_, err := ts.admin.DeleteTopic(ctx, topic)
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return fmt.Errorf("kafka: delete topic %q: %w", topic, err)
	}
	return nil
}

// setting is a number among the settings of a topic, or otherwise where it cannot be had: who may
// write to a topic need not be allowed to see them.
func (ts *topics) setting(
	ctx context.Context, topic, name string, otherwise int64,
) (int64, error) {
	found, err := ts.admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("kafka: settings of topic %q: %w", topic, err)
	}
	settings, err := found.On(topic, nil)
	if err != nil || settings.Err != nil {
		ts.config.Logger.Debug("kafka: settings of a topic cannot be read", "topic", topic,
			"error", errors.Join(err, settings.Err))
		return otherwise, nil
	}
	for _, s := range settings.Configs {
		if n, err := strconv.ParseInt(s.MaybeValue(), 10, 64); s.Key == name && err == nil {
			return n, nil
		}
	}
	return otherwise, nil
}

// declareTopics makes the topics that are missing.
func (t *Transport) declareTopics(ctx context.Context, names []string) error {
	for _, topic := range names {
		if err := t.topics.ensure(ctx, topic); err != nil {
			return err
		}
	}
	return nil
}

// declareAddress makes the address of a group, and checks that a delayed retry can wait there.
func (t *Transport) declareAddress(ctx context.Context, group string) error {
	topic := address(group)
	if err := t.topics.ensure(ctx, topic); err != nil {
		return err
	}
	kept, err := t.topics.setting(ctx, topic, "retention.ms", -1)
	if err != nil {
		return err
	}
	if need := 2 * t.config.MaxDelay; kept >= 0 && kept < need.Milliseconds() {
		return fmt.Errorf("kafka: topic %q keeps records for %v, which Config.MaxDelay wants to be %v: %w",
			topic, time.Duration(kept)*time.Millisecond, need, tidings.ErrUnsupported)
	}
	return nil
}
