package management

import (
	"fmt"
	"net"

	"github.com/tidings-io/tidings/wire/amqp"
)

func (s *Server) connections(r *request) (any, error) {
	list := []object{}
	for _, c := range s.amqp.Connections() {
		if r.isShown(&c) {
			list = append(list, s.showConnection(&c))
		}
	}
	return list, nil
}

// errForeign refuses what belongs to the connection of another user.
var errForeign = notAuthorised("User not authorised to access object")

// connectionNamed is the open connection in the path.
func (s *Server) connectionNamed(r *request) (*amqp.ConnectionInfo, error) {
	for _, c := range s.amqp.Connections() {
		if c.Name != r.PathValue("c") {
			continue
		}
		if !r.isShown(&c) {
			return nil, errForeign
		}
		return &c, nil
	}
	return nil, errNotFound
}

func (s *Server) connection(r *request) (any, error) {
	c, err := s.connectionNamed(r)
	if err != nil {
		return nil, err
	}
	return s.showConnection(c), nil
}

// closeConnection tells the client the reason in the header X-Reason.
func (s *Server) closeConnection(r *request) (any, error) {
	c, err := s.connectionNamed(r)
	if err != nil {
		return nil, err
	}
	if c.User != r.user.Name && !r.is(administrator) {
		return nil, errForeign
	}
	if !s.amqp.CloseConnection(c.Name, r.Header.Get("X-Reason")) {
		return nil, errNotFound
	}
	return nil, nil
}

func (s *Server) showConnection(c *amqp.ConnectionInfo) object {
	host, port := split(c.Server)
	doc := object{
		"name": c.Name, "user": c.User, "user_who_performed_action": c.User, "vhost": amqp.VhostOf(c.Namespace),
		"node": s.nodeName(), "type": "network", "protocol": "AMQP 0-9-1", "state": "running",
		"host": host, "port": port, "ssl": c.TLS, "auth_mechanism": c.Mechanism,
		"channels": len(c.Channels), "channel_max": int(c.ChannelMax), "frame_max": int64(c.FrameMax),
		"timeout": int64(c.Heartbeat.Seconds()), "connected_at": c.ConnectedAt.UnixMilli(),
		"client_properties": showArgs(c.Properties),
	}
	doc["peer_host"], doc["peer_port"] = split(c.Client)
	if name, ok := c.Properties.Get("connection_name"); ok {
		doc["user_provided_name"] = name
	}
	return doc
}

func split(a net.Addr) (host string, port int) {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.IP.String(), tcp.Port
	}
	return a.String(), 0
}

// eachChannel lists what a function makes of every open channel.
func (s *Server) eachChannel(of func(*amqp.ConnectionInfo) bool,
	show func(*amqp.ConnectionInfo, *amqp.ChannelInfo) []object) []object {
	list := []object{}
	for _, c := range s.amqp.Connections() {
		if !of(&c) {
			continue
		}
		for i := range c.Channels {
			list = append(list, show(&c, &c.Channels[i])...)
		}
	}
	return list
}

func (s *Server) channels(r *request) (any, error) {
	return s.eachChannel(r.isShown, s.showChannel), nil
}

func (s *Server) channel(r *request) (any, error) {
	for _, doc := range s.eachChannel(r.isShown, s.showChannel) {
		if doc["name"] == r.PathValue("ch") {
			return doc, nil
		}
	}
	return nil, errNotFound
}

func (s *Server) channelsOf(r *request) (any, error) {
	c, err := s.connectionNamed(r)
	if err != nil {
		return nil, err
	}
	list := []object{}
	for i := range c.Channels {
		list = append(list, s.showChannel(c, &c.Channels[i])...)
	}
	return list, nil
}

func channelName(c *amqp.ConnectionInfo, ch *amqp.ChannelInfo) string {
	return fmt.Sprintf("%s (%d)", c.Name, ch.Number)
}

func (s *Server) showChannel(c *amqp.ConnectionInfo, ch *amqp.ChannelInfo) []object {
	host, port := split(c.Client)
	return []object{{
		"name": channelName(c, ch), "number": int(ch.Number), "user": c.User, "vhost": amqp.VhostOf(c.Namespace),
		"node": s.nodeName(), "state": "running",
		"confirm": ch.Confirms, "transactional": ch.Transactional,
		"prefetch_count": ch.Prefetch, "global_prefetch_count": ch.SharedPrefetch,
		"consumer_count": len(ch.Consumers), "messages_unacknowledged": ch.Unacked,
		"connection_details": object{"name": c.Name, "peer_host": host, "peer_port": port},
	}}
}

func (s *Server) consumers(r *request) (any, error) {
	return s.eachChannel(r.isShown, s.showConsumers), nil
}

func (s *Server) showConsumers(c *amqp.ConnectionInfo, ch *amqp.ChannelInfo) (list []object) {
	host, port := split(c.Client)
	for _, x := range ch.Consumers {
		list = append(list, object{
			"consumer_tag": x.Tag, "queue": object{"name": x.Queue, "vhost": amqp.VhostOf(c.Namespace)},
			"ack_required": !x.NoAck, "exclusive": x.Exclusive, "prefetch_count": x.Prefetch,
			"arguments": showArgs(x.Args),
			"channel_details": object{"name": channelName(c, ch), "number": int(ch.Number), "user": c.User,
				"connection_name": c.Name, "peer_host": host, "peer_port": port, "node": s.nodeName()},
		})
	}
	return list
}
