package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/tidings-io/tidings"
)

// session is one connection, from its handshake until it is lost. Requests that have an answer are
// made by its worker, one after the other, since the library waits for answers without a context.
type session struct {
	life   context.Context // of the transport
	config *Config
	conn   *amqp.Connection
	nc     net.Conn // of conn: closing it ends even a write that waits
	log    *slog.Logger
	jobs   chan func()
	lost   chan struct{} // closed when the connection has ended
	closed chan *amqp.Error
	blocks chan amqp.Blocking

	control *amqp.Channel  // of the worker: where things are declared
	loops   sync.WaitGroup // of publishers and consumers

	mu        sync.Mutex
	declared  map[string]bool // what this session need not declare again
	publisher *publisher      // the last one
	err       error           // why the connection was lost
	open      chan struct{}   // closed while the broker lets publishers write
}

func newSession(l *line, conn *amqp.Connection, nc net.Conn) *session {
	s := &session{life: l.life, config: l.config, conn: conn, nc: nc,
		log:  l.config.Logger.With(slog.String("line", l.name)),
		jobs: make(chan func()), lost: make(chan struct{}), declared: map[string]bool{},
		open: make(chan struct{})}
	close(s.open)
	s.closed = conn.NotifyClose(make(chan *amqp.Error, 1))
	s.blocks = conn.NotifyBlocked(make(chan amqp.Blocking, 1))
	return s
}

// watch follows the connection until it ends.
func (s *session) watch() {
	for {
		select {
		case b, ok := <-s.blocks:
			if !ok {
				s.blocks = nil
				continue
			}
			s.block(b)
		case err := <-s.closed: // nil: we closed it
			s.end(err)
			return
		}
	}
}

func (s *session) end(err *amqp.Error) {
	if err != nil && s.life.Err() == nil {
		s.log.Warn("rabbitmq: connection lost", "error", err)
	}
	s.mu.Lock()
	if err != nil {
		s.err = fmt.Errorf("rabbitmq: connection lost: %w", err)
	}
	s.mu.Unlock()
	close(s.lost)
}

func (s *session) block(b amqp.Blocking) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.open:
		if b.Active {
			s.open = make(chan struct{})
			s.log.Warn("rabbitmq: the broker holds publishers back", "reason", b.Reason)
		}
	default:
		if !b.Active {
			close(s.open)
			s.log.Info("rabbitmq: the broker lets publishers go on")
		}
	}
}

// writable is closed while the broker takes publishes.
func (s *session) writable() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

func (s *session) isLost() bool {
	select {
	case <-s.lost:
		return true
	default:
		return s.conn.IsClosed()
	}
}

// why is the reason why the session has ended.
func (s *session) why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.life.Err() != nil:
		return tidings.ErrClosed
	case s.err == nil: // the library knows already, we do not yet
		return errors.New("rabbitmq: connection lost")
	default:
		return s.err
	}
}

// work does jobs until the connection is lost. One that waits for an answer then fails.
func (s *session) work() {
	for {
		select {
		case job := <-s.jobs:
			job()
		case <-s.lost:
			s.loops.Wait()
			return
		}
	}
}

// do has the worker call f and waits for it. Where ctx ends first f may still happen.
func (s *session) do(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	select {
	case s.jobs <- func() { done <- f() }:
	case <-s.lost:
		return s.why()
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// onControl has the worker call f with the channel on which things are declared. An error of the
// broker closes such a channel; the next call opens another one.
func (s *session) onControl(ctx context.Context, f func(*amqp.Channel) error) error {
	return s.do(ctx, func() (err error) {
		if s.control == nil || s.control.IsClosed() {
			if s.control, err = s.conn.Channel(); err != nil {
				s.control = nil
				return fmt.Errorf("open a channel: %w", err)
			}
		}
		return f(s.control)
	})
}

// once calls f, which declares something, unless that was done in this session.
func (s *session) once(ctx context.Context, what string, f func(*amqp.Channel) error) error {
	s.mu.Lock()
	done := s.declared[what]
	s.mu.Unlock()
	if done {
		return nil
	}
	if err := s.onControl(ctx, f); err != nil {
		return err
	}
	s.mu.Lock()
	s.declared[what] = true
	s.mu.Unlock()
	return nil
}

// forget has everything declared again: something that was there is gone.
func (s *session) forget() {
	s.mu.Lock()
	clear(s.declared)
	s.mu.Unlock()
}

// closePatience bounds the wait for the answer to connection.close where ctx has no deadline.
const closePatience = 5 * time.Second

// close says goodbye if that is possible, and ends the connection in any case.
func (s *session) close(ctx context.Context) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(closePatience)
	}
	stop := time.AfterFunc(time.Until(deadline), func() { s.nc.Close() })
	defer stop.Stop()
	if err := s.conn.Close(); err != nil && !errors.Is(err, amqp.ErrClosed) {
		s.log.Info("rabbitmq: goodbye was not answered", "error", err)
	}
	s.nc.Close()
}
