package amqp

import (
	"strings"
	"testing"
	"time"
)

// Trap 11: exclusive queues go before connection.close is answered, and with a lost connection.
func TestExclusiveQueuesGoWithTheirConnection(t *testing.T) {
	r := serve(t)
	c, other := r.dial(), r.dial()
	c.queue(queueDeclare{queue: "mine", exclusive: true, durable: true})
	named := c.queue(queueDeclare{exclusive: true}).queue
	if rest, ok := strings.CutPrefix(named, "amq.gen-"); !ok || len(rest) != 22 {
		t.Errorf("got the name %q", named)
	}
	c.send(0, &connectionClose{replyCode: replySuccess})
	want[*connectionCloseOk](c, 0)
	declare := &queueDeclare{queue: "mine", passive: true}
	other.send(1, declare)
	other.ended(1, replyNotFound, declare)
	other.open(1)

	c = r.dial()
	c.queue(queueDeclare{queue: "mine", exclusive: true})
	c.exchange(exchangeDeclare{exchange: "x", kind: "fanout", autoDelete: true})
	c.bind("mine", "x", "")
	c.nc.Close()
	code := replyResourceLocked
	for began := time.Now(); code != replyNotFound && time.Since(began) < patience; {
		other.send(1, declare) // there is no signal for the loss of somebody else's socket
		code = want[*channelClose](other, 1).replyCode
		other.send(1, &channelCloseOk{})
		other.open(1)
	}
	gone := &exchangeDeclare{exchange: "x", passive: true}
	other.send(1, gone)
	other.ended(1, replyNotFound, gone)
}

// Trap 11: an auto-delete queue waits for its first consumer, and goes with its last.
func TestAutoDeleteQueuesGoWithTheirLastConsumer(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(c *client)
	}{
		{"cancel", func(c *client) { c.send(2, &basicCancel{consumerTag: "b"}); want[*basicCancelOk](c, 2) }},
		{"channel close", func(c *client) { c.shut(2) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := serve(t).dial()
			c.queue(queueDeclare{queue: "q", autoDelete: true})
			c.open(2)
			c.consume(2, basicConsume{queue: "q", consumerTag: "a"})
			c.consume(2, basicConsume{queue: "q", consumerTag: "b"})
			c.send(2, &basicCancel{consumerTag: "a"})
			want[*basicCancelOk](c, 2)
			equal(t, "with one left", c.ready("q"), 0)
			test.end(c)
			declare := &queueDeclare{queue: "q", passive: true}
			c.send(1, declare)
			c.ended(1, replyNotFound, declare)
		})
	}
}

// Trap 11: auto-delete exchanges go with the last binding from them, and take others along.
func TestAutoDeleteExchangesCascade(t *testing.T) {
	c := serve(t).dial()
	c.queue(queueDeclare{queue: "q"})
	c.exchange(exchangeDeclare{exchange: "x1", kind: "fanout", autoDelete: true})
	c.exchange(exchangeDeclare{exchange: "x2", kind: "fanout", autoDelete: true})
	c.send(1, &exchangeBind{destination: "x2", source: "x1"})
	want[*exchangeBindOk](c, 1)
	c.bind("q", "x2", "")
	c.send(1, &queueDelete{queue: "q"})
	want[*queueDeleteOk](c, 1)
	for _, x := range []string{"x1", "x2"} {
		declare := &exchangeDeclare{exchange: x, passive: true}
		c.send(1, declare)
		c.ended(1, replyNotFound, declare)
		c.open(1)
	}
}

// The server cancels the consumers of a deleted queue, if their client understands that.
func TestConsumersHearThatTheirQueueIsGone(t *testing.T) {
	r := serve(t)
	c, old, owner := r.dial(), r.raw(), r.dial()
	old.shake(nil, connectionTuneOk{})
	old.open(1)
	owner.queue(queueDeclare{queue: "q"})
	c.consume(1, basicConsume{queue: "q", consumerTag: "c"})
	old.consume(1, basicConsume{queue: "q"})
	owner.send(1, &queueDelete{queue: "q"})
	want[*queueDeleteOk](owner, 1)
	equal(t, "cancelled", want[*basicCancel](c, 1), &basicCancel{consumerTag: "c", noWait: true})
	old.sync(1) // hears nothing
	c.send(1, &basicCancel{consumerTag: "c"})
	want[*basicCancelOk](c, 1)
}

// Trap 15: only a persistent message in a durable queue, by durable bindings, is there after a
// restart; what was delivered comes redelivered.
func TestWhatIsDurableSurvivesARestart(t *testing.T) {
	r := serve(t)
	c := r.dial()
	c.exchange(exchangeDeclare{exchange: "keeps", kind: "direct", durable: true})
	c.exchange(exchangeDeclare{exchange: "goes", kind: "direct"})
	c.queue(queueDeclare{queue: "kept", durable: true})
	c.queue(queueDeclare{queue: "gone"})
	c.bind("kept", "keeps", "k")
	c.bind("kept", "goes", "k")
	c.bind("gone", "keeps", "k")
	c.putWith(&basicPublish{exchange: "keeps", routingKey: "k"}, durably, "delivered", "persistent")
	c.putWith(&basicPublish{exchange: "keeps", routingKey: "k"}, Properties{}, "transient")
	equal(t, "first", c.get("kept"), "delivered")

	c = r.kill().dial()
	equal(t, "redelivered", c.get("kept"), "delivered*")
	if got := c.get("kept"); strings.TrimSuffix(got, "*") != "persistent" {
		t.Errorf("got %q", got)
	}
	equal(t, "the transient one", c.get("kept"), "")
	c.putWith(&basicPublish{exchange: "keeps", routingKey: "k"}, durably, "by its binding")
	equal(t, "the binding", c.get("kept"), "by its binding")
	for _, m := range []method{&queueDeclare{queue: "gone", passive: true},
		&exchangeDeclare{exchange: "goes", passive: true}} {
		c.send(1, m)
		c.ended(1, replyNotFound, m)
		c.open(1)
	}
}

// Trap 15: a queue expires when nobody has consumed, got or declared for so long.
func TestUnusedQueuesExpire(t *testing.T) {
	t.Parallel()
	c := serve(t).dial()
	c.queue(queueDeclare{queue: "q", arguments: Table{{"x-expires", int32(300)}}})
	c.exchange(exchangeDeclare{exchange: "x", kind: "fanout", autoDelete: true})
	c.bind("q", "x", "")
	c.consume(1, basicConsume{queue: "q", consumerTag: "c"})
	c.queue(queueDeclare{queue: "clock", arguments: Table{{"x-message-ttl", int32(400)},
		{"x-dead-letter-exchange", ""}, {"x-dead-letter-routing-key", "rings"}}})
	c.queue(queueDeclare{queue: "rings"})
	c.put("clock", "now")
	died(c, "rings")
	equal(t, "used", c.ready("q"), 0)
	c.send(1, &basicCancel{consumerTag: "c"})
	want[*basicCancelOk](c, 1)
	c.put("clock", "now")
	died(c, "rings")
	gone := &exchangeDeclare{exchange: "x", passive: true} // is no use of the queue
	c.send(1, gone)
	c.ended(1, replyNotFound, gone)
}

// A bind that names neither queue nor key takes the queue declared last, and its name for the key.
func TestABindWithoutNamesIsOfTheLastQueue(t *testing.T) {
	c := serve(t).dial()
	c.queue(queueDeclare{queue: "q"})
	c.bind("", "amq.direct", "")
	c.putWith(&basicPublish{exchange: "amq.direct", routingKey: "q"}, Properties{}, "x")
	equal(t, "got", c.get(""), "x")
	c.send(1, &queueUnbind{exchange: "amq.direct"})
	want[*queueUnbindOk](c, 1)
	c.putWith(&basicPublish{exchange: "amq.direct", routingKey: "q"}, Properties{}, "y")
	equal(t, "unbound", c.get("q"), "")
}
