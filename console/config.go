package console

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// Config says how to listen and what the API may tell. The zero value listens
// on 127.0.0.1:7070.
type Config struct {
	Addr        string   // host:port; default 127.0.0.1:7070
	AllowRemote bool     // an address beyond loopback is refused without it
	Hosts       []string // Host header names to answer to, beside loopback and addresses

	Version    string // of the program
	Data       string // absolute path of the data directory, for people
	Sync       string // always, interval or never, for people
	AutoCreate bool   // publishing to an unknown topic creates it
	Partitions int    // of an auto-created topic; default 1

	Limits  Limits
	Metrics *Metrics // the Observer given to broker.Open; nil: no counts by topic
	Logger  *slog.Logger
	Now     func() time.Time

	// Listeners names the faces beside this API. May be nil.
	Listeners func() []Listener
	// Groups is the face that serves groups. Nil: groups have no members, and are
	// changed in the broker directly.
	Groups GroupFace
	// Queues is the face in whose words queues and exchanges are declared. Nil: they
	// have no arguments, and records no properties.
	Queues QueueFace
	// AWS answers POST /SERVICE/ACTION with JSON, as wire/aws says. Nil: refused as unsupported.
	AWS http.Handler
	// DeadLetters says which queues get dead letters of what is no queue, and its names. Nil: none do.
	DeadLetters func() map[string][]string
	// Backup copies the store into a directory. Nil: refused as unsupported.
	Backup func(ctx context.Context, dir string) error
}

// GroupFace is a face that serves groups: only it knows who is in them, and it
// alone can change them without contradicting what it has in memory.
type GroupFace interface {
	// Groups returns the groups as they are now.
	Groups() []LiveGroup
	// DeleteGroup deletes a group and its cursors. Durable on return. Kinds:
	// NotFound, Conflict if it has members.
	DeleteGroup(ctx context.Context, name string) error
	// MoveCursors commits a transaction that saves cursors of one group. Durable
	// on return. Conflict if the group has members.
	MoveCursors(ctx context.Context, name string, tx *broker.Tx) error
}

// LiveGroup is a group as the face that serves it sees it now.
type LiveGroup struct {
	Name     string
	Protocol string
	State    string
	Members  []Member
}

// Limits: zero means the default; what is beyond a limit is answered with
// too_large (413) or busy (503).
type Limits struct {
	Connections    int   // 512
	Streams        int   // record streams at once: 64
	BodyBytes      int64 // of a request: 16 MiB
	Bodies         int   // requests above 256 KiB in memory at once; more wait: 16
	PublishRecords int   // in one request: 10,000
	MetricQueues   int   // with metrics of their own: 1,000
	StreamBytes    int   // read ahead of a slow reader, per stream: 4 MiB

	BodyTime   time.Duration // to receive a body: 30 s, then timeout (408)
	AnswerTime time.Duration // for a client to read an answer that is no stream: 60 s
}

func (l Limits) withDefaults() Limits {
	l.Connections = cmp.Or(l.Connections, 512)
	l.Streams = cmp.Or(l.Streams, 64)
	l.BodyBytes = cmp.Or(l.BodyBytes, 16<<20)
	l.Bodies = cmp.Or(l.Bodies, 16)
	l.PublishRecords = cmp.Or(l.PublishRecords, 10_000)
	l.MetricQueues = cmp.Or(l.MetricQueues, 1000)
	l.StreamBytes = cmp.Or(l.StreamBytes, 4<<20)
	l.BodyTime = cmp.Or(l.BodyTime, 30*time.Second)
	l.AnswerTime = cmp.Or(l.AnswerTime, 60*time.Second)
	return l
}

func (c Config) withDefaults() Config {
	c.Addr = cmp.Or(c.Addr, "127.0.0.1:7070")
	c.Partitions = cmp.Or(c.Partitions, 1)
	c.Limits = c.Limits.withDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Listeners == nil {
		c.Listeners = func() []Listener { return nil }
	}
	return c
}
