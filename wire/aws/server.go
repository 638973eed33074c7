package aws

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// Times after which a silent client is dropped; see also Limits.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	headerBytes   = 64 << 10  // the form of a GET is in the URL
	largeBody     = 256 << 10 // beyond it a request waits for one of Limits.Bodies
)

// Server is a listener that serves SQS.
type Server struct {
	b         *broker.Broker
	config    Config
	listeners []net.Listener
	http      http.Server
	bodies    chan struct{} // a token for each large body in memory
	changes   sync.Mutex    // one change of a queue's attributes and tags at a time: they are read first

	life    context.Context // of requests; ends when Close cuts them
	cut     context.CancelFunc
	closing context.Context // of long polls; ends when Close begins
	close   context.CancelFunc
	accepts sync.WaitGroup
	conns   sync.WaitGroup // each is a goroutine of net/http
	open    atomic.Int64   // of them
	polls   atomic.Int64   // receives under way
}

// Listen binds c.Addr and serves the queues of b until Close. It refuses an address that other machines
// can reach unless c.AllowRemote says so.
func Listen(b *broker.Broker, c Config) (*Server, error) {
	c, err := c.checked()
	if err != nil {
		return nil, err
	}
	ls, err := listen(c.Addr)
	if err != nil {
		return nil, fmt.Errorf("aws: %w", err)
	}
	s := &Server{b: b, config: c, listeners: ls, bodies: make(chan struct{}, c.Limits.Bodies)}
	s.life, s.cut = context.WithCancel(context.Background())
	s.closing, s.close = context.WithCancel(context.Background())
	s.http = http.Server{Handler: s.handler(),
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: headerBytes,
		ConnState: s.count, BaseContext: func(net.Listener) context.Context { return s.life },
		ErrorLog: slog.NewLogLogger(c.Logger.Handler(), slog.LevelWarn)}
	for _, l := range ls {
		s.accepts.Go(func() { s.accept(l) })
	}
	return s, nil
}

// listen binds an address; localhost is both of its addresses, where there are two.
func listen(addr string) ([]net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if host != "localhost" {
		l, err := net.Listen("tcp", addr)
		return []net.Listener{l}, err
	}
	four, err := net.Listen("tcp4", addr)
	if err != nil {
		return nil, err
	}
	port := four.Addr().(*net.TCPAddr).Port
	if six, err := net.Listen("tcp6", fmt.Sprintf("[::1]:%d", port)); err == nil {
		return []net.Listener{four, six}, nil
	}
	return []net.Listener{four}, nil
}

func (s *Server) accept(l net.Listener) {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		s.config.Logger.Error("aws listener ended", "error", err)
	}
}

// count keeps the number of connections within its limit.
func (s *Server) count(nc net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
		if s.open.Add(1) > int64(s.config.Limits.Connections) {
			s.config.Logger.Warn("aws connection refused: too many", "client", nc.RemoteAddr())
			nc.Close()
		}
	case http.StateClosed:
		s.open.Add(-1)
		s.conns.Done()
	}
}

// Addr is the address that the server listens on, the first one of localhost.
func (s *Server) Addr() net.Addr { return s.listeners[0].Addr() }

// Connections is how many are open.
func (s *Server) Connections() int { return int(s.open.Load()) }

// Close stops accepting, ends long polls with no messages, waits for the requests that run, and returns
// when nothing runs any more. When ctx ends before that, they are cut, and it returns ctx's error. Call it
// before Close of the broker.
func (s *Server) Close(ctx context.Context) error {
	s.close()
	err := s.http.Shutdown(ctx)
	s.cut()
	if err != nil {
		err = fmt.Errorf("aws: close: %w", errors.Join(err, s.http.Close()))
	}
	s.accepts.Wait()
	s.conns.Wait()
	return err
}
