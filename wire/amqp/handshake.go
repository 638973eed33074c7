package amqp

import (
	"errors"
	"io"
	"slices"
	"strings"
	"time"
)

// helloBytes bounds frames until both sides have agreed on a size: what RabbitMQ 4.1 takes, since
// some clients send a token for a password.
const helloBytes = 8192

// greet reads the protocol header. Whoever sends another one is told which is spoken here.
func (c *conn) greet() error {
	var header [len(protocolHeader)]byte
	if _, err := io.ReadFull(c.nc, header[:]); err != nil {
		return err
	}
	if !speaks(header[:]) {
		c.out.put(func(dst []byte) []byte { return append(dst, protocolHeader...) })
		return errClosed
	}
	return nil
}

// handshake goes from connection.start to connection.open-ok.
func (c *conn) handshake(r *frameReader) error {
	c.out.method(0, &connectionStart{versionMajor: 0, versionMinor: 9,
		serverProperties: c.s.properties(), mechanisms: c.s.mechanisms(), locales: "en_US"})
	start, err := expect[*connectionStartOk](c, r)
	if err != nil {
		return err
	}
	if err := c.authenticate(start); err != nil {
		return err
	}
	l := &c.s.config.Limits
	c.out.method(0, &connectionTune{channelMax: l.Channels, frameMax: l.FrameBytes,
		heartbeat: uint16(l.Heartbeat / time.Second)})
	tune, err := expect[*connectionTuneOk](c, r)
	if err != nil {
		return err
	}
	if err := c.tune(tune); err != nil {
		return err
	}
	open, err := expect[*connectionOpen](c, r)
	if err != nil {
		return err
	}
	if err := c.enter(open.virtualHost); err != nil {
		return causedBy(open.id(), err)
	}
	if err := c.readBy(time.Time{}); err != nil {
		return err
	}
	c.show(start.mechanism)
	c.out.method(0, &connectionOpenOk{})
	c.isOpen = true
	close(c.opened)
	c.endIfAlone()
	return nil
}

// expect reads the one method that may come now.
func expect[M method](c *conn, r *frameReader) (want M, err error) {
	for {
		f, err := r.next()
		if err != nil {
			return want, err
		}
		if f.kind == frameHeartbeat {
			continue
		}
		if f.kind != frameMethod || f.channel != 0 {
			return want, errorf(replyUnexpectedFrame, "a frame before the connection is open")
		}
		m, err := c.methods.parse(f.payload)
		if err != nil {
			return want, err
		}
		if m, ok := m.(M); ok {
			return m, nil
		}
		if _, ok := m.(*connectionClose); ok {
			c.out.method(0, &connectionCloseOk{})
			return want, errClosed
		}
		return want, causedBy(m.id(), errorf(replyChannelError, "unexpected method %v", m.id()))
	}
}

// properties are what the server says of itself. Clients look for capabilities and version, and
// some use what RabbitMQ has beyond the specification only where the product is called so.
func (s *Server) properties() Table {
	capabilities := Table{}
	for _, name := range []string{"publisher_confirms", "exchange_exchange_bindings", "basic.nack",
		"consumer_cancel_notify", "connection.blocked", "consumer_priorities",
		"authentication_failure_close", "per_consumer_qos", "direct_reply_to"} {
		capabilities = append(capabilities, Field{name, true})
	}
	return Table{
		{"capabilities", capabilities},
		{"cluster_name", s.clusterName()},
		{"copyright", "Apache-2.0"},
		{"information", "Tidings, one durable node: what is confirmed is on disk"},
		{"platform", "Tidings"},
		{"product", "RabbitMQ"},
		{"version", s.config.Version},
	}
}

func (s *Server) clusterName() string { return "tidings@" + s.broker.ID().String() }

var errCredentials = errors.New("credentials cannot be read")

func (c *conn) authenticate(m *connectionStartOk) error {
	c.properties = m.clientProperties
	can := c.capability
	c.canCancel, c.canBlock = can("consumer_cancel_notify"), can("connection.blocked")
	u, name, ok, err := c.login(m)
	if err != nil {
		return causedBy(m.id(), errorf(replyCommandInvalid, "unknown authentication mechanism '%s'", m.mechanism))
	}
	if ok {
		c.user, c.anyUserID = u.Name, slices.Contains(u.Tags, tagImpersonator)
		c.userGone = c.s.broker.UserGone(u.Name)
		return nil
	}
	c.s.config.Logger.Warn("amqp login refused", "client", c.nc.RemoteAddr(), "user", name)
	if !can("authentication_failure_close") {
		return errClosed // older clients take a closed socket for it
	}
	return causedBy(m.id(), errorf(replyAccessRefused, "Login was refused using authentication mechanism %s. "+
		"For details see the broker logfile.", m.mechanism))
}

func (c *conn) capability(name string) bool {
	all, _ := c.properties.Get("capabilities")
	table, _ := all.(Table)
	able, _ := table.Get(name)
	return able == true
}

// credentials takes user and password out of a response.
func credentials(mechanism, response string) (user, password string, err error) {
	switch mechanism {
	case "PLAIN": // RFC 4616: identity NUL user NUL password
		parts := strings.Split(response, "\x00")
		if len(parts) != 3 {
			return "", "", errCredentials
		}
		return parts[1], parts[2], nil
	case "AMQPLAIN":
		table, err := rawTable(response).decode()
		if err != nil {
			return "", "", errCredentials
		}
		name, _ := table.Get("LOGIN")
		secret, _ := table.Get("PASSWORD")
		user, ok := name.(string)
		password, also := secret.(string)
		if !ok || !also {
			return "", "", errCredentials
		}
		return user, password, nil
	}
	return "", "", errCredentials
}

// tune takes what the client has chosen: less than was offered, or 0 for no limit of its own.
func (c *conn) tune(m *connectionTuneOk) error {
	l := &c.s.config.Limits
	if m.frameMax != 0 && m.frameMax < minFrameMax {
		return causedBy(m.id(), errorf(replyNotAllowed, "negotiated frame_max = %d is lower than the "+
			"minimum allowed value (%d)", m.frameMax, minFrameMax))
	}
	if m.frameMax > l.FrameBytes {
		return causedBy(m.id(), errorf(replyNotAllowed, "negotiated frame_max = %d is higher than the "+
			"maximum allowed value (%d)", m.frameMax, l.FrameBytes))
	}
	if m.channelMax > l.Channels {
		return causedBy(m.id(), errorf(replyNotAllowed, "negotiated channel_max = %d is higher than the "+
			"maximum allowed value (%d)", m.channelMax, l.Channels))
	}
	c.frameMax, c.channels = l.FrameBytes, l.Channels
	if m.frameMax != 0 {
		c.frameMax = m.frameMax
	}
	if m.channelMax != 0 {
		c.channels = m.channelMax
	}
	c.heartbeat = time.Duration(m.heartbeat) * time.Second
	close(c.tuned)
	return nil
}
