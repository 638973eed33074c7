package kafka

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/tidings-io/tidings/listener"
)

// Config says how a Server listens. The zero value, with an Addr, is a working server.
type Config struct {
	// Addr is host:port to listen on; default 127.0.0.1:9092. Port 0 takes a free one.
	Addr string
	// AllowRemote lets Addr be reachable from other machines. There is no authentication yet,
	// so Listen refuses such an address unless this says that it is meant.
	AllowRemote bool
	// Advertise is the host or host:port that clients are told to connect to. Default: the
	// address the client dialled, which works from the host and from containers alike.
	Advertise string
	// TLS makes the listener speak TLS when it is not nil.
	TLS *tls.Config
	// Namespace is the broker's namespace that this listener shows; "" is the default one.
	Namespace string
	// AutoCreate makes topics that a Metadata request asks for, where the request allows it.
	AutoCreate bool
	// DefaultPartitions is the partition count of topics that do not say one; default 1.
	DefaultPartitions int
	// InitialRebalanceDelay is how long a new group waits for more members; default 0.
	InitialRebalanceDelay time.Duration
	// OffsetRetention is how long committed offsets outlive the last member of their group;
	// default 7 days.
	OffsetRetention time.Duration
	// Limits bounds what clients can make this server use.
	Limits Limits
	// Logger hears about refused connections and requests; default slog.Default.
	Logger *slog.Logger
}

// Limits bounds what clients can make a Server use. A zero field is its default. Where a limit
// is met the comment says what the client sees.
type Limits struct {
	// RequestBytes is the largest Produce request; default 100 MiB. The connection is closed.
	RequestBytes int
	// ControlBytes is the largest request of any other kind; default 16 MiB. Closed.
	ControlBytes int
	// Elements is the number of array elements in one request; default 250,000. Closed.
	Elements int
	// RequestMemory is the memory of all requests being received together, beyond 64 KiB each;
	// default 256 MiB. A larger request waits for room, at most FrameTimeout. One at a time may
	// go beyond it, so that they never wait for each other.
	RequestMemory int64
	// Connections is the number of open connections; default 10,000. A further one is closed.
	Connections int
	// Pipeline is the number of unanswered requests of one connection; default 64. The
	// connection is not read until replies have been sent.
	Pipeline int
	// QueuedBytes is the size of the replies waiting on one connection; default 4 MiB, checked
	// before the next request is read. The connection is not read until they have been sent.
	QueuedBytes int
	// FetchBytes caps one fetch response; default 8 MiB. The response is shorter than asked,
	// never shorter than one batch.
	FetchBytes int
	// FetchMemory is the memory of all fetch responses being sent together; default 64 MiB.
	// Near it, responses shrink towards one batch.
	FetchMemory int64
	// FirstRequest is the time a new connection has to send its first whole request, TLS
	// handshake included; default 30 s. Closed.
	FirstRequest time.Duration
	// FrameTimeout is the time for a request that has begun to arrive, to which each announced
	// MiB adds a second; default 30 s. Closed.
	FrameTimeout time.Duration
	// Idle is the time without a request after which a connection that waits for nothing is
	// closed; default 10 min.
	Idle time.Duration
	// WriteTimeout is the time in which a client must take the next 256 KiB of replies;
	// default 30 s. Closed.
	WriteTimeout time.Duration
	// GroupMembers is the size of a consumer group; default 2,000. GROUP_MAX_SIZE_REACHED.
	GroupMembers int
	// MemberBytes is the subscription metadata of one member; default 1 MiB. INVALID_REQUEST.
	MemberBytes int
	// GroupMemory is what all members of all groups say about themselves together, what they are
	// assigned, and the ids that were given out; default 64 MiB. GROUP_MAX_SIZE_REACHED, as for a
	// group that is too large to be saved (broker.Limits.GroupStateBytes).
	GroupMemory int64
	// MinSessionTimeout and MaxSessionTimeout bound what members may ask for; default 6 s and
	// 30 min. INVALID_SESSION_TIMEOUT.
	MinSessionTimeout, MaxSessionTimeout time.Duration
}

// defaultLimits are the values of Limits' zero fields.
func defaultLimits() Limits {
	return Limits{
		RequestBytes:      100 << 20,
		ControlBytes:      16 << 20,
		Elements:          250_000,
		RequestMemory:     256 << 20,
		Connections:       10_000,
		Pipeline:          64,
		QueuedBytes:       4 << 20,
		FetchBytes:        8 << 20,
		FetchMemory:       64 << 20,
		FirstRequest:      30 * time.Second,
		FrameTimeout:      30 * time.Second,
		Idle:              10 * time.Minute,
		WriteTimeout:      30 * time.Second,
		GroupMembers:      2_000,
		MemberBytes:       1 << 20,
		GroupMemory:       64 << 20,
		MinSessionTimeout: 6 * time.Second,
		MaxSessionTimeout: 30 * time.Minute,
	}
}

// positive replaces a value that was not given.
func positive[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

func (l *Limits) setDefaults() {
	d := defaultLimits()
	positive(&l.RequestBytes, d.RequestBytes)
	positive(&l.ControlBytes, d.ControlBytes)
	positive(&l.Elements, d.Elements)
	positive(&l.RequestMemory, d.RequestMemory)
	positive(&l.Connections, d.Connections)
	positive(&l.Pipeline, d.Pipeline)
	positive(&l.QueuedBytes, d.QueuedBytes)
	positive(&l.FetchBytes, d.FetchBytes)
	positive(&l.FetchMemory, d.FetchMemory)
	positive(&l.FirstRequest, d.FirstRequest)
	positive(&l.FrameTimeout, d.FrameTimeout)
	positive(&l.Idle, d.Idle)
	positive(&l.WriteTimeout, d.WriteTimeout)
	positive(&l.GroupMembers, d.GroupMembers)
	positive(&l.MemberBytes, d.MemberBytes)
	positive(&l.GroupMemory, d.GroupMemory)
	positive(&l.MinSessionTimeout, d.MinSessionTimeout)
	positive(&l.MaxSessionTimeout, d.MaxSessionTimeout)
}

// checked returns c with its defaults filled in, or what is wrong with it.
func (c Config) checked() (Config, error) {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:9092"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	positive(&c.DefaultPartitions, 1)
	positive(&c.OffsetRetention, 7*24*time.Hour)
	c.Limits.setDefaults()
	if c.Limits.MaxSessionTimeout < c.Limits.MinSessionTimeout {
		return c, fmt.Errorf("kafka: session timeout limits %v to %v leave nothing",
			c.Limits.MinSessionTimeout, c.Limits.MaxSessionTimeout)
	}
	if c.Advertise != "" {
		if _, err := advertised(c.Advertise, nil); err != nil {
			return c, err
		}
	}
	if err := listener.Check(c.Addr, c.AllowRemote); err != nil {
		return c, fmt.Errorf("kafka: %w", err) // there is no authentication
	}
	return c, nil
}

// endpoint is where clients are told to connect.
type endpoint struct {
	host string
	port int32
}

// advertised returns the endpoint to tell a client that dialled local: what setting says, and
// from local what it leaves open.
func advertised(setting string, local net.Addr) (endpoint, error) {
	var e endpoint
	if tcp, ok := local.(*net.TCPAddr); ok {
		e = endpoint{tcp.AddrPort().Addr().Unmap().WithZone("").String(), int32(tcp.Port)}
	}
	if setting == "" {
		return e, nil
	}
	host, port, err := net.SplitHostPort(setting)
	if err != nil { // a host alone keeps the dialled port
		e.host = setting
		return e, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return e, fmt.Errorf("kafka: advertised address %q: bad port: %w", setting, err)
	}
	return endpoint{host, int32(n)}, nil
}
