package management

import (
	"net/http"

	"github.com/tidings-io/tidings/broker"
)

// handler answers a request with a document: an object, a list of them, created, or nil for an
// answer without a body.
type handler func(*Server, *request) (any, error)

// request is one that may be answered: its sender is known and its body has come.
type request struct {
	*http.Request
	route *route
	user  broker.User
	body  []byte

	// namespace is of the virtual host in the path, if inVhost.
	namespace string
	inVhost   bool
}

// object is a document of the API.
type object = map[string]any

// created is the answer to what made something, with where that is; empty: at the same path.
type created string

// route is a path, with what its methods do. Where unbuilt is set, all others are answered with
// 501 and this reason.
type route struct {
	path                   string
	get, put, post, delete handler
	unbuilt                string
	// who may use it at all, and who may change something by it.
	who, whoWrites level
	looksItself    bool // whether the virtual host in the path is there
	shared         bool // who has no permission in the virtual host sees his own of it
}

const (
	noName       = "the name of the cluster cannot be changed"
	noTracing    = "tracing is not built"
	noParameters = "runtime parameters are not built"
	noLimits     = "limits of users and virtual hosts are not built"
	noStreams    = "streams are not built"
	noActions    = "queues have no actions: there is one node"
	noFlags      = "deprecated features and feature flags are not built"
)

// Bindings between two things have one path for each kind of destination.
const (
	toQueue    = "/api/bindings/{v}/e/{x}/q/{to}"
	toExchange = "/api/bindings/{v}/e/{x}/e/{to}"
)

var routes = []route{
	{path: "/api/overview", get: (*Server).overview},
	{path: "/api/cluster-name", get: (*Server).clusterName, unbuilt: noName, whoWrites: administrator},
	{path: "/api/whoami", get: (*Server).whoami},
	{path: "/api/nodes", get: (*Server).nodes, who: monitor},
	{path: "/api/nodes/{n}", get: (*Server).node, who: monitor},
	{path: "/api/nodes/{n}/memory-limit", put: (*Server).setMemoryLimit, who: administrator},
	{path: "/api/vhosts", get: (*Server).vhosts},
	{path: "/api/vhosts/{v}", get: (*Server).vhost, put: (*Server).putVhost, delete: (*Server).deleteVhost,
		who: administrator, looksItself: true},
	{path: "/api/vhosts/{v}/permissions", get: (*Server).permissions, who: administrator},
	{path: "/api/vhosts/{v}/topic-permissions", get: (*Server).topicPermissions, who: administrator},
	{path: "/api/vhosts/{v}/connections", get: (*Server).connections},
	{path: "/api/vhosts/{v}/channels", get: (*Server).channels},
	{path: "/api/users", get: (*Server).users, who: administrator},
	{path: "/api/users/bulk-delete", post: (*Server).deleteUsers, who: administrator},
	{path: "/api/users/without-permissions", get: (*Server).usersWithoutPermissions, who: administrator},
	{path: "/api/users/{u}", get: (*Server).userNamed, put: (*Server).putUser, delete: (*Server).deleteUser,
		who: administrator},
	{path: "/api/users/{u}/permissions", get: (*Server).permissions, who: administrator},
	{path: "/api/users/{u}/topic-permissions", get: (*Server).topicPermissions, who: administrator},
	{path: "/api/permissions", get: (*Server).permissions, who: administrator},
	{path: "/api/permissions/{v}/{u}", get: (*Server).permission, put: (*Server).putPermission,
		delete: (*Server).deletePermission, who: administrator, looksItself: true},
	{path: "/api/topic-permissions", get: (*Server).topicPermissions, who: administrator},
	{path: "/api/topic-permissions/{v}/{u}", get: (*Server).topicPermissions, put: (*Server).putTopicPermission,
		delete: (*Server).deleteTopicPermissions, who: administrator, looksItself: true},
	{path: "/api/topic-permissions/{v}/{u}/{x}", get: (*Server).topicPermissions,
		delete: (*Server).deleteTopicPermissions, who: administrator},
	{path: "/api/auth/hash_password/{password}", get: (*Server).hashPassword, who: administrator},
	{path: "/api/connections", get: (*Server).connections},
	{path: "/api/connections/{c}", get: (*Server).connection, delete: (*Server).closeConnection},
	{path: "/api/connections/{c}/channels", get: (*Server).channelsOf},
	{path: "/api/channels", get: (*Server).channels},
	{path: "/api/channels/{ch}", get: (*Server).channel},
	{path: "/api/consumers", get: (*Server).consumers},
	{path: "/api/consumers/{v}", get: (*Server).consumers, shared: true},
	{path: "/api/exchanges", get: (*Server).exchanges},
	{path: "/api/exchanges/{v}", get: (*Server).exchanges},
	{path: "/api/exchanges/{v}/{x}", get: (*Server).exchange, put: (*Server).putExchange,
		delete: (*Server).deleteExchange},
	{path: "/api/exchanges/{v}/{x}/publish", post: (*Server).publish},
	{path: "/api/exchanges/{v}/{x}/bindings/source", get: (*Server).bindingsFrom},
	{path: "/api/exchanges/{v}/{x}/bindings/destination", get: (*Server).bindingsTo},
	{path: "/api/queues", get: (*Server).queues},
	{path: "/api/queues/{v}", get: (*Server).queues},
	{path: "/api/queues/{v}/{q}", get: (*Server).queue, put: (*Server).putQueue,
		delete: (*Server).deleteQueue},
	{path: "/api/queues/{v}/{q}/bindings", get: (*Server).bindingsOfQueue},
	{path: "/api/queues/{v}/{q}/contents", delete: (*Server).purge},
	{path: "/api/queues/{v}/{q}/get", post: (*Server).take},
	{path: "/api/queues/{v}/{q}/actions", unbuilt: noActions},
	{path: "/api/bindings", get: (*Server).bindings},
	{path: "/api/bindings/{v}", get: (*Server).bindings},
	{path: toQueue, get: (*Server).bindingsBetween, post: (*Server).bind},
	{path: toExchange, get: (*Server).bindingsBetween, post: (*Server).bind},
	{path: toQueue + "/{props}", get: (*Server).binding, delete: (*Server).unbind},
	{path: toExchange + "/{props}", get: (*Server).binding, delete: (*Server).unbind},
	{path: "/api/policies", get: (*Server).policies, who: policymaker},
	{path: "/api/policies/{v}", get: (*Server).policies, who: policymaker},
	{path: "/api/policies/{v}/{p}", get: (*Server).policy, put: (*Server).putPolicy,
		delete: (*Server).deletePolicy, who: policymaker},
	{path: "/api/operator-policies", get: (*Server).operatorPolicies, who: policymaker},
	{path: "/api/operator-policies/{v}", get: (*Server).operatorPolicies, who: policymaker},
	{path: "/api/operator-policies/{v}/{p}", get: (*Server).operatorPolicy, put: (*Server).putOperatorPolicy,
		delete: (*Server).deleteOperatorPolicy, who: policymaker, whoWrites: administrator},
	{path: "/api/definitions", get: (*Server).definitions, post: (*Server).importDefinitions,
		who: administrator},
	{path: "/api/definitions/{v}", get: (*Server).definitionsOfVhost,
		post: (*Server).importDefinitionsOfVhost, who: administrator},
	{path: "/api/aliveness-test/{v}", get: (*Server).alive},
	{path: "/api/health/checks/alarms", get: (*Server).alarms},
	{path: "/api/health/checks/local-alarms", get: (*Server).alarms},
	{path: "/api/health/checks/virtual-hosts", get: (*Server).vhostsWork},
	{path: "/api/health/checks/port-listener/{port}", get: (*Server).portListens},
	{path: "/api/health/checks/protocol-listener/{protocol}", get: (*Server).protocolListens},

	{path: "/api/parameters/...", unbuilt: noParameters},
	{path: "/api/global-parameters/...", unbuilt: noParameters},
	{path: "/api/vhost-limits/...", unbuilt: noLimits},
	{path: "/api/user-limits/...", unbuilt: noLimits},
	{path: "/api/stream/...", unbuilt: noStreams},
	{path: "/api/feature-flags/...", unbuilt: noFlags},
	{path: "/api/deprecated-features/...", unbuilt: noFlags},
}
