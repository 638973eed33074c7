package rabbitmq

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/tidings-io/tidings"
)

// line is a connection to the broker that is dialled when it is needed, and again when it was
// lost. Publishers and consumers have one each: a broker that is short of memory or disk stops
// reading connections that publish, and settlements must go on.
//
// The client library can reconnect by itself, but is not asked to: it keeps its channels, whose
// delivery tags begin again at 1, so that the settlement of a delivery from before would settle
// another one. Here everything that was made on a session ends with it.
type line struct {
	config *Config
	name   string
	turn   chan struct{} // holds a token while nobody dials
	end    context.CancelFunc
	life   context.Context // until the transport is closed
	loops  sync.WaitGroup  // of all sessions

	mu     sync.Mutex
	live   *session // the last one
	closed bool
}

func newLine(c *Config, name string) *line {
	l := &line{config: c, name: name, turn: make(chan struct{}, 1)}
	l.life, l.end = context.WithCancel(context.Background())
	l.turn <- struct{}{}
	return l
}

// session is the connection if it lives, or a new one. While the broker cannot be reached it tries
// again, with growing pauses, until ctx ends; what will not mend by itself fails at once.
func (l *line) session(ctx context.Context) (*session, error) {
	if s := l.current(); s != nil {
		return s, nil
	}
	select {
	case <-l.turn:
		defer func() { l.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.life.Done():
		return nil, tidings.ErrClosed
	}
	if s := l.current(); s != nil {
		return s, nil
	}
	return l.dialUntil(ctx)
}

func (l *line) current() *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live != nil && !l.live.isLost() {
		return l.live
	}
	return nil
}

// Pauses between attempts to connect.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 5 * time.Second
)

func (l *line) dialUntil(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.life, cancel)()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		s, err := l.dial(ctx)
		if err == nil {
			return s, nil
		}
		l.config.Logger.Warn("rabbitmq: no connection", "line", l.name, "error", err)
		if isLasting(err) {
			return nil, fmt.Errorf("rabbitmq: connect: %w", err)
		}
		// Half of a pause is random, so that clients do not come back all at once.
		t := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			if l.life.Err() != nil {
				return nil, tidings.ErrClosed
			}
			return nil, fmt.Errorf("rabbitmq: connect: %w; %w", context.Cause(ctx), err)
		}
	}
}

// isLasting says whether dialling again is of no use.
func isLasting(err error) bool {
	if e, ok := errors.AsType[*amqp.Error](err); ok {
		return e.Code == amqp.AccessRefused || e.Code == amqp.NotAllowed
	}
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	return certificate || errors.Is(err, amqp.ErrSASL) || errors.Is(err, amqp.ErrCredentials) ||
		errors.Is(err, amqp.ErrVhost)
}

// dial connects once. The library's handshake knows no context: closing its socket ends it.
func (l *line) dial(ctx context.Context) (*session, error) {
	var nc net.Conn
	ended := func() bool { return true }
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(l.config.ConnectionName + " " + l.name)
	tlsConfig := l.config.TLS
	if tlsConfig != nil {
		tlsConfig = tlsConfig.Clone() // the library writes to it
	}
	conn, err := amqp.DialConfig(l.config.URL, amqp.Config{
		Heartbeat: l.config.Heartbeat, TLSClientConfig: tlsConfig, Properties: properties,
		Dial: func(network, addr string) (_ net.Conn, err error) {
			if nc, err = (&net.Dialer{}).DialContext(ctx, network, addr); err != nil {
				return nil, err
			}
			ended = context.AfterFunc(ctx, func() { nc.Close() })
			return nc, nc.SetDeadline(time.Now().Add(handshakeTime))
		},
	})
	if !ended() && err == nil {
		err = ctx.Err()
		conn.Close()
	}
	if err != nil {
		if nc != nil {
			nc.Close()
		}
		return nil, err
	}
	return l.begin(conn, nc), nil
}

// handshakeTime bounds a handshake of TLS and AMQP.
const handshakeTime = 30 * time.Second

func (l *line) begin(conn *amqp.Connection, nc net.Conn) *session {
	s := newSession(l, conn, nc)
	l.mu.Lock()
	l.live = s
	l.mu.Unlock()
	l.loops.Go(s.watch)
	l.loops.Go(s.work)
	s.log.Info("rabbitmq: connected", "broker", nc.RemoteAddr())
	return s
}

// close ends the session and waits for its goroutines.
func (l *line) close(ctx context.Context) {
	l.end()
	l.mu.Lock()
	again := l.closed
	l.closed = true
	l.mu.Unlock()
	if !again {
		<-l.turn // who dials gives up at once, and nobody dials after this
	}
	if s := l.current(); s != nil {
		s.close(ctx)
	}
	l.loops.Wait()
}
