package amqp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
)

func TestEveryKindOfErrorHasACode(t *testing.T) {
	for _, k := range broker.Kinds() {
		if kindCodes[k] == 0 {
			t.Errorf("%v has no code", k)
		}
		err := failed(&broker.Error{Kind: k, Op: "do", Name: "it"})
		if e, ok := err.(*Error); !ok || e.Code != kindCodes[k] {
			t.Errorf("%v became %v", k, err)
		}
	}
	equal(t, "kinds", len(kindCodes), len(broker.Kinds()))
}

// Whoever does not begin with the protocol header is told which is spoken, and the socket closed.
func TestGarbageOnThePortGetsTheProtocolHeader(t *testing.T) {
	r := serve(t)
	for _, begin := range []string{"GET / HTTP/1.1\r\n\r\n", "AMQP\x00\x01\x00\x00", "AMQP\x03\x01\x00\x00",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", strings.Repeat("\x00", 4096)} {
		c := r.raw()
		c.write([]byte(begin))
		equal(t, fmt.Sprintf("to %.16q", begin), c.restOf(), protocolHeader)
	}
	c := r.raw() // half of one, and no more
	c.write([]byte("AMQP"))
	c.nc.(interface{ CloseWrite() error }).CloseWrite()
	equal(t, "to half a header", c.restOf(), "")
}

// A handshake that stops half-way ends by itself, wherever it stops.
func TestTruncatedHandshakesEnd(t *testing.T) {
	r := serve(t, func(c *Config) { c.Limits.Handshake = 200 * time.Millisecond })
	startOk, _ := appendMethod(nil, 0, &connectionStartOk{mechanism: "PLAIN", response: "\x00guest\x00guest"})
	tuneOk, _ := appendMethod(nil, 0, &connectionTuneOk{heartbeat: 60})
	open, _ := appendMethod(nil, 0, &connectionOpen{virtualHost: "/"})
	whole := append([]byte(protocolHeader), startOk...)
	whole = append(append(whole, tuneOk...), open...)
	var all []*client
	for _, n := range []int{0, 7, 8, 9, len(startOk), 8 + len(startOk), 12 + len(startOk),
		8 + len(startOk) + len(tuneOk), len(whole) - 1} {
		c := r.raw()
		c.write(whole[:n])
		all = append(all, c)
	}
	for _, c := range all {
		c.restOf()
	}
	c := serve(t).raw() // the whole of it in one piece is fine
	c.write(whole)
	want[*connectionStart](c, 0)
	want[*connectionTune](c, 0)
	want[*connectionOpenOk](c, 0)
	c.open(1)
}

func TestHandshakesThatAreRefused(t *testing.T) {
	badLogin := func(c *client) { c.login(capable, "PLAIN", "\x00guest\x00wrong") }
	tune := func(m connectionTuneOk) func(c *client) {
		return func(c *client) {
			c.login(capable, "PLAIN", "\x00guest\x00guest")
			want[*connectionTune](c, 0)
			c.send(0, &m)
		}
	}
	for _, test := range []struct {
		name string
		do   func(c *client)
		code uint16
		by   method
		text string
	}{
		{"a wrong password", badLogin, 403, &connectionStartOk{}, "ACCESS_REFUSED - Login was refused using " +
			"authentication mechanism PLAIN. For details see the broker logfile."},
		{"an unknown mechanism", func(c *client) { c.login(capable, "MAGIC", "") }, 503, &connectionStartOk{},
			"COMMAND_INVALID - unknown authentication mechanism 'MAGIC'"},
		{"larger frames than offered", tune(connectionTuneOk{frameMax: 1 << 20}), 530, &connectionTuneOk{},
			"NOT_ALLOWED - negotiated frame_max = 1048576 is higher than the maximum allowed value (131072)"},
		{"too small frames", tune(connectionTuneOk{frameMax: 4095}), 530, &connectionTuneOk{},
			"NOT_ALLOWED - negotiated frame_max = 4095 is lower than the minimum allowed value (4096)"},
		{"more channels than offered", tune(connectionTuneOk{channelMax: 2048}), 530, &connectionTuneOk{},
			"NOT_ALLOWED - negotiated channel_max = 2048 is higher than the maximum allowed value (2047)"},
		{"another virtual host", func(c *client) {
			tune(connectionTuneOk{})(c)
			c.send(0, &connectionOpen{virtualHost: "other"})
		}, 530, &connectionOpen{}, "NOT_ALLOWED - vhost other not found"},
		{"a method too early", func(c *client) {
			c.login(capable, "PLAIN", "\x00guest\x00guest")
			want[*connectionTune](c, 0)
			c.send(0, &connectionOpen{virtualHost: "/"})
		}, 504, &connectionOpen{}, "CHANNEL_ERROR - unexpected method connection.open"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := serve(t).raw()
			test.do(c)
			equal(t, "text", c.gone(test.code, test.by.id()), test.text)
		})
	}
	t.Run("an old client's wrong password", func(t *testing.T) {
		c := serve(t).raw()
		c.login(nil, "PLAIN", "\x00guest\x00wrong")
		c.cut() // without a word
	})
}

func TestBothMechanismsLogIn(t *testing.T) {
	r := serve(t)
	table, _ := appendTable(nil, Table{{"LOGIN", "guest"}, {"PASSWORD", "guest"}})
	for mechanism, response := range map[string]string{"PLAIN": "\x00guest\x00guest",
		"AMQPLAIN": string(table[4:])} {
		c := r.raw()
		c.login(capable, mechanism, response)
		want[*connectionTune](c, 0)
	}
}

// What cannot be understood closes the connection, and says why.
func TestWrongFramesCloseTheConnection(t *testing.T) {
	method := func(channel uint16, m method) []byte { out, _ := appendMethod(nil, channel, m); return out }
	broken := method(1, &channelFlow{active: true})
	broken[len(broken)-1] = 0
	for _, test := range []struct {
		name  string
		bytes []byte
		code  uint16
		cause methodID
	}{
		{"a frame beyond frame-max", beginBody(1, 4097+frameOverhead), 501, methodID{}},
		{"another end octet", broken, 501, methodID{}},
		{"an unknown kind of frame", appendFrame(nil, frame{4, 1, nil}), 501, methodID{}},
		{"a heartbeat on a channel", appendFrame(nil, frame{frameHeartbeat, 1, nil}), 505, methodID{}},
		{"a header on channel 0", appendContentHeader(nil, 0, contentHeader{0, []byte{0, 0}}), 505, methodID{}},
		{"a body on channel 0", appendFrame(nil, frame{frameBody, 0, []byte("x")}), 505, methodID{}},
		{"a channel's method on channel 0", method(0, &channelOpen{}), 504, (&channelOpen{}).id()},
		{"an unknown class", appendFrame(nil, frame{frameMethod, 1, []byte{0, 99, 0, 10}}), 540,
			methodID{99, 10}},
		{"an unknown method", appendFrame(nil, frame{frameMethod, 1, []byte{0, 60, 0, 99}}), 540,
			methodID{60, 99}},
		{"a server's method", method(1, &queueDeclareOk{queue: "q"}), 503, (&queueDeclareOk{}).id()},
		{"half a method", appendFrame(nil, frame{frameMethod, 1, []byte{0, 60, 0, 20, 0}}), 502,
			methodID{60, 20}},
		{"a method on a closed channel", method(5, &basicGet{queue: "q"}), 504, (&basicGet{}).id()},
		{"a body on a closed channel", appendFrame(nil, frame{frameBody, 5, []byte("x")}), 504, methodID{}},
		{"a channel above channel-max", method(10, &channelOpen{}), 530, (&channelOpen{}).id()},
		{"a second consumer too many", append(method(1, &basicConsume{queue: "q", noWait: true}),
			method(1, &basicConsume{queue: "q"})...), 530, (&basicConsume{}).id()},
		{"a transaction without end", append(method(1, &txSelect{}), hugePublish()...), 506,
			(&basicPublish{}).id()},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := serve(t, func(c *Config) { c.Limits.Consumers, c.Limits.TxBytes = 1, 1000 })
			c := r.raw()
			c.shake(capable, connectionTuneOk{channelMax: 9, frameMax: 4096})
			c.open(1)
			c.queue(queueDeclare{queue: "q"})
			c.write(test.bytes)
			if strings.HasPrefix(test.name, "a transaction") {
				want[*txSelectOk](c, 1)
			}
			c.gone(test.code, test.cause)
			other := r.dial() // nobody else is touched
			equal(t, "ready", other.ready("q"), 0)
		})
	}
}

// beginBody is the head of a body frame, which is refused before the rest of it comes.
func beginBody(channel uint16, size int) []byte {
	b := beginFrame(nil, frameBody, channel)
	return append(b[:3], byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
}

func hugePublish() []byte {
	out, _ := appendMethod(nil, 1, &basicPublish{routingKey: "q"})
	return appendContent(out, 1, []byte{0, 0}, make([]byte, 1001), 4096)
}

// A server takes no more connections than it may.
func TestTooManyConnectionsAreRefused(t *testing.T) {
	r := serve(t, func(c *Config) { c.Limits.Connections = 1 })
	c := r.dial()
	r.raw().cut()
	equal(t, "refused", r.server.Stats().Refused, uint64(1))
	c.sync(1)
}

func TestOnlyLoopbackUnlessAllowed(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:0", "nowhere"} {
		if _, err := (Config{Addr: addr}).checked(); err == nil {
			t.Errorf("%s is accepted", addr)
		}
	}
	if _, err := (Config{Addr: "0.0.0.0:0", AllowRemote: true}).checked(); err != nil {
		t.Error(err)
	}
}
