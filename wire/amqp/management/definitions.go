package management

import (
	"slices"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/amqp"
)

// Definitions are what an operator would write down of a broker: who may use it, its virtual hosts,
// policies, exchanges, queues and bindings, and no messages. The document is RabbitMQ's, and so are
// its names: operator policies are parameters.

// operatorPolicy is the component of parameters that are operator policies.
const operatorPolicyComponent = "operator_policy"

// exported says which fields of an object are part of a definition.
var exported = map[string][]string{
	"users":             {"name", "password_hash", "hashing_algorithm", "tags", "limits"},
	"vhosts":            {"name", "description", "tags", "default_queue_type", "metadata"},
	"permissions":       {"user", "vhost", "configure", "write", "read"},
	"topic_permissions": {"user", "vhost", "exchange", "write", "read"},
	"policies":          {"vhost", "name", "pattern", "definition", "priority", "apply-to"},
	"exchanges":         {"name", "vhost", "type", "durable", "auto_delete", "internal", "arguments"},
	"queues":            {"name", "vhost", "durable", "auto_delete", "arguments"},
	"bindings": {"source", "vhost", "destination", "destination_type", "routing_key",
		"arguments"},
}

// definitions exports everything. Lists are in the order of their names, so that two exports of the
// same are the same.
func (s *Server) definitions(r *request) (any, error) {
	doc := s.about("cluster")
	users := []object{}
	for _, u := range s.b.Users() {
		users = append(users, showUser(&u))
	}
	vhosts, permissions, topicPermissions := []object{}, []object{}, []object{}
	for _, ns := range s.b.Namespaces() {
		vhosts = append(vhosts, s.definedVhost(&ns))
	}
	for _, p := range s.b.Permissions() {
		permissions = append(permissions, showPermission(&p))
	}
	for _, p := range s.b.TopicPermissions() {
		topicPermissions = append(topicPermissions, showTopicPermission(&p))
	}
	s.define(doc, "users", users)
	s.define(doc, "vhosts", vhosts)
	s.define(doc, "permissions", permissions)
	s.define(doc, "topic_permissions", topicPermissions)
	doc["global_parameters"] = []object{}
	s.defineContents(doc, s.everywhere())
	return doc, nil
}

// definitionsOfVhost exports what is in one virtual host, for any: without its name.
func (s *Server) definitionsOfVhost(r *request) (any, error) {
	doc := s.about("single_virtual_host")
	doc["original_vhost_name"] = amqp.VhostOf(r.namespace)
	s.defineContents(doc, []string{r.namespace})
	for _, list := range doc {
		if list, ok := list.([]object); ok {
			for _, one := range list {
				delete(one, "vhost")
			}
		}
	}
	return doc, nil
}

// definedVhost does not tell a type of queues that nobody has chosen: a virtual host that has one
// gives it to every queue that is declared without.
func (s *Server) definedVhost(ns *broker.Namespace) object {
	doc := s.showVhost(ns)
	if ns.DefaultQueueType == "" {
		delete(doc, "default_queue_type")
		delete(doc["metadata"].(object), "default_queue_type")
	}
	return doc
}

func (s *Server) about(format string) object {
	version := s.amqp.Info().Version
	return object{"rabbit_version": version, "rabbitmq_version": version, "product_name": productName,
		"product_version": version, "rabbitmq_definition_format": format}
}

// define puts a list of documents into the export, with the fields that are part of it.
func (s *Server) define(doc object, kind string, list []object) {
	for i, one := range list {
		kept := object{}
		for _, name := range exported[kind] {
			if v, there := one[name]; there {
				kept[name] = v
			}
		}
		list[i] = kept
	}
	doc[kind] = list
}

func (s *Server) defineContents(doc object, namespaces []string) {
	policies, parameters, exchanges, queues, bindings := []object{}, []object{}, []object{}, []object{}, []object{}
	for _, ns := range namespaces {
		for _, p := range s.b.Policies(ns, false) {
			policies = append(policies, showPolicy(p))
		}
		for _, p := range s.b.Policies(ns, true) {
			parameters = append(parameters, showOperatorPolicy(p))
		}
		for _, x := range s.b.Exchanges(ns) {
			if !x.BuiltIn() && !s.b.Relays(x.Spec().Type) { // those are made by their own protocol
				exchanges = append(exchanges, showExchange(x))
			}
		}
		mine := s.durableQueues(ns)
		queues = append(queues, mine...)
		bindings = append(bindings, s.definedBindings(ns, mine)...)
	}
	doc["parameters"] = parameters
	s.define(doc, "policies", policies)
	s.define(doc, "exchanges", exchanges)
	s.define(doc, "queues", queues)
	s.define(doc, "bindings", bindings)
}

// showOperatorPolicy is a policy of operators as RabbitMQ's parameter.
func showOperatorPolicy(p broker.Policy) object {
	value := showPolicy(p)
	doc := object{"vhost": value["vhost"], "component": operatorPolicyComponent, "name": value["name"]}
	delete(value, "vhost")
	delete(value, "name")
	doc["value"] = value
	return doc
}

// durableQueues are those of a namespace that nobody owns and a restart keeps, and the streams that
// were declared as such: topics that a Kafka client made have settings that no queue has.
func (s *Server) durableQueues(namespace string) (list []object) {
	for _, q := range s.b.Queues(namespace) {
		if spec := q.Spec(); spec.Durable && spec.Owner == nil {
			list = append(list, s.typedQueue(q))
		}
	}
	for _, t := range s.streams(namespace) {
		if len(t.Args()) > 0 {
			list = append(list, s.showStream(t))
		}
	}
	slices.SortFunc(list, func(a, b object) int { return compare(a["name"], b["name"]) })
	return list
}

// typedQueue tells the type of a queue that has not been told one, where queues without are of another.
func (s *Server) typedQueue(q *broker.Queue) object {
	doc := s.showQueue(q)
	ns, err := s.b.Namespace(q.Name().Namespace)
	args := doc["arguments"].(object)
	if _, told := args[queueType]; err == nil && !told && ns.DefaultQueueType != "" {
		args[queueType] = doc["type"]
	}
	return doc
}

const queueType = "x-queue-type"

// definedBindings are those whose ends are exported too, or there anyway.
func (s *Server) definedBindings(namespace string, queues []object) (list []object) {
	there := map[any]bool{}
	for _, q := range queues {
		there[q["name"]] = true
	}
	for _, b := range s.allBindings(namespace) {
		toQueue := b.Destination.Kind != broker.KindExchange
		if b.Source == "" || toQueue && !there[b.Destination.Name] {
			continue
		}
		list = append(list, showBinding(&b))
	}
	return list
}
