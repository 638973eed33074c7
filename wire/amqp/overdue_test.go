package amqp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// timedOut reads the close of a channel because of an overdue delivery.
func (c *client) timedOut(channel uint16, ms string) {
	c.t.Helper()
	got := want[*channelClose](c, channel)
	text := "PRECONDITION_FAILED - delivery acknowledgement on channel " + string('0'+byte(channel)) +
		" timed out. Timeout value used: " + ms + " ms. This timeout value can be configured, see consumers " +
		"doc guide to learn more"
	equal(c.t, "channel.close", got, &channelClose{replyCode: replyPreconditionFailed, replyText: text})
	c.send(channel, &channelCloseOk{})
}

// A delivery that is not settled in time closes its channel, and what that has goes back; the time
// is the consumer's, else the queue's, else the server's.
func TestAnOverdueDeliveryClosesItsChannel(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name            string
		queue, consumer Table
		ms              string
	}{
		{"server", nil, nil, "150"},
		{"queue", Table{{timeoutArg, int32(120)}}, nil, "120"},
		{"consumer", Table{{timeoutArg, int64(60_000)}}, Table{{timeoutArg, int16(90)}}, "90"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, func(c *Config) { c.Limits.ConsumerTimeout = 150 * time.Millisecond }).dial()
			c.queue(queueDeclare{queue: "q", durable: true, arguments: test.queue})
			c.open(2)
			c.put("q", "a", "b")
			began := time.Now()
			c.consume(2, basicConsume{queue: "q", arguments: test.consumer})
			equal(t, "delivered", c.deliveries(2, 2), "a b")
			c.timedOut(2, test.ms)
			if limit, _ := time.ParseDuration(test.ms + "ms"); time.Since(began) < limit {
				t.Errorf("closed after %v, want %v", time.Since(began), limit)
			}
			equal(t, "they went back", c.get("q")+" "+c.get("q"), "a* b*")
			c.send(1, &basicAck{deliveryTag: 2, multiple: true})
			c.open(2)
			c.sync(2)
		})
	}
}

// A policy lowers the queue's time.
func TestAPolicySaysWhenADeliveryIsOverdue(t *testing.T) {
	t.Parallel()
	r := serve(t)
	c := r.dial()
	c.queue(queueDeclare{queue: "q", durable: true, arguments: Table{{timeoutArg, int32(60_000)}}})
	policy := broker.Policy{Name: "p", ApplyTo: broker.AllQueues,
		Definition: broker.Args{{Name: timeoutPolicy, Value: int64(110)}}}
	if err := ReadPolicy(&policy); err != nil {
		t.Fatal(err)
	}
	if _, err := r.broker.SetPolicy(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	c.open(2)
	c.put("q", "a")
	c.consume(2, basicConsume{queue: "q"})
	equal(t, "delivered", c.deliveries(2, 1), "a")
	c.timedOut(2, "110")
}

// basic.get has the same time.
func TestAnOverdueGetClosesItsChannel(t *testing.T) {
	t.Parallel()
	c := serve(t).dial()
	c.queue(queueDeclare{queue: "q", arguments: Table{{timeoutArg, int32(80)}}})
	c.put("q", "a")
	equal(t, "got", c.get("q"), "a")
	c.timedOut(1, "80")
	c.open(1)
	equal(t, "again", c.get("q"), "a*")
}

// What is settled, or needs no settling, is not overdue; other channels are left alone, and so is
// the connection.
func TestWhatIsSettledIsNeverOverdue(t *testing.T) {
	t.Parallel()
	c := serve(t).dial()
	quick := Table{{timeoutArg, int32(100)}}
	for i, row := range []basicConsume{{queue: "settled", arguments: quick}, {queue: "kept"},
		{queue: "no ack", noAck: true, arguments: quick}, {queue: "late", arguments: quick}} {
		ch := uint16(2 + i)
		c.open(ch)
		c.queue(queueDeclare{queue: row.queue})
		c.put(row.queue, row.queue)
		c.consume(ch, row)
		equal(t, "delivered", c.deliveries(ch, 1), row.queue)
		if row.queue == "settled" {
			c.send(ch, &basicAck{deliveryTag: 1})
		}
	}
	c.timedOut(5, "100") // by then the others have had as long
	for ch := uint16(1); ch <= 4; ch++ {
		c.sync(ch)
	}
	equal(t, "the one that is kept", c.ready("kept"), 0)
}

// An argument that is no time is refused.
func TestATimeoutIsANumberOfMilliseconds(t *testing.T) {
	c := serve(t).dial()
	c.queue(queueDeclare{queue: "q"})
	for _, v := range []any{int32(0), int32(-1), "1000", int64(maxMillis + 1)} {
		for _, m := range []method{
			&queueDeclare{queue: "other", arguments: Table{{timeoutArg, v}}},
			&basicConsume{queue: "q", arguments: Table{{timeoutArg, v}}},
		} {
			c.send(1, m)
			if text := c.ended(1, replyPreconditionFailed, m); !strings.Contains(text, timeoutArg) {
				t.Errorf("%v: %s", v, text)
			}
			c.open(1)
		}
	}
}

// A connection with nothing in hand is not watched, also when it ends.
func TestAnIdleConnectionIsNotWatched(t *testing.T) {
	r := serve(t)
	c := r.dial()
	c.queue(queueDeclare{queue: "q"})
	c.sync(1)
	watched := func() int {
		r.server.deadlines.mu.Lock()
		defer r.server.deadlines.mu.Unlock()
		return len(r.server.deadlines.heap)
	}
	equal(t, "idle", watched(), 0)
	c.put("q", "a")
	equal(t, "got", c.get("q"), "a")
	c.sync(1)
	equal(t, "with a delivery", watched(), 1)
	c.bye()
	equal(t, "ended", watched(), 0)
}

// A look at a connection ends a read, also of TLS; it goes on behind it.
func TestAConnectionGoesOnAfterALook(t *testing.T) {
	t.Parallel()
	cert := selfSigned(t)
	r := serve(t, func(c *Config) { c.TLS = &tls.Config{Certificates: []tls.Certificate{cert}} })
	c := r.raw()
	c.nc = tls.Client(c.nc, &tls.Config{InsecureSkipVerify: true})
	c.shake(capable, connectionTuneOk{frameMax: c.frameMax})
	for range 3 {
		c.open(1)
		c.queue(queueDeclare{queue: "q", arguments: Table{{timeoutArg, int32(30)}}})
		c.put("q", "a")
		equal(t, "got", c.get("q")[:1], "a")
		c.timedOut(1, "30")
	}
	c.open(2)
	c.sync(2)
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A policy may say more than an argument could: then nothing is overdue for as long as that.
func TestALongTimeoutOfAPolicyRefusesNoConsumer(t *testing.T) {
	t.Parallel()
	r := serve(t)
	c := r.dial()
	c.queue(queueDeclare{queue: "q"})
	policy := broker.Policy{Name: "p", ApplyTo: broker.AllQueues,
		Definition: broker.Args{{Name: timeoutPolicy, Value: int64(maxMillis + 1)}}}
	if err := ReadPolicy(&policy); err != nil {
		t.Fatal(err)
	}
	if _, err := r.broker.SetPolicy(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	c.put("q", "a", "b")
	equal(t, "got", c.get("q"), "a")
	c.consume(1, basicConsume{queue: "q"})
	equal(t, "delivered", c.deliveries(1, 1), "b")
}

// A stream refuses what is no time as a queue does, and not its consumers.
func TestATimeoutOfAStreamIsANumberOfMilliseconds(t *testing.T) {
	c := serve(t).dial()
	for _, v := range []any{int32(0), "1000", int64(maxMillis + 1)} {
		m := &queueDeclare{queue: "s", durable: true, arguments: Table{{"x-queue-type", "stream"}, {timeoutArg, v}}}
		c.send(1, m)
		if text := c.ended(1, replyPreconditionFailed, m); !strings.Contains(text, timeoutArg) {
			t.Errorf("%v: %s", v, text)
		}
		c.open(1)
	}
}

// A publish that a look cuts short is forgotten with its channel.
func TestALookForgetsAPublishThatIsNotComplete(t *testing.T) {
	t.Parallel()
	r := serve(t)
	c := r.dial()
	c.queue(queueDeclare{queue: "q", arguments: Table{{timeoutArg, int32(60)}}})
	c.put("q", "a")
	equal(t, "got", c.get("q"), "a")
	out, err := appendMethod(nil, 1, &basicPublish{routingKey: "q"})
	if err != nil {
		t.Fatal(err)
	}
	c.write(appendContentHeader(out, 1, contentHeader{bodySize: 5, properties: []byte{0, 0}}))
	c.timedOut(1, "60")
	conn := r.connOf(c)
	c.bye()
	<-conn.written
	equal(t, "publishes whose body is not complete", conn.partial, 0)
}

// Whoever interrupts a read may be slow between the two steps of it: the connection goes on all the same.
func TestALookThatComesLateEndsNoConnection(t *testing.T) {
	t.Parallel()
	r := serve(t)
	c := r.raw()
	c.shake(capable, connectionTuneOk{frameMax: c.frameMax, heartbeat: 60})
	c.open(1)
	conn, d := r.connOf(c), &r.server.deadlines
	for range 10 {
		d.mu.Lock() // as interrupt does
		conn.overdue.Store(true)
		c.send(1, &channelFlow{active: true}) // the server looks now or behind it
		for began := time.Now(); conn.overdue.Load() && time.Since(began) < 20*time.Millisecond; {
			time.Sleep(time.Millisecond)
		}
		conn.nc.SetReadDeadline(time.Now())
		d.mu.Unlock()
		want[*channelFlowOk](c, 1)
		c.sync(1)
		c.sync(1)
	}
}

// What a client has that does not read goes back in time, also where it is not read itself.
func TestADeliveryToAClientThatDoesNotReadIsOverdue(t *testing.T) {
	t.Parallel()
	r := serve(t, func(c *Config) { c.Limits.QueuedBytes = 64 << 10 })
	deaf, c := r.dial(), r.dial()
	c.queue(queueDeclare{queue: "q", arguments: Table{{timeoutArg, int32(1500)}}})
	c.put("q", "a")
	equal(t, "got", deaf.get("q"), "a")
	body := string(make([]byte, 100<<10))
	var out []byte
	for range 10 {
		out = deaf.appendPublish(out, 1, &basicPublish{routingKey: "nowhere", mandatory: true}, Properties{}, body)
	}
	deaf.nc.SetWriteDeadline(time.Now().Add(time.Second))
	for err := error(nil); err == nil; {
		_, err = deaf.nc.Write(out)
	}
	c.consume(1, basicConsume{queue: "q"})
	equal(t, "went back", c.deliveries(1, 1), "a*")
}
