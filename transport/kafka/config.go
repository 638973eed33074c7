package kafka

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Config is how a Transport reaches a cluster, and what it makes there. Only Seeds is required.
type Config struct {
	// Seeds are some brokers of the cluster, "host:port"; the others are asked for.
	Seeds []string
	// ClientID names the program in the logs and quotas of the brokers; "" is "tidings".
	ClientID string
	// TLS encrypts connections; nil does not.
	TLS *tls.Config
	// SASL logs in; nil does not.
	SASL *SASL

	// Partitions of the topics that the transport makes, those of addresses included; 0 is 8.
	// Topics that are there keep theirs.
	Partitions int
	// ReplicationFactor of those topics; 0 is the brokers' default.
	ReplicationFactor int
	// Compression of what is published: "snappy", "gzip", "lz4", "zstd" or "none"; "" is snappy.
	Compression string
	// MaxBytes bounds an event, with its attributes and key, and a batch of them; 0 is 1,000,000.
	// A topic whose max.message.bytes is less has that bound; those that the transport makes have
	// more where this is more than a broker's default.
	MaxBytes int
	// MaxDelay bounds the delay of Nack; 0 is 24 h. Declare refuses an address whose topic keeps
	// records for less than twice that.
	MaxDelay time.Duration
	// ReadAhead bounds how many retries that are not due yet a consumer holds in memory, and 64 MiB
	// bounds their bytes; 0 is 10,000. At the bound it stops reading its address until half are due.
	ReadAhead int
	// CommitEvery is how long a settlement may wait to be committed; 0 is 200 ms.
	CommitEvery time.Duration

	// Logger takes what goes wrong and mends itself; nil is slog.Default().
	Logger *slog.Logger
	// Options are added to every client that the transport makes, after its own: for dialers,
	// other logins, timeouts, hooks. What the guarantees of this package rest on should be left
	// alone: acks, idempotence, group balancing, offsets and commits.
	Options []kgo.Opt
}

// SASL is a login with a password.
type SASL struct {
	// Mechanism is "plain", "scram-sha-256" or "scram-sha-512"; "" is scram-sha-512.
	Mechanism      string
	User, Password string
}

// most bounds Config.MaxBytes: a request for so much fits the protocol.
const most = 1 << 30

// checked is the Config with its defaults.
func (c Config) checked() (Config, error) {
	if len(c.Seeds) == 0 {
		return c, errors.New("kafka: no seed brokers")
	}
	for _, n := range []int{c.Partitions, c.ReplicationFactor, c.MaxBytes, c.ReadAhead,
		int(c.MaxDelay), int(c.CommitEvery)} {
		if n < 0 {
			return c, fmt.Errorf("kafka: a setting is %d, below 0", n)
		}
	}
	if c.MaxBytes > most {
		return c, fmt.Errorf("kafka: MaxBytes is %d, beyond %d", c.MaxBytes, most)
	}
	setZero(&c.ClientID, "tidings")
	setZero(&c.Partitions, 8)
	setZero(&c.ReplicationFactor, -1)
	setZero(&c.Compression, "snappy")
	setZero(&c.MaxBytes, 1_000_000)
	setZero(&c.MaxDelay, 24*time.Hour)
	setZero(&c.ReadAhead, 10_000)
	setZero(&c.CommitEvery, 200*time.Millisecond)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, nil
}

func setZero[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// connection is what all clients have in common; Options come last of all, see client.
func (c *Config) connection() ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Seeds...),
		kgo.ClientID(c.ClientID),
		kgo.WithLogger(clientLog{c.Logger}),
		kgo.DisableClientMetrics(),
	}
	if c.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(c.TLS))
	}
	if c.SASL != nil {
		login, err := c.SASL.mechanism()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(login))
	}
	return opts, nil
}

func (s *SASL) mechanism() (sasl.Mechanism, error) {
	switch s.Mechanism {
	case "plain":
		return plain.Auth{User: s.User, Pass: s.Password}.AsMechanism(), nil
	case "scram-sha-256":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha256Mechanism(), nil
	case "", "scram-sha-512":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha512Mechanism(), nil
	default:
		return nil, fmt.Errorf("kafka: no sasl mechanism %q; Config.Options takes others", s.Mechanism)
	}
}

func (c *Config) codec() (kgo.CompressionCodec, error) {
	switch c.Compression {
	case "none":
		return kgo.NoCompression(), nil
	case "gzip":
		return kgo.GzipCompression(), nil
	case "snappy":
		return kgo.SnappyCompression(), nil
	case "lz4":
		return kgo.Lz4Compression(), nil
	case "zstd":
		return kgo.ZstdCompression(), nil
	default:
		return kgo.NoCompression(), fmt.Errorf("kafka: no compression %q", c.Compression)
	}
}
