package transporttest

import (
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func hear(c net.Conn, n int, patience time.Duration) (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	buffer := make([]byte, n)
	n, err := io.ReadFull(c, buffer)
	return string(buffer[:n]), err
}

func TestTheProxyRelaysUntilItIsCut(t *testing.T) {
	p := NewProxy(t, echo(t))
	c := dial(t, p)
	say(t, c, "hello")
	if got, err := hear(c, 5, time.Minute); got != "hello" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	if p.Open() != 1 {
		t.Errorf("%d connections are open, want 1", p.Open())
	}
	p.Cut()
	if got, err := hear(c, 1, time.Minute); err == nil {
		t.Errorf("after the cut: got %q, %v", got, err)
	}
	again := dial(t, p)
	say(t, again, "again")
	if got, err := hear(again, 5, time.Minute); got != "again" || err != nil {
		t.Errorf("after the cut, a new connection: got %q, %v", got, err)
	}
}

func TestAStalledProxyLetsNothingPassUntilItResumes(t *testing.T) {
	p := NewProxy(t, echo(t))
	c := dial(t, p)
	resume := p.Stall()
	say(t, c, "hello")
	if got, err := hear(c, 5, 50*time.Millisecond); got != "" || err == nil {
		t.Errorf("while stalled: got %q, %v", got, err)
	}
	resume()
	if got, err := hear(c, 5, time.Minute); got != "hello" || err != nil {
		t.Errorf("resumed: got %q, %v", got, err)
	}
}

func TestTheProxyDropsAConnectionInTheMiddle(t *testing.T) {
	p := NewProxy(t, echo(t))
	c := dial(t, p)
	say(t, c, "1234")
	if _, err := hear(c, 4, time.Minute); err != nil {
		t.Fatal(err)
	}
	p.DropAfter(13) // ten there, three back
	say(t, c, "0123456789")
	if got, err := hear(c, 10, time.Minute); got != "012" || err == nil {
		t.Errorf("got %q, %v, want 012 and an error", got, err)
	}
	say(t, dial(t, p), "a connection of later is not dropped")
}

func TestAProxyWithoutATargetClosesConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	c := dial(t, NewProxy(t, l.Addr().String()))
	if _, err := hear(c, 1, time.Minute); err == nil {
		t.Error("a connection to nobody was kept")
	}
}

func TestNothingIsLeftOfAProxy(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("proxy", func(t *testing.T) {
		p := NewProxy(t, echo(t))
		say(t, dial(t, p), "hello")
		p.Stall()
	})
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}
