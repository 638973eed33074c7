package listener

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait.
const patience = 10 * time.Second

func TestOnlyLoopbackIsBoundUnlessMoreIsMeant(t *testing.T) {
	for addr, local := range map[string]bool{
		"localhost:1": true, "LOCALHOST:1": true, "127.0.0.1:1": true, "127.1.2.3:1": true, "[::1]:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "localhost.example:1": false,
	} {
		if err := Check(addr, false); (err == nil) != local {
			t.Errorf("%s: %v, want loopback %v", addr, err, local)
		}
		if err := Check(addr, true); err != nil {
			t.Errorf("%s, allowed: %v", addr, err)
		}
	}
	if err := Check("localhost", true); err == nil {
		t.Error("an address without a port is taken")
	}
}

func TestLocalhostIsBothOfItsAddresses(t *testing.T) {
	all, err := Open("localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	port := all[0].Addr().(*net.TCPAddr).Port
	for _, l := range all {
		defer l.Close()
		if a := l.Addr().(*net.TCPAddr); a.Port != port || !a.IP.IsLoopback() {
			t.Errorf("got %v, want port %d of loopback", a, port)
		}
	}
	if again, err := Open(all[0].Addr().String()); err == nil {
		again[0].Close()
		t.Error("a port was bound twice")
	}
}

// flaky fails a number of times before each connection, and ends when it is closed.
type flaky struct {
	net.Listener
	fails  int
	conns  chan net.Conn
	closed chan struct{}
}

func (f *flaky) Accept() (net.Conn, error) {
	if f.fails > 0 {
		f.fails--
		return nil, errors.New("too many open files")
	}
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

func TestAcceptGoesOnAfterAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{fails: 3, conns: make(chan net.Conn, 1), closed: make(chan struct{})}
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		f.conns <- a
		admitted, failed, done := 0, 0, make(chan struct{})
		go func() {
			defer close(done)
			Accept(f, nil, func(net.Conn) { admitted++ }, func(error) { failed++ })
		}()
		began := time.Now()
		synctest.Wait()
		time.Sleep(3 * acceptPause)
		synctest.Wait()
		close(f.closed)
		<-done
		if admitted != 1 || failed != 3 || time.Since(began) != 3*acceptPause {
			t.Errorf("%d admitted and %d failures in %v, want 1 and 3 in %v", admitted, failed,
				time.Since(began), 3*acceptPause)
		}
	})
}

func TestAcceptEndsInItsPauseWhenItIsToStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		close(stop)
		began := time.Now()
		Accept(&flaky{fails: 1 << 30}, stop, nil, nil)
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestConnsAreBounded(t *testing.T) {
	var s Conns[int]
	for i := range 5 {
		if got := s.Add(i, 3); got != (i < 3) {
			t.Errorf("connection %d: got %v", i, got)
		}
	}
	s.Remove(1)
	if !s.Add(7, 3) || s.Len() != 3 || len(s.All()) != 3 {
		t.Errorf("got %v, want room for one more", s.All())
	}
}

// web serves a handler on a free port.
func web(t *testing.T, connections int, handler http.HandlerFunc) *HTTP {
	t.Helper()
	h, err := BindHTTP(HTTPConfig{Name: "test", Addr: "127.0.0.1:0", Connections: connections,
		Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h.Serve(handler)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return h
}

// dial sends a request line by line, and returns the connection.
func dial(t *testing.T, h *HTTP, lines ...string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", h.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(nc, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return nc
}

func TestAConnectionBeyondTheBoundIsClosed(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	h := web(t, 1, func(http.ResponseWriter, *http.Request) { inside <- struct{}{}; <-leave })
	dial(t, h, "GET / HTTP/1.1", "Host: x")
	<-inside
	second, err := net.Dial("tcp", h.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	second.SetDeadline(time.Now().Add(patience))
	var timeout net.Error
	if _, err := second.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("got %v, want a closed connection", err)
	}
	close(leave)
}

func TestCloseCutsWhatRunsWhenItsTimeIsOver(t *testing.T) {
	inside, ended := make(chan struct{}), make(chan struct{})
	h := web(t, 9, func(_ http.ResponseWriter, r *http.Request) {
		close(inside)
		<-r.Context().Done()
		close(ended)
	})
	dial(t, h, "GET / HTTP/1.1", "Host: x")
	<-inside
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context ended", err)
	}
	select {
	case <-ended:
	default:
		t.Error("Close returned before the request had ended")
	}
	if n := h.Connections(); n != 0 {
		t.Errorf("%d connections are open", n)
	}
}

// body is a request with one, whose length may not be told.
func body(text string, told bool) *http.Request {
	r := httptest.NewRequest("POST", "/", strings.NewReader(text))
	if !told {
		r.ContentLength = -1
	}
	return r
}

func TestBodiesAreBounded(t *testing.T) {
	b := NewBodies(1, 2*LargeBody, time.Minute)
	for _, told := range []bool{true, false} {
		got, free, err := b.Take(httptest.NewRecorder(), body("hello", told))
		if string(got) != "hello" || err != nil {
			t.Errorf("told %v: got %q, %v", told, got, err)
		}
		free()
		var large *http.MaxBytesError
		_, free, err = b.Take(httptest.NewRecorder(), body(strings.Repeat("x", 2*LargeBody+1), told))
		if !errors.As(err, &large) || large.Limit != 2*LargeBody {
			t.Errorf("told %v: got %v, want that it is too large", told, err)
		}
		free()
	}
	got, free, err := b.Take(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if len(got) != 0 || err != nil {
		t.Errorf("no body: got %q, %v", got, err)
	}
	free()
}

func TestLargeBodiesWaitForEachOther(t *testing.T) {
	b, text := NewBodies(1, 2*LargeBody, time.Minute), strings.Repeat("x", LargeBody+1)
	_, free, err := b.Take(httptest.NewRecorder(), body(text, true))
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := b.Take(httptest.NewRecorder(), body(text, true).WithContext(gone)); !errors.Is(err, context.Canceled) {
		t.Errorf("a second one: got %v, want that it waits", err)
	}
	if got, _, err := b.Take(httptest.NewRecorder(), body("small", true)); string(got) != "small" || err != nil {
		t.Errorf("a small one: got %q, %v", got, err)
	}
	free()
	free() // twice frees once
	if _, _, err := b.Take(httptest.NewRecorder(), body(text, true)); err != nil {
		t.Errorf("after it: %v", err)
	}
	if _, _, err := b.Take(httptest.NewRecorder(), body(text, true).WithContext(gone)); !errors.Is(err, context.Canceled) {
		t.Errorf("a further one: got %v, want that it waits", err)
	}
}

func TestHostsKnowTheirNames(t *testing.T) {
	for _, c := range []struct {
		host               string
		local, remote, own bool
	}{
		{"localhost:80", true, true, true}, {"127.0.0.1", true, true, true}, {"[::1]:80", true, true, true},
		{"8.8.8.8:80", false, true, false}, {"rebound.example:80", false, false, false},
		{"Broker.Test:80", false, false, true}, {"", false, false, false},
	} {
		for want, h := range map[*bool]Hosts{&c.local: {}, &c.remote: {AllowRemote: true},
			&c.own: {Names: []string{"broker.test"}}} {
			if got := h.Knows(c.host); got != *want {
				t.Errorf("%+v: %q: got %v", h, c.host, got)
			}
		}
	}
}

func TestAPageOfAnotherOriginIsTold(t *testing.T) {
	for _, c := range []struct {
		method, origin, site, mode string
		want                       bool
	}{
		{"POST", "", "", "", true},
		{"POST", "http://here.test", "same-origin", "", true},
		{"POST", "http://evil.test", "", "", false},
		{"POST", "null", "", "", false},
		{"GET", "", "cross-site", "", false},
		{"GET", "", "same-site", "no-cors", false},
		{"GET", "", "cross-site", "navigate", true},
		{"POST", "", "cross-site", "navigate", false},
		{"GET", "", "none", "", true},
	} {
		r := httptest.NewRequest(c.method, "http://here.test/", nil)
		for name, v := range map[string]string{"Origin": c.origin, "Sec-Fetch-Site": c.site, "Sec-Fetch-Mode": c.mode} {
			if v != "" {
				r.Header.Set(name, v)
			}
		}
		if got := OwnOrigin(r); got != c.want {
			t.Errorf("%+v: got %v", c, got)
		}
	}
	r := httptest.NewRequest("POST", "http://here.test/", nil)
	r.Header["Origin"] = []string{"http://here.test", "http://evil.test"}
	if OwnOrigin(r) {
		t.Error("two origins are taken for one")
	}
}

func TestABodyIsUsedAgainOnlyWhenItIsFree(t *testing.T) {
	b := NewBodies(1, 1<<20, time.Minute)
	take := func(text string) (body []byte, free func()) {
		t.Helper()
		r := httptest.NewRequest("POST", "/", strings.NewReader(text))
		body, free, err := b.Take(httptest.NewRecorder(), r)
		if err != nil || string(body) != text {
			t.Fatalf("got %q and %v, want %q", body, err, text)
		}
		return body, free
	}
	first, free := take("first")
	free()
	free() // twice frees once: two bodies in one place would be the harm
	second, freeSecond := take("second")
	third, freeThird := take("third and longer")
	if string(second) != "second" || string(third) != "third and longer" {
		t.Errorf("got %q and %q, after %q", second, third, first)
	}
	freeSecond()
	freeThird()
}
