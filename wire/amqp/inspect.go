package amqp

import (
	"cmp"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// ServerInfo is what does not change about a server.
type ServerInfo struct {
	Version string // that clients are told
	Cluster string // cluster_name, that clients are told
	Addrs   []net.Addr
	TLS     bool
}

// Info says how the server listens, and what it says of itself.
func (s *Server) Info() ServerInfo {
	i := ServerInfo{Version: s.config.Version, Cluster: s.clusterName(), TLS: s.config.TLS != nil}
	for _, l := range s.listeners {
		i.Addrs = append(i.Addrs, l.Addr())
	}
	return i
}

// ConnectionInfo is an open connection at one moment.
type ConnectionInfo struct {
	Name           string   // "127.0.0.1:50732 -> 127.0.0.1:5672": the client's address and ours
	Client, Server net.Addr // the same
	User           string
	Namespace      string      // of the virtual host
	Mechanism      string      // of the login: PLAIN
	Properties     broker.Args // what the client says of itself
	ConnectedAt    time.Time
	FrameMax       uint32
	ChannelMax     uint16
	Heartbeat      time.Duration // 0: none
	TLS            bool
	Channels       []ChannelInfo // by number
}

// ChannelInfo is a channel at one moment.
type ChannelInfo struct {
	Number uint16
	// Prefetch bounds each consumer that is started from now on, SharedPrefetch all of the
	// channel together; 0: no bound.
	Prefetch, SharedPrefetch int
	Confirms, Transactional  bool
	Unacked                  int
	Consumers                []ConsumerInfo // by tag
}

// ConsumerInfo is a consumer. It does not change.
type ConsumerInfo struct {
	Tag, Queue       string
	Prefetch         int // 0: no bound
	NoAck, Exclusive bool
	Args             broker.Args
}

// Connections lists the connections that are open, the oldest first. It may be called at any
// time, and holds none of them up.
func (s *Server) Connections() []ConnectionInfo {
	var all []ConnectionInfo
	for _, c := range s.conns.All() {
		if info, ok := c.info(); ok {
			all = append(all, info)
		}
	}
	slices.SortFunc(all, func(a, b ConnectionInfo) int {
		return cmp.Or(a.ConnectedAt.Compare(b.ConnectedAt), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// CloseConnection tells a client that its connection is forced to close, and why, and ends it; a
// client that does not answer is cut off. False: no open connection has the name. It does not wait
// for the end, but the connection is listed no more.
func (s *Server) CloseConnection(name, reason string) bool {
	for _, c := range s.conns.All() {
		if c.name() == name && c.force(reason) {
			return true
		}
	}
	return false
}

// ConnectionOf returns the name of the connection that owns an exclusive queue; "": none of this
// package does.
func ConnectionOf(owner any) string {
	if c, ok := owner.(*conn); ok && c.nc != nil {
		return c.name()
	}
	return ""
}

// shown is what Connections needs to know of a connection. The read loop alone writes it, and
// conn.open; it does that under mu, and reads without.
type shown struct {
	mu        sync.Mutex
	since     time.Time // zero: the connection is not open, or no more
	mechanism string
	reason    string // of whom forces it to close; "": nobody
}

// shownChannel is what Connections needs to know of a channel, beside what channel.mu guards.
type shownChannel struct {
	prefetch, sharedPrefetch atomic.Int64
	confirms, transactional  atomic.Bool
}

func (c *conn) name() string {
	return c.nc.RemoteAddr().String() + " -> " + c.nc.LocalAddr().String()
}

// show begins to list the connection: what the handshake has settled stays as it is.
func (c *conn) show(mechanism string) {
	c.shown.mu.Lock()
	defer c.shown.mu.Unlock()
	c.shown.since, c.shown.mechanism = time.Now(), mechanism
}

func (c *conn) conceal() {
	c.shown.mu.Lock()
	defer c.shown.mu.Unlock()
	c.shown.since = time.Time{}
}

// keep, forget and forgetAll change which channels are open.
func (c *conn) keep(ch *channel) {
	c.shown.mu.Lock()
	defer c.shown.mu.Unlock()
	c.open[ch.id] = ch
}

func (c *conn) forget(ch *channel) {
	c.shown.mu.Lock()
	defer c.shown.mu.Unlock()
	delete(c.open, ch.id)
}

func (c *conn) forgetAll() {
	c.shown.mu.Lock()
	defer c.shown.mu.Unlock()
	c.open, c.owned = nil, nil
}

// info is false where the connection is not open.
func (c *conn) info() (i ConnectionInfo, ok bool) {
	channels, since, mechanism := c.snapshot()
	if since.IsZero() {
		return i, false
	}
	i = ConnectionInfo{Name: c.name(), Client: c.nc.RemoteAddr(), Server: c.nc.LocalAddr(),
		User: c.user, Namespace: c.namespace, Mechanism: mechanism, Properties: toArgs(c.properties), ConnectedAt: since,
		FrameMax: c.frameMax, ChannelMax: c.channels, Heartbeat: c.heartbeat, TLS: c.s.config.TLS != nil}
	for _, ch := range channels {
		i.Channels = append(i.Channels, ch.info())
	}
	slices.SortFunc(i.Channels, func(a, b ChannelInfo) int { return cmp.Compare(a.Number, b.Number) })
	return i, true
}

func (c *conn) snapshot() (channels []*channel, since time.Time, mechanism string) {
	c.shown.mu.Lock()
	defer c.shown.mu.Unlock()
	if c.shown.reason != "" {
		return nil, time.Time{}, ""
	}
	for _, ch := range c.open {
		channels = append(channels, ch)
	}
	return channels, c.shown.since, c.shown.mechanism
}

func (c *conn) channelCount() int {
	c.shown.mu.Lock()
	defer c.shown.mu.Unlock()
	return len(c.open)
}

func (ch *channel) info() ChannelInfo {
	i := ChannelInfo{Number: ch.id, Prefetch: int(ch.shown.prefetch.Load()),
		SharedPrefetch: int(ch.shown.sharedPrefetch.Load()), Confirms: ch.shown.confirms.Load(),
		Transactional: ch.shown.transactional.Load()}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	i.Unacked = len(ch.unacked)
	for _, x := range ch.consumers {
		i.Consumers = append(i.Consumers, x.info)
	}
	slices.SortFunc(i.Consumers, func(a, b ConsumerInfo) int { return strings.Compare(a.Tag, b.Tag) })
	return i
}

// infoOf is what is shown of a consumer that begins.
func (ch *channel) infoOf(m *basicConsume, queue string) ConsumerInfo {
	return ConsumerInfo{Tag: m.consumerTag, Queue: queue, Prefetch: ch.prefetch, NoAck: m.noAck,
		Exclusive: m.exclusive, Args: toArgs(m.arguments)}
}

// closedByManagement is what RabbitMQ says where nobody gave a reason.
const closedByManagement = "Closed via management plugin"

// force has the read loop end with a reason. False: the connection is not open.
func (c *conn) force(reason string) bool {
	c.shown.mu.Lock()
	defer c.shown.mu.Unlock()
	if c.shown.since.IsZero() || c.shown.reason != "" {
		return false
	}
	c.shown.reason = cmp.Or(strings.ToValidUTF8(reason, "?"), closedByManagement)
	close(c.forced)
	c.nc.SetReadDeadline(time.Now()) // behind forced: its read loop says good-bye
	return true
}

func (c *conn) isForced() bool {
	select {
	case <-c.forced:
		return true
	default:
		return false
	}
}

// awaitWritten waits for the write loop. It does not wait for long for one whose client was forced
// out and does not read.
func (c *conn) awaitWritten() {
	var late <-chan time.Time
	if c.isForced() {
		t := time.NewTimer(closeTime)
		defer t.Stop()
		late = t.C
	}
	select {
	case <-c.written:
	case <-late:
		c.nc.Close()
		<-c.written
	}
}
