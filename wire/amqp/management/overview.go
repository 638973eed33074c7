package management

import (
	"net"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/tidings-io/tidings/broker"
)

const productName = "Tidings"

// exchangeTypes are those that broker.ExchangeSpec.Type may be.
var exchangeTypes = []string{"direct", "fanout", "headers", "topic", "x-consistent-hash",
	"x-delayed-message", "x-local-random", "x-modulus-hash", "x-random"}

// nodeName is how the one node is called wherever RabbitMQ names a node.
func (s *Server) nodeName() string { return "tidings@localhost" }

// overview counts what the user may see; one with the tag monitoring sees the listeners too.
func (s *Server) overview(r *request) (any, error) {
	info := s.amqp.Info()
	namespaces := s.visible(r)
	if r.is(monitor) {
		namespaces = s.everywhere()
	}
	totals, exchanges, queues := s.totalsOf(namespaces...), 0, 0
	for _, name := range namespaces {
		exchanges += len(s.b.Exchanges(name))
		queues += len(s.b.Queues(name)) + len(s.streams(name))
	}
	conns, channels, consumers := 0, 0, 0
	for _, c := range s.amqp.Connections() {
		if !r.isShown(&c) {
			continue
		}
		conns++
		channels += len(c.Channels)
		for _, ch := range c.Channels {
			consumers += len(ch.Consumers)
		}
	}
	doc := object{
		"product_name": productName, "product_version": info.Version,
		"management_version": info.Version, "rabbitmq_version": info.Version,
		"cluster_name": info.Cluster, "node": s.nodeName(),
		"rates_mode": "none", "statistics_level": "coarse", "statistics_db_event_queue": 0,
		"exchange_types": showNames(exchangeTypes...),
		"object_totals": object{"connections": conns, "channels": channels, "consumers": consumers,
			"exchanges": exchanges, "queues": queues},
		"queue_totals":  totals.lengths(),
		"message_stats": totals.stats(),
	}
	if r.is(monitor) {
		doc["listeners"], doc["contexts"] = s.showListeners(), s.contexts()
	}
	return doc, nil
}

func (s *Server) everywhere() (names []string) {
	for _, ns := range s.b.Namespaces() {
		names = append(names, ns.Name)
	}
	return names
}

func showNames(names ...string) []object {
	list := make([]object, len(names))
	for i, name := range names {
		list[i] = object{"name": name, "description": "", "enabled": true}
	}
	return list
}

// totals add up queues.
type totals broker.QueueStats

func (s *Server) totalsOf(namespaces ...string) (t totals) {
	for _, name := range namespaces {
		for _, q := range s.b.Queues(name) {
			t.add(q.Stats())
		}
		for _, x := range s.streams(name) {
			t.add(broker.QueueStats(streamTotals(x)))
		}
	}
	return t
}

func (t *totals) add(q broker.QueueStats) {
	t.Ready += q.Ready
	t.Leased += q.Leased
	t.Bytes += q.Bytes
	c, d := &t.Counts, &q.Counts
	c.Published += d.Published
	c.Delivered += d.Delivered
	c.Redelivered += d.Redelivered
	c.Accepted += d.Accepted
}

func (t *totals) lengths() object {
	return object{"messages": t.Ready + t.Leased, "messages_ready": t.Ready,
		"messages_unacknowledged": t.Leased}
}

// stats are counts since the broker was opened.
func (t *totals) stats() object {
	c := &t.Counts
	return object{"publish": c.Published, "deliver_get": c.Delivered, "redeliver": c.Redelivered,
		"ack": c.Accepted}
}

// served is one address that something is served on.
type served struct {
	protocol string
	addr     *net.TCPAddr
	tls      bool
}

// listening lists the AMQP listener's addresses and our own.
func (s *Server) listening() (all []served) {
	info := s.amqp.Info()
	add := func(protocol string, tls bool, addrs ...net.Addr) {
		for _, a := range addrs {
			if tcp, ok := a.(*net.TCPAddr); ok {
				all = append(all, served{protocol, tcp, tls})
			}
		}
	}
	if info.TLS {
		add("amqp/ssl", true, info.Addrs...)
	} else {
		add("amqp", false, info.Addrs...)
	}
	for _, l := range s.http.Listeners() {
		add("http", false, l.Addr())
	}
	return all
}

func (s *Server) showListeners() []object {
	var list []object
	for _, l := range s.listening() {
		list = append(list, object{"node": s.nodeName(), "protocol": l.protocol, "tls": l.tls,
			"ip_address": l.addr.IP.String(), "port": l.addr.Port, "socket_opts": object{}})
	}
	return list
}

func (s *Server) contexts() []object {
	port := strconv.Itoa(s.Addr().(*net.TCPAddr).Port)
	return []object{{"node": s.nodeName(), "description": "RabbitMQ Management", "path": "/",
		"port": port, "ssl": "false"}}
}

func (s *Server) clusterName(*request) (any, error) {
	return object{"name": s.amqp.Info().Cluster}, nil
}

func (s *Server) nodes(*request) (any, error) { return []object{s.showNode()}, nil }

func (s *Server) node(r *request) (any, error) {
	if r.PathValue("n") != s.nodeName() {
		return nil, errNotFound
	}
	return s.showNode(), nil
}

func (s *Server) showNode() object {
	disk := s.b.Storage()
	used, limit := s.amqp.Memory()
	return object{
		"name": s.nodeName(), "type": "disc", "running": s.b.Err() == nil, "being_drained": false,
		"os_pid": strconv.Itoa(os.Getpid()), "uptime": time.Since(s.started).Milliseconds(),
		"processors": runtime.GOMAXPROCS(0), "rates_mode": "none",
		"mem_used": used, "mem_limit": limit, "mem_alarm": limit > 0 && used > limit,
		"disk_free": disk.DiskFree, "disk_free_alarm": disk.Full,
		"proc_used": runtime.NumGoroutine(), "fd_used": disk.OpenFiles,
		"partitions": []string{}, "applications": []object{}, "enabled_plugins": []string{},
		"auth_mechanisms": showNames("PLAIN", "AMQPLAIN"),
		"exchange_types":  showNames(exchangeTypes...), "contexts": s.contexts(),
	}
}
