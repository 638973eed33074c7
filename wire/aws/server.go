package aws

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/listener"
)

// Server is a listener that serves SQS and SNS.
type Server struct {
	b       *broker.Broker
	config  Config
	topics  *Topics
	http    *listener.HTTP
	bodies  *listener.Bodies
	changes sync.Mutex // one change of a queue's attributes and tags at a time: they are read first

	closing context.Context // of long polls; ends when Close begins
	close   context.CancelFunc
	polls   atomic.Int64 // receives under way
	mover   mover

	attempts *attempts
}

// Listen binds c.Addr and serves the queues and topics of b until Close. It refuses an address that other machines
// can reach unless c.AllowRemote says so. Message move tasks that had not come to their end go on.
func Listen(b *broker.Broker, c Config) (*Server, error) {
	c, err := c.checked()
	if err != nil {
		return nil, err
	}
	if c.Topics == nil {
		return nil, errors.New("aws: a server needs the topics of its broker")
	}
	c.Hosts = append(slices.Clone(c.Hosts), c.Topics.hosts()...)
	l := c.Limits
	s := &Server{b: b, config: c, topics: c.Topics,
		bodies: listener.NewBodies(l.Bodies, l.BodyBytes, l.BodyTime), attempts: newAttempts(l.Attempts)}
	s.closing, s.close = context.WithCancel(context.Background())
	if err = s.mover.load(s); err == nil {
		s.http, err = listener.BindHTTP(listener.HTTPConfig{Name: "aws", Addr: c.Addr,
			Connections: l.Connections, Logger: c.Logger})
	}
	if err != nil {
		s.close()
		return nil, err
	}
	c.Topics.listens("http://" + localName(s.http.Addr()))
	s.mover.resume()
	if c.Prepare != nil {
		if err := c.Prepare(s); err != nil {
			return nil, errors.Join(err, s.Close(context.Background()))
		}
	}
	s.http.Serve(s.handler())
	return s, nil
}

// Addr is the address that the server listens on, the first one of localhost.
func (s *Server) Addr() net.Addr { return s.http.Addr() }

// Connections is how many are open.
func (s *Server) Connections() int { return s.http.Connections() }

// Close stops accepting, ends long polls with no messages, waits for the requests and the move tasks that
// run, and returns when nothing runs any more. When ctx ends before that, they are cut, and it returns
// ctx's error. Call it before Close of the broker.
func (s *Server) Close(ctx context.Context) error {
	s.close()
	err := s.http.Close(ctx)
	s.mover.close()
	return err
}

// localName is the address by which programs on this machine find the server: localhost, unless it listens elsewhere.
func localName(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() && !ip.IsUnspecified() {
		return a.String()
	}
	return net.JoinHostPort("localhost", port)
}

// commit does what a Tx has gathered, durably on return, also for a client that has gone.
func commit(ctx context.Context, tx *broker.Tx) error {
	confirm, err := tx.Commit(ctx)
	if err != nil {
		return err
	}
	return confirm.Wait(context.WithoutCancel(ctx))
}
