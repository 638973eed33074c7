package management

import (
	"net/http"
	"slices"
	"strings"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/amqp"
)

// Who may do what, as RabbitMQ's tags have it: a user without any of them may not use this API; one
// with any sees what is his own, and the virtual hosts that he has a permission in; policymaker may
// change policies there; monitoring sees all virtual hosts, connections, channels and the node;
// administrator sees and changes everything, but for what is in virtual hosts where he has no
// permission.
const (
	tagManagement    = "management"
	tagPolicymaker   = "policymaker"
	tagMonitoring    = "monitoring"
	tagAdministrator = "administrator"
)

// level is who may use a route.
type level uint8

const (
	anyone level = iota // with one of the tags
	policymaker
	monitor
	administrator
)

var levels = map[level]struct {
	tags    []string
	refusal string
}{
	anyone: {[]string{tagManagement, tagPolicymaker, tagMonitoring, tagAdministrator}, "Not management user"},
	policymaker: {[]string{tagPolicymaker, tagAdministrator},
		"User not authorised to access object"},
	monitor:       {[]string{tagMonitoring, tagAdministrator}, "Not monitor user"},
	administrator: {[]string{tagAdministrator}, "Not administrator user"},
}

func notAuthorised(reason string) error {
	return &problem{http.StatusUnauthorized, "not_authorised", reason}
}

func has(u *broker.User, l level) bool {
	return slices.ContainsFunc(levels[l].tags, func(tag string) bool { return slices.Contains(u.Tags, tag) })
}

func (r *request) is(l level) bool { return has(&r.user, l) }

// admit says whether the user may use a route.
func (s *Server) admit(rt *route, method string, u *broker.User) error {
	need := []level{anyone, rt.who}
	if method != http.MethodGet && method != http.MethodHead {
		need = append(need, rt.whoWrites)
	}
	for _, l := range need {
		if !has(u, l) {
			return notAuthorised(levels[l].refusal)
		}
	}
	return nil
}

// enter finds the virtual host in the path, and says whether the user may look into it.
func (s *Server) enter(r *request) error {
	if !strings.Contains(r.route.path, "{v}") {
		return nil
	}
	var err error
	r.namespace, err = s.namespaceNamed(r)
	r.inVhost = true
	switch {
	case r.route.looksItself:
		return nil
	case err != nil:
		return err
	case !r.route.shared && !s.mayEnter(r, r.namespace):
		return notAuthorised("User not authorised to access virtual host")
	}
	return nil
}

// mayEnter says whether the user may see what is in a namespace.
func (s *Server) mayEnter(r *request, namespace string) bool {
	if r.is(administrator) {
		return true
	}
	_, err := s.b.Permission(namespace, r.user.Name)
	return err == nil
}

// visible are the namespaces that a list is of: the one in the path, or all that the user may see.
func (s *Server) visible(r *request) (names []string) {
	if r.inVhost {
		return []string{r.namespace}
	}
	for _, ns := range s.b.Namespaces() {
		if s.mayEnter(r, ns.Name) {
			names = append(names, ns.Name)
		}
	}
	return names
}

// eachVisible lists what a function finds in every namespace that the user may see.
func eachVisible[T any](s *Server, r *request, find func(namespace string) []T) (all []T) {
	for _, name := range s.visible(r) {
		all = append(all, find(name)...)
	}
	return all
}

// isShown says whether a list of connections, or of what belongs to them, shows those of a user in
// a namespace: a user without the tag monitoring sees his own.
func (r *request) isShown(c *amqp.ConnectionInfo) bool {
	return (r.is(monitor) || c.User == r.user.Name) && (!r.inVhost || c.Namespace == r.namespace)
}

func (s *Server) whoami(r *request) (any, error) {
	return object{"name": r.user.Name, "tags": tagsOf(r.user.Tags), "is_internal_user": true}, nil
}

// tagsOf is never null.
func tagsOf(tags []string) []string {
	if tags == nil {
		return []string{}
	}
	return tags
}
