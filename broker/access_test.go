package broker

import (
	"bytes"
	"crypto/md5"
	"crypto/sha512"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

func mustNamespace(t testing.TB, b *Broker, name string) {
	t.Helper()
	if _, err := b.PutNamespace(ctx, Namespace{Name: name}); err != nil {
		t.Fatal(err)
	}
}

func mustUser(t testing.TB, b *Broker, name, password string, tags ...string) {
	t.Helper()
	u := User{Name: name, Tags: tags, PasswordHash: HashPassword(password)}
	if _, err := b.PutUser(ctx, u); err != nil {
		t.Fatal(err)
	}
}

func mustPermit(t testing.TB, b *Broker, p Permission) {
	t.Helper()
	if _, err := b.SetPermission(ctx, p); err != nil {
		t.Fatal(err)
	}
}

func TestNamespacesAreOnDiskWhenTheyAreMade(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	want := Namespace{Name: "sales", Description: "of Sales", Tags: []string{"a", "b"},
		DefaultQueueType: "quorum"}
	created, err := b.PutNamespace(ctx, want)
	if err != nil || !created {
		t.Fatalf("got %v %v, want a new one", created, err)
	}
	b.Close()
	b = openOn(t, fs.Kill())
	if got, err := b.Namespace("sales"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v %v, want %+v", got, err, want)
	}
	if created, err = b.PutNamespace(ctx, Namespace{Name: "sales"}); err != nil || created {
		t.Errorf("again: got %v %v, want the old one", created, err)
	}
	if got := b.Namespaces(); len(got) != 2 || got[0].Name != "" || got[1].Name != "sales" || got[1].Tags != nil {
		t.Errorf("got %+v, want the default one and sales without notes", got)
	}
}

func TestQueuesAndExchangesNeedTheirNamespace(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	_, _, err := b.DeclareQueue(ctx, QueueSpec{Namespace: "nowhere", Name: "q"})
	wantKind(t, "queue", err, NotFound)
	_, _, err = b.DeclareExchange(ctx, ExchangeSpec{Namespace: "nowhere", Name: "x", Type: "direct"})
	wantKind(t, "exchange", err, NotFound)
	_, err = b.Exchange("nowhere", "amq.direct")
	wantKind(t, "built-in exchange", err, NotFound)
	if _, err := b.CreateTopic(ctx, TopicSpec{Namespace: "nowhere", Name: "t"}); err != nil {
		t.Errorf("topic: %v, want no error", err)
	}
}

// fill puts one of everything into a namespace, and many queues.
func fillNamespace(t testing.TB, b *Broker, ns string, queues int) {
	t.Helper()
	mustNamespace(t, b, ns)
	mustPermit(t, b, Permission{ns, "ann", ".*", ".*", ".*"})
	if _, err := b.SetTopicPermission(ctx, TopicPermission{ns, "ann", "amq.topic", ".*", ".*"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.DeclareExchange(ctx, ExchangeSpec{Namespace: ns, Name: "x", Type: "topic",
		Durable: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.SetPolicy(ctx, Policy{Namespace: ns, Name: "p", ApplyTo: Everything}); err != nil {
		t.Fatal(err)
	}
	for i := range queues {
		spec := QueueSpec{Namespace: ns, Name: fmt.Sprintf("q%d", i), Durable: i%3 != 0}
		if i == 1 {
			spec.Settings.MaxPriority = 200
		}
		if i == 0 {
			spec.Owner = "somebody"
		}
		if _, _, err := b.DeclareQueue(ctx, spec); err != nil {
			t.Fatal(err)
		}
		if err := b.Bind(ctx, Binding{Namespace: ns, Source: "x", Key: "k",
			Destination: Name{KindQueue, ns, spec.Name}}); err != nil {
			t.Fatal(err)
		}
	}
	mustTopic(t, b, TopicSpec{Namespace: ns, Name: "t"})
	if _, err := b.CreateStreams(ctx, ns, "s"); err != nil {
		t.Fatal(err)
	}
	tx := b.Begin()
	tx.SaveGroup(ns, "g", []byte("state"))
	mustCommit(t, tx)
}

// contents counts what is in a namespace, the exchanges that are always there left out.
func contents(b *Broker, ns string) int {
	b.cat.mu.RLock()
	defer b.cat.mu.RUnlock()
	n := len(inNamespace(b.cat.queues, ns)) + len(inNamespace(b.cat.topics, ns)) +
		len(inNamespace(b.cat.groups, ns)) + len(inNamespace(b.cat.streams, ns))
	for _, x := range inNamespace(b.cat.exchanges, ns) {
		if !x.BuiltIn() {
			n++
		}
	}
	for k := range b.cat.permissions {
		if k.namespace == ns {
			n++
		}
	}
	for k := range b.cat.topicPermissions {
		if k.namespace == ns {
			n++
		}
	}
	return n
}

// keysOf counts the keys on disk that name a namespace.
func keysOf(b *Broker, ns string) (n int) {
	for key := range b.store.Scan(nil) {
		if bytes.Contains(key, []byte(ns)) {
			n++
		}
	}
	return n
}

func TestANamespaceIsDeletedWithAllThatIsInIt(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	mustUser(t, b, "ann", "secret")
	fillNamespace(t, b, "doomed", 2*removalQueues+20)
	fillNamespace(t, b, "other", 3)
	q, err := b.Queue("doomed", "q1")
	if err != nil {
		t.Fatal(err)
	}
	gone := b.NamespaceGone("doomed")
	if err := b.DeleteNamespace(ctx, "doomed"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-gone:
	default:
		t.Error("who watches the namespace is not told")
	}
	if n := contents(b, "doomed"); n != 0 {
		t.Errorf("%d things are still in it", n)
	}
	if n := len(b.Policies("doomed", false)); n != 0 {
		t.Errorf("%d policies are still in it", n)
	}
	if n := contents(b, "other"); n != 9 {
		t.Errorf("%d things are in the other namespace, want 9", n)
	}
	_, err = b.DeleteQueue(ctx, q, DeleteOptions{})
	wantKind(t, "its queue", err, NotFound)
	wantKind(t, "again", b.DeleteNamespace(ctx, "doomed"), NotFound)
	wantKind(t, "the default one", b.DeleteNamespace(ctx, ""), Invalid)

	b.Close()
	b = openOn(t, fs.Kill())
	if n := keysOf(b, "doomed"); n != 0 {
		t.Errorf("%d keys are left on disk", n)
	}
	mustNamespace(t, b, "doomed")
	if n := contents(b, "doomed"); n != 0 {
		t.Errorf("%d things have come back", n)
	}
}

// TestADeletionThatACrashCutsShortIsFinishedAtOpen cuts the power at every sync of a
// deletion: afterwards all of the namespace is there, or nothing.
func TestADeletionThatACrashCutsShortIsFinishedAtOpen(t *testing.T) {
	const queues = removalQueues + 8
	whole, none := 0, 0
	for cut := 1; cut < 40; cut++ {
		fs := vfs.NewMem()
		b := openOn(t, fs)
		mustUser(t, b, "ann", "secret")
		fillNamespace(t, b, "doomed", queues)
		fs.CutAfter(cut)
		err := b.DeleteNamespace(ctx, "doomed")
		b.Close()
		b = openOn(t, fs.Crash(seeded(uint64(cut))))
		_, missing := b.Namespace("doomed")
		switch n := contents(b, "doomed"); {
		case missing != nil && n == 0 && keysOf(b, "doomed") == 0:
			none++
		case missing == nil && err != nil && n == 6+queues-(queues+2)/3:
			whole++
		default:
			t.Errorf("cut %d: %d things (%d keys) in it, found: %v, deletion said: %v", cut, n,
				keysOf(b, "doomed"), missing, err)
		}
		b.Close()
		if err == nil && none > 1 {
			break
		}
	}
	if whole == 0 || none < 2 {
		t.Errorf("%d times whole and %d times gone: no crash was in the middle", whole, none)
	}
}

func TestNothingIsMadeInANamespaceThatIsBeingDeleted(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	mustUser(t, b, "ann", "secret")
	fillNamespace(t, b, "doomed", 1)
	if _, err := b.endNamespace("test", "doomed"); err != nil {
		t.Fatal(err)
	}
	_, _, err := b.DeclareQueue(ctx, QueueSpec{Namespace: "doomed", Name: "late"})
	wantKind(t, "queue", err, NotFound)
	_, err = b.CreateTopic(ctx, TopicSpec{Namespace: "doomed", Name: "late"})
	wantKind(t, "topic", err, Conflict)
	tx := b.Begin()
	tx.SaveGroup("doomed", "late", nil)
	_, err = tx.Commit(ctx)
	wantKind(t, "group", err, Conflict)
	_, err = b.SetPermission(ctx, Permission{"doomed", "ann", "", "", ""})
	wantKind(t, "permission", err, NotFound)
	_, err = b.PutNamespace(ctx, Namespace{Name: "doomed"})
	wantKind(t, "namespace", err, Conflict)
	_, err = b.Rights("doomed", "ann")
	wantKind(t, "rights", err, NotFound)
	if err := b.DeleteNamespace(ctx, "doomed"); err != nil { // goes on with it
		t.Fatal(err)
	}
	if n := contents(b, "doomed"); n != 0 {
		t.Errorf("%d things are still in it", n)
	}
}

// TestDeclarationsThatRaceADeletionLeaveNothing: what is declared, bound and published to
// while a namespace is deleted goes with it, or is refused.
func TestDeclarationsThatRaceADeletionLeaveNothing(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	mustUser(t, b, "ann", "secret")
	fillNamespace(t, b, "doomed", 20)
	begun := make(chan struct{})
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := 0; ; n++ {
				q, _, err := b.DeclareQueue(ctx, QueueSpec{Namespace: "doomed", Durable: true,
					Name: fmt.Sprintf("late%d-%d", i, n)})
				if errors.Is(err, NotFound) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				_ = b.Bind(ctx, Binding{Namespace: "doomed", Source: "x", Key: "k", Destination: q.Name()})
				if x, err := b.Exchange("doomed", "x"); err == nil {
					tx := b.Begin()
					tx.Publish(x, QueueRecord{Exchange: "x", Key: "k", Body: []byte("r")})
					if _, err := tx.Commit(ctx); err != nil {
						t.Error(err)
					}
				}
				if n == 3 {
					begun <- struct{}{}
				}
			}
		})
	}
	for range 4 {
		<-begun
	}
	if err := b.DeleteNamespace(ctx, "doomed"); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	b.Close()
	b = openOn(t, fs.Kill())
	if n, keys := contents(b, "doomed"), keysOf(b, "doomed"); n != 0 || keys != 0 {
		t.Errorf("%d things and %d keys are left", n, keys)
	}
}

func TestAPasswordIsKeptAsASaltedHash(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	mustUser(t, b, "ann", "secret", "management")
	sum := func(h func([]byte) []byte, password string) []byte {
		return append([]byte("salt"), h([]byte("salt"+password))...)
	}
	old := User{Name: "old", Hash: MD5, PasswordHash: sum(func(p []byte) []byte { s := md5.Sum(p); return s[:] }, "five")}
	long := User{Name: "long", Hash: SHA512,
		PasswordHash: sum(func(p []byte) []byte { s := sha512.Sum512(p); return s[:] }, "twelve")}
	for _, u := range []User{old, long, {Name: "none"}} {
		if _, err := b.PutUser(ctx, u); err != nil {
			t.Fatal(err)
		}
	}
	b = reopen(t, b, fs)
	for _, c := range []struct {
		name, password string
		want           bool
	}{
		{"ann", "secret", true}, {"ann", "Secret", false}, {"ann", "", false}, {"Ann", "secret", false},
		{"old", "five", true}, {"long", "twelve", true}, {"long", "five", false},
		{"none", "", false}, {"none", "x", false}, {"nobody", "", false},
	} {
		u, ok := b.Login(c.name, c.password)
		if ok != c.want || ok && u.Name != c.name {
			t.Errorf("%s with %q: got %v %v, want %v", c.name, c.password, u.Name, ok, c.want)
		}
	}
	for key, value := range b.store.Scan(nil) {
		if bytes.Contains(value, []byte("secret")) {
			t.Errorf("key %q has the password", key)
		}
	}
	a, c := HashPassword("secret"), HashPassword("secret")
	if len(a) != 36 || bytes.Equal(a, c) {
		t.Errorf("two hashes of a password are %x and %x, want 36 bytes each with its own salt", a, c)
	}
	_, err := b.PutUser(ctx, User{Name: "bad", PasswordHash: []byte("short")})
	wantKind(t, "a hash of the wrong length", err, Invalid)
	_, err = b.PutUser(ctx, User{Name: "", PasswordHash: a})
	wantKind(t, "no name", err, Invalid)
}

func TestTheFirstUserIsSeededOnce(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	seed := func() {
		t.Helper()
		err := b.SeedUser(ctx, User{Name: "first", PasswordHash: HashPassword("pw"), Tags: []string{"administrator"}},
			Permission{User: "first", Configure: ".*", Write: ".*", Read: ".*"})
		if err != nil {
			t.Fatal(err)
		}
	}
	seed()
	b = reopen(t, b, fs)
	if _, ok := b.Login("first", "pw"); !ok {
		t.Error("the first user cannot log in")
	}
	if _, err := b.Rights("", "first"); err != nil {
		t.Errorf("the first user has no rights: %v", err)
	}
	if err := b.DeleteUser(ctx, "first"); err != nil {
		t.Fatal(err)
	}
	b = reopen(t, b, fs)
	if seed(); len(b.Users()) != 0 {
		t.Errorf("a deleted user has come back: %+v", b.Users())
	}
}

func TestAUserIsDeletedWithAllPermissions(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	mustUser(t, b, "ann", "x")
	mustUser(t, b, "bob", "x")
	mustPermit(t, b, Permission{"", "ann", "a", "b", "c"})
	kept := Permission{"", "bob", "^$", ".*", "^r"}
	mustPermit(t, b, kept)
	if _, err := b.SetTopicPermission(ctx, TopicPermission{"", "ann", "amq.topic", "w", "r"}); err != nil {
		t.Fatal(err)
	}
	gone := b.UserGone("ann")
	if err := b.DeleteUser(ctx, "ann"); err != nil {
		t.Fatal(err)
	}
	<-gone
	wantKind(t, "again", b.DeleteUser(ctx, "ann"), NotFound)
	mustUser(t, b, "ann", "x")
	b = reopen(t, b, fs)
	if got := b.Permissions(); !slices.Equal(got, []Permission{kept}) || len(b.TopicPermissions()) != 0 {
		t.Errorf("got %+v and %+v, want %+v", got, b.TopicPermissions(), kept)
	}
}

func TestPermissionsMatchNames(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	mustUser(t, b, "ann", "x")
	mustPermit(t, b, Permission{"", "ann", "^own-", "", ".*"})
	r, err := b.Rights("", "ann")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		access Access
		name   string
		want   bool
	}{
		{ToConfigure, "own-queue", true}, {ToConfigure, "not own-queue", false},
		{ToWrite, "own-queue", false}, {ToWrite, "", true}, {ToRead, "any\nthing", true},
	} {
		if got := r.May(c.access, c.name); got != c.want {
			t.Errorf("%v %q: got %v, want %v", c.access, c.name, got, c.want)
		}
	}
	_, err = b.SetPermission(ctx, Permission{"", "ann", "(", "", ""})
	wantKind(t, "an expression that is none", err, Invalid)
	_, err = b.SetPermission(ctx, Permission{"", "ann", strings.Repeat("a", 1025), "", ""})
	wantKind(t, "a long expression", err, Invalid)
	_, err = b.SetPermission(ctx, Permission{"", "bob", "", "", ""})
	wantKind(t, "no such user", err, NotFound)
	_, err = b.SetPermission(ctx, Permission{"nowhere", "ann", "", "", ""})
	wantKind(t, "no such namespace", err, NotFound)
}

func TestTopicPermissionsMatchRoutingKeys(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	mustUser(t, b, "a.n", "x")
	mustPermit(t, b, Permission{"", "a.n", ".*", ".*", ".*"})
	for _, x := range []string{"amq.topic", "other"} {
		p := TopicPermission{"", "a.n", x, `^{username}\.{vhost}$`, "^{client_id}"}
		if created, err := b.SetTopicPermission(ctx, p); err != nil || !created {
			t.Fatal(created, err)
		}
	}
	r, err := b.Rights("", "a.n", "{username}", "a.n", "{vhost}", "/")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		access        Access
		exchange, key string
		want          bool
	}{
		{ToWrite, "amq.topic", "a.n./", true}, {ToWrite, "amq.topic", "abn./", false},
		{ToWrite, "free", "anything", true}, {ToRead, "amq.topic", "{client_id}", true},
	} {
		if got := r.MayTopic(c.access, c.exchange, c.key); got != c.want {
			t.Errorf("%v %s %s: got %v, want %v", c.access, c.exchange, c.key, got, c.want)
		}
	}
	if err := b.ClearTopicPermission(ctx, "", "a.n", "other"); err != nil {
		t.Fatal(err)
	}
	if got := b.TopicPermissions(); len(got) != 1 || got[0].Exchange != "amq.topic" {
		t.Errorf("got %+v, want the one of amq.topic", got)
	}
	if err := b.ClearTopicPermission(ctx, "", "a.n", ""); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "again", b.ClearTopicPermission(ctx, "", "a.n", ""), NotFound)
}

func TestEveryChangeOfAccessMovesTheGeneration(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	before := b.AccessGeneration()
	moved := func(what string, err error) {
		t.Helper()
		now := b.AccessGeneration()
		if err != nil || now == before {
			t.Errorf("%s: generation %d, error %v, want another one", what, now, err)
		}
		before = now
	}
	_, err := b.PutUser(ctx, User{Name: "ann"})
	moved("put user", err)
	_, err = b.PutNamespace(ctx, Namespace{Name: "n"})
	moved("put namespace", err)
	_, err = b.SetPermission(ctx, Permission{Namespace: "n", User: "ann"})
	moved("set permission", err)
	_, err = b.SetTopicPermission(ctx, TopicPermission{Namespace: "n", User: "ann", Exchange: "x"})
	moved("set topic permission", err)
	moved("clear topic permission", b.ClearTopicPermission(ctx, "n", "ann", "x"))
	moved("clear permission", b.ClearPermission(ctx, "n", "ann"))
	moved("delete namespace", b.DeleteNamespace(ctx, "n"))
	moved("delete user", b.DeleteUser(ctx, "ann"))
}

func TestUsersNamespacesAndPermissionsAreBounded(t *testing.T) {
	b := openOn(t, vfs.NewMem(), func(c *Config) {
		c.Limits = Limits{Namespaces: 2, Users: 1, Permissions: 2, ConfigBytes: 10}
	})
	mustUser(t, b, "ann", "x")
	_, err := b.PutUser(ctx, User{Name: "bob"})
	wantKind(t, "a second user", err, Full)
	mustUser(t, b, "ann", "another")
	_, err = b.PutUser(ctx, User{Name: "ann", Tags: []string{"much too long"}})
	wantKind(t, "long tags", err, TooLarge)
	mustNamespace(t, b, "n")
	_, err = b.PutNamespace(ctx, Namespace{Name: "m"})
	wantKind(t, "a third namespace", err, Full)
	mustPermit(t, b, Permission{"n", "ann", "", "", ""})
	_, err = b.SetTopicPermission(ctx, TopicPermission{"n", "ann", "x", "", ""})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.SetPermission(ctx, Permission{"", "ann", "", "", ""})
	wantKind(t, "a third permission", err, Full)
	mustPermit(t, b, Permission{"n", "ann", ".*", "", ""})
}

// TestAccessSurvivesPowerCuts cuts the power everywhere in a history of changes: what
// was answered is there afterwards, and nothing is there in part.
func TestAccessSurvivesPowerCuts(t *testing.T) {
	steps := []func(*Broker) error{
		func(b *Broker) error {
			return b.SeedUser(ctx, User{Name: "ann", PasswordHash: HashPassword("1")}, Permission{"", "ann", ".*", "", ""})
		},
		func(b *Broker) error { _, err := b.PutUser(ctx, User{Name: "bob", Tags: []string{"t"}}); return err },
		func(b *Broker) error { _, err := b.PutNamespace(ctx, Namespace{Name: "n"}); return err },
		func(b *Broker) error {
			_, err := b.SetPermission(ctx, Permission{"n", "bob", "a", "b", "c"})
			return err
		},
		func(b *Broker) error {
			_, err := b.SetTopicPermission(ctx, TopicPermission{"n", "bob", "x", "b", "c"})
			return err
		},
		func(b *Broker) error {
			_, err := b.SetPermission(ctx, Permission{"", "bob", "a", "b", "c"})
			return err
		},
		func(b *Broker) error { return b.DeleteNamespace(ctx, "n") },
		func(b *Broker) error { return b.DeleteUser(ctx, "bob") },
		func(b *Broker) error { return b.ClearPermission(ctx, "", "ann") },
	}
	state := func(b *Broker) string {
		var s strings.Builder
		for _, u := range b.Users() {
			s.WriteString(u.Name + strings.Join(u.Tags, ",") + " ")
		}
		for _, n := range b.Namespaces() {
			s.WriteString("/" + n.Name + " ")
		}
		for _, p := range b.Permissions() {
			s.WriteString(p.Namespace + ":" + p.User + p.Configure + " ")
		}
		for _, p := range b.TopicPermissions() {
			s.WriteString(p.Namespace + ":" + p.User + p.Exchange + " ")
		}
		return s.String()
	}
	var states []string
	b := openOn(t, vfs.NewMem())
	states = append(states, state(b))
	for _, step := range steps {
		if err := step(b); err != nil {
			t.Fatal(err)
		}
		states = append(states, state(b))
	}
	b.Close()
	for cut := 1; cut < 60; cut++ {
		fs := vfs.NewMem()
		b := openOn(t, fs)
		fs.CutAfter(cut)
		done := 0
		for done < len(steps) && steps[done](b) == nil {
			done++
		}
		b.Close()
		b = openOn(t, fs.Crash(seeded(uint64(cut))))
		got := state(b)
		if got != states[done] && (done == len(steps) || got != states[done+1]) {
			t.Errorf("cut %d after %d steps: %q\nwant %q or what comes next", cut, done, got, states[done])
		}
		b.Close()
	}
}

// TestSchedulesOfBuiltInExchangesGoWithTheirNamespace, also where a crash cuts the deletion
// short.
func TestSchedulesOfBuiltInExchangesGoWithTheirNamespace(t *testing.T) {
	for name, crash := range map[string]bool{"deleted": false, "cut short": true} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			b := openOn(t, fs)
			mustNamespace(t, b, "doomed")
			x, err := b.Exchange("doomed", "amq.topic")
			if err != nil {
				t.Fatal(err)
			}
			tx := b.Begin()
			tx.PublishAt(x, body("a"), time.Now().Add(time.Hour))
			mustCommit(t, tx)
			if crash {
				if _, err := b.endNamespace("test", "doomed"); err != nil {
					t.Fatal(err)
				}
				mustNamespace(t, b, "other") // behind it on the disk
			} else if err := b.DeleteNamespace(ctx, "doomed"); err != nil {
				t.Fatal(err)
			}
			fs = fs.Kill()
			b.Close()
			b = openOn(t, fs)
			if n := keysOf(b, "doomed"); n != 0 {
				t.Errorf("%d keys are left on disk", n)
			}
			if n := b.Storage().Logs; n != 0 {
				t.Errorf("%d logs are left", n)
			}
		})
	}
}

// TestADeletionThatSomebodyElseFinishedIsOnDisk before anyone is told.
func TestADeletionThatSomebodyElseFinishedIsOnDisk(t *testing.T) {
	g := newGate(vfs.NewMem())
	b := openOn(t, g)
	mustNamespace(t, b, "doomed")
	resume := g.stop()
	defer resume()
	ns, err := b.endNamespace("test", "doomed")
	if err != nil {
		t.Fatal(err)
	}
	first, err := b.removeNamespace(ns)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := b.removeNamespace(ns); err != nil || second < first {
		t.Errorf("the second waits for frame %d, %v; the deletion is in frame %d", second, err, first)
	}
}

// TestATopicPermissionThatCannotBeReadAllowsNothing, since it was meant to be less than is
// there, and takes no other right away.
func TestATopicPermissionThatCannotBeReadAllowsNothing(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	mustUser(t, b, "web-app", "x")
	mustPermit(t, b, Permission{"", "web-app", ".*", ".*", ".*"})
	for exchange, write := range map[string]string{"range": "^[{username}x]", "fine": "^{username}$",
		"long": strings.Repeat("a", maxPattern-10) + "{username}"} {
		p := TopicPermission{"", "web-app", exchange, write, ".*"}
		if _, err := b.SetTopicPermission(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	r, err := b.Rights("", "web-app", "{username}", "web-app")
	if err != nil {
		t.Fatal(err)
	}
	for exchange, want := range map[string]bool{"range": false, "fine": true, "long": false, "other": true} {
		if got := r.MayTopic(ToWrite, exchange, "web-app"); got != want {
			t.Errorf("%s: got %v, want %v", exchange, got, want)
		}
	}
	if !r.May(ToWrite, "queue") || !r.MayTopic(ToRead, "range", "k") {
		t.Error("other rights are gone")
	}
}

// TestASchedulesLogsGoInABatchThatFits into the smallest store, whatever goes before them.
func TestASchedulesLogsGoInABatchThatFits(t *testing.T) {
	b := openOn(t, vfs.NewMem(), func(c *Config) { c.Storage.TailBytes = 64 << 10 })
	for n := 45; n < 70; n++ {
		mustNamespace(t, b, "doomed")
		var last *Exchange
		for i := range n {
			x, _, err := b.DeclareExchange(ctx, ExchangeSpec{Namespace: "doomed", Type: "fanout",
				Name: fmt.Sprintf("%050d", i), Durable: true})
			if err != nil {
				t.Fatal(err)
			}
			last = x
		}
		for k := 12; k < 48; k++ {
			tx := b.Begin()
			tx.PublishAt(last, body("a"), time.UnixMilli(time.Now().UnixMilli()+1<<k))
			mustCommit(t, tx)
		}
		if err := b.DeleteNamespace(ctx, "doomed"); err != nil {
			t.Fatalf("%d exchanges: %v", n, err)
		}
		if n, logs := keysOf(b, "doomed"), b.Storage().Logs; n != 0 || logs != 0 {
			t.Errorf("%d keys and %d logs are left", n, logs)
		}
	}
}
