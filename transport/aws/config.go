package aws

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
)

// Config says which account a Transport works in, and how. AWS is all that it needs.
type Config struct {
	// AWS has the region and the credentials, as package config of the SDK loads them. BaseEndpoint
	// leads to a Tidings broker or an emulator. Its Retryer decides how often a request is tried.
	AWS sdk.Config
	// FIFO makes and uses FIFO topics and queues, whose names end with ".fifo", for everything:
	// order by key, and deduplication. All who share topics and groups have the same FIFO.
	FIFO bool
	// Name makes the name of a topic or queue from that of a topic or group, without ".fifo". SNS
	// and SQS take letters, digits, '-' and '_'; nil makes '_' of each '.'.
	Name func(string) string
	// VisibilityTimeout is how long a delivery may be held until it is extended, in whole seconds
	// up to 12 h; 0 is 30 s.
	VisibilityTimeout time.Duration
	// PollTime is how long a poll waits for a message, in whole seconds up to 20 s, which 0 is. A
	// network that ends quiet requests earlier needs less.
	PollTime time.Duration
	// Retention is how long a queue that the transport makes keeps events, from a minute to 14 days;
	// 0 is 14 days. Queues that are there keep theirs.
	Retention time.Duration
	// Logger hears of queues that are made and of settlements that fail; nil is slog.Default().
	Logger *slog.Logger
}

const (
	defaultVisibility = 30 * time.Second
	longestVisibility = 12 * time.Hour
	longestPoll       = 20 * time.Second
	longestRetention  = 14 * 24 * time.Hour
)

func (c Config) checked() (Config, error) {
	c.VisibilityTimeout = cmp.Or(c.VisibilityTimeout, defaultVisibility)
	c.PollTime = cmp.Or(c.PollTime, longestPoll)
	c.Retention = cmp.Or(c.Retention, longestRetention)
	if c.Name == nil {
		c.Name = func(name string) string { return strings.ReplaceAll(name, ".", "_") }
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	switch {
	case c.AWS.Region == "":
		return c, errors.New("aws: the configuration of the SDK has no region")
	case !wholeSeconds(c.VisibilityTimeout, longestVisibility):
		return c, fmt.Errorf("aws: visibility timeout %v, want whole seconds up to %v",
			c.VisibilityTimeout, longestVisibility)
	case !wholeSeconds(c.PollTime, longestPoll):
		return c, fmt.Errorf("aws: poll time %v, want whole seconds up to %v", c.PollTime, longestPoll)
	case c.Retention < time.Minute || c.Retention > longestRetention:
		return c, fmt.Errorf("aws: retention %v, want a minute to %v", c.Retention, longestRetention)
	}
	return c, nil
}

func wholeSeconds(d, most time.Duration) bool {
	return d >= time.Second && d <= most && d%time.Second == 0
}

const (
	mostQueueName = 80
	mostTopicName = 256
	fifoSuffix    = ".fifo"
)

var nameRule = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func (c *Config) queueName(group string) (string, error) {
	return c.name("group", group, mostQueueName)
}

func (c *Config) topicName(topic string) (string, error) {
	return c.name("topic", topic, mostTopicName)
}

func (c *Config) name(what, of string, most int) (string, error) {
	if of == "" {
		return "", fmt.Errorf("aws: a %s without a name", what)
	}
	name := c.Name(of)
	if !nameRule.MatchString(name) {
		return "", fmt.Errorf("aws: %s %q would be called %q: want letters, digits, '-' and '_'",
			what, of, name)
	}
	if c.FIFO {
		name += fifoSuffix
	}
	if len(name) > most {
		return "", fmt.Errorf("aws: %s %q would be called %q, which is longer than %d",
			what, of, name, most)
	}
	return name, nil
}

// nameTag is the tag of a topic or queue with the name that it has in a program, since Name can
// make one name of two.
const nameTag = "tidings-name"

// owns fails where a topic or queue is that of another name. One without the tag was made by
// others, and has no other name than the one it shows.
func (c *Config) owns(tags map[string]string, of, name string) error {
	owner, tagged := tags[nameTag]
	if !tagged {
		owner = strings.TrimSuffix(name, fifoSuffix)
	}
	if owner == of {
		return nil
	}
	return fmt.Errorf("aws: %q would be called %q, which is %q already: have Config.Name tell them "+
		"apart, or if it is the same give it the tag %s=%s", of, name, owner, nameTag, of)
}
