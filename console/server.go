package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/listener"
)

// Server is a listening admin API.
type Server struct {
	b       *broker.Broker
	c       Config
	ln      net.Listener
	http    *http.Server
	started time.Time
	times   timeCache // of records at cursors

	closing context.Context // ended by Close, and with it the streams
	close   context.CancelFunc
	done    chan struct{} // closed when the accept loop has returned
	streams chan struct{} // one token per open stream
	bodies  *listener.Bodies
	turn    turn // spreads records without key

	consumers consumers // who takes records of queues now
}

// Listen serves the API of b until Close. It refuses an address beyond
// loopback unless c.AllowRemote is set.
func Listen(b *broker.Broker, c Config) (*Server, error) {
	c = c.withDefaults()
	if c.Groups == nil {
		c.Groups = noFace{b}
	}
	if c.Queues == nil {
		c.Queues = plainFace{}
	}
	if err := listener.Check(c.Addr, c.AllowRemote); err != nil {
		return nil, fmt.Errorf("admin: %w", err) // there are no passwords
	}
	ln, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	s := newServer(b, c)
	s.ln = limitListener(ln, c.Limits.Connections)
	s.http.Handler = s.Handler()
	go s.serve()
	return s, nil
}

func newServer(b *broker.Broker, c Config) *Server {
	closing, stop := context.WithCancel(context.Background())
	return &Server{
		b: b, c: c, started: c.Now(),
		closing: closing, close: stop,
		done:    make(chan struct{}),
		streams: make(chan struct{}, c.Limits.Streams),
		bodies:  listener.NewBodies(c.Limits.Bodies, c.Limits.BodyBytes, c.Limits.BodyTime),
		http: &http.Server{
			ReadHeaderTimeout: listener.HeaderTimeout,
			IdleTimeout:       listener.IdleTimeout,
			MaxHeaderBytes:    listener.HeaderBytes,
			ErrorLog:          slog.NewLogLogger(c.Logger.Handler(), slog.LevelDebug),
		},
	}
}

func (s *Server) serve() {
	defer close(s.done)
	if err := s.http.Serve(s.ln); !errors.Is(err, http.ErrServerClosed) {
		s.c.Logger.Error("admin listener ended", "err", err)
	}
}

// Addr is the address listened on, with the port the system chose for ":0".
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Close ends streams, waits for other requests until ctx ends, then cuts them.
func (s *Server) Close(ctx context.Context) error {
	s.close()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	<-s.done
	return err
}

// limitListener accepts at most n connections at a time; more wait in the
// system's backlog.
func limitListener(ln net.Listener, n int) net.Listener {
	return &limited{Listener: ln, tokens: make(chan struct{}, n), closed: make(chan struct{})}
}

type limited struct {
	net.Listener
	tokens chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.tokens <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.tokens
		return nil, err
	}
	return &limitedConn{Conn: c, free: func() { <-l.tokens }}, nil
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	once sync.Once
	free func()
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.free)
	return err
}
