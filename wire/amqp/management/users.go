package management

import (
	"encoding/base64"
	"errors"
	"net/http"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/amqp"
)

// hashNames are RabbitMQ's for the ways to hash a password.
var hashNames = map[broker.HashAlgorithm]string{
	broker.SHA256: "rabbit_password_hashing_sha256",
	broker.SHA512: "rabbit_password_hashing_sha512",
	broker.MD5:    "rabbit_password_hashing_md5",
}

func (s *Server) users(*request) (any, error) {
	list := []object{}
	for _, u := range s.b.Users() {
		list = append(list, showUser(&u))
	}
	return list, nil
}

func (s *Server) usersWithoutPermissions(*request) (any, error) {
	some := map[string]bool{}
	for _, p := range s.b.Permissions() {
		some[p.User] = true
	}
	list := []object{}
	for _, u := range s.b.Users() {
		if !some[u.Name] {
			list = append(list, showUser(&u))
		}
	}
	return list, nil
}

func showUser(u *broker.User) object {
	return object{"name": u.Name, "tags": tagsOf(u.Tags), "limits": object{},
		"password_hash":     base64.StdEncoding.EncodeToString(u.PasswordHash),
		"hashing_algorithm": hashNames[u.Hash]}
}

func (s *Server) userNamed(r *request) (any, error) {
	u, err := s.b.User(r.PathValue("u"))
	if err != nil {
		return nil, errNotFound
	}
	return showUser(&u), nil
}

// userWanted is the body of a request for a user. One without password and hash has no password.
type userWanted struct {
	Password      *string        `json:"password"`
	Hash          *string        `json:"password_hash"`
	Algorithm     string         `json:"hashing_algorithm"`
	Tags          *words         `json:"tags"`
	Administrator *truth         `json:"administrator"`
	Limits        map[string]any `json:"limits"`
	// Permissions of a new user, by virtual host.
	Permissions map[string]permissionWanted `json:"permissions"`
}

func (w *userWanted) user(name string) (u broker.User, err error) {
	u.Name = name
	switch {
	case w.Tags != nil:
		u.Tags = *w.Tags
	case w.Administrator == nil:
		return u, badRequest("tags_not_present")
	case bool(*w.Administrator):
		u.Tags = []string{tagAdministrator}
	}
	switch {
	case len(w.Limits) > 0:
		return u, notBuilt(noLimits)
	case w.Password != nil && w.Hash != nil:
		return u, badRequest("both_password_and_password_hash_are_provided")
	case w.Password != nil:
		u.PasswordHash = broker.HashPassword(*w.Password)
	case w.Hash != nil:
		if u.PasswordHash, err = base64.StdEncoding.DecodeString(*w.Hash); err != nil {
			return u, badRequest("password_hash is not base64: %v", err)
		}
		u.Hash, err = algorithmNamed(w.Algorithm)
	}
	return u, err
}

func algorithmNamed(name string) (broker.HashAlgorithm, error) {
	for a, known := range hashNames {
		if name == known {
			return a, nil
		}
	}
	if name == "" {
		return broker.SHA256, nil
	}
	return 0, badRequest("unknown hashing_algorithm %s", name)
}

func (s *Server) putUser(r *request) (any, error) {
	var want userWanted
	if err := r.decode(&want); err != nil {
		return nil, err
	}
	u, err := want.user(r.PathValue("u"))
	if err != nil {
		return nil, err
	}
	made, err := s.b.PutUser(r.Context(), u)
	if err == nil && made {
		for vhost, p := range want.Permissions {
			if err = s.permit(r, vhost, u.Name, &p); err != nil {
				break
			}
		}
	}
	return createdUnless(!made, err)
}

// deleteUser ends the user's connections too: they watch him.
func (s *Server) deleteUser(r *request) (any, error) {
	return nil, missing(s.b.DeleteUser(r.Context(), r.PathValue("u")))
}

// deleteUsers passes over those who are not there.
func (s *Server) deleteUsers(r *request) (any, error) {
	var want struct {
		Users *[]string `json:"users"`
	}
	if err := r.decode(&want); err != nil {
		return nil, err
	}
	if want.Users == nil {
		return nil, badRequest("key_missing: users")
	}
	for _, name := range *want.Users {
		if err := s.b.DeleteUser(r.Context(), name); err != nil && !errors.Is(err, broker.NotFound) {
			return nil, err
		}
	}
	return nil, nil
}

func (s *Server) hashPassword(r *request) (any, error) {
	hash := broker.HashPassword(r.PathValue("password"))
	return object{"ok": base64.StdEncoding.EncodeToString(hash)}, nil
}

var errVhostOrUser = &problem{http.StatusBadRequest, "bad_request", "vhost_or_user_not_found"}

func showPermission(p *broker.Permission) object {
	return object{"user": p.User, "vhost": amqp.VhostOf(p.Namespace),
		"configure": p.Configure, "write": p.Write, "read": p.Read}
}

func showTopicPermission(p *broker.TopicPermission) object {
	return object{"user": p.User, "vhost": amqp.VhostOf(p.Namespace), "exchange": p.Exchange,
		"write": p.Write, "read": p.Read}
}

// asked says whether a list shows the permissions of a user in a namespace: its path may name
// either.
func (r *request) asked(namespace, user string) bool {
	u := r.PathValue("u")
	return (u == "" || u == user) && (!r.inVhost || r.namespace == namespace)
}

// userMustBe is an error where the path names a user who is not there.
func (s *Server) userMustBe(r *request) error {
	u := r.PathValue("u")
	if _, err := s.b.User(u); u != "" && err != nil {
		return errNotFound
	}
	return nil
}

func (s *Server) permissions(r *request) (any, error) {
	list := []object{}
	for _, p := range s.b.Permissions() {
		if r.asked(p.Namespace, p.User) {
			list = append(list, showPermission(&p))
		}
	}
	return list, s.userMustBe(r)
}

func (s *Server) topicPermissions(r *request) (any, error) {
	list := []object{}
	x := r.PathValue("x")
	for _, p := range s.b.TopicPermissions() {
		if r.asked(p.Namespace, p.User) && (x == "" || x == p.Exchange) {
			list = append(list, showTopicPermission(&p))
		}
	}
	if err := s.userMustBe(r); err != nil {
		return nil, err
	}
	if r.inVhost && r.PathValue("u") != "" && len(list) == 0 {
		return nil, errNotFound
	}
	return list, nil
}

func (s *Server) permission(r *request) (any, error) {
	p, err := s.b.Permission(r.namespace, r.PathValue("u"))
	if err != nil {
		return nil, errNotFound
	}
	return showPermission(&p), nil
}

// permissionWanted is the body of a request for a permission.
type permissionWanted struct {
	Configure *string `json:"configure"`
	Write     *string `json:"write"`
	Read      *string `json:"read"`
}

func (s *Server) permit(r *request, vhost, user string, want *permissionWanted) error {
	namespace, ok := amqp.NamespaceOf(vhost)
	switch {
	case !ok:
		return errVhostOrUser
	case want.Configure == nil || want.Write == nil || want.Read == nil:
		return badRequest("key_missing: configure, write and read are needed")
	}
	_, err := s.b.SetPermission(r.Context(), broker.Permission{Namespace: namespace, User: user,
		Configure: *want.Configure, Write: *want.Write, Read: *want.Read})
	if errors.Is(err, broker.NotFound) {
		return errVhostOrUser
	}
	return err
}

func (s *Server) putPermission(r *request) (any, error) {
	var want permissionWanted
	if err := r.decode(&want); err != nil {
		return nil, err
	}
	_, missing := s.permission(r)
	return createdUnless(missing == nil, s.permit(r, r.PathValue("v"), r.PathValue("u"), &want))
}

func (s *Server) deletePermission(r *request) (any, error) {
	return nil, missing(s.b.ClearPermission(r.Context(), r.namespace, r.PathValue("u")))
}

func (s *Server) putTopicPermission(r *request) (any, error) {
	var want topicPermissionWanted
	if err := r.decode(&want); err != nil {
		return nil, err
	}
	made, err := s.permitTopic(r, r.namespace, r.PathValue("u"), &want)
	return createdUnless(!made, err)
}

// topicPermissionWanted is the body of a request for a topic permission.
type topicPermissionWanted struct {
	Exchange string  `json:"exchange"`
	Write    *string `json:"write"`
	Read     *string `json:"read"`
}

func (s *Server) permitTopic(r *request, namespace, user string, want *topicPermissionWanted) (
	made bool, err error) {
	if want.Exchange == "" || want.Write == nil || want.Read == nil {
		return false, badRequest("key_missing: exchange, write and read are needed")
	}
	made, err = s.b.SetTopicPermission(r.Context(), broker.TopicPermission{Namespace: namespace,
		User: user, Exchange: want.Exchange, Write: *want.Write, Read: *want.Read})
	if errors.Is(err, broker.NotFound) {
		return false, errVhostOrUser
	}
	return made, err
}

// deleteTopicPermissions deletes all of a user, or the one of the exchange in the path.
func (s *Server) deleteTopicPermissions(r *request) (any, error) {
	return nil, missing(s.b.ClearTopicPermission(r.Context(), r.namespace, r.PathValue("u"), r.PathValue("x")))
}
