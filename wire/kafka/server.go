package kafka

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

// nodeID is the number of the only broker, which leads every partition, coordinates every
// group and is the controller.
const nodeID = 1

// Server is a listener that speaks Kafka for a broker.
//
// It runs one accept loop, one timer loop for all groups, and two loops for each connection.
type Server struct {
	broker   *broker.Broker
	config   Config
	listener net.Listener
	groups   *coordinator

	requestMemory *budget
	fetchMemory   *budget

	drain    chan struct{} // closed when Close begins
	draining sync.Once
	loops    sync.WaitGroup // accept loop and connections

	accepted, requests, refused, panics atomic.Uint64
	conns                               listener.Conns[*conn]
}

// Stats are counters since Listen, and the number of open connections.
type Stats struct {
	Connections                 int
	Accepted, Refused, Requests uint64
	Panics                      uint64 // requests that ended their connection by a bug of ours
}

// Listen binds c.Addr and serves b on it until Close. It refuses an address that other
// machines can reach unless c.AllowRemote says so, since there is no authentication.
func Listen(b *broker.Broker, c Config) (*Server, error) {
	c, err := c.checked()
	if err != nil {
		return nil, err
	}
	groups, err := newCoordinator(b, &c)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", c.Addr)
	if err != nil {
		groups.cancel()
		return nil, fmt.Errorf("kafka: %w", err)
	}
	s := &Server{
		broker: b, config: c, listener: l, groups: groups,
		requestMemory: newBudget(c.Limits.RequestMemory),
		fetchMemory:   newBudget(c.Limits.FetchMemory),
		drain:         make(chan struct{}),
	}
	groups.start()
	s.loops.Go(s.accept)
	return s, nil
}

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Stats returns the counters.
func (s *Server) Stats() Stats {
	return Stats{
		Connections: s.conns.Len(), Accepted: s.accepted.Load(), Refused: s.refused.Load(),
		Requests: s.requests.Load(), Panics: s.panics.Load(),
	}
}

// Close stops accepting and reading, answers what was read, closes every connection and
// returns when nothing runs any more. When ctx ends before that, connections are cut; Close
// waits for their loops all the same, and returns ctx's error.
func (s *Server) Close(ctx context.Context) error {
	s.draining.Do(func() { close(s.drain) })
	s.listener.Close()
	s.groups.close()
	for _, c := range s.conns.All() {
		c.nc.SetReadDeadline(time.Now()) // after drain: its read loop ends
	}
	done := make(chan struct{})
	go func() {
		s.loops.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		for _, c := range s.conns.All() {
			c.kill()
		}
		<-done
		return fmt.Errorf("kafka: close: %w", ctx.Err())
	}
}

// accept takes connections until the listener is closed.
func (s *Server) accept() {
	listener.Accept(s.listener, s.drain, s.admit, func(err error) {
		s.config.Logger.Warn("kafka accept failed", "error", err)
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
		s.config.Logger.Warn("kafka connection refused: too many", "client", c.host,
			"limit", s.config.Limits.Connections)
		c.kill()
		return
	}
	s.accepted.Add(1)
	s.loops.Go(func() {
		defer s.conns.Remove(c)
		c.run()
	})
}
