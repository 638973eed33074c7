package management

// Who may connect is for the AMQP listener's Authenticate to say, and it cannot be asked for a
// list. So the only user that is known here is the one who asks.

var administrator = []string{"administrator"}

func (s *Server) whoami(r *request) (any, error) {
	return object{"name": r.user, "tags": administrator, "is_internal_user": true}, nil
}

func showUser(name string) object {
	return object{"name": name, "tags": administrator, "limits": object{}}
}

func (s *Server) users(r *request) (any, error) { return []object{showUser(r.user)}, nil }

func (s *Server) userNamed(r *request) (any, error) {
	if r.PathValue("u") != r.user {
		return nil, errNotFound
	}
	return showUser(r.user), nil
}

func showPermission(user string) object {
	return object{"user": user, "vhost": vhostName, "configure": ".*", "write": ".*", "read": ".*"}
}

func (s *Server) permissions(r *request) (any, error) {
	return []object{showPermission(r.user)}, nil
}

func (s *Server) permissionsOf(r *request) (any, error) {
	if r.PathValue("u") != r.user {
		return nil, errNotFound
	}
	return s.permissions(r)
}

func (s *Server) permission(r *request) (any, error) {
	if r.PathValue("u") != r.user {
		return nil, errNotFound
	}
	return showPermission(r.user), nil
}

func (s *Server) vhosts(*request) (any, error) { return []object{s.showVhost()}, nil }

func (s *Server) vhost(*request) (any, error) { return s.showVhost(), nil }

func (s *Server) showVhost() object {
	totals := s.queueTotals()
	doc := totals.lengths()
	for name, v := range (object{
		"name": vhostName, "description": "Default virtual host", "tags": []string{},
		"default_queue_type": "classic", "tracing": false,
		"metadata":      object{"description": "Default virtual host", "tags": []string{}},
		"cluster_state": object{s.nodeName(): "running"}, "message_stats": totals.stats(),
	}) {
		doc[name] = v
	}
	return doc
}
