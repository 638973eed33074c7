package amqp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// client is one side of a socket. Whatever it waits for comes within its patience, or the test ends.
type client struct {
	t        testing.TB
	nc       net.Conn
	buf      []byte
	frameMax uint32
	beats    int       // heartbeats so far
	early    []message // of other channels than the one that was waited for
}

// raw connects a socket, and says nothing.
func (r *rig) raw() *client {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.server.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.conns = append(r.conns, nc)
	r.t.Cleanup(func() { nc.Close() })
	return &client{t: r.t, nc: nc, frameMax: 131_072}
}

// capable is what today's clients say of themselves.
var capable = Table{{"capabilities", Table{{"consumer_cancel_notify", true},
	{"connection.blocked", true}, {"authentication_failure_close", true}}}}

// dial opens a connection, and channel 1 of it.
func (r *rig) dial() *client {
	r.t.Helper()
	c := r.raw()
	c.shake(capable, connectionTuneOk{frameMax: c.frameMax})
	c.open(1)
	return c
}

// shake goes from the protocol header to connection.open-ok.
func (c *client) shake(props Table, tune connectionTuneOk) {
	c.t.Helper()
	c.login(props, "PLAIN", "\x00guest\x00guest")
	want[*connectionTune](c, 0)
	c.send(0, &tune)
	c.send(0, &connectionOpen{virtualHost: "/"})
	want[*connectionOpenOk](c, 0)
}

func (c *client) login(props Table, mechanism, response string) {
	c.t.Helper()
	c.write([]byte(protocolHeader))
	want[*connectionStart](c, 0)
	c.send(0, &connectionStartOk{clientProperties: props, mechanism: mechanism, response: response,
		locale: "en_US"})
}

func (c *client) write(b []byte) {
	c.t.Helper()
	if err := c.tryWrite(b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) tryWrite(b []byte) error {
	c.nc.SetWriteDeadline(time.Now().Add(patience))
	_, err := c.nc.Write(b)
	return err
}

func (c *client) send(channel uint16, all ...method) {
	c.t.Helper()
	var out []byte
	for _, m := range all {
		var err error
		if out, err = appendMethod(out, channel, m); err != nil {
			c.t.Fatal(err)
		}
	}
	c.write(out)
}

// errEnd is the end of a connection, by a FIN or a reset.
var errEnd = errors.New("the server has closed the socket")

// tryFrame reads one frame that is no heartbeat. It is valid until the next.
func (c *client) tryFrame() (frame, error) {
	c.nc.SetReadDeadline(time.Now().Add(patience))
	for {
		f, n, err := parseFrame(c.buf, c.frameMax)
		if err == nil {
			c.buf = c.buf[n:]
			if f.kind != frameHeartbeat {
				return f, nil
			}
			c.beats++
			continue
		}
		if !errors.Is(err, errMore) {
			return frame{}, err
		}
		var room [16 << 10]byte
		n, err = c.nc.Read(room[:])
		if c.buf = append(c.buf, room[:n]...); n == 0 && err != nil {
			if t, ok := err.(net.Error); ok && t.Timeout() {
				return frame{}, err
			}
			return frame{}, errEnd
		}
	}
}

// message is a method, and the content that came with it.
type message struct {
	channel uint16
	method
	props Properties
	body  string
}

// next reads one method, with its content where it has one.
func (c *client) next() message {
	c.t.Helper()
	if len(c.early) > 0 {
		m := c.early[0]
		c.early = c.early[1:]
		return m
	}
	m, err := c.tryNext()
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// nextOn is next of one channel. What comes for others is kept for later; a close of the
// connection is for all.
func (c *client) nextOn(channel uint16) message {
	c.t.Helper()
	for i, m := range c.early {
		if m.channel == channel {
			c.early = append(c.early[:i:i], c.early[i+1:]...)
			return m
		}
	}
	for {
		m, err := c.tryNext()
		if err != nil {
			c.t.Fatal(err)
		}
		if m.channel == channel || m.channel == 0 {
			return m
		}
		c.early = append(c.early, m)
	}
}

func (c *client) tryNext() (m message, err error) {
	f, err := c.tryFrame()
	if err != nil {
		return m, err
	}
	if f.kind != frameMethod {
		return m, fmt.Errorf("a frame of kind %d where a method was expected", f.kind)
	}
	m.channel = f.channel
	if m.method, err = new(methodReader).parse(f.payload); err != nil {
		return m, err
	}
	switch m.method.(type) {
	case *basicDeliver, *basicReturn, *basicGetOk:
		err = c.content(&m)
	}
	return m, err
}

func (c *client) content(m *message) error {
	f, err := c.tryFrame()
	if err != nil {
		return err
	}
	h, err := parseContentHeader(f.payload)
	if err != nil || f.kind != frameHeader || f.channel != m.channel {
		return fmt.Errorf("a frame of kind %d on channel %d where a header was expected: %v",
			f.kind, f.channel, err)
	}
	if m.props, err = parseProperties(h.properties); err != nil {
		return err
	}
	for uint64(len(m.body)) < h.bodySize {
		f, err := c.tryFrame()
		if err != nil || f.kind != frameBody || f.channel != m.channel {
			return fmt.Errorf("a frame of kind %d on channel %d where a body was expected: %v",
				f.kind, f.channel, err)
		}
		m.body += string(f.payload)
	}
	return nil
}

// wantMessage reads a message that begins with this method.
func wantMessage[M method](c *client, channel uint16) (M, message) {
	c.t.Helper()
	got := c.nextOn(channel)
	m, ok := got.method.(M)
	if !ok || got.channel != channel {
		var none M
		c.t.Fatalf("got %v on channel %d: %+v\nwant %v on channel %d",
			got.id(), got.channel, got.method, none.id(), channel)
	}
	return m, got
}

func want[M method](c *client, channel uint16) M {
	c.t.Helper()
	m, _ := wantMessage[M](c, channel)
	return m
}

// open opens a channel.
func (c *client) open(channel uint16) {
	c.t.Helper()
	c.send(channel, &channelOpen{})
	want[*channelOpenOk](c, channel)
}

// appendPublish encodes a publish of one message.
func (c *client) appendPublish(out []byte, channel uint16, m *basicPublish, p Properties,
	body string) []byte {
	c.t.Helper()
	out, err := appendMethod(out, channel, m)
	if err != nil {
		c.t.Fatal(err)
	}
	props, err := p.append(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return appendContent(out, channel, props, []byte(body), c.frameMax)
}

func (c *client) publish(channel uint16, m *basicPublish, p Properties, body string) {
	c.t.Helper()
	c.write(c.appendPublish(nil, channel, m, p, body))
}

// durably are the properties of a message that survives a restart.
var durably = Properties{present: hasDeliveryMode, DeliveryMode: persistent}

// fillChannel is the one that put uses.
const fillChannel = 900

// put has messages confirmed in a queue, by a channel of its own.
func (c *client) put(queue string, bodies ...string) {
	c.t.Helper()
	c.putWith(&basicPublish{routingKey: queue}, durably, bodies...)
}

func (c *client) putWith(m *basicPublish, p Properties, bodies ...string) {
	c.t.Helper()
	c.open(fillChannel)
	c.send(fillChannel, &confirmSelect{})
	want[*confirmSelectOk](c, fillChannel)
	var out []byte
	for _, body := range bodies {
		out = c.appendPublish(out, fillChannel, m, p, body)
	}
	c.write(out)
	for tag := uint64(0); tag < uint64(len(bodies)); {
		tag = want[*basicAck](c, fillChannel).deliveryTag
	}
	c.shut(fillChannel)
}

// shut closes a channel in order.
func (c *client) shut(channel uint16) {
	c.t.Helper()
	c.send(channel, &channelClose{replyCode: replySuccess})
	want[*channelCloseOk](c, channel)
}

// queue declares a queue on channel 1.
func (c *client) queue(m queueDeclare) *queueDeclareOk {
	c.t.Helper()
	c.send(1, &m)
	return want[*queueDeclareOk](c, 1)
}

func (c *client) exchange(m exchangeDeclare) {
	c.t.Helper()
	c.send(1, &m)
	want[*exchangeDeclareOk](c, 1)
}

func (c *client) bind(queue, exchange, key string) {
	c.t.Helper()
	c.send(1, &queueBind{queue: queue, exchange: exchange, routingKey: key})
	want[*queueBindOk](c, 1)
}

func (c *client) qos(channel uint16, n uint16, global bool) {
	c.t.Helper()
	c.send(channel, &basicQos{prefetchCount: n, global: global})
	want[*basicQosOk](c, channel)
}

func (c *client) consume(channel uint16, m basicConsume) {
	c.t.Helper()
	c.send(channel, &m)
	if got := want[*basicConsumeOk](c, channel).consumerTag; got != m.consumerTag && m.consumerTag != "" {
		c.t.Fatalf("got consumer tag %q, want %q", got, m.consumerTag)
	}
}

// deliveries reads n of them, and shows them: "a b*" where b came redelivered.
func (c *client) deliveries(channel uint16, n int) string {
	c.t.Helper()
	var got []string
	for range n {
		d, m := wantMessage[*basicDeliver](c, channel)
		got = append(got, m.body+star(d.redelivered))
	}
	return strings.Join(got, " ")
}

func star(redelivered bool) string {
	if redelivered {
		return "*"
	}
	return ""
}

// get takes a message by basic.get; "" where there is none.
func (c *client) get(queue string) string {
	c.t.Helper()
	c.send(1, &basicGet{queue: queue})
	m := c.nextOn(1)
	switch g := m.method.(type) {
	case *basicGetOk:
		return m.body + star(g.redelivered)
	case *basicGetEmpty:
		return ""
	}
	c.t.Fatalf("got %v: %+v\nwant basic.get-ok or basic.get-empty", m.id(), m.method)
	return ""
}

// ready is how many messages wait in a queue.
func (c *client) ready(queue string) int {
	c.t.Helper()
	return int(c.queue(queueDeclare{queue: queue, passive: true}).messageCount)
}

// sync returns when the server has done what was sent on a channel before; nothing else may come.
func (c *client) sync(channel uint16) {
	c.t.Helper()
	c.send(channel, &channelFlow{active: true})
	want[*channelFlowOk](c, channel)
}

// ended reads the close of a channel by the server and answers it.
func (c *client) ended(channel uint16, code uint16, cause method) string {
	c.t.Helper()
	got := want[*channelClose](c, channel)
	if got.replyCode != code || got.cause != cause.id() {
		c.t.Errorf("got  %d %s of %v\nwant %d of %v", got.replyCode, got.replyText, got.cause, code,
			cause.id())
	}
	c.send(channel, &channelCloseOk{})
	return got.replyText
}

// gone reads the close of the connection by the server, answers it, and sees the socket end.
func (c *client) gone(code uint16, cause methodID) string {
	c.t.Helper()
	got := want[*connectionClose](c, 0)
	if got.replyCode != code || got.cause != cause {
		c.t.Errorf("got  %d %s of %v\nwant %d of %v", got.replyCode, got.replyText, got.cause, code, cause)
	}
	c.send(0, &connectionCloseOk{})
	c.cut()
	return got.replyText
}

// cut sees the socket end.
func (c *client) cut() {
	c.t.Helper()
	if m, err := c.tryNext(); !errors.Is(err, errEnd) {
		c.t.Fatalf("got %+v, %v\nwant the end of the connection", m.method, err)
	}
}

// lose ends the connection without a word, and returns when the server has taken back what was held.
func (c *client) lose() {
	c.t.Helper()
	c.nc.(interface{ CloseWrite() error }).CloseWrite()
	c.cut()
	c.nc.Close()
}

// restOf reads bytes to the end of the connection.
func (c *client) restOf() string {
	c.t.Helper()
	c.nc.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(c.nc)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(b)
}

// bye closes the connection in order.
func (c *client) bye() {
	c.t.Helper()
	c.send(0, &connectionClose{replyCode: replySuccess})
	want[*connectionCloseOk](c, 0)
	c.cut()
	c.nc.Close()
}
