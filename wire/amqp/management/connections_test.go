package management

import (
	"context"
	"encoding/binary"
	"io"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

// busy opens a connection with a channel in confirm mode that consumes from a queue of its own.
func busy(x *bench) *client {
	c := x.dial("orders service")
	c.call(1, 20, 10, short(""))
	c.call(1, 85, 10, "\x00")
	c.call(1, 60, 10, "\x00\x00\x00\x00"+"\x00\x0b"+"\x00")
	const exclusive, wait = "\x04", "\x00"
	c.call(1, 50, 10, "\x00\x00"+short("mine")+exclusive+long(""))
	c.call(1, 60, 20, "\x00\x00"+short("mine")+short("tag")+wait+long(short("x-priority")+"b\x05"))
	return c
}

// choose keeps the fields that do not change from run to run.
func choose(doc object, names ...string) object {
	out := object{}
	for _, name := range names {
		out[name] = doc[name]
	}
	return out
}

func TestAConnectionIsListedWithItsChannels(t *testing.T) {
	x := start(t, Config{})
	c := busy(x)
	name := c.nc.LocalAddr().String() + " -> " + c.nc.RemoteAddr().String()
	list := get[[]object](x, "/api/connections/")
	if len(list) != 1 {
		t.Fatalf("%d connections", len(list))
	}
	got := choose(list[0], "name", "user", "vhost", "state", "protocol", "channels", "frame_max", "channel_max",
		"timeout", "client_properties", "user_provided_name", "auth_mechanism", "peer_host")
	want := object{"name": name, "user": "guest", "vhost": "/", "state": "running", "protocol": "AMQP 0-9-1",
		"channels": 1., "frame_max": 131072., "channel_max": 7., "timeout": 0.,
		"client_properties":  object{"connection_name": "orders service"},
		"user_provided_name": "orders service", "auth_mechanism": "PLAIN", "peer_host": "127.0.0.1"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if one := get[object](x, "/api/connections/"+url.PathEscape(name)); !reflect.DeepEqual(one, list[0]) {
		t.Errorf("alone %v\nlisted %v", one, list[0])
	}

	got = choose(get[[]object](x, "/api/channels")[0], "name", "number", "confirm", "transactional",
		"prefetch_count", "consumer_count", "messages_unacknowledged")
	want = object{"name": name + " (1)", "number": 1., "confirm": true, "transactional": false,
		"prefetch_count": 11., "consumer_count": 1., "messages_unacknowledged": 0.}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}

	got = choose(get[[]object](x, "/api/consumers/%2F")[0], "consumer_tag", "queue", "ack_required", "exclusive",
		"prefetch_count", "arguments")
	want = object{"consumer_tag": "tag", "queue": object{"name": "mine", "vhost": "/"}, "ack_required": true,
		"exclusive": false, "prefetch_count": 11., "arguments": object{"x-priority": 5.}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	queue := get[object](x, "/api/queues/%2F/mine")
	if owner, _ := queue["owner_pid_details"].(object); owner["name"] != name {
		t.Errorf("owner %v, want %s", owner, name)
	}
	if body := x.do("DELETE", "/api/queues/%2F/mine", "", 400); !strings.Contains(body, "locked queue") {
		t.Errorf("someone else's queue: %s", body)
	}
}

func TestAChannelThatIsClosedIsListedNoMore(t *testing.T) {
	x := start(t, Config{})
	c := busy(x)
	c.call(1, 20, 40, "\x00\x00"+short("")+"\x00\x00\x00\x00")
	if list := get[[]object](x, "/api/channels"); len(list) != 0 {
		t.Errorf("%v", list)
	}
}

func TestAConnectionThatIsClosedHearsWhy(t *testing.T) {
	x := start(t, Config{})
	for reason, want := range map[string]string{
		"":            "CONNECTION_FORCED - Closed via management plugin",
		"maintenance": "CONNECTION_FORCED - maintenance",
	} {
		c := busy(x)
		name := get[[]object](x, "/api/connections")[0]["name"].(string)
		r := x.request("DELETE", "/api/connections/"+url.PathEscape(name), "")
		r.Header.Set("X-Reason", reason)
		if status, body, _ := x.send(r); status != 204 {
			t.Fatalf("%d %s", status, body)
		}
		x.do("DELETE", "/api/connections/"+url.PathEscape(name), "", 404) // it is listed no more
		args := c.expect(10, 50)
		if code, text := binary.BigEndian.Uint16(args), string(args[3:3+args[2]]); code != 320 || text != want {
			t.Errorf("%d %s, want 320 %s", code, text, want)
		}
		c.method(0, 10, 51, "")
		if n, err := io.Copy(io.Discard, c.nc); n != 0 || err != nil {
			t.Errorf("%d bytes behind the close, then %v", n, err)
		}
		x.do("GET", "/api/queues/%2F/mine", "", 404) // its exclusive queue went with it
	}
}

// TestConnectionsAreListedWhileTheyChange is for the race detector.
func TestConnectionsAreListedWhileTheyChange(t *testing.T) {
	x := start(t, Config{})
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				x.amqp.Connections()
			}
		}
	}()
	for range 10 {
		c := busy(x)
		c.call(2, 20, 10, short(""))
		c.call(2, 90, 10, "")
		c.call(2, 20, 40, "\x00\x00"+short("")+"\x00\x00\x00\x00")
		c.call(0, 10, 50, "\x00\x00"+short("")+"\x00\x00\x00\x00")
		c.nc.Close()
	}
	close(stop)
	<-done
}

// TestAClientThatDoesNotReadIsCutOff fills the buffers of a connection, whose client then does not
// read that it is closed.
func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	x := start(t, Config{})
	c := busy(x)
	const autoAck = "\x02"
	c.call(1, 60, 20, "\x00\x00"+short("mine")+short("all")+autoAck+long(""))
	c.call(1, 60, 30, short("tag")+"\x00")
	payload := strings.Repeat("x", 1<<20)
	for range 16 {
		x.do("POST", "/api/exchanges/%2F/amq.default/publish", `{"routing_key":"mine","properties":{},"payload":"`+
			payload+`","payload_encoding":"string"}`, 200)
	}
	name := get[[]object](x, "/api/connections")[0]["name"].(string)
	x.do("DELETE", "/api/connections/"+url.PathEscape(name), "", 204)
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	if err := x.amqp.Close(ctx); err != nil { // waits for its loops, and cuts nothing before ctx ends
		t.Error(err)
	}
}
