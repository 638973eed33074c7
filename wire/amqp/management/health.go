package management

import (
	"slices"
	"strconv"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/amqp"
)

// unhealthy is the answer of a check that has failed; it goes out with 503.
type unhealthy object

var healthy = object{"status": "ok"}

func failing(reason string, more object) unhealthy {
	doc := unhealthy{"status": "failed", "reason": reason}
	for name, v := range more {
		doc[name] = v
	}
	return doc
}

// alarms are what holds publishers back: a disk that is nearly full, and memory above its limit.
func (s *Server) alarms(*request) (any, error) {
	var alarms []object
	if s.b.Storage().Full {
		alarms = append(alarms, object{"node": s.nodeName(), "resource": "disk"})
	}
	if used, limit := s.amqp.Memory(); limit > 0 && used > limit {
		alarms = append(alarms, object{"node": s.nodeName(), "resource": "memory"})
	}
	if alarms == nil {
		return healthy, nil
	}
	return failing("There are alarms in effect in the cluster", object{"alarms": alarms}), nil
}

// vhostsWork fails once the disk has failed.
func (s *Server) vhostsWork(*request) (any, error) {
	if err := s.b.Err(); err != nil {
		var down []string
		for _, ns := range s.b.Namespaces() {
			down = append(down, amqp.VhostOf(ns.Name))
		}
		return failing("Some virtual hosts are down: "+err.Error(), object{"virtual-hosts": down}), nil
	}
	return healthy, nil
}

func (s *Server) portListens(r *request) (any, error) {
	port, err := strconv.Atoi(r.PathValue("port"))
	if err != nil {
		return nil, badRequest("Invalid port: %s", r.PathValue("port"))
	}
	ports := []int{}
	for _, l := range s.listening() {
		ports = append(ports, l.addr.Port)
	}
	if slices.Contains(ports, port) {
		return object{"status": "ok", "port": port}, nil
	}
	slices.Sort(ports)
	return failing("No active listener", object{"missing": port, "ports": slices.Compact(ports)}), nil
}

// protocolNames are the words that clients use for what listeners call otherwise.
var protocolNames = map[string]string{"amqp091": "amqp", "amqp0-9-1": "amqp", "amqp0.9.1": "amqp",
	"amqp-0-9-1": "amqp", "amqps": "amqp/ssl", "http/ssl": "https"}

func (s *Server) protocolListens(r *request) (any, error) {
	asked := r.PathValue("protocol")
	want := asked
	if name, ok := protocolNames[asked]; ok {
		want = name
	}
	protocols := []string{}
	for _, l := range s.listening() {
		protocols = append(protocols, l.protocol)
	}
	if slices.Contains(protocols, want) {
		return object{"status": "ok", "protocol": asked}, nil
	}
	slices.Sort(protocols)
	return failing("No active listener",
		object{"missing": asked, "protocols": slices.Compact(protocols)}), nil
}

// aliveQueue stays after the first test, as in RabbitMQ.
const aliveQueue = "aliveness-test"

// alive publishes a message and gets one back.
func (s *Server) alive(r *request) (any, error) {
	d := s.direct(r)
	if err := d.DeclareQueue(broker.QueueSpec{Name: aliveQueue}); err != nil {
		return failing(err.Error(), nil), nil
	}
	if _, err := d.Publish(amqp.Message{Key: aliveQueue, Body: []byte("test_message")}); err != nil {
		return failing(err.Error(), nil), nil
	}
	got, err := d.Get(aliveQueue, 1, 1, broker.Accept)
	if err != nil {
		return failing(err.Error(), nil), nil
	}
	if len(got) == 0 {
		return failing("the message did not come back", nil), nil
	}
	return healthy, nil
}
