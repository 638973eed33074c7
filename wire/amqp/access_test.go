package amqp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// user makes a user whose password is his name.
func (r *rig) user(name string, tags ...string) {
	r.t.Helper()
	u := broker.User{Name: name, Tags: tags, PasswordHash: broker.HashPassword(name)}
	if _, err := r.broker.PutUser(r.t.Context(), u); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) vhost(name string) {
	r.t.Helper()
	if _, err := r.broker.PutNamespace(r.t.Context(), broker.Namespace{Name: name}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) permit(namespace, user, configure, write, read string) {
	r.t.Helper()
	p := broker.Permission{Namespace: namespace, User: user, Configure: configure, Write: write, Read: read}
	if _, err := r.broker.SetPermission(r.t.Context(), p); err != nil {
		r.t.Fatal(err)
	}
}

// knock logs in with the user's name for a password, and asks for a virtual host.
func (r *rig) knock(user, vhost string) *client {
	r.t.Helper()
	c := r.raw()
	c.login(capable, "PLAIN", "\x00"+user+"\x00"+user)
	c.ask(vhost)
	return c
}

func (c *client) ask(vhost string) {
	c.t.Helper()
	want[*connectionTune](c, 0)
	c.send(0, &connectionTuneOk{frameMax: c.frameMax})
	c.send(0, &connectionOpen{virtualHost: vhost})
}

// enter opens a connection for a user in a virtual host, and channel 1 of it.
func (r *rig) enter(user, vhost string) *client {
	r.t.Helper()
	c := r.knock(user, vhost)
	want[*connectionOpenOk](c, 0)
	c.open(1)
	return c
}

func TestAVirtualHostMustBeThere(t *testing.T) {
	r := serve(t)
	for _, vhost := range []string{"nowhere", ""} {
		got := r.knock("guest", vhost).gone(replyNotAllowed, (&connectionOpen{}).id())
		equal(t, "reply", got, "NOT_ALLOWED - vhost "+vhost+" not found")
	}
}

func TestAVirtualHostNeedsAPermission(t *testing.T) {
	r := serve(t)
	r.vhost("sales")
	got := r.knock("guest", "sales").gone(replyNotAllowed, (&connectionOpen{}).id())
	equal(t, "reply", got, "NOT_ALLOWED - access to vhost 'sales' refused for user 'guest'")
	r.permit("sales", "guest", "", "", "")
	r.enter("guest", "sales").bye()
}

func TestVirtualHostsShareNothing(t *testing.T) {
	r := serve(t)
	r.vhost("sales")
	r.permit("sales", "guest", ".*", ".*", ".*")
	here, there := r.dial(), r.enter("guest", "sales")
	here.queue(queueDeclare{queue: "q"})
	there.queue(queueDeclare{queue: "q", durable: true})
	there.bind("q", "amq.fanout", "")
	there.put("q", "there")
	here.put("q", "here")
	equal(t, "there", there.get("q"), "there")
	equal(t, "here", here.get("q"), "here")
	there.send(1, &queueDeclare{queue: "missing", passive: true})
	equal(t, "reply", there.ended(1, replyNotFound, &queueDeclare{}),
		"NOT_FOUND - no queue 'missing' in vhost 'sales'")
}

// TestEachMethodNeedsItsPermission: a user may use what begins with "may", each of three users for
// one access only.
func TestEachMethodNeedsItsPermission(t *testing.T) {
	r := serve(t)
	g := r.dial()
	for _, q := range []string{"may", "not"} {
		g.queue(queueDeclare{queue: q})
		g.exchange(exchangeDeclare{exchange: q + "-x", kind: "direct"})
	}
	r.user("ann")
	dlx := Table{{"x-dead-letter-exchange", "not-x"}}
	alternate := Table{{"alternate-exchange", "not-x"}}
	const none = ""
	for _, c := range []struct {
		what                   string
		configure, write, read string
		m                      method
		refused                string // what the answer says, but for its end
	}{
		{"declare queue", none, ".*", ".*", &queueDeclare{queue: "new"}, "configure access to queue 'new'"},
		{"declare queue again", none, ".*", ".*", &queueDeclare{queue: "may"}, "configure access to queue 'may'"},
		{"declare queue with dead letters, read", ".*", ".*", none,
			&queueDeclare{queue: "dead", arguments: dlx}, "read access to queue 'dead'"},
		{"declare queue with dead letters, write", ".*", "^may", ".*",
			&queueDeclare{queue: "dead", arguments: dlx}, "write access to exchange 'not-x'"},
		{"delete queue", "^may", ".*", ".*", &queueDelete{queue: "not"}, "configure access to queue 'not'"},
		{"delete queue that is not there", "^may", ".*", ".*", &queueDelete{queue: "none"},
			"configure access to queue 'none'"},
		{"purge", ".*", ".*", "^may", &queuePurge{queue: "not"}, "read access to queue 'not'"},
		{"bind queue, write", ".*", "^may", ".*", &queueBind{queue: "not", exchange: "may-x"},
			"write access to queue 'not'"},
		{"bind queue, read", ".*", ".*", "^may", &queueBind{queue: "may", exchange: "not-x"},
			"read access to exchange 'not-x'"},
		{"unbind queue, write", ".*", "^may", ".*", &queueUnbind{queue: "not", exchange: "may-x"},
			"write access to queue 'not'"},
		{"unbind queue, read", ".*", ".*", "^may", &queueUnbind{queue: "may", exchange: "not-x"},
			"read access to exchange 'not-x'"},
		{"bind exchange, write", ".*", "^may", ".*", &exchangeBind{destination: "not-x", source: "may-x"},
			"write access to exchange 'not-x'"},
		{"bind exchange, read", ".*", ".*", "^may", &exchangeBind{destination: "may-x", source: "not-x"},
			"read access to exchange 'not-x'"},
		{"unbind exchange", ".*", "^may", ".*", &exchangeUnbind{destination: "not-x", source: "may-x"},
			"write access to exchange 'not-x'"},
		{"declare exchange", none, ".*", ".*", &exchangeDeclare{exchange: "new-x", kind: "direct"},
			"configure access to exchange 'new-x'"},
		{"declare exchange with alternate, read", ".*", ".*", none,
			&exchangeDeclare{exchange: "new-x", kind: "direct", arguments: alternate}, "read access to exchange 'new-x'"},
		{"declare exchange with alternate, write", ".*", "^may", ".*",
			&exchangeDeclare{exchange: "new-x", kind: "direct", arguments: alternate}, "write access to exchange 'not-x'"},
		{"delete exchange", "^may", ".*", ".*", &exchangeDelete{exchange: "not-x"},
			"configure access to exchange 'not-x'"},
		{"get", ".*", ".*", "^may", &basicGet{queue: "not"}, "read access to queue 'not'"},
		{"consume", ".*", ".*", "^may", &basicConsume{queue: "not"}, "read access to queue 'not'"},
		{"publish", ".*", "^may", ".*", &basicPublish{exchange: "not-x"}, "write access to exchange 'not-x'"},
		{"publish to the default exchange", ".*", "^may", ".*", &basicPublish{routingKey: "may"},
			"write access to exchange 'amq.default'"},
		{"publish to an exchange that is not there", ".*", "^may", ".*", &basicPublish{exchange: "none"},
			"write access to exchange 'none'"},
	} {
		t.Run(c.what, func(t *testing.T) {
			r.permit("", "ann", c.configure, c.write, c.read)
			x := r.enter("ann", "/")
			x.t = t
			x.send(1, c.m)
			equal(t, "reply", x.ended(1, replyAccessRefused, c.m),
				"ACCESS_REFUSED - "+c.refused+" in vhost '/' refused for user 'ann'")
			x.bye()
		})
	}
}

func TestWhatIsPermittedIsDone(t *testing.T) {
	r := serve(t)
	r.user("ann")
	r.permit("", "ann", "^own", "^own", "^own")
	c := r.enter("ann", "/")
	c.exchange(exchangeDeclare{exchange: "own-x", kind: "topic"})
	c.queue(queueDeclare{queue: "own", arguments: Table{{"x-dead-letter-exchange", "own-x"}}})
	c.bind("own", "own-x", "#")
	c.putWith(&basicPublish{exchange: "own-x", routingKey: "k"}, durably, "a")
	equal(t, "message", c.get("own"), "a")
}

func TestPassiveDeclarationsNeedNoPermission(t *testing.T) {
	r := serve(t)
	r.dial().queue(queueDeclare{queue: "q"})
	r.user("ann")
	r.permit("", "ann", "", "", "")
	c := r.enter("ann", "/")
	c.queue(queueDeclare{queue: "q", passive: true})
	c.exchange(exchangeDeclare{exchange: "amq.topic", passive: true})
}

func TestAChangeOfPermissionsIsSeenByOpenChannels(t *testing.T) {
	r := serve(t)
	r.user("ann")
	r.permit("", "ann", ".*", ".*", ".*")
	c := r.enter("ann", "/")
	c.queue(queueDeclare{queue: "q"})
	c.send(1, &confirmSelect{})
	want[*confirmSelectOk](c, 1)
	for range 2 {
		c.publish(1, &basicPublish{routingKey: "q"}, durably, "a")
		want[*basicAck](c, 1)
	}
	r.permit("", "ann", ".*", "^q$", ".*")
	c.publish(1, &basicPublish{routingKey: "q"}, durably, "b")
	equal(t, "reply", c.ended(1, replyAccessRefused, &basicPublish{}),
		"ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'ann'")
	r.permit("", "ann", ".*", ".*", ".*")
	c.put("q", "c")
	equal(t, "messages", c.deliveriesOf("q"), "a a c")
}

// deliveriesOf consumes what waits in a queue, on a channel of its own.
func (c *client) deliveriesOf(queue string) string {
	c.t.Helper()
	c.open(2)
	c.send(2, &queueDeclare{queue: queue, passive: true})
	n := want[*queueDeclareOk](c, 2).messageCount
	c.consume(2, basicConsume{queue: queue, noAck: true})
	return c.deliveries(2, int(n))
}

func TestTopicPermissionsBindRoutingKeys(t *testing.T) {
	r := serve(t)
	r.user("ann")
	r.permit("", "ann", ".*", ".*", ".*")
	_, err := r.broker.SetTopicPermission(t.Context(), broker.TopicPermission{User: "ann", Exchange: "amq.topic",
		Write: `^{username}\.`, Read: `^{vhost}\.`})
	if err != nil {
		t.Fatal(err)
	}
	c := r.enter("ann", "/")
	c.queue(queueDeclare{queue: "q"})
	c.bind("q", "amq.topic", "/.#")
	c.bind("q", "amq.fanout", "free")
	c.putWith(&basicPublish{exchange: "amq.topic", routingKey: "ann.x"}, durably, "a")
	c.putWith(&basicPublish{exchange: "amq.fanout", routingKey: "free"}, durably, "b")
	refusal := func(access, key string) string {
		return fmt.Sprintf("ACCESS_REFUSED - %s access to topic '%s' in exchange topic 'amq.topic' in vhost '/' "+
			"refused for user 'ann'", access, key)
	}
	for _, p := range []Properties{{}, {present: hasHeaders,
		Headers: Table{{"CC", []any{"ann.y", "bob.x"}}}}} {
		key := "bob.x"
		if p.present != 0 {
			key = "ann.x"
		}
		c.publish(1, &basicPublish{exchange: "amq.topic", routingKey: key}, p, "c")
		equal(t, "publish", c.ended(1, replyAccessRefused, &basicPublish{}), refusal("write", "bob.x"))
		c.open(1)
	}
	c.send(1, &queueBind{queue: "q", exchange: "amq.topic", routingKey: "ann.#"})
	equal(t, "bind", c.ended(1, replyAccessRefused, &queueBind{}), refusal("read", "ann.#"))
}

func TestAnImpersonatorMaySetAnyUserID(t *testing.T) {
	r := serve(t)
	r.user("ann", "impersonator")
	r.user("bob")
	props := Properties{present: hasUserID, UserID: "guest"}
	for _, user := range []string{"ann", "bob"} {
		r.permit("", user, ".*", ".*", ".*")
	}
	a := r.enter("ann", "/")
	a.queue(queueDeclare{queue: "q"})
	a.putWith(&basicPublish{routingKey: "q"}, props, "a")
	b := r.enter("bob", "/")
	b.publish(1, &basicPublish{routingKey: "q"}, props, "b")
	equal(t, "reply", b.ended(1, replyPreconditionFailed, &basicPublish{}),
		"PRECONDITION_FAILED - user_id property set to 'guest' but authenticated user was 'bob'")
}

func TestConnectionsEndWithTheirVirtualHost(t *testing.T) {
	r := serve(t)
	r.vhost("sales")
	r.permit("sales", "guest", ".*", ".*", ".*")
	here, there := r.dial(), r.enter("guest", "sales")
	there.queue(queueDeclare{queue: "q", exclusive: true})
	if err := r.broker.DeleteNamespace(t.Context(), "sales"); err != nil {
		t.Fatal(err)
	}
	equal(t, "reply", there.gone(replyConnectionForced, methodID{}), "CONNECTION_FORCED - vhost 'sales' is deleted")
	here.sync(1)
	r.vhost("sales")
	r.permit("sales", "guest", ".*", ".*", ".*")
	c := r.enter("guest", "sales")
	c.send(1, &queueDeclare{queue: "q", passive: true})
	c.ended(1, replyNotFound, &queueDeclare{})
}

func TestConnectionsEndWithTheirUser(t *testing.T) {
	r := serve(t)
	r.user("ann")
	r.permit("", "ann", ".*", ".*", ".*")
	c := r.enter("ann", "/")
	if err := r.broker.DeleteUser(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	equal(t, "reply", c.gone(replyConnectionForced, methodID{}), "CONNECTION_FORCED - user 'ann' is deleted")
}

func TestGuestIsMadeOnceAndStaysDeleted(t *testing.T) {
	r := serve(t)
	r.dial().bye()
	u, err := r.broker.User("guest")
	equal(t, "tags", u.Tags, []string{"administrator"})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.broker.DeleteUser(t.Context(), "guest"); err != nil {
		t.Fatal(err)
	}
	r = r.kill()
	c := r.raw()
	c.login(capable, "PLAIN", "\x00guest\x00guest")
	equal(t, "reply", c.gone(replyAccessRefused, (&connectionStartOk{}).id()), "ACCESS_REFUSED - Login was refused "+
		"using authentication mechanism PLAIN. For details see the broker logfile.")
}

func TestGuestMayComeFromThisMachineOnly(t *testing.T) {
	here, away := &net.TCPAddr{IP: net.IPv6loopback}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}
	r := serve(t)
	r.user("ann")
	open := serve(t, func(c *Config) { c.LoopbackUsers = []string{} })
	for _, c := range []struct {
		server *Server
		user   string
		from   net.Addr
		want   bool
	}{
		{r.server, "guest", here, true}, {r.server, "guest", away, false}, {r.server, "ann", away, true},
		{open.server, "guest", away, true},
	} {
		if _, ok := c.server.Login(c.user, c.user, c.from); ok != c.want {
			t.Errorf("%s from %v: %v, want %v", c.user, c.from, ok, c.want)
		}
	}
}

func TestWhoAuthenticateLetsInMayDoEverything(t *testing.T) {
	r := serve(t, func(c *Config) {
		c.Authenticate = func(user, password string, _ net.Addr) bool { return user == password }
	})
	r.vhost("sales")
	c := r.enter("anyone", "sales")
	c.queue(queueDeclare{queue: "q"})
	c.put("q", "a")
	if users := r.broker.Users(); len(users) != 0 {
		t.Errorf("there are users: %v", users)
	}
	r.knock("anyone", "nowhere").gone(replyNotAllowed, (&connectionOpen{}).id())
}

func TestAVirtualHostGivesQueuesItsDefaultType(t *testing.T) {
	r := serve(t)
	ns := broker.Namespace{Name: "sales", DefaultQueueType: "quorum"}
	if _, err := r.broker.PutNamespace(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	r.permit("sales", "guest", ".*", ".*", ".*")
	c := r.enter("guest", "sales")
	for _, x := range []struct {
		m    queueDeclare
		want string
	}{
		{queueDeclare{queue: "lasting", durable: true}, "quorum"},
		{queueDeclare{queue: "own", durable: true, exclusive: true}, ""},
		{queueDeclare{queue: "brief"}, ""},
		{queueDeclare{queue: "said", durable: true, arguments: Table{{"x-queue-type", "classic"}}}, "classic"},
	} {
		c.queue(x.m)
		c.queue(x.m)
		q, err := r.broker.Queue("sales", x.m.queue)
		if err != nil {
			t.Fatal(err)
		}
		got, _, _ := q.Spec().Args.Text("x-queue-type")
		equal(t, x.m.queue, got, x.want)
	}
}

// authority signs certificates.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	made := a.sign(pkix.Name{CommonName: "authority"}, true)
	a.key, a.cert = made.PrivateKey.(*ecdsa.PrivateKey), made.Leaf
	return a
}

// sign makes a certificate for 127.0.0.1, which signs itself if it is the first.
func (a *authority) sign(name pkix.Name, isCA bool) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: name, IsCA: isCA,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// secure connects by TLS, with certificates or none.
func (r *rig) secure(a *authority, certs ...tls.Certificate) *client {
	r.t.Helper()
	c := r.raw()
	c.nc = tls.Client(c.nc, &tls.Config{RootCAs: a.pool(), ServerName: "127.0.0.1", Certificates: certs})
	return c
}

func TestAVerifiedCertificateIsALogin(t *testing.T) {
	a := newAuthority(t)
	name := pkix.Name{CommonName: "ann, the first", Organization: []string{"Example"}, Country: []string{"DE"}}
	const dn = `CN=ann\, the first,O=Example,C=DE`
	for _, x := range []struct {
		from CertificateLogin
		user string
	}{{DistinguishedName, dn}, {CommonName, "ann, the first"}} {
		r := serve(t, func(c *Config) {
			c.TLS = &tls.Config{Certificates: []tls.Certificate{a.sign(pkix.Name{CommonName: "server"}, false)},
				ClientCAs: a.pool(), ClientAuth: tls.VerifyClientCertIfGiven}
			c.CertificateLogin = x.from
		})
		if _, err := r.broker.PutUser(t.Context(), broker.User{Name: x.user}); err != nil {
			t.Fatal(err)
		}
		r.permit("", x.user, ".*", ".*", ".*")

		c := r.secure(a, a.sign(name, false))
		c.write([]byte(protocolHeader))
		equal(t, "mechanisms", want[*connectionStart](c, 0).mechanisms, "PLAIN AMQPLAIN EXTERNAL")
		c.send(0, &connectionStartOk{clientProperties: capable, mechanism: "EXTERNAL", locale: "en_US"})
		c.ask("/")
		want[*connectionOpenOk](c, 0)
		equal(t, "user", r.server.Connections()[0].User, x.user)
		c.bye()

		for _, certs := range [][]tls.Certificate{nil, {a.sign(pkix.Name{CommonName: "stranger"}, false)}} {
			c := r.secure(a, certs...)
			c.login(capable, "EXTERNAL", "")
			text := c.gone(replyAccessRefused, (&connectionStartOk{}).id())
			if !strings.Contains(text, "mechanism EXTERNAL") {
				t.Errorf("got %q", text)
			}
		}
	}
}

func TestCertificatesThatNobodyVerifiesAreNoLogin(t *testing.T) {
	a := newAuthority(t)
	r := serve(t, func(c *Config) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{a.sign(pkix.Name{CommonName: "server"}, false)},
			ClientAuth: tls.RequireAnyClientCert}
	})
	c := r.secure(a, a.sign(pkix.Name{CommonName: "guest"}, false))
	c.write([]byte(protocolHeader))
	equal(t, "mechanisms", want[*connectionStart](c, 0).mechanisms, "PLAIN AMQPLAIN")
	c.send(0, &connectionStartOk{clientProperties: capable, mechanism: "EXTERNAL", locale: "en_US"})
	c.gone(replyCommandInvalid, (&connectionStartOk{}).id())
}

func TestDistinguishedNamesAreEscaped(t *testing.T) {
	for in, want := range map[string]string{"plain": "plain", " a ": `\ a\ `, "#1": `\#1`, `a"b\c`: `a\"b\\c`,
		"ä": `\C3\A4`, "": ""} {
		equal(t, in, escapeDN(in), want)
	}
}

// publisher is a channel of a user with this permission to write, and an exchange.
func publisher(t testing.TB, write string) (*channel, *broker.Exchange) {
	r := serve(t)
	r.user("ann")
	r.permit("", "ann", "", write, "")
	x, err := r.broker.Exchange("", "amq.direct")
	if err != nil {
		t.Fatal(err)
	}
	d := r.server.Direct(t.Context(), "", broker.User{Name: "ann"})
	return d.ch, x
}

func TestPublishingWithPermissionsAllocatesNothing(t *testing.T) {
	for _, write := range []string{".*", `^amq\.`} {
		ch, x := publisher(t, write)
		check := func() {
			if err := ch.mayPublish("amq.direct", x); err != nil {
				t.Fatal(err)
			}
			if err := ch.mayRoute(x, &broker.QueueRecord{}); err != nil {
				t.Fatal(err)
			}
		}
		if n := testing.AllocsPerRun(100, check); n != 0 {
			t.Errorf("with %q: %v allocations", write, n)
		}
		other := func() {
			ch.writable = nil // as after a publish to another exchange
			check()
		}
		if n := testing.AllocsPerRun(100, other); n != 0 {
			t.Errorf("with %q, another exchange each time: %v allocations", write, n)
		}
	}
}

func BenchmarkMayPublish(b *testing.B) {
	ch, x := publisher(b, ".*")
	for b.Loop() {
		if err := ch.mayPublish("amq.direct", x); err != nil {
			b.Fatal(err)
		}
	}
}

// "Its connections end": also that of a client that does not read, or is never done reading.
func TestAClientThatDoesNotReadEndsWithItsUserAndVirtualHost(t *testing.T) {
	t.Parallel()
	r := serve(t)
	r.user("ann")
	r.vhost("sales")
	r.permit("", "ann", ".*", ".*", ".*")
	r.permit("sales", "guest", ".*", ".*", ".*")
	big := repeat(string(make([]byte, 64<<10)), 50)
	for _, x := range []struct {
		what        string
		deaf, other *client
		end         func() error
	}{
		{"user", r.enter("ann", "/"), r.dial(), func() error { return r.broker.DeleteUser(t.Context(), "ann") }},
		{"virtual host", r.enter("guest", "sales"), r.enter("guest", "sales"),
			func() error { return r.broker.DeleteNamespace(t.Context(), "sales") }},
	} {
		x.other.queue(queueDeclare{queue: "q"})
		x.deaf.consume(1, basicConsume{queue: "q", noAck: true})
		for range 4 {
			x.other.put("q", big...) // more than sockets hold
		}
		c := r.connOf(x.deaf)
		if err := x.end(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-c.forced:
		case <-time.After(patience):
			t.Errorf("%s: the connection goes on", x.what)
		}
	}
}

// connOf is the server's side of a client.
func (r *rig) connOf(c *client) *conn {
	r.t.Helper()
	for _, x := range r.server.conns.All() {
		if x.nc.RemoteAddr().String() == c.nc.LocalAddr().String() {
			return x
		}
	}
	r.t.Fatal("there is no such connection")
	return nil
}

// Expressions take much memory: what a user may do is compiled once for all of his connections.
func TestConnectionsShareTheirUsersRights(t *testing.T) {
	r := serve(t)
	r.user("ann")
	r.permit("", "ann", "^(?:a.b){9}", "^a", "^b")
	rights := func() *broker.Rights {
		return r.server.Direct(t.Context(), "", broker.User{Name: "ann"}).ch.c.rightsNow()
	}
	first := rights()
	if rights() != first {
		t.Error("two connections of a user have rights of their own")
	}
	r.permit("", "ann", "^c", "^a", "^b")
	if now := rights(); now == first || !now.May(broker.ToConfigure, "c") {
		t.Error("a change is not seen")
	}
	if err := r.broker.ClearPermission(t.Context(), "", "ann"); err != nil {
		t.Fatal(err)
	}
	equal(t, "without a permission", rights(), noRights)
}
