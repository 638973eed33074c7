package management

import "net/http"

// handler answers a request with a document: an object, a list of them, created, or nil for an
// answer without a body.
type handler func(*Server, *request) (any, error)

// request is one that may be answered: its sender is known and its body has come.
type request struct {
	*http.Request
	route *route
	user  string
	body  []byte
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
}

const (
	noName        = "the name of the cluster cannot be changed"
	noVhosts      = "virtual hosts cannot be changed: there is only /"
	noUsers       = "users are configured where the broker is started, and cannot be changed here"
	noPermissions = "permissions are not built: a user who may connect may do everything"
	noPolicies    = "policies are not built: use the arguments of queues and exchanges"
	noParameters  = "runtime parameters are not built"
	noDefinitions = "export and import of definitions are not built"
	noLimits      = "limits of users and virtual hosts are not built"
	noStreams     = "streams are not built"
	noActions     = "queues have no actions: there is one node"
	noFlags       = "deprecated features and feature flags are not built"
)

// Bindings between two things have one path for each kind of destination.
const (
	toQueue    = "/api/bindings/{v}/e/{x}/q/{to}"
	toExchange = "/api/bindings/{v}/e/{x}/e/{to}"
)

var routes = []route{
	{path: "/api/overview", get: (*Server).overview},
	{path: "/api/cluster-name", get: (*Server).clusterName, unbuilt: noName},
	{path: "/api/whoami", get: (*Server).whoami},
	{path: "/api/nodes", get: (*Server).nodes},
	{path: "/api/nodes/{n}", get: (*Server).node},
	{path: "/api/vhosts", get: (*Server).vhosts},
	{path: "/api/vhosts/{v}", get: (*Server).vhost, unbuilt: noVhosts},
	{path: "/api/vhosts/{v}/permissions", get: (*Server).permissions},
	{path: "/api/vhosts/{v}/connections", get: (*Server).connections},
	{path: "/api/vhosts/{v}/channels", get: (*Server).channels},
	{path: "/api/users", get: (*Server).users},
	{path: "/api/users/{u}", get: (*Server).userNamed, unbuilt: noUsers},
	{path: "/api/users/{u}/permissions", get: (*Server).permissionsOf},
	{path: "/api/permissions", get: (*Server).permissions},
	{path: "/api/permissions/{v}/{u}", get: (*Server).permission, unbuilt: noPermissions},
	{path: "/api/connections", get: (*Server).connections},
	{path: "/api/connections/{c}", get: (*Server).connection, delete: (*Server).closeConnection},
	{path: "/api/connections/{c}/channels", get: (*Server).channelsOf},
	{path: "/api/channels", get: (*Server).channels},
	{path: "/api/channels/{ch}", get: (*Server).channel},
	{path: "/api/consumers", get: (*Server).consumers},
	{path: "/api/consumers/{v}", get: (*Server).consumers},
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
	{path: "/api/aliveness-test/{v}", get: (*Server).alive},
	{path: "/api/health/checks/alarms", get: (*Server).alarms},
	{path: "/api/health/checks/local-alarms", get: (*Server).alarms},
	{path: "/api/health/checks/virtual-hosts", get: (*Server).vhostsWork},
	{path: "/api/health/checks/port-listener/{port}", get: (*Server).portListens},
	{path: "/api/health/checks/protocol-listener/{protocol}", get: (*Server).protocolListens},

	{path: "/api/policies/...", unbuilt: noPolicies},
	{path: "/api/operator-policies/...", unbuilt: noPolicies},
	{path: "/api/parameters/...", unbuilt: noParameters},
	{path: "/api/global-parameters/...", unbuilt: noParameters},
	{path: "/api/definitions/...", unbuilt: noDefinitions},
	{path: "/api/vhost-limits/...", unbuilt: noLimits},
	{path: "/api/user-limits/...", unbuilt: noLimits},
	{path: "/api/topic-permissions/...", unbuilt: noPermissions},
	{path: "/api/auth/hash_password/{password}", unbuilt: noUsers},
	{path: "/api/stream/...", unbuilt: noStreams},
	{path: "/api/feature-flags/...", unbuilt: noFlags},
	{path: "/api/deprecated-features/...", unbuilt: noFlags},
}
