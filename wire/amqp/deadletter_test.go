package amqp

import (
	"testing"
	"time"
)

// died waits for a message in a queue, and reads its history.
func died(c *client, queue string) (message, []Table) {
	c.t.Helper()
	const channel = 901
	c.open(channel)
	c.consume(channel, basicConsume{queue: queue, noAck: true})
	_, m := wantMessage[*basicDeliver](c, channel)
	c.shut(channel)
	v, _ := m.props.Headers.Get("x-death")
	list, _ := v.([]any)
	var deaths []Table
	for _, x := range list {
		deaths = append(deaths, x.(Table))
	}
	return m, deaths
}

func field(t Table, name string) any {
	v, _ := t.Get(name)
	return v
}

// Trap 12: a dead letter tells where it died, newest first, with counts, and has lost its
// expiration.
func TestDeadLettersTellHowTheyDied(t *testing.T) {
	c := serve(t).dial()
	c.exchange(exchangeDeclare{exchange: "dlx", kind: "fanout"})
	c.queue(queueDeclare{queue: "work", arguments: Table{{"x-dead-letter-exchange", "dlx"}}})
	c.queue(queueDeclare{queue: "dead"})
	c.bind("dead", "dlx", "")
	before := time.Now().Unix()
	c.putWith(&basicPublish{routingKey: "work"}, Properties{present: hasExpiration | hasHeaders,
		Expiration: "60000", Headers: Table{{"CC", []any{"extra"}}, {"BCC", []any{"secret"}}}}, "x")
	equal(t, "taken", c.get("work"), "x")
	c.send(1, &basicReject{deliveryTag: 1})
	m, deaths := died(c, "dead")
	if len(deaths) != 1 || m.props.has(hasExpiration) {
		t.Fatalf("got %+v, expiration %q", deaths, m.props.Expiration)
	}
	if at, _ := field(deaths[0], "time").(Timestamp); int64(at) < before || int64(at) > time.Now().Unix() {
		t.Errorf("died at %v", at)
	}
	equal(t, "death", deaths[0], Table{{"count", int64(1)}, {"reason", "rejected"}, {"queue", "work"},
		{"time", field(deaths[0], "time")}, {"exchange", ""}, {"routing-keys", []any{"work", "extra"}},
		{"original-expiration", "60000"}})
	for name, want := range map[string]string{"first-death-queue": "work", "first-death-reason": "rejected",
		"first-death-exchange": "", "last-death-queue": "work", "last-death-reason": "rejected",
		"last-death-exchange": ""} {
		equal(t, name, field(m.props.Headers, "x-"+name), want)
	}
	equal(t, "CC stays", field(m.props.Headers, "CC"), []any{"extra"})
	equal(t, "BCC does not", field(m.props.Headers, "BCC"), nil)
}

// Trap 12: the first death stays the first, however the others are counted, and a dead letter key
// drops CC.
func TestTheFirstDeathStaysTheFirst(t *testing.T) {
	c := serve(t).dial()
	for queue, next := range map[string]string{"a": "b", "b": "c", "c": "a"} {
		c.queue(queueDeclare{queue: queue, arguments: Table{{"x-dead-letter-exchange", ""},
			{"x-dead-letter-routing-key", next}}})
	}
	c.putWith(&basicPublish{routingKey: "a"}, Properties{present: hasHeaders,
		Headers: Table{{"CC", []any{"none"}}}}, "x")
	for i, queue := range []string{"a", "b", "c", "a"} {
		equal(t, queue, c.get(queue)[:1], "x")
		c.send(1, &basicReject{deliveryTag: uint64(i + 1)})
	}
	m, deaths := died(c, "b")
	var got []any
	for _, d := range deaths {
		got = append(got, field(d, "queue"), field(d, "count"))
	}
	equal(t, "deaths", got, []any{"a", int64(2), "c", int64(1), "b", int64(1)})
	equal(t, "first", field(m.props.Headers, "x-first-death-queue"), "a")
	equal(t, "last", field(m.props.Headers, "x-last-death-queue"), "a")
	equal(t, "CC", field(m.props.Headers, "CC"), nil)
}

// Trap 13: a cycle that nobody's rejection drives ends; rejections may go round for ever, and so
// may the pattern of a work queue and a queue that waits.
func TestOnlyAnAutomaticCycleEnds(t *testing.T) {
	c := serve(t).dial()
	c.queue(queueDeclare{queue: "work", arguments: Table{{"x-dead-letter-exchange", ""},
		{"x-dead-letter-routing-key", "wait"}}})
	c.queue(queueDeclare{queue: "wait", arguments: Table{{"x-dead-letter-exchange", ""},
		{"x-dead-letter-routing-key", "work"}, {"x-message-ttl", int32(1)}}})
	c.consume(1, basicConsume{queue: "work"})
	c.put("work", "x")
	for i := range int64(3) {
		d, m := wantMessage[*basicDeliver](c, 1)
		if i > 0 {
			list, _ := field(m.props.Headers, "x-death").([]any)
			equal(t, "count", field(list[0].(Table), "count"), i)
		}
		if i < 2 {
			c.send(1, &basicNack{deliveryTag: d.deliveryTag})
		}
	}
	c.queue(queueDeclare{queue: "own", arguments: Table{{"x-dead-letter-exchange", ""},
		{"x-dead-letter-routing-key", "own"}, {"x-message-ttl", int32(0)}, {"x-expires", int32(60000)}}})
	c.put("own", "y")
	equal(t, "its own dead letter", c.get("own"), "")
}

// Trap 14: an expired message behind one that is not stays, counts, and is never delivered.
func TestMessagesExpireAtTheHeadOnly(t *testing.T) {
	c := serve(t).dial()
	c.queue(queueDeclare{queue: "q", arguments: Table{{"x-dead-letter-exchange", ""},
		{"x-dead-letter-routing-key", "dead"}}})
	c.queue(queueDeclare{queue: "dead"})
	c.put("q", "stays")
	c.putWith(&basicPublish{routingKey: "q"}, Properties{present: hasExpiration, Expiration: "1"}, "expires")
	c.queue(queueDeclare{queue: "clock", arguments: Table{{"x-message-ttl", int32(20)},
		{"x-dead-letter-exchange", ""}, {"x-dead-letter-routing-key", "rings"}}})
	c.queue(queueDeclare{queue: "rings"})
	c.put("clock", "now")
	died(c, "rings") // so much later than the expiration
	equal(t, "waiting", c.ready("q"), 2)
	equal(t, "got", c.get("q"), "stays")
	equal(t, "got", c.get("q"), "")
	m, deaths := died(c, "dead")
	equal(t, "dead", m.body, "expires")
	equal(t, "reason", field(deaths[0], "reason"), "expired")
	equal(t, "expiration", field(deaths[0], "original-expiration"), "1")
}

// Trap 14: the length counts what is ready, the head is dropped, and tells that it was too much.
func TestTooLongQueuesDropTheirHead(t *testing.T) {
	c := serve(t).dial()
	c.queue(queueDeclare{queue: "q", durable: true, arguments: Table{{"x-max-length", int32(2)},
		{"x-dead-letter-exchange", ""}, {"x-dead-letter-routing-key", "dead"}}})
	c.queue(queueDeclare{queue: "dead", durable: true})
	c.put("q", "a", "b", "c")
	equal(t, "ready", c.ready("q"), 2)
	equal(t, "got", c.get("q"), "b")
	c.put("q", "d")
	equal(t, "with one unsettled", c.ready("q"), 2)
	m, deaths := died(c, "dead")
	equal(t, "dead", m.body, "a")
	equal(t, "reason", field(deaths[0], "reason"), "maxlen")
}

// Trap 14: with priorities the next to be delivered is the one of the highest priority.
func TestTheHeadIsTheNextToBeDelivered(t *testing.T) {
	c := serve(t).dial()
	c.queue(queueDeclare{queue: "q", arguments: Table{{"x-max-length", int32(1)}, {"x-max-priority", int32(5)},
		{"x-dead-letter-exchange", ""}, {"x-dead-letter-routing-key", "dead"}}})
	c.queue(queueDeclare{queue: "dead"})
	high := Properties{present: hasPriority, Priority: 5}
	c.putWith(&basicPublish{routingKey: "q"}, high, "high")
	c.put("q", "low")
	m, _ := died(c, "dead")
	equal(t, "dropped", m.body, "high")
}

func TestRefusedMessagesAreDeadLetteredIfAsked(t *testing.T) {
	c := serve(t).dial()
	c.queue(queueDeclare{queue: "q", durable: true, arguments: Table{{"x-max-length", int32(1)},
		{"x-overflow", "reject-publish-dlx"}, {"x-dead-letter-exchange", ""},
		{"x-dead-letter-routing-key", "dead"}}})
	c.queue(queueDeclare{queue: "dead", durable: true})
	c.put("q", "a")
	c.send(1, &confirmSelect{})
	want[*confirmSelectOk](c, 1)
	c.publish(1, &basicPublish{routingKey: "q"}, durably, "b")
	want[*basicNack](c, 1)
	m, deaths := died(c, "dead")
	equal(t, "dead", m.body, "b")
	equal(t, "reason", field(deaths[0], "reason"), "maxlen")
	equal(t, "kept", c.get("q"), "a")
}

// A queue of type quorum counts deliveries, tells so from the second on, and has a limit.
func TestQuorumQueuesCountDeliveries(t *testing.T) {
	c := serve(t).dial()
	c.queue(queueDeclare{queue: "q", durable: true, arguments: Table{{"x-queue-type", "quorum"},
		{"x-delivery-limit", int32(2)}, {"x-dead-letter-exchange", ""}, {"x-dead-letter-routing-key", "dead"}}})
	c.queue(queueDeclare{queue: "dead"})
	c.put("q", "x")
	for i := range 3 {
		c.send(1, &basicGet{queue: "q"})
		g, m := wantMessage[*basicGetOk](c, 1)
		count := field(m.props.Headers, "x-delivery-count")
		if i == 0 && count != nil || i > 0 && count != int64(i) {
			t.Errorf("delivery %d has count %v", i, count)
		}
		c.send(1, &basicNack{deliveryTag: g.deliveryTag, requeue: true})
	}
	_, deaths := died(c, "dead")
	equal(t, "reason", field(deaths[0], "reason"), "delivery_limit")
}

// TestDeadLettersReachStreams with the history of their deaths, at once and by way of an
// exchange that delays them.
func TestDeadLettersReachStreams(t *testing.T) {
	c := serve(t).dial()
	c.exchange(exchangeDeclare{exchange: "dlx", kind: "fanout", durable: true})
	c.exchange(exchangeDeclare{exchange: "slow", kind: "x-delayed-message", durable: true,
		arguments: Table{{"x-delayed-type", "fanout"}}})
	c.stream("graves")
	c.bind("graves", "dlx", "")
	c.bind("graves", "slow", "")
	c.queue(queueDeclare{queue: "work", arguments: Table{{"x-dead-letter-exchange", "dlx"}}})
	c.queue(queueDeclare{queue: "play", arguments: Table{{"x-dead-letter-exchange", "slow"}}})
	c.put("work", "one")
	equal(t, "taken", c.get("work"), "one")
	c.send(1, &basicReject{deliveryTag: 1})
	c.putWith(&basicPublish{routingKey: "play"}, Properties{present: hasHeaders,
		Headers: Table{{"x-delay", int32(20)}}}, "two")
	equal(t, "taken", c.get("play"), "two")
	c.send(1, &basicReject{deliveryTag: 2})
	c.open(2)
	c.qos(2, 10, false)
	c.replay(2, "graves", "first")
	for _, want := range [][2]string{{"one", "work"}, {"two", "play"}} {
		_, m := wantMessage[*basicDeliver](c, 2)
		list, _ := field(m.props.Headers, "x-death").([]any)
		if string(m.body) != want[0] || len(list) != 1 {
			t.Fatalf("got %q with deaths %v, want %q with one", m.body, list, want[0])
		}
		equal(t, "where it died", field(list[0].(Table), "queue"), any(want[1]))
	}
}
