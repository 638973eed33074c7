package rabbitmq

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"
)

// QueueType is what the queue of a group is made of.
type QueueType string

const (
	// Quorum queues are kept by a majority of a cluster's nodes, and count deliveries.
	Quorum QueueType = "quorum"
	// Classic queues are kept by one node.
	Classic QueueType = "classic"
)

// Config says which broker a Transport speaks to, and how. URL is all that it needs.
type Config struct {
	// URL is amqp://user:password@host:port/vhost, or amqps for TLS, as RabbitMQ's URI
	// specification has it with its query parameters. It is never logged.
	URL string
	// TLS replaces what the URL says of certificates.
	TLS *tls.Config
	// ConnectionName is what the broker lists the connections as; default "tidings".
	ConnectionName string
	// Heartbeat is how often an idle connection shows that it lives; one that is silent for three
	// times as long is lost. Default 10 s; a heartbeat in the URL goes first.
	Heartbeat time.Duration
	// Name makes the name of an exchange or queue from that of a topic or group; nil: as it is. It
	// must never make one name of two.
	Name func(string) string
	// QueueType is that of groups and of what waits for later; default Quorum. A queue that is
	// there as another type is an error.
	QueueType QueueType
	// SingleActive says of which groups one consumer receives at a time, while the others stand by;
	// nil: of none. It keeps the order of a group's events also while its consumers come, go and are
	// killed, and gives up that they share the work. All programs must say the same of a group.
	SingleActive func(group string) bool
	// QueueArguments are further arguments of the queues of groups, or replace those that the
	// transport sets; nil as a value leaves one out. They must equal those of a queue that is there.
	QueueArguments amqp.Table
	// Logger hears of connections that come and go, and of brokers that hold publishers back;
	// nil is slog.Default().
	Logger *slog.Logger
	Limits Limits
}

// Limits bound what a Transport holds. A zero field is its default.
type Limits struct {
	// InFlight is how many publishes may wait for the broker's confirm at once; default 2,048.
	// Publishers beyond it wait.
	InFlight int
	// Silence is how long InFlight publishes may wait without one that is confirmed; then they end in a
	// *tidings.PublishError, and others go on. Default 30 s.
	Silence time.Duration
	// Window is the window of subscriptions that say none; default 256, at most 65,535.
	Window int
	// MaxBytes is the largest payload; default 16 MiB, as in RabbitMQ 4.
	MaxBytes int
}

const (
	defaultHeartbeat = 10 * time.Second
	defaultInFlight  = 2048
	defaultSilence   = 30 * time.Second
	defaultWindow    = 256
	mostWindow       = 1<<16 - 1 // a prefetch count is a short
	defaultMaxBytes  = 16 << 20
)

func (c Config) checked() (Config, error) {
	c.ConnectionName = cmp.Or(c.ConnectionName, "tidings")
	c.Heartbeat = cmp.Or(c.Heartbeat, defaultHeartbeat)
	c.QueueType = cmp.Or(c.QueueType, Quorum)
	c.Limits.InFlight = cmp.Or(c.Limits.InFlight, defaultInFlight)
	c.Limits.Silence = cmp.Or(c.Limits.Silence, defaultSilence)
	c.Limits.Window = cmp.Or(c.Limits.Window, defaultWindow)
	c.Limits.MaxBytes = cmp.Or(c.Limits.MaxBytes, defaultMaxBytes)
	if c.Name == nil {
		c.Name = func(name string) string { return name }
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.QueueType != Quorum && c.QueueType != Classic {
		return c, fmt.Errorf("rabbitmq: queue type %q, want quorum or classic", c.QueueType)
	}
	l := c.Limits
	if l.InFlight < 0 || l.Silence < 0 || l.Window < 0 || l.Window > mostWindow || l.MaxBytes < 0 || c.Heartbeat < 0 {
		return c, fmt.Errorf("rabbitmq: a limit is out of range: %+v", l)
	}
	if _, err := amqp.ParseURI(c.URL); err != nil {
		return c, fmt.Errorf("rabbitmq: the URL is not that of an AMQP broker: %w", withoutURL(err))
	}
	if err := c.QueueArguments.Validate(); err != nil {
		return c, fmt.Errorf("rabbitmq: queue arguments: %w", err)
	}
	return c, nil
}

// withoutURL is an error of parsing without the text that was parsed: there is a password in it.
func withoutURL(err error) error {
	if parse, ok := errors.AsType[*url.Error](err); ok {
		return errors.New(strings.ReplaceAll(parse.Err.Error(), parse.URL, "URL"))
	}
	return err
}

// mostName bounds names, so that a routing key has room for one beside a delay.
const mostName = 200

// name is the exchange or queue that a topic or group is.
func (c *Config) name(what, of string) (string, error) {
	name := c.Name(of)
	switch {
	case of == "" || name == "":
		return "", fmt.Errorf("rabbitmq: a %s without a name", what)
	case len(name) > mostName:
		return "", fmt.Errorf("rabbitmq: %s %.40q... is longer than %d bytes", what, name, mostName)
	case strings.ContainsFunc(name, unicode.IsControl), !utf8.ValidString(name): // RabbitMQ drops newlines
		return "", fmt.Errorf("rabbitmq: %s %q: a name is UTF-8 without control characters", what, name)
	case strings.HasPrefix(name, "amq."), strings.HasPrefix(name, delayPrefix):
		return "", fmt.Errorf("rabbitmq: %s %q: names that begin with amq. or %s are reserved",
			what, name, delayPrefix)
	}
	return name, nil
}
