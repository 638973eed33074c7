package management

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/amqp"
)

// bench is a broker with both listeners.
type bench struct {
	t    *testing.T
	b    *broker.Broker
	amqp *amqp.Server
	m    *Server
}

func start(t *testing.T, c Config) *bench {
	t.Helper()
	return startWith(t, amqp.Config{}, c)
}

func startWith(t *testing.T, ac amqp.Config, c Config) *bench {
	t.Helper()
	b, err := broker.Open(t.TempDir(), broker.Config{
		Props: map[broker.PropsFormat]broker.PropsReader{broker.PropsAMQP: amqp.Props{}}})
	if err != nil {
		t.Fatal(err)
	}
	ac.Addr = "127.0.0.1:0"
	a, err := amqp.Listen(b, ac)
	if err != nil {
		t.Fatal(err)
	}
	c.Addr = "127.0.0.1:0"
	m, err := Listen(b, a, c)
	if err != nil {
		t.Fatal(err)
	}
	x := &bench{t, b, a, m}
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		http.DefaultClient.CloseIdleConnections()
		if err := errors.Join(m.Close(ctx), a.Close(ctx), b.Close()); err != nil {
			t.Error(err)
		}
	})
	return x
}

// request makes one that is logged in.
func (x *bench) request(method, path, body string) *http.Request {
	x.t.Helper()
	r, err := http.NewRequest(method, "http://"+x.m.Addr().String()+path, strings.NewReader(body))
	if err != nil {
		x.t.Fatal(err)
	}
	r.SetBasicAuth("guest", "guest")
	return r
}

func (x *bench) send(r *http.Request) (status int, body string, h http.Header) {
	x.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		x.t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		x.t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(all)), resp.Header
}

// do wants a status, and returns the body.
func (x *bench) do(method, path, body string, want int) string {
	x.t.Helper()
	status, got, _ := x.send(x.request(method, path, body))
	if status != want {
		x.t.Fatalf("%s %s: %d %s, want %d", method, path, status, got, want)
	}
	return got
}

// get decodes the answer to a GET.
func get[T any](x *bench, path string) (doc T) {
	x.t.Helper()
	if err := json.Unmarshal([]byte(x.do("GET", path, "", 200)), &doc); err != nil {
		x.t.Fatal(err)
	}
	return doc
}

// client is the least that can speak AMQP.
type client struct {
	t  *testing.T
	nc net.Conn
}

// dial opens a connection with a name.
func (x *bench) dial(name string) *client {
	x.t.Helper()
	return x.dialIn("/", name)
}

func (x *bench) dialIn(vhost, name string) *client {
	x.t.Helper()
	nc, err := net.Dial("tcp", x.amqp.Addr().String())
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { nc.Close() })
	c := &client{x.t, nc}
	c.write([]byte("AMQP\x00\x00\x09\x01"))
	c.expect(10, 10)
	properties := short("connection_name") + "S" + long(name)
	c.method(0, 10, 11, long(properties)+short("PLAIN")+long("\x00guest\x00guest")+short("en_US"))
	c.expect(10, 30)
	c.method(0, 10, 31, "\x00\x07"+"\x00\x02\x00\x00"+"\x00\x00")
	c.method(0, 10, 40, short(vhost)+short("")+"\x00")
	c.expect(10, 41)
	return c
}

// call sends a method and awaits its answer, whose number is one more.
func (c *client) call(channel, class, method uint16, args string) {
	c.t.Helper()
	c.method(channel, class, method, args)
	c.expect(class, method+1)
}

func (c *client) method(channel, class, method uint16, args string) {
	c.t.Helper()
	f := binary.BigEndian.AppendUint16([]byte{1}, channel)
	f = binary.BigEndian.AppendUint32(f, uint32(4+len(args)))
	f = binary.BigEndian.AppendUint16(f, class)
	f = binary.BigEndian.AppendUint16(f, method)
	c.write(append(append(f, args...), 0xCE))
}

func (c *client) write(p []byte) {
	c.t.Helper()
	if _, err := c.nc.Write(p); err != nil {
		c.t.Fatal(err)
	}
}

// expect reads the method that must come now, and returns its arguments.
func (c *client) expect(class, method uint16) (args []byte) {
	c.t.Helper()
	c.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	var head [7]byte
	if _, err := io.ReadFull(c.nc, head[:]); err != nil {
		c.t.Fatal(err)
	}
	payload := make([]byte, binary.BigEndian.Uint32(head[3:])+1)
	if _, err := io.ReadFull(c.nc, payload); err != nil {
		c.t.Fatal(err)
	}
	gotClass, gotMethod := binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])
	if head[0] != 1 || gotClass != class || gotMethod != method {
		c.t.Fatalf("frame %d with method %d.%d, want %d.%d", head[0], gotClass, gotMethod, class, method)
	}
	return payload[4 : len(payload)-1]
}

func short(s string) string { return string([]byte{byte(len(s))}) + s }

func long(s string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s
}
