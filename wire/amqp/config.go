package amqp

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/tidings-io/tidings/listener"
)

// Config says how a Server listens. The zero value listens on localhost:5672 for the user guest
// with the password guest, as RabbitMQ does.
type Config struct {
	Addr string // host:port; default localhost:5672, which is both loopback addresses
	// AllowRemote lets Addr be one that other machines can reach.
	AllowRemote bool
	// TLS, if set, is spoken from the first byte on.
	TLS *tls.Config
	// Authenticate, if set, says whether a user may connect; who may can do everything in every
	// virtual host. Else the broker's users and their permissions decide, and Listen makes the user
	// guest with the password guest, an administrator, in a broker that has never had a user.
	Authenticate func(user, password string, from net.Addr) bool
	// LoopbackUsers may connect from this machine only; nil: guest. Without effect beside
	// Authenticate.
	LoopbackUsers []string
	// CertificateLogin is the name of a client's certificate that is its user in the mechanism
	// EXTERNAL, which is offered where TLS verifies certificates of clients.
	CertificateLogin CertificateLogin
	// Version is the version of RabbitMQ whose behaviour clients can expect; some compare it.
	// Default 4.0.0.
	Version string
	Logger  *slog.Logger // default: nothing is logged
	Limits  Limits
}

// Limits bound what clients can ask for. A zero field is its default.
type Limits struct {
	Connections  int           // default 20,000
	Channels     uint16        // of a connection; default 2047
	FrameBytes   uint32        // offered frame-max, overhead included; default 131,072
	MessageBytes uint64        // of a body; default 16 MiB; beyond it 406 closes the channel
	Heartbeat    time.Duration // offered, in whole seconds; default 60 s
	Handshake    time.Duration // until connection.open is answered; default 10 s
	// QueuedBytes is how much may wait to be written to a client before no more deliveries are
	// taken for it; default 256 KiB. A client that does not read holds this much, one message more,
	// and the replies to one read of its requests.
	QueuedBytes int
	// Consumers bounds those of a channel; default 10,000.
	Consumers int
	// ConsumerTimeout is how long a delivery may be kept without being settled, where neither its
	// consumer nor its queue says; default 30 min, negative: for ever. Beyond it 406 closes the
	// channel, and what it has goes back.
	ConsumerTimeout time.Duration
	// TxBytes bounds what a channel in tx mode may publish before it commits; default 64 MiB.
	TxBytes int
}

var defaultLimits = Limits{
	Connections: 20_000, Channels: 2047, FrameBytes: 131_072, MessageBytes: 16 << 20,
	Heartbeat: 60 * time.Second, Handshake: 10 * time.Second,
	QueuedBytes: 256 << 10, Consumers: 10_000, ConsumerTimeout: 30 * time.Minute, TxBytes: 64 << 20,
}

func (c Config) checked() (Config, error) {
	c.Addr = cmp.Or(c.Addr, "localhost:5672")
	c.Version = cmp.Or(c.Version, "4.0.0")
	l, d := &c.Limits, defaultLimits
	l.Connections = cmp.Or(l.Connections, d.Connections)
	l.Channels = cmp.Or(l.Channels, d.Channels)
	l.FrameBytes = cmp.Or(l.FrameBytes, d.FrameBytes)
	l.MessageBytes = cmp.Or(l.MessageBytes, d.MessageBytes)
	l.Heartbeat = cmp.Or(l.Heartbeat, d.Heartbeat)
	l.Handshake = cmp.Or(l.Handshake, d.Handshake)
	l.QueuedBytes = cmp.Or(l.QueuedBytes, d.QueuedBytes)
	l.Consumers = cmp.Or(l.Consumers, d.Consumers)
	l.ConsumerTimeout = cmp.Or(l.ConsumerTimeout, d.ConsumerTimeout)
	l.TxBytes = cmp.Or(l.TxBytes, d.TxBytes)
	if c.LoopbackUsers == nil {
		c.LoopbackUsers = []string{guest}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case l.FrameBytes < minFrameMax:
		return c, fmt.Errorf("amqp: frames of %d bytes, want at least %d", l.FrameBytes, minFrameMax)
	case l.Connections < 0 || l.QueuedBytes < 0 || l.Consumers < 0 || l.TxBytes < 0 ||
		l.Heartbeat < 0 || l.Handshake < 0:
		return c, errors.New("amqp: a limit is negative")
	}
	if err := listener.Check(c.Addr, c.AllowRemote); err != nil {
		return c, fmt.Errorf("amqp: %w", err)
	}
	return c, nil
}
