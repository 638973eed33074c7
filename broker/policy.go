package broker

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// Policy gives settings to the queues and exchanges whose names match, beside those
// that they were declared with. Each has at most one policy of users and one of
// operators: the one of the highest priority, and of those the first by name.
type Policy struct {
	Namespace, Name string
	// Operator policies bound what users may ask for: they are matched on their own,
	// and of two numbers the lower is in force.
	Operator bool
	// Pattern is a regular expression, in the syntax of RE2, found anywhere in a name.
	// In front of the rest it may be told what must not be there: ^(?!amq\.).
	Pattern string
	// ApplyTo is what the policy is for, and NotFor what of that the definition makes
	// no sense for: the whole policy passes over it.
	ApplyTo, NotFor Targets
	Priority        int64
	// Definition is kept and shown as it was given; the rest is what it means, told by
	// the protocol face.
	Definition Args
	Queue      QueueSettings // but for MaxPriority and SingleActive
	Alternate  string        // of exchanges; "": none
}

// Targets is a set of what policies apply to. The numbers are on disk.
type Targets uint8

// The targets of policies.
const (
	Exchanges Targets = 1 << iota
	ClassicQueues
	QuorumQueues
	StreamQueues

	AllQueues  = ClassicQueues | QuorumQueues | StreamQueues
	Everything = Exchanges | AllQueues
)

// AppliedPolicies are those that a queue or exchange has; nil: none.
type AppliedPolicies struct{ User, Operator *Policy }

// Definition merges both: of two numbers the lower counts, where a negative one is
// without bound, and otherwise the operator's value.
func (a AppliedPolicies) Definition() Args {
	switch {
	case a.User == nil && a.Operator == nil:
		return nil
	case a.Operator == nil:
		return a.User.Definition
	case a.User == nil:
		return a.Operator.Definition
	}
	merged := slices.Clone(a.User.Definition)
	for _, arg := range a.Operator.Definition {
		at := slices.IndexFunc(merged, func(x Arg) bool { return x.Name == arg.Name })
		if at < 0 {
			merged = append(merged, arg)
			continue
		}
		x, isInt := integer(merged[at].Value)
		y, ok := integer(arg.Value)
		if !isInt || !ok || y == stricter(x, y) {
			merged[at].Value = arg.Value
		}
	}
	return merged
}

// stricter is the lower of two bounds; a negative one bounds nothing.
func stricter(x, y int64) int64 {
	if x < 0 || y < 0 {
		return max(x, y)
	}
	return min(x, y)
}

// policyName is where a policy stands.
type policyName struct {
	namespace string
	operator  bool
	name      string
}

func (p *Policy) at() policyName { return policyName{p.Namespace, p.Operator, p.Name} }

func (n policyName) String() string { return Name{Namespace: n.namespace, Name: n.name}.String() }

// rule is a policy and how names match it.
type rule struct {
	Policy
	pattern pattern
}

// fits says whether the policy is for something of a kind and name.
func (r *rule) fits(kind Targets, name string) bool {
	return r.ApplyTo&^r.NotFor&kind != 0 && r.pattern.matches(name)
}

// ruleBook is all policies. It does not change: a change makes another.
type ruleBook struct {
	byName map[policyName]*rule
	// sorted are those of a namespace, of users and of operators, the first that fits
	// first.
	sorted map[string]*[2][]*rule
}

func newRuleBook(all map[policyName]*rule) *ruleBook {
	b := &ruleBook{byName: all, sorted: map[string]*[2][]*rule{}}
	for at, r := range all {
		s := b.sorted[at.namespace]
		if s == nil {
			s = new([2][]*rule)
			b.sorted[at.namespace] = s
		}
		s[indexOf(at.operator)] = append(s[indexOf(at.operator)], r)
	}
	for _, s := range b.sorted {
		for i := range s {
			slices.SortFunc(s[i], func(x, y *rule) int {
				return cmp.Or(cmp.Compare(y.Priority, x.Priority), cmp.Compare(x.Name, y.Name))
			})
		}
	}
	return b
}

func indexOf(operator bool) int {
	if operator {
		return 1
	}
	return 0
}

// find returns what applies to something.
func (b *ruleBook) find(kind Targets, n Name) (a AppliedPolicies) {
	s := b.sorted[n.Namespace]
	if s == nil {
		return a
	}
	for i, to := range []**Policy{&a.User, &a.Operator} {
		at := slices.IndexFunc(s[i], func(r *rule) bool { return r.fits(kind, n.Name) })
		if at >= 0 {
			*to = &s[i][at].Policy
		}
	}
	return a
}

// with returns the book with one policy replaced, or without it where next is nil.
func (b *ruleBook) with(at policyName, next *rule) *ruleBook {
	all := maps.Clone(b.byName)
	if delete(all, at); next != nil {
		all[at] = next
	}
	return newRuleBook(all)
}

// SetPolicy makes a policy, or replaces the one of that name; created tells which. It
// is on disk on return, and in force at once: what it makes happen is on disk only
// after it. Kinds: Invalid (the pattern, say), TooLarge (beyond Limits.ConfigBytes),
// Full (a limit, or disk pressure), Closed, Storage.
func (b *Broker) SetPolicy(ctx context.Context, p Policy) (created bool, err error) {
	const op = "set policy"
	name := p.at().String()
	r, err := newRule(p)
	if err != nil {
		return false, &Error{Kind: Invalid, Op: op, Name: name, Err: err}
	}
	if err := checkArgs(op, name, p.Definition); err != nil {
		return false, err
	}
	value := p.encode()
	if most := b.config.Limits.ConfigBytes; len(value) > most {
		return false, fail(TooLarge, op, name, "policy has %d bytes, the limit is %d", len(value), most)
	}
	if err := b.admit(ctx, len(value)); err != nil {
		return false, storeError(op, name, err)
	}
	old, seq, err := b.changePolicy(op, p.at(), r, value)
	if err != nil {
		return false, err
	}
	b.followPolicies(p.Namespace, old, r)
	return old == nil, b.settle(ctx, op, name, seq)
}

// DeletePolicy ends a policy, durably on return: what it applied to is again as it was
// declared, or has the next policy that matches. Kinds: NotFound, Closed, Storage.
func (b *Broker) DeletePolicy(ctx context.Context, namespace, name string, operator bool) error {
	const op = "delete policy"
	at := policyName{namespace, operator, name}
	old, seq, err := b.changePolicy(op, at, nil, nil)
	if err != nil {
		return err
	}
	b.followPolicies(namespace, old, nil)
	return b.settle(ctx, op, at.String(), seq)
}

// Policies returns the policies of a namespace, those of users or of operators, by
// name.
func (b *Broker) Policies(namespace string, operator bool) (all []Policy) {
	for at, r := range b.rules.Load().byName {
		if at.namespace == namespace && at.operator == operator {
			all = append(all, r.Policy)
		}
	}
	slices.SortFunc(all, func(x, y Policy) int { return cmp.Compare(x.Name, y.Name) })
	return all
}

// Policy finds a policy by name. Kind: NotFound.
func (b *Broker) Policy(namespace, name string, operator bool) (Policy, error) {
	at := policyName{namespace, operator, name}
	r := b.rules.Load().byName[at]
	if r == nil {
		return Policy{}, &Error{Kind: NotFound, Op: "find policy", Name: at.String()}
	}
	return r.Policy, nil
}

func newRule(p Policy) (*rule, error) {
	if err := errors.Join(checkNamespace(p.Namespace), checkGroupName(p.Name)); err != nil {
		return nil, err
	}
	if p.ApplyTo == 0 || p.ApplyTo > Everything {
		return nil, fmt.Errorf("policy applies to %d", p.ApplyTo)
	}
	if p.Queue.MaxPriority > 0 || p.Queue.SingleActive {
		return nil, errors.New("priorities and single active are not for policies")
	}
	if err := p.Queue.check(); err != nil {
		return nil, err
	}
	m, err := newPattern(p.Pattern)
	return &rule{p, m}, err
}

// changePolicy replaces a policy on its way to the disk and in the book.
func (b *Broker) changePolicy(op string, at policyName, next *rule, value []byte) (
	old *rule, seq storage.Seq, err error) {
	b.cat.mu.Lock()
	defer b.cat.mu.Unlock()
	book := b.rules.Load()
	old = book.byName[at]
	if old == nil && next == nil {
		return nil, 0, &Error{Kind: NotFound, Op: op, Name: at.String()}
	}
	if next != nil {
		if _, err := b.cat.namespace(op, at.namespace); err != nil {
			return nil, 0, err
		}
	}
	if n, most := len(book.byName), b.config.Limits.Policies; old == nil && n >= most {
		return nil, 0, fail(Full, op, at.String(), "%d policies exist, the limit is %d", n, most)
	}
	var batch storage.Batch
	if next == nil {
		batch.Delete(at.key())
	} else {
		batch.Put(at.key(), value)
	}
	if seq, err = b.store.Submit(&batch); err != nil {
		return nil, 0, storeError(op, at.String(), err)
	}
	b.rules.Store(book.with(at, next))
	for _, x := range b.cat.exchanges {
		if x.name.Namespace == at.namespace && touched(Exchanges, x.name.Name, old, next) {
			x.followLocked()
		}
	}
	return old, seq, nil
}

// touched says whether a policy that is replaced was for something, or is now.
func touched(kind Targets, name string, rules ...*rule) bool {
	return slices.ContainsFunc(rules, func(r *rule) bool { return r != nil && r.fits(kind, name) })
}

// followPolicies has the queues that a change is about follow it, one by one: whoever
// comes last sees the newest book.
func (b *Broker) followPolicies(namespace string, old, next *rule) {
	for _, q := range b.Queues(namespace) {
		if touched(q.spec.Type.target(), q.name.Name, old, next) {
			q.mu.Lock()
			q.followLocked()
			q.mu.Unlock()
		}
	}
}

// loadPolicies puts the policies back, and applies them to what is there.
func (b *Broker) loadPolicies(*removal) error {
	all := map[policyName]*rule{}
	for key, value := range b.store.Scan([]byte{familyPolicy}) {
		p, err := decodePolicy(key, value)
		if err != nil {
			return err
		}
		if all[p.at()], err = newRule(p); err != nil {
			return fmt.Errorf("policy %s: %w: %w", p.at(), err, storage.ErrDamaged)
		}
	}
	b.rules.Store(newRuleBook(all))
	for _, x := range b.cat.exchanges {
		x.followLocked()
	}
	for _, q := range b.cat.queues {
		q.mu.Lock()
		q.followLocked()
		q.mu.Unlock()
	}
	return nil
}

func (n policyName) key() []byte {
	key := append([]byte{familyPolicy}, byte(indexOf(n.operator)))
	return appendString(appendString(key, n.namespace), n.name)
}

// encode writes the policy's value, as docs/format-broker.md shows it.
func (p *Policy) encode() []byte {
	v := appendString([]byte{valueVersion}, p.Pattern)
	v = append(v, byte(p.ApplyTo), byte(p.NotFor))
	v = binary.AppendVarint(v, p.Priority)
	v = appendArgs(v, p.Definition)
	return appendString(p.Queue.appendTo(v), p.Alternate)
}

func decodePolicy(key, value []byte) (p Policy, err error) {
	k := decoder{b: key[1:]}
	p.Operator = k.byte() != 0
	p.Namespace, p.Name = k.string(), k.string()
	d := newDecoder(value)
	p.Pattern = d.string()
	p.ApplyTo, p.NotFor = Targets(d.byte()), Targets(d.byte())
	p.Priority = d.varint()
	p.Definition = d.args()
	p.Queue = decodeSettings(d)
	p.Alternate = d.string()
	return p, errors.Join(k.end("policy key"), d.end("policy"))
}

// Policies returns the policies that the queue has.
func (q *Queue) Policies() AppliedPolicies {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.policies
}

// Policies returns the policies that the exchange has.
func (x *Exchange) Policies() AppliedPolicies {
	x.b.cat.mu.RLock()
	defer x.b.cat.mu.RUnlock()
	return x.policies
}

// followLocked finds the exchange's policies. The default exchange has no alternate. One
// that every namespace has is made now: who routes cannot.
func (x *Exchange) followLocked() {
	x.policies = x.b.rules.Load().find(Exchanges, x.name)
	x.alternate = x.spec.Alternate
	for _, p := range x.policies.all() {
		if x.name.Name != "" {
			x.alternate = cmp.Or(x.alternate, p.Alternate)
		}
	}
	if x.alternate != "" {
		x.b.exchangeLocked(Name{KindExchange, x.name.Namespace, x.alternate})
	}
}

// all gives those that there are, the operator's first.
func (a AppliedPolicies) all() iter.Seq2[int, *Policy] {
	return func(yield func(int, *Policy) bool) {
		for i, p := range []*Policy{a.Operator, a.User} {
			if p != nil && !yield(i, p) {
				return
			}
		}
	}
}

// followLocked finds the queue's policies, and puts in force what it is to do with them.
func (q *Queue) followLocked() {
	q.policies = q.b.rules.Load().find(q.spec.Type.target(), q.name)
	s := &q.spec.Settings
	if c := q.changed.Load(); c != nil {
		s = &c.settings
	}
	if in := q.policies.apply(*s, q.spec.Type); in != *s { // most queues have what they were declared with
		if in.Groups == OrderedGroups {
			in.MaxLengthBytes = nil // that is not for them
		}
		s = &in
	}
	old := q.settings.Swap(s)
	q.counted = q.counted || s.DeliveryLimit != nil
	q.followGroupsLocked(old, s)
	q.followSizesLocked(s)
	if old == nil || q.dead {
		return // it is just being made
	}
	if s.Expires != old.Expires {
		q.usedLocked()
	}
	q.lookLocked()
}

// apply merges the policies into what a queue was declared with.
func (a AppliedPolicies) apply(s QueueSettings, kind QueueType) QueueSettings {
	switch {
	case a.Operator != nil && a.User != nil:
		s = s.under(a.User.Queue.under(a.Operator.Queue, true), kind == QuorumQueue)
	case a.Operator != nil:
		s = s.under(a.Operator.Queue, kind == QuorumQueue)
	case a.User != nil:
		s = s.under(a.User.Queue, kind == QuorumQueue)
	}
	if s.DeliveryLimit == nil && kind == QuorumQueue {
		limit := int64(quorumDeliveryLimit)
		s.DeliveryLimit = &limit
	}
	if s.DeliveryLimit != nil && *s.DeliveryLimit < 0 {
		s.DeliveryLimit = nil
	}
	return s
}

// quorumDeliveryLimit is what RabbitMQ 4 gives quorum queues that ask for none.
const quorumDeliveryLimit = 20

// under is the settings with those of p: the lower of two numbers, and otherwise the
// own one where there is one. overflow says that p decides on that.
func (s QueueSettings) under(p QueueSettings, overflow bool) QueueSettings {
	s.TTL = lower(s.TTL, p.TTL)
	s.MaxLength = lower(s.MaxLength, p.MaxLength)
	s.MaxLengthBytes = lower(s.MaxLengthBytes, p.MaxLengthBytes)
	if s.Expires == 0 || p.Expires > 0 && p.Expires < s.Expires {
		s.Expires = p.Expires
	}
	switch {
	case s.DeliveryLimit == nil:
		s.DeliveryLimit = p.DeliveryLimit
	case p.DeliveryLimit != nil:
		limit := stricter(*s.DeliveryLimit, *p.DeliveryLimit)
		s.DeliveryLimit = &limit
	}
	s.MaxReceives = lower(s.MaxReceives, p.MaxReceives)
	if s.Delay == 0 {
		s.Delay = p.Delay
	}
	if s.Retention == 0 || p.Retention > 0 && p.Retention < s.Retention {
		s.Retention = p.Retention
	}
	if p.saysOverflow() && (overflow || !s.saysOverflow()) {
		s.Overflow, s.OverflowSet = p.Overflow, true
	}
	if !s.DeadLetters {
		s.DeadLetters, s.DeadLetterTo = p.DeadLetters, p.DeadLetterTo
	}
	if s.DeadLetterKey == nil {
		s.DeadLetterKey = p.DeadLetterKey
	}
	return s
}

func (s *QueueSettings) saysOverflow() bool { return s.OverflowSet || s.Overflow != DropHead }

func lower[T int64 | time.Duration](x, y *T) *T {
	if x == nil || y != nil && *y < *x {
		return y
	}
	return x
}
