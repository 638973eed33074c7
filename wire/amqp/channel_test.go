package amqp

import (
	"fmt"
	"strings"
	"testing"
)

func numbers(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(i)
	}
	return all
}

func repeat(s string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}

// Trap 5: codes say whether the channel or the connection closes; TestReplies has them. The text
// is a short string.
func TestAReplyTextIsCutToAShortString(t *testing.T) {
	c := serve(t).dial()
	get := &basicGet{queue: strings.Repeat("q", 255)}
	c.send(1, get)
	if text := c.ended(1, replyNotFound, get); len(text) != 255 || !strings.HasSuffix(text, "...") {
		t.Errorf("got %q", text)
	}
}

// Trap 6: after the server has closed a channel its number stays taken until close-ok, and all
// else is ignored.
func TestAClosedChannelIgnoresAllButItsClose(t *testing.T) {
	c := serve(t).dial()
	c.queue(queueDeclare{queue: "q"})
	get := &basicGet{queue: "none"}
	var out []byte
	out, _ = appendMethod(out, 1, get)
	out = c.appendPublish(out, 1, &basicPublish{routingKey: "q"}, Properties{}, "lost")
	out, _ = appendMethod(out, 1, &queueDelete{queue: "q"})
	out, _ = appendMethod(out, 1, &channelOpen{})
	c.write(out)
	if m := want[*channelClose](c, 1); m.replyCode != replyNotFound {
		t.Errorf("got %+v", m)
	}
	c.send(1, &channelFlow{active: true})
	c.send(1, &channelClose{replyCode: replySuccess}) // crosses the server's
	want[*channelCloseOk](c, 1)
	c.send(1, &channelCloseOk{})
	c.open(1)
	equal(t, "ready", c.ready("q"), 0)
}

// Trap 6: a connection.close that crosses the server's is answered.
func TestACrossingConnectionCloseIsAnswered(t *testing.T) {
	c := serve(t).dial()
	c.send(1, &basicQos{prefetchSize: 1})
	c.send(0, &connectionClose{replyCode: replySuccess})
	got := map[methodID]bool{c.next().id(): true, c.next().id(): true}
	equal(t, "heard", got,
		map[methodID]bool{(&connectionClose{}).id(): true, (&connectionCloseOk{}).id(): true})
	c.send(0, &connectionCloseOk{})
	c.cut()
}

// Trap 6: a number can be used again right after close-ok, as often as one likes.
func TestAChannelNumberIsUsedAgain(t *testing.T) {
	r := serve(t)
	c := r.dial()
	c.queue(queueDeclare{queue: "q"})
	for range 200 {
		c.send(7, &channelOpen{})
		c.send(7, &basicConsume{queue: "q", consumerTag: "c"})
		c.send(7, &channelClose{replyCode: replySuccess})
	}
	for range 200 {
		want[*channelOpenOk](c, 7)
		want[*basicConsumeOk](c, 7)
		want[*channelCloseOk](c, 7)
	}
	equal(t, "consumers", c.queue(queueDeclare{queue: "q", passive: true}).consumerCount, uint32(0))
}

// Trap 7: the frames of channels may come mixed, and a body in any pieces.
func TestContentsOfChannelsComeMixed(t *testing.T) {
	c := serve(t).dial()
	c.open(2)
	c.queue(queueDeclare{queue: "q"})
	var out []byte
	begin := func(channel uint16, size int) {
		out, _ = appendMethod(out, channel, &basicPublish{routingKey: "q"})
		out = appendContentHeader(out, channel, contentHeader{uint64(size), []byte{0, 0}})
	}
	body := func(channel uint16, s string) {
		out = appendFrame(out, frame{frameBody, channel, []byte(s)})
	}
	begin(1, 6)
	begin(2, 3)
	body(1, "one")
	c.write(out) // the rest comes with a later read
	c.send(3, &channelOpen{})
	want[*channelOpenOk](c, 3)
	out = nil
	body(2, "t")
	body(2, "")
	body(2, "wo")
	body(1, "one")
	begin(2, 0) // has no body frame
	c.write(out)
	c.sync(2)
	c.consume(1, basicConsume{queue: "q"})
	equal(t, "delivered", c.deliveries(1, 3), "two oneone ")
}

// Trap 7: what breaks the order of frames closes the connection.
func TestContentOutOfOrderClosesTheConnection(t *testing.T) {
	publish := &basicPublish{routingKey: "q"}
	method := func(out []byte, m method) []byte { out, _ = appendMethod(out, 1, m); return out }
	header := func(out []byte, size uint64) []byte {
		return appendContentHeader(out, 1, contentHeader{size, []byte{0, 0}})
	}
	body := func(out []byte, s string) []byte {
		return appendFrame(out, frame{frameBody, 1, []byte(s)})
	}
	for _, test := range []struct {
		name  string
		bytes []byte
		code  uint16
		cause methodID
	}{
		{"a method instead of a header", method(method(nil, publish), &txSelect{}), 505, (&txSelect{}).id()},
		{"a method instead of a body", method(header(method(nil, publish), 3), &txSelect{}), 505,
			(&txSelect{}).id()},
		{"a header without a method", header(nil, 3), 505, methodID{}},
		{"a body without a method", body(nil, "x"), 505, methodID{}},
		{"a body without a header", body(method(nil, publish), "x"), 505, methodID{}},
		{"a second header", header(header(method(nil, publish), 3), 3), 505, methodID{}},
		{"a header of another class", append(method(nil, publish), appendFrame(nil, frame{frameHeader, 1,
			[]byte{0, 50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}})...), 505, publish.id()},
		{"a body longer than declared", body(header(method(nil, publish), 3), "four"), 501, publish.id()},
		{"properties that end early", append(method(nil, publish), appendContentHeader(nil, 1,
			contentHeader{0, []byte{0x80, 0}})...), 502, publish.id()},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := serve(t).dial()
			c.write(test.bytes)
			c.gone(test.code, test.cause)
		})
	}
}

// Trap 7: what is too large is refused by what it declares.
func TestATooLargeMessageIsRefusedByItsHeader(t *testing.T) {
	r := serve(t, func(c *Config) { c.Limits.MessageBytes = 1000 })
	c := r.dial()
	publish := &basicPublish{routingKey: "q"}
	out, _ := appendMethod(nil, 1, publish)
	c.write(appendContentHeader(out, 1, contentHeader{1001, []byte{0, 0}}))
	equal(t, "text", c.ended(1, replyPreconditionFailed, publish),
		"PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000")
}

// Trap 8: header bytes travel as they came, also flags and types that nobody knows.
func TestPropertiesTravelByteByByte(t *testing.T) {
	c := serve(t).dial()
	c.queue(queueDeclare{queue: "q"})
	all := Properties{present: knownFlags, ContentType: "a/b", ContentEncoding: "gzip",
		Headers:      Table{{"n", nil}, {"n", int8(-1)}, {"t", Table{{"x", []byte{1}}}}},
		DeliveryMode: 2, Priority: 9, CorrelationID: "c", ReplyTo: "r", Expiration: "60000",
		MessageID: "m", Timestamp: 1 << 40, Type: "t", UserID: "guest", AppID: "a", ClusterID: "k"}
	known, err := all.append(nil)
	if err != nil {
		t.Fatal(err)
	}
	unknown := append([]byte{0x00, 0x03, 0x80, 0x00}, "whatever it is"...)
	for _, props := range [][]byte{known, unknown, {0, 0}} {
		out, _ := appendMethod(nil, 1, &basicPublish{routingKey: "q"})
		c.write(appendContent(out, 1, props, []byte("x"), c.frameMax))
		c.send(1, &basicGet{queue: "q", noAck: true})
		got, err := c.tryFrame()
		if err != nil || got.kind != frameMethod {
			t.Fatal(got, err)
		}
		f, err := c.tryFrame()
		if err != nil {
			t.Fatal(err)
		}
		h, err := parseContentHeader(f.payload)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "properties", h.properties, props)
		if _, err := c.tryFrame(); err != nil { // the body
			t.Fatal(err)
		}
	}
}
