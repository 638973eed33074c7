package amqp

import (
	"strconv"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// Trap 1: what comes back goes to its place, ahead of what is newer.
func TestRequeuedMessagesComeBackInTheirPlace(t *testing.T) {
	for _, test := range []struct {
		name string
		back func(c *client)
	}{
		{"nack", func(c *client) { c.send(2, &basicNack{deliveryTag: 3, multiple: true, requeue: true}) }},
		{"rejects in reverse", func(c *client) {
			for _, tag := range []uint64{3, 1, 2} {
				c.send(2, &basicReject{deliveryTag: tag, requeue: true})
			}
		}},
		{"recover", func(c *client) {
			c.send(2, &basicCancel{consumerTag: "c"})
			want[*basicCancelOk](c, 2)
			c.send(2, &basicRecover{requeue: true})
			want[*basicRecoverOk](c, 2)
		}},
		{"channel close", func(c *client) { c.shut(2); c.open(2) }},
		{"error", func(c *client) {
			ack := &basicAck{deliveryTag: 99}
			c.send(2, ack)
			c.ended(2, replyPreconditionFailed, ack)
			c.open(2)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := serve(t).dial()
			c.queue(queueDeclare{queue: "q", durable: true})
			c.put("q", "1", "2", "3", "4", "5")
			c.open(2)
			c.qos(2, 3, false)
			c.consume(2, basicConsume{queue: "q", consumerTag: "c"})
			equal(t, "first", c.deliveries(2, 3), "1 2 3")
			c.send(2, &basicCancel{consumerTag: "c", noWait: true})
			c.sync(2)
			test.back(c)
			c.sync(2)
			c.consume(1, basicConsume{queue: "q"})
			equal(t, "then", c.deliveries(1, 5), "1* 2* 3* 4 5")
		})
	}
}

// "An ack is on disk when a passive queue.declare behind it is answered."
func TestAPassiveDeclarationIsBehindTheAcksBeforeIt(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	slow := newGate(disk)
	r := serveOn(t, disk, slow)
	c := r.dial()
	c.queue(queueDeclare{queue: "q", durable: true})
	c.put("q", "a", "b")
	c.consume(1, basicConsume{queue: "q"})
	equal(t, "deliveries", c.deliveries(1, 2), "a b")
	open := slow.shut()
	c.send(1, &basicAck{deliveryTag: 1}, &queueDeclare{queue: "q", passive: true})
	<-slow.met
	c.nc.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := c.nc.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes of an answer while the disk holds the ack", n)
	}
	open()
	want[*queueDeclareOk](c, 1)
	c = r.kill().dial()
	equal(t, "after a crash", c.get("q"), "b*")
}

// Trap 2: also after the connection is lost, and after a restart.
func TestWhatMayHaveBeenDeliveredIsRedelivered(t *testing.T) {
	r := serve(t)
	c := r.dial()
	c.queue(queueDeclare{queue: "q", durable: true})
	c.put("q", "a", "b")
	c.qos(1, 1, false)
	c.consume(1, basicConsume{queue: "q"})
	equal(t, "first", c.deliveries(1, 1), "a")
	c.lose()

	c = r.dial()
	c.consume(1, basicConsume{queue: "q"})
	equal(t, "after the connection was lost", c.deliveries(1, 2), "a* b")
	c.send(1, &basicAck{deliveryTag: 1})
	c.queue(queueDeclare{queue: "later", durable: true}) // its answer tells that the ack is on disk too

	c = r.kill().dial()
	equal(t, "after a crash", c.get("q"), "b*")
	equal(t, "behind it", c.get("q"), "")
}

// Trap 3: tags are the channel's, over consumers and gets; many at once only up to one that is there.
func TestTagsAreOfTheChannel(t *testing.T) {
	c := serve(t).dial()
	for _, q := range []string{"q1", "q2"} {
		c.queue(queueDeclare{queue: q})
		c.put(q, q+"a", q+"b")
	}
	c.qos(1, 1, false)
	c.consume(1, basicConsume{queue: "q1", consumerTag: "c"})
	equal(t, "tag 1", c.deliveries(1, 1), "q1a")
	equal(t, "tag 2", c.get("q2"), "q2a")
	equal(t, "tag 3", c.get("q2"), "q2b")
	c.send(1, &basicAck{deliveryTag: 2})
	c.send(1, &basicAck{deliveryTag: 3, multiple: true})
	equal(t, "tag 4", c.deliveries(1, 1), "q1b")
	c.send(1, &basicAck{multiple: true})
	c.send(1, &basicAck{multiple: true}) // none left: never an error
	c.sync(1)
	for _, q := range []string{"q1", "q2"} {
		equal(t, "left in "+q, c.get(q), "")
	}
	again := &basicAck{deliveryTag: 4, multiple: true}
	c.send(1, again, &basicAck{deliveryTag: 1}) // the second is dropped without a word
	c.ended(1, replyPreconditionFailed, again)
	c.open(1)
}

// Trap 4: without global a prefetch is of each consumer that starts later.
func TestPrefetchIsOfEachNewConsumer(t *testing.T) {
	c := serve(t).dial()
	c.queue(queueDeclare{queue: "q"})
	c.put("q", numbers(9)...)
	c.qos(1, 2, false)
	c.consume(1, basicConsume{queue: "q", consumerTag: "two"})
	equal(t, "two", c.deliveries(1, 2), "0 1")
	c.qos(1, 1, false) // changes nothing for "two"
	c.sync(1)
	c.consume(1, basicConsume{queue: "q", consumerTag: "one"})
	equal(t, "one", c.deliveries(1, 1), "2")
	c.qos(1, 0, false)
	c.sync(1) // no fourth
	equal(t, "get is exempt", c.get("q"), "3")
	c.consume(1, basicConsume{queue: "q", consumerTag: "all", noAck: true})
	equal(t, "no-ack is exempt", c.deliveries(1, 5), "4 5 6 7 8")
}

// Trap 4: with global it is shared by the channel, together with the consumers' own, and room that
// one queue gives goes to the consumer of another.
func TestGlobalPrefetchIsOfTheChannel(t *testing.T) {
	c := serve(t).dial()
	for _, q := range []string{"q1", "q2"} {
		c.queue(queueDeclare{queue: q})
	}
	c.qos(1, 2, false)
	c.qos(1, 3, true)
	c.consume(1, basicConsume{queue: "q1", consumerTag: "c1"})
	c.consume(1, basicConsume{queue: "q2", consumerTag: "c2"})
	c.put("q1", "a", "b", "c")
	equal(t, "its own bound holds", c.deliveries(1, 2), "a b")
	c.put("q2", "x", "y")
	equal(t, "the shared bound holds", c.deliveries(1, 1), "x")
	c.sync(1)
	c.send(1, &basicAck{deliveryTag: 3})
	equal(t, "room in q2", c.deliveries(1, 1), "y")
	c.qos(1, 2, false)
	c.send(1, &basicAck{deliveryTag: 4})
	c.put("q2", "z")
	c.send(1, &basicAck{deliveryTag: 1})
	got := map[string]bool{c.deliveries(1, 1): true, c.deliveries(1, 1): true}
	equal(t, "room in both", got, map[string]bool{"c": true, "z": true})
}

// Trap 4: a consumer that ends leaves its share of the channel's prefetch to the others.
func TestCancelLeavesSharedPrefetchToOthers(t *testing.T) {
	c := serve(t).dial()
	for _, q := range []string{"q1", "q2"} {
		c.queue(queueDeclare{queue: q})
	}
	c.put("q1", "a")
	c.qos(1, 1, true)
	c.consume(1, basicConsume{queue: "q1", consumerTag: "c1"})
	equal(t, "first", c.deliveries(1, 1), "a")
	c.consume(1, basicConsume{queue: "q2", consumerTag: "c2"})
	c.put("q2", "x")
	c.send(1, &queueDelete{queue: "q1"})
	want[*queueDeleteOk](c, 1)
	want[*basicCancel](c, 1)
	c.send(1, &basicAck{deliveryTag: 1}) // of a queue that is gone
	equal(t, "then", c.deliveries(1, 1), "x")
}

// Trap 15 and "Further": the next takes over as soon as the active one is cancelled.
func TestSingleActiveConsumerIsFollowedByTheNext(t *testing.T) {
	c := serve(t).dial()
	c.queue(queueDeclare{queue: "q", arguments: Table{{"x-single-active-consumer", true}}})
	c.consume(1, basicConsume{queue: "q", consumerTag: "first"})
	c.consume(1, basicConsume{queue: "q", consumerTag: "second"})
	c.put("q", "a", "b")
	for range 2 {
		equal(t, "active", want[*basicDeliver](c, 1).consumerTag, "first")
	}
	c.send(1, &basicCancel{consumerTag: "first"})
	want[*basicCancelOk](c, 1)
	c.put("q", "c")
	equal(t, "active", want[*basicDeliver](c, 1).consumerTag, "second")
}

// The next one begins with what the one before had when its connection ended, and nothing overtakes that.
func TestTheNextSingleActiveConsumerBeginsWithWhatTheLastOneHad(t *testing.T) {
	r := serve(t)
	p := r.dial()
	p.queue(queueDeclare{queue: "q", arguments: Table{{"x-single-active-consumer", true}}})
	var bodies []string
	for i := range 100 {
		bodies = append(bodies, strconv.Itoa(i))
	}
	p.put("q", bodies...)
	active := r.dial()
	active.qos(1, 40, false)
	active.consume(1, basicConsume{queue: "q"})
	for range 10 { // each was on the way when a consumer came to stand by
		standby := r.dial()
		standby.qos(1, 40, false)
		standby.consume(1, basicConsume{queue: "q"})
		active.deliveries(1, 3)
		_ = active.nc.Close()
		for i := range 40 {
			if _, m := wantMessage[*basicDeliver](standby, 1); m.body != bodies[i] {
				t.Fatalf("delivery %d is %s", i, m.body)
			}
		}
		_ = standby.nc.Close()
		active = r.dial()
		active.qos(1, 40, false)
		active.consume(1, basicConsume{queue: "q"})
	}
}

func TestConsumersOfHigherPriorityComeFirst(t *testing.T) {
	c := serve(t).dial()
	c.queue(queueDeclare{queue: "q"})
	c.qos(1, 1, false)
	c.consume(1, basicConsume{queue: "q", consumerTag: "low"})
	c.consume(1, basicConsume{queue: "q", consumerTag: "high", arguments: Table{{"x-priority", int32(5)}}})
	c.put("q", "a")
	equal(t, "first", want[*basicDeliver](c, 1).consumerTag, "high")
	c.put("q", "b")
	equal(t, "while it is busy", want[*basicDeliver](c, 1).consumerTag, "low")
}

// One consumer with more than fits into a write leaves the others their turn.
func TestConsumersOfAConnectionTakeTurns(t *testing.T) {
	r := serve(t, func(c *Config) { c.Limits.QueuedBytes = 8 << 10 })
	c := r.dial()
	big := string(make([]byte, 4<<10))
	c.queue(queueDeclare{queue: "busy"})
	for range 4 {
		c.put("busy", repeat(big, 250)...)
	}
	c.queue(queueDeclare{queue: "small"})
	c.put("small", "x")
	c.consume(1, basicConsume{queue: "busy", consumerTag: "busy", noAck: true})
	c.send(1, &basicConsume{queue: "small", consumerTag: "small", noAck: true})
	n := 0
	for {
		m := c.next()
		if _, ok := m.method.(*basicConsumeOk); ok {
			n = 0
		} else if m.body == "x" {
			break
		}
		n++
	}
	if n > 64 {
		t.Errorf("it waited for %d messages of the other", n)
	}
}

// "Further": a consumer that does not read holds up nobody else on its queue.
func TestAConsumerThatDoesNotReadHoldsUpNobody(t *testing.T) {
	t.Parallel()
	r := serve(t)
	slow, quick := r.dial(), r.dial()
	quick.queue(queueDeclare{queue: "q"})
	slow.consume(1, basicConsume{queue: "q", noAck: true})
	quick.open(2)
	quick.consume(2, basicConsume{queue: "q", noAck: true})
	big := string(make([]byte, 64<<10))
	fill, filled := r.dial(), make(chan struct{})
	go func() {
		defer close(filled)
		for range 20 {
			fill.put("q", repeat(big, 50)...)
		}
	}()
	for range 500 { // half of them, and as many as the slow one leaves
		want[*basicDeliver](quick, 2)
	}
	<-filled
}

// "Further": heartbeats go out while the client does not read, or says nothing it need answer.
func TestHeartbeatsAreSentWhileTheClientIsSilent(t *testing.T) {
	t.Parallel()
	r := serve(t)
	c := r.raw()
	c.shake(capable, connectionTuneOk{heartbeat: 1})
	c.rest() // and keeps the server from taking us for dead
	c.open(1)
}

func TestASilentClientIsDroppedAfterTwoHeartbeats(t *testing.T) {
	t.Parallel()
	r := serve(t)
	c := r.raw()
	c.shake(capable, connectionTuneOk{heartbeat: 1})
	began := time.Now()
	c.cut()
	if d := time.Since(began); d < 1500*time.Millisecond || d > patience/2 {
		t.Errorf("dropped after %v", d)
	}
}
