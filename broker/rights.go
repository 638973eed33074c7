package broker

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// Access is what somebody wants to do with a queue or an exchange.
type Access uint8

// The kinds of access.
const (
	ToConfigure Access = iota // make it, change it, delete it
	ToWrite                   // put records into it
	ToRead                    // take records out of it
)

// String returns "configure", "write" or "read".
func (a Access) String() string { return [...]string{"configure", "write", "read"}[a] }

// AccessGeneration grows with every change of users, permissions and namespaces, before
// the change returns: a verdict of Rights is good as long as it stays the same. It costs
// nanoseconds.
func (b *Broker) AccessGeneration() uint64 { return b.access.Load() }

// Rights is what a user may do in a namespace, as it was at one generation. It does not change, and many
// may share it.
type Rights struct {
	generation uint64
	allowed    [3]pattern // by Access
	topics     map[string][3]pattern
}

// AllRights lets everything be done, whatever the generation: for whom no permissions are kept.
var AllRights = &Rights{allowed: [3]pattern{{always: true}, {always: true}, {always: true}}}

// Rights returns what a user may do in a namespace. Pairs of vars, "{username}" and what
// stands for it, are replaced in topic permissions, and match as they are; an expression that
// this makes none matches nothing. Kind: NotFound (there is no permission).
func (b *Broker) Rights(namespace, user string, vars ...string) (*Rights, error) {
	r := &Rights{generation: b.access.Load()} // before all else: what changes later is newer
	p, err := b.Permission(namespace, user)
	if err != nil {
		return nil, err
	}
	for i, s := range []string{p.Configure, p.Write, p.Read} {
		if r.allowed[i], err = newRight(s); err != nil {
			return nil, &Error{Kind: Corrupt, Op: "read permission", Name: user, Err: err}
		}
	}
	b.topicRights(r, rightKey{namespace, user}, vars)
	return r, nil
}

func (b *Broker) topicRights(r *Rights, k rightKey, vars []string) {
	quoted := slices.Clone(vars)
	for i := 1; i < len(quoted); i += 2 {
		quoted[i] = regexp.QuoteMeta(quoted[i])
	}
	replace := strings.NewReplacer(quoted...)
	b.cat.mu.RLock()
	defer b.cat.mu.RUnlock()
	for name, p := range b.cat.topicPermissions[k] {
		write, err := newRight(replace.Replace(p.Write))
		read, also := newRight(replace.Replace(p.Read))
		if err := errors.Join(err, also); err != nil { // only with what stands for variables
			b.config.Logger.Warn("a topic permission allows nothing", "user", k.user, "exchange", name, "error", err)
		}
		if r.topics == nil {
			r.topics = map[string][3]pattern{}
		}
		r.topics[name] = [3]pattern{ToWrite: write, ToRead: read}
	}
}

// Generation is the AccessGeneration that these rights are of.
func (r *Rights) Generation() uint64 { return r.generation }

// May says whether a queue or exchange of a name may be accessed so.
func (r *Rights) May(a Access, name string) bool { return r.allowed[a].matches(name) }

// MayTopic says whether a routing key may be used so with a topic exchange.
func (r *Rights) MayTopic(a Access, exchange, key string) bool {
	p, bound := r.topics[exchange]
	return !bound || p[a].matches(key)
}

// BindsTopics says whether MayTopic can be false for the exchange.
func (r *Rights) BindsTopics(exchange string) bool {
	_, bound := r.topics[exchange]
	return bound
}

// newRight compiles an expression of a permission: an empty one gives no access.
func newRight(s string) (pattern, error) {
	if s == "" {
		s = "^$"
	}
	return newPattern(s)
}
