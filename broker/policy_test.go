package broker

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// policy sets a policy for all queues but that of dead letters.
func (p *pool) policy(name string, priority int64, s QueueSettings) {
	p.t.Helper()
	p.setPolicy(Policy{Name: name, Pattern: "^(?!dead)", ApplyTo: AllQueues, Priority: priority, Queue: s})
}

func (p *pool) setPolicy(x Policy) {
	p.t.Helper()
	if _, err := p.b.SetPolicy(context.Background(), x); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pool) deletePolicy(name string) {
	p.t.Helper()
	if err := p.b.DeletePolicy(context.Background(), "", name, false); err != nil {
		p.t.Fatal(err)
	}
}

func (a AppliedPolicies) names() string {
	name := func(p *Policy) string {
		if p == nil {
			return "-"
		}
		return p.Name
	}
	return name(a.User) + " " + name(a.Operator)
}

// TestOnePolicyApplies: the one that matches with the highest priority, and of those the
// first by name; beside it one of operators.
func TestOnePolicyApplies(t *testing.T) {
	p := newPool(t, QueueSpec{Name: "jobs.1", Durable: true})
	p.declare(QueueSpec{Name: "quorum", Type: QuorumQueue, Durable: true})
	mustNamespace(t, p.b, "other")
	for _, x := range []Policy{
		{Name: "b", Pattern: "^jobs", ApplyTo: AllQueues, Priority: 1},
		{Name: "a", Pattern: "jobs", ApplyTo: AllQueues, Priority: 1},
		{Name: "low", Pattern: ".", ApplyTo: Everything},
		{Name: "first", Pattern: "^jobs", ApplyTo: Exchanges, Priority: 9},
		{Name: "q", Pattern: "", ApplyTo: QuorumQueues, Priority: 9},
		{Name: "no", Pattern: "", ApplyTo: AllQueues, NotFor: ClassicQueues | QuorumQueues, Priority: 99},
		{Name: "op", Pattern: `1$`, ApplyTo: AllQueues, Operator: true},
		{Namespace: "other", Name: "else", Pattern: "", ApplyTo: Everything, Priority: 9},
	} {
		p.setPolicy(x)
	}
	p.declare(QueueSpec{Name: "jobs.2"}) // after them
	p.declare(QueueSpec{Namespace: "other", Name: "jobs.1"})
	wantApplied := func() {
		t.Helper()
		for _, c := range []struct{ namespace, queue, want string }{
			{"", "jobs.1", "a op"}, {"", "quorum", "q -"}, {"", "jobs.2", "a -"}, {"other", "jobs.1", "else -"},
		} {
			q, err := p.b.Queue(c.namespace, c.queue)
			if c.queue == "jobs.2" || c.namespace != "" {
				if err != nil { // in memory: gone after a restart
					continue
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if got := q.Policies().names(); got != c.want {
				t.Errorf("%s/%s: got %q, want %q", c.namespace, c.queue, got, c.want)
			}
		}
		x, err := p.b.Exchange("", "amq.topic")
		if err != nil || x.Policies().names() != "low -" {
			t.Errorf("exchange: got %q, %v", x.Policies().names(), err)
		}
	}
	wantApplied()
	p.restart()
	wantApplied()
	p.deletePolicy("a")
	q, _ := p.b.Queue("", "jobs.1")
	if got := q.Policies().names(); got != "b op" {
		t.Errorf("got %q, want the next one", got)
	}
	wantKind(t, "deleted twice", p.b.DeletePolicy(ctx, "", "a", false), NotFound)
}

// TestPoliciesSurviveARestart with all that they say.
func TestPoliciesSurviveARestart(t *testing.T) {
	p := newPool(t, QueueSpec{Durable: true})
	want := Policy{Namespace: "n", Name: "p", Operator: true, Pattern: "^a", ApplyTo: Everything,
		NotFor: QuorumQueues, Priority: -3, Definition: Args{{"max-length", int64(3)}},
		Queue: QueueSettings{TTL: ptr(time.Second), Expires: time.Minute, MaxLength: ptr(int64(3)),
			MaxLengthBytes: ptr(int64(4)), OverflowSet: true, DeadLetterKey: ptr("k"),
			DeliveryLimit: ptr(int64(-1))}, Alternate: "x"}
	mustNamespace(t, p.b, "n")
	created, err := p.b.SetPolicy(ctx, want)
	if err != nil || !created {
		t.Fatal(created, err)
	}
	p.restart()
	got := p.b.Policies("n", true)
	if len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if one, err := p.b.Policy("n", "p", true); err != nil || !reflect.DeepEqual(one, want) {
		t.Errorf("got %+v, %v", one, err)
	}
	if created, err = p.b.SetPolicy(ctx, want); created || err != nil {
		t.Errorf("set again: created %v, %v", created, err)
	}
	if len(p.b.Policies("n", false)) != 0 {
		t.Error("it is none of the users'")
	}
}

// TestSettingsInForce are the lower of two numbers, and otherwise the argument's.
func TestSettingsInForce(t *testing.T) {
	sec := func(n int) *time.Duration { return ptr(time.Duration(n) * time.Second) }
	num := func(n int64) *int64 { return &n }
	set := func(s QueueSettings) *Policy { return &Policy{Queue: s} }
	for i, c := range []struct {
		kind           QueueType
		args           QueueSettings
		user, operator *Policy
		want           QueueSettings
	}{
		{args: QueueSettings{TTL: sec(2), MaxLength: num(5), Expires: 9},
			user: set(QueueSettings{TTL: sec(1), MaxLength: num(6), MaxLengthBytes: num(7), Expires: 8}),
			want: QueueSettings{TTL: sec(1), MaxLength: num(5), MaxLengthBytes: num(7), Expires: 8}},
		{args: QueueSettings{DeadLetters: true, DeadLetterTo: "a"},
			user: set(QueueSettings{DeadLetters: true, DeadLetterTo: "b", DeadLetterKey: ptr("k")}),
			want: QueueSettings{DeadLetters: true, DeadLetterTo: "a", DeadLetterKey: ptr("k")}},
		{args: QueueSettings{MaxLength: num(5)},
			user: set(QueueSettings{MaxLength: num(4)}), operator: set(QueueSettings{MaxLength: num(3)}),
			want: QueueSettings{MaxLength: num(3)}},
		{user: set(QueueSettings{MaxLength: num(2), Expires: 3}), operator: set(QueueSettings{MaxLength: num(3)}),
			want: QueueSettings{MaxLength: num(2), Expires: 3}},
		// Overflow: the argument wins, a policy in quorum queues, and operators over users.
		{args: QueueSettings{OverflowSet: true}, user: set(QueueSettings{Overflow: RejectPublish}),
			want: QueueSettings{OverflowSet: true}},
		{kind: QuorumQueue, args: QueueSettings{Overflow: RejectPublish, DeliveryLimit: num(-1)},
			user: set(QueueSettings{OverflowSet: true}), want: QueueSettings{OverflowSet: true}},
		{user: set(QueueSettings{Overflow: RejectPublish}), operator: set(QueueSettings{OverflowSet: true}),
			want: QueueSettings{OverflowSet: true}},
		// The limit of deliveries: negative is none, and loses against any other.
		{kind: QuorumQueue, want: QueueSettings{DeliveryLimit: num(20)}},
		{kind: QuorumQueue, args: QueueSettings{DeliveryLimit: num(-1)}, want: QueueSettings{}},
		{kind: QuorumQueue, user: set(QueueSettings{DeliveryLimit: num(-1)}), want: QueueSettings{}},
		{kind: QuorumQueue, args: QueueSettings{DeliveryLimit: num(-1)},
			user: set(QueueSettings{DeliveryLimit: num(30)}), want: QueueSettings{DeliveryLimit: num(30)}},
		{args: QueueSettings{DeliveryLimit: num(7)}, user: set(QueueSettings{DeliveryLimit: num(3)}),
			want: QueueSettings{DeliveryLimit: num(3)}},
	} {
		got := AppliedPolicies{c.user, c.operator}.apply(c.args, c.kind)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%d: got %+v, want %+v", i, got, c.want)
		}
	}
}

func TestDefinitionsAreMerged(t *testing.T) {
	user := &Policy{Definition: Args{{"max-length", int64(5)}, {"overflow", "drop-head"}, {"delivery-limit", int64(-1)}}}
	op := &Policy{Definition: Args{{"max-length", int64(7)}, {"overflow", "reject-publish"},
		{"delivery-limit", int64(3)}, {"expires", int64(1)}}}
	want := Args{{"max-length", int64(5)}, {"overflow", "reject-publish"}, {"delivery-limit", int64(3)},
		{"expires", int64(1)}}
	if got := (AppliedPolicies{user, op}).Definition(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := (AppliedPolicies{Operator: op}).Definition(); !reflect.DeepEqual(got, op.Definition) {
		t.Errorf("got %v", got)
	}
}

// TestPolicyTakesEffectAtOnce on a queue that has records, and its end restores what
// the queue was declared with.
func TestPolicyTakesEffectAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, QueueSpec{Durable: true, Settings: QueueSettings{MaxLength: ptr(int64(4))}})
		dead := p.deadEnd()
		p.publish("a", "b", "c", "d")

		p.policy("p", 0, QueueSettings{MaxLength: ptr(int64(2)), DeadLetters: true, DeadLetterTo: "dlx",
			DeliveryLimit: ptr(int64(0))})
		synctest.Wait()
		if n := p.q.Stats().Ready; n != 2 {
			t.Errorf("a shorter length: %d ready, want 2", n)
		}
		c := p.subscribe(SubscribeOptions{})
		c.settle(Requeue, c.take(1)[0]) // beyond the limit
		if got := bodies(dead.subscribe(SubscribeOptions{}).take(3)); got != "a b c" {
			t.Errorf("dead are %q", got)
		}
		c.settle(Accept, c.take(1)[0])
		c.s.Close()

		p.policy("p", 0, QueueSettings{TTL: ptr(time.Second)})
		p.publish("e", "f")
		time.Sleep(time.Second + 1)
		synctest.Wait()
		if n := p.q.Stats().Ready; n != 0 {
			t.Errorf("a time to live: %d ready, want 0", n)
		}

		p.policy("p", 0, QueueSettings{MaxLength: ptr(int64(0)), Overflow: RejectPublish})
		if r := p.publishOne("g"); !r.Refused {
			t.Errorf("a queue that refuses: got %+v", r)
		}

		p.deletePolicy("p")
		p.publish("h", "i", "j", "k", "l")
		time.Sleep(time.Hour)
		if got := bodies(p.subscribe(SubscribeOptions{}).take(4)); got != "i j k l" {
			t.Errorf("without the policy: got %q", got)
		}

		p.policy("p", 0, QueueSettings{Expires: time.Minute})
		other := &pool{t: t, b: p.b}
		other.declare(QueueSpec{Name: "other"}) // p.q has a subscription
		time.Sleep(59 * time.Second)
		p.deletePolicy("p")
		time.Sleep(time.Hour)
		p.policy("p", 0, QueueSettings{Expires: time.Minute})
		time.Sleep(time.Minute + 1)
		synctest.Wait()
		if _, err := p.b.Queue("", "other"); KindOf(err) != NotFound {
			t.Errorf("an unused queue is there: %v", err)
		}
		if _, err := p.b.Queue("", "jobs"); err != nil {
			t.Errorf("a used queue: %v", err)
		}
		if err := p.b.Close(); err != nil {
			t.Error(err)
		}
	})
}

func (p *pool) publishOne(body string) Routed {
	p.t.Helper()
	x, err := p.b.Exchange("", "")
	if err != nil {
		p.t.Fatal(err)
	}
	tx := p.b.Begin()
	tx.Publish(x, QueueRecord{Key: p.q.name.Name, Body: []byte(body)})
	mustCommit(p.t, tx)
	return tx.Routed(0)
}

// TestPolicySetsTheAlternateExchange where the exchange was not declared with one.
func TestPolicySetsTheAlternateExchange(t *testing.T) {
	p := newPool(t, QueueSpec{Durable: true})
	for _, spec := range []ExchangeSpec{{Name: "x", Type: "direct"}, {Name: "y", Type: "direct", Alternate: "none"},
		{Name: "alt", Type: "fanout"}} {
		if _, _, err := p.b.DeclareExchange(ctx, spec); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.b.Bind(ctx, Binding{Source: "alt", Destination: p.q.name}); err != nil {
		t.Fatal(err)
	}
	routed := func(exchange string) int {
		t.Helper()
		x, err := p.b.Exchange("", exchange)
		if err != nil {
			t.Fatal(err)
		}
		tx := p.b.Begin()
		tx.Publish(x, QueueRecord{Key: "nowhere"})
		mustCommit(t, tx)
		return tx.Routed(0).Queues
	}
	p.setPolicy(Policy{Name: "p", ApplyTo: Exchanges, Alternate: "alt"})
	if x, y, none := routed("x"), routed("y"), routed(""); x != 1 || y != 0 || none != 0 {
		t.Errorf("got %d by policy, %d against its argument, %d of the default exchange", x, y, none)
	}
	p.deletePolicy("p")
	if n := routed("x"); n != 0 {
		t.Errorf("got %d without the policy", n)
	}
}

func TestPolicyIsRefused(t *testing.T) {
	fsPool := newPool(t, QueueSpec{Durable: true})
	b := openOn(t, fsPool.fs.Kill(), func(c *Config) { c.Limits = Limits{Policies: 1, ConfigBytes: 2000} })
	good := Policy{Name: "p", Pattern: "x", ApplyTo: Everything}
	for what, c := range map[string]struct {
		change func(*Policy)
		kind   ErrorKind
	}{
		"no name":              {func(p *Policy) { p.Name = "" }, Invalid},
		"pattern":              {func(p *Policy) { p.Pattern = "(" }, Invalid},
		"long pattern":         {func(p *Policy) { p.Pattern = strings.Repeat("a", 1025) }, Invalid},
		"applies to nothing":   {func(p *Policy) { p.ApplyTo = 0 }, Invalid},
		"negative":             {func(p *Policy) { p.Queue.MaxLength = ptr(int64(-1)) }, Invalid},
		"priorities":           {func(p *Policy) { p.Queue.MaxPriority = 1 }, Invalid},
		"single active":        {func(p *Policy) { p.Queue.SingleActive = true }, Invalid},
		"arguments":            {func(p *Policy) { p.Definition = Args{{"x", 1}} }, Invalid},
		"a large definition":   {func(p *Policy) { p.Definition = Args{{"x", strings.Repeat("x", 2000)}} }, TooLarge},
		"more than the limit ": {func(p *Policy) { p.Name = "another" }, Full},
	} {
		if c.kind == Full {
			if _, err := b.SetPolicy(ctx, good); err != nil {
				t.Fatal(err)
			}
		}
		bad := good
		c.change(&bad)
		_, err := b.SetPolicy(ctx, bad)
		wantKind(t, what, err, c.kind)
	}
	if _, err := b.SetPolicy(ctx, good); err != nil {
		t.Errorf("set again at the limit: %v", err)
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct{ pattern, match, not string }{
		{"", "any", ""}, {"a.c", "xabcx", "ac"}, {"^a$", "a", "aa"},
		{`^(?!amq\.).*`, "orders", "amq.gen-x"}, {`^(?!amq\.|tmp-)`, "orders", "tmp-1"},
		{`^(?!(a|b)\.)[a-z]+$`, "ab", "b."}, {`^(?![)]x)(a|b)`, "bc", ")x"}, {`^(?!a\)b)a`, "ab", "a)b"},
	} {
		p, err := newPattern(c.pattern)
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
			continue
		}
		if !p.matches(c.match) || c.not != "" && p.matches(c.not) {
			t.Errorf("%q: %q %v, %q %v", c.pattern, c.match, p.matches(c.match), c.not, p.matches(c.not))
		}
	}
	for _, bad := range []string{"(", "^(?!a", "a(?!b)", "^(?!a)b|c", `^(?!a)\\|c`, "^(?!a)b)c"} {
		if p, err := newPattern(bad); err == nil {
			t.Errorf("%q is accepted as %v", bad, p)
		}
	}
}
