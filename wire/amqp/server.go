package amqp

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/listener"
)

// Server is a listener that speaks AMQP 0-9-1 for a broker: an accept loop for each address, one that
// watches for overdue deliveries, one for users and virtual hosts that are deleted, and a read and a write
// loop for each connection.
type Server struct {
	broker    *broker.Broker
	config    Config
	listeners []net.Listener
	replies   replies
	rights    sharedRights
	memory    memoryAlarm
	rooms     sync.Pool // of *[]byte: what connections deliver is gathered there
	began     time.Time
	deadlines deadlines

	life  context.Context // ends when Close cuts connections
	cut   context.CancelFunc
	drain chan struct{} // closed when Close begins
	once  sync.Once
	loops sync.WaitGroup // accept loop, watchDeadlines, watchDepartures and connections

	accepted, refused, panics atomic.Uint64
	conns                     listener.Conns[*conn]
}

// Stats are counters since Listen, and the numbers of open connections and channels.
type Stats struct {
	Connections       int
	Channels          int // open on them
	Accepted, Refused uint64
	Panics            uint64 // connections that ended by a bug of ours
}

// Listen binds c.Addr and serves b on it until Close. b must have been opened with Props among
// its Config.Props. It refuses an address that other machines can reach unless c.AllowRemote says
// so.
func Listen(b *broker.Broker, c Config) (*Server, error) {
	c, err := c.checked()
	if err != nil {
		return nil, err
	}
	if c.Authenticate == nil {
		if err := seedGuest(b); err != nil {
			return nil, fmt.Errorf("amqp: %w", err)
		}
	}
	ls, err := listener.Open(c.Addr)
	if err != nil {
		return nil, fmt.Errorf("amqp: %w", err)
	}
	s := &Server{broker: b, config: c, listeners: ls, drain: make(chan struct{}),
		began: time.Now(), deadlines: deadlines{wake: make(chan struct{}, 1)}}
	s.rooms.New = func() any { return new([]byte) }
	s.life, s.cut = context.WithCancel(context.Background())
	for _, l := range ls {
		s.loops.Go(func() { s.accept(l) })
	}
	s.loops.Go(s.watchDeadlines)
	s.loops.Go(s.watchDepartures)
	return s, nil
}

// Addr is the address that the server listens on, the first one of localhost.
func (s *Server) Addr() net.Addr { return s.listeners[0].Addr() }

// Stats returns the counters.
func (s *Server) Stats() Stats {
	channels := 0
	for _, c := range s.conns.All() {
		channels += c.channelCount()
	}
	return Stats{Connections: s.conns.Len(), Channels: channels, Accepted: s.accepted.Load(), Refused: s.refused.Load(),
		Panics: s.panics.Load()}
}

// Close stops accepting, tells every client that the connection is forced to close, confirms what
// they published, and returns when nothing runs any more. When ctx ends before that, connections
// are cut; Close waits for their loops all the same, and returns ctx's error.
func (s *Server) Close(ctx context.Context) error {
	s.once.Do(func() { close(s.drain) })
	for _, l := range s.listeners {
		l.Close()
	}
	for _, c := range s.conns.All() {
		c.nc.SetReadDeadline(time.Now()) // after drain: its read loop says good-bye
	}
	done := make(chan struct{})
	go func() {
		s.loops.Wait()
		close(done)
	}()
	defer s.cut()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.cut()
		for _, c := range s.conns.All() {
			c.nc.Close()
		}
		<-done
		return fmt.Errorf("amqp: close: %w", ctx.Err())
	}
}

// accept takes connections until the listener is closed.
func (s *Server) accept(l net.Listener) {
	listener.Accept(l, s.drain, s.admit, func(err error) {
		s.config.Logger.Warn("amqp accept failed", "error", err)
	})
}

// admit starts a connection's loops if there is room for one more.
func (s *Server) admit(nc net.Conn) {
	if s.config.TLS != nil {
		nc = tls.Server(nc, s.config.TLS)
	}
	c := newConn(s, nc)
	if !s.conns.Add(c, s.config.Limits.Connections) {
		s.refused.Add(1)
		s.config.Logger.Warn("amqp connection refused: too many", "client", nc.RemoteAddr(),
			"limit", s.config.Limits.Connections)
		nc.Close()
		return
	}
	s.accepted.Add(1)
	s.loops.Go(func() {
		defer s.conns.Remove(c)
		c.run()
	})
}
