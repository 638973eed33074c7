package management

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tidings-io/tidings/listener"
)

// Config says how to listen. The zero value listens on localhost:15672, as RabbitMQ does.
type Config struct {
	Addr string // host:port; default localhost:15672, which is both loopback addresses
	// AllowRemote lets Addr be one that other machines can reach.
	AllowRemote bool
	// Hosts are Host header names to answer to, beside loopback and addresses.
	Hosts []string
	// MachineMemory is how many bytes of memory the machine has, for limits that are a share of it;
	// 0: not known, and such limits are refused.
	MachineMemory int64

	Logger *slog.Logger // default: nothing is logged
	Limits Limits
}

// Limits bound what clients can ask for. A zero field is its default.
type Limits struct {
	Connections int   // default 256; a further one is closed
	BodyBytes   int64 // of a request; default 24 MiB, a message of 16 MiB in base64; beyond it 413
	Bodies      int   // requests above 256 KiB in memory at once; default 4; more wait
	GetMessages int   // that one request may take out of a queue; default 1000
	GetBytes    int   // of bodies, after which it takes no more; default 16 MiB

	BodyTime   time.Duration // to receive a body; default 30 s
	AnswerTime time.Duration // for a client to read an answer; default 60 s
}

var defaultLimits = Limits{Connections: 256, BodyBytes: 24 << 20, Bodies: 4, GetMessages: 1000,
	GetBytes: 16 << 20, BodyTime: 30 * time.Second, AnswerTime: time.Minute}

func (c Config) checked() (Config, error) {
	c.Addr = cmp.Or(c.Addr, "localhost:15672")
	l, d := &c.Limits, defaultLimits
	l.Connections = cmp.Or(l.Connections, d.Connections)
	l.BodyBytes = cmp.Or(l.BodyBytes, d.BodyBytes)
	l.Bodies = cmp.Or(l.Bodies, d.Bodies)
	l.GetMessages = cmp.Or(l.GetMessages, d.GetMessages)
	l.GetBytes = cmp.Or(l.GetBytes, d.GetBytes)
	l.BodyTime = cmp.Or(l.BodyTime, d.BodyTime)
	l.AnswerTime = cmp.Or(l.AnswerTime, d.AnswerTime)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.MachineMemory < 0 {
		return c, errors.New("management: the machine's memory is negative")
	}
	if l.Connections < 0 || l.BodyBytes < 0 || l.Bodies < 0 || l.GetMessages < 0 || l.GetBytes < 0 ||
		l.BodyTime < 0 || l.AnswerTime < 0 {
		return c, errors.New("management: a limit is negative")
	}
	if err := listener.Check(c.Addr, c.AllowRemote); err != nil {
		return c, fmt.Errorf("management: %w", err)
	}
	return c, nil
}
