package listener

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Times after which a silent client is dropped, and how much it may say before its body.
const (
	HeaderTimeout = 10 * time.Second
	IdleTimeout   = 2 * time.Minute
	HeaderBytes   = 64 << 10
)

// HTTP is an HTTP server on one address that closes connections beyond a bound, and whose Close
// waits for all that runs.
type HTTP struct {
	name      string
	limit     int
	logger    *slog.Logger
	listeners []net.Listener
	server    http.Server

	life    context.Context // of requests; ends when Close cuts them
	cut     context.CancelFunc
	accepts sync.WaitGroup
	conns   sync.WaitGroup // each is a goroutine of net/http
	open    atomic.Int64   // of them
}

// HTTPConfig says where to listen. All of it must be set.
type HTTPConfig struct {
	Name        string // in errors and logs: "aws"
	Addr        string // as Open takes it
	Connections int    // a further one is closed
	Logger      *slog.Logger
}

// BindHTTP binds the address. Nothing is accepted before Serve.
func BindHTTP(c HTTPConfig) (*HTTP, error) {
	ls, err := Open(c.Addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	h := &HTTP{name: c.Name, limit: c.Connections, logger: c.Logger, listeners: ls}
	h.life, h.cut = context.WithCancel(context.Background())
	h.server = http.Server{ConnState: h.count,
		ReadHeaderTimeout: HeaderTimeout, IdleTimeout: IdleTimeout, MaxHeaderBytes: HeaderBytes,
		BaseContext: func(net.Listener) context.Context { return h.life },
		ErrorLog:    slog.NewLogLogger(c.Logger.Handler(), slog.LevelWarn)}
	return h, nil
}

// Serve has requests answered from now on, until Close. It is called once, and returns at once.
func (h *HTTP) Serve(handler http.Handler) {
	h.server.Handler = handler
	for _, l := range h.listeners {
		h.accepts.Go(func() { h.accept(l) })
	}
}

func (h *HTTP) accept(l net.Listener) {
	if err := h.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		h.logger.Error(h.name+" listener ended", "error", err)
	}
}

// count keeps the number of connections within its limit.
func (h *HTTP) count(nc net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		h.conns.Add(1)
		if h.open.Add(1) > int64(h.limit) {
			h.logger.Warn(h.name+" connection refused: too many", "client", nc.RemoteAddr())
			nc.Close()
		}
	case http.StateClosed:
		h.open.Add(-1)
		h.conns.Done()
	}
}

// Addr is the address that is listened on, the first one of localhost.
func (h *HTTP) Addr() net.Addr { return h.listeners[0].Addr() }

// Listeners is what is listened on.
func (h *HTTP) Listeners() []net.Listener { return h.listeners }

// Connections is how many are open.
func (h *HTTP) Connections() int { return int(h.open.Load()) }

// Close stops accepting, waits for the requests that run, and returns when nothing runs any more.
// When ctx ends before that, they are cut, and it returns ctx's error. There need not have been a Serve.
func (h *HTTP) Close(ctx context.Context) error {
	err := h.server.Shutdown(ctx)
	for _, l := range h.listeners {
		_ = l.Close() // Shutdown knows only those that are served, and has closed them
	}
	h.cut()
	if err != nil {
		err = fmt.Errorf("%s: close: %w", h.name, errors.Join(err, h.server.Close()))
	}
	h.accepts.Wait()
	h.conns.Wait()
	return err
}

// LargeBody is beyond how many bytes a body waits for one of the few that are held at a time.
const LargeBody = 256 << 10

// Bodies receives the bodies of requests: a number of large ones at a time, each within a size and
// a time, so that what is done with it afterwards may take as long as it needs.
type Bodies struct {
	large chan struct{} // a token for each
	small sync.Pool     // of *bytes.Buffer, of up to LargeBody
	bytes int64
	time  time.Duration
}

// NewBodies bounds large bodies, the bytes of each, and the time for each to come.
func NewBodies(large int, bytes int64, time time.Duration) *Bodies {
	return &Bodies{large: make(chan struct{}, large), bytes: bytes, time: time}
}

// Take receives the body of a request; free must be called when it is not needed any more, since
// its memory is used again, and is never nil. Errors are those of http.MaxBytesReader, of the connection, and of the context.
func (b *Bodies) Take(w http.ResponseWriter, r *http.Request) (body []byte, free func(), err error) {
	free = func() {}
	switch n := r.ContentLength; {
	case n == 0:
		return nil, free, nil
	case n > b.bytes:
		return nil, free, &http.MaxBytesError{Limit: b.bytes}
	case n < 0 || n > LargeBody:
		select {
		case b.large <- struct{}{}:
			free = sync.OnceFunc(func() { <-b.large })
		case <-r.Context().Done():
			return nil, free, r.Context().Err()
		}
	}
	rc := http.NewResponseController(w) // recorders in tests have no deadlines; connections do
	_ = rc.SetReadDeadline(time.Now().Add(b.time))
	buf, free := b.buffer(r.ContentLength, free)
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, b.bytes)); err != nil {
		free()
		return nil, free, err
	}
	_ = rc.SetReadDeadline(time.Time{})
	return buf.Bytes(), free, nil
}

// buffer has room for a body of n bytes, where that is known. A small one is used again once it is
// freed: each request would make some KiB of garbage.
func (b *Bodies) buffer(n int64, free func()) (*bytes.Buffer, func()) {
	if n < 0 || n > LargeBody {
		var buf bytes.Buffer
		buf.Grow(int(max(n, 0)) + bytes.MinRead)
		return &buf, free
	}
	buf, _ := b.small.Get().(*bytes.Buffer)
	if buf == nil {
		buf = new(bytes.Buffer)
	}
	buf.Reset()
	buf.Grow(int(n) + bytes.MinRead)
	return buf, func() {
		if buf != nil {
			b.small.Put(buf)
			buf = nil
		}
	}
}
