package management

import (
	"context"
	"net"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/listener"
	"github.com/tidings-io/tidings/wire/amqp"
)

// Server is a listener that serves the management API.
type Server struct {
	b       *broker.Broker
	amqp    *amqp.Server
	config  Config
	http    *listener.HTTP
	bodies  *listener.Bodies
	started time.Time
}

// Listen binds c.Addr and serves the API for a listener of b until Close. It refuses an address
// that other machines can reach unless c.AllowRemote says so.
func Listen(b *broker.Broker, a *amqp.Server, c Config) (*Server, error) {
	c, err := c.checked()
	if err != nil {
		return nil, err
	}
	l := c.Limits
	h, err := listener.BindHTTP(listener.HTTPConfig{Name: "management", Addr: c.Addr,
		Connections: l.Connections, Logger: c.Logger})
	if err != nil {
		return nil, err
	}
	s := &Server{b: b, amqp: a, config: c, started: time.Now(), http: h,
		bodies: listener.NewBodies(l.Bodies, l.BodyBytes, l.BodyTime)}
	h.Serve(s.handler())
	return s, nil
}

// Addr is the address that the server listens on, the first one of localhost.
func (s *Server) Addr() net.Addr { return s.http.Addr() }

// Close stops accepting, waits for the requests that run, and returns when nothing runs any more.
// When ctx ends before that, they are cut, and it returns ctx's error. Call it before Close of the
// AMQP server and of the broker.
func (s *Server) Close(ctx context.Context) error { return s.http.Close(ctx) }
