package transporttest

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy relays TCP connections on loopback to one address, and does to them what networks do. It
// is safe for use by many goroutines; the test's end closes it.
type Proxy struct {
	listener net.Listener
	target   string
	relays   sync.WaitGroup

	mu      sync.Mutex
	links   map[*link]struct{}
	stalled chan struct{} // closed to go on; nil while nothing is stalled
	closed  bool
}

// link is a connection of a client and the one to the target.
type link struct {
	client, target net.Conn
	left           atomic.Int64 // bytes until it is dropped; negative for ever
}

// NewProxy listens on a free port of loopback.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("proxy: %v", err)
	}
	p := &Proxy{listener: l, target: target, links: map[*link]struct{}{}}
	p.relays.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr is where the proxy listens, as host and port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut closes all connections in both directions at once. New ones are taken.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
}

// Stall lets no byte pass, in old connections and new ones, until resume is called.
func (p *Proxy) Stall() (resume func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled == nil {
		p.stalled = make(chan struct{})
	}
	stalled := p.stalled
	return func() { p.resume(stalled) }
}

func (p *Proxy) resume(stalled chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled == stalled && stalled != nil {
		close(stalled)
		p.stalled = nil
	}
}

// DropAfter closes each connection that is open now when it has relayed n bytes more, in the middle
// of whatever they are. Both directions count.
func (p *Proxy) DropAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.left.Store(int64(n))
	}
}

// Open counts the connections.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

func (p *Proxy) close() {
	_ = p.listener.Close() // nobody is left to be told
	p.mu.Lock()
	p.closed = true
	stalled := p.stalled
	p.mu.Unlock()
	p.resume(stalled)
	p.Cut()
	p.relays.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		target, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close() // as a broker that is down would
			continue
		}
		p.relay(client, target)
	}
}

func (p *Proxy) relay(client, target net.Conn) {
	l := &link{client: client, target: target}
	l.left.Store(-1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		l.close()
		return
	}
	p.links[l] = struct{}{}
	var ways sync.WaitGroup
	ways.Go(func() { p.copy(l, target, client) })
	ways.Go(func() { p.copy(l, client, target) })
	p.relays.Go(func() {
		ways.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.links, l)
	})
}

// copy relays one way until either end is gone.
func (p *Proxy) copy(l *link, to, from net.Conn) {
	defer l.close()
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		p.wait()
		if n > 0 && !l.pass(to, buffer[:n]) || err != nil {
			return
		}
	}
}

// wait ends when nothing is stalled.
func (p *Proxy) wait() {
	p.mu.Lock()
	stalled := p.stalled
	p.mu.Unlock()
	if stalled != nil {
		<-stalled
	}
}

// pass writes what may pass, and says whether the connection goes on.
func (l *link) pass(to io.Writer, b []byte) bool {
	for {
		left := l.left.Load()
		n := int64(len(b))
		if left >= 0 {
			n = min(n, left)
		}
		if left >= 0 && !l.left.CompareAndSwap(left, left-n) {
			continue // the other direction took some
		}
		_, err := to.Write(b[:n])
		return err == nil && n == int64(len(b)) && left != n
	}
}

func (l *link) close() {
	_ = l.client.Close() // either may be gone
	_ = l.target.Close()
}
