package amqp

import (
	"testing"
	"time"
)

// tick is how exact a delay is.
const tick = time.Millisecond

// delayed are the properties of a message that asks for a delay.
func delayed(delay any) Properties {
	return Properties{present: hasHeaders | hasDeliveryMode, DeliveryMode: persistent,
		Headers: Table{{"x-delay", delay}, {"other", "kept"}}}
}

// later declares a delayed exchange that leads to a queue.
func (c *client) later(name, queue string) {
	c.t.Helper()
	c.exchange(exchangeDeclare{exchange: name, kind: "x-delayed-message", durable: true,
		arguments: Table{{"x-delayed-type", "direct"}}})
	c.queue(queueDeclare{queue: queue, durable: true})
	c.bind(queue, name, "k")
}

// A delayed message comes at its time, behind one that asks for less, with the header negated.
func TestADelayedMessageComesAtItsTime(t *testing.T) {
	t.Parallel()
	c := serve(t).dial()
	c.later("x", "q")
	c.consume(1, basicConsume{queue: "q", noAck: true})
	m := &basicPublish{exchange: "x", routingKey: "k"}
	began := time.Now()
	c.putWith(m, delayed(int32(400)), "late")
	c.putWith(m, delayed("200"), "soon")
	c.putWith(m, delayed(int64(0)), "now")
	c.putWith(m, Properties{}, "plain")
	for _, want := range []struct {
		body  string
		after time.Duration
		delay any
	}{{"now", 0, int64(0)}, {"plain", 0, nil}, {"soon", 200 * time.Millisecond, int32(-200)},
		{"late", 400 * time.Millisecond, int32(-400)}} {
		d, got := wantMessage[*basicDeliver](c, 1)
		equal(t, "body", got.body, want.body)
		equal(t, "x-delay of "+got.body, field(got.props.Headers, "x-delay"), want.delay)
		equal(t, "exchange", d.exchange, "x")
		if since := time.Since(began); since < want.after-tick {
			t.Errorf("%s came after %v, want %v", got.body, since, want.after)
		}
	}
}

// A delayed publish counts as routed: mandatory does not return it, and it is confirmed when it is
// on disk as it waits. After a restart it comes all the same.
func TestADelayedMessageSurvivesARestart(t *testing.T) {
	r := serve(t)
	c := r.dial()
	c.later("x", "q")
	c.send(1, &queueUnbind{queue: "q", exchange: "x", routingKey: "k"})
	want[*queueUnbindOk](c, 1)
	c.putWith(&basicPublish{exchange: "x", routingKey: "k", mandatory: true}, delayed(int32(500)), "a")
	c = r.kill().dial()
	c.bind("q", "x", "k") // routed by the bindings of its time
	c.consume(1, basicConsume{queue: "q", noAck: true})
	equal(t, "got", c.deliveries(1, 1), "a")
}

// What cannot be a delay is none: text that is no number, a table, more than 2^32-1 ms.
func TestWhatIsNoDelayIsRoutedAtOnce(t *testing.T) {
	c := serve(t).dial()
	c.later("x", "q")
	for _, v := range []any{int32(-5), "soon", true, int64(maxMillis + 1), Table{}, nil, 1e300} {
		c.putWith(&basicPublish{exchange: "x", routingKey: "k"}, delayed(v), "m")
		equal(t, "got", c.get("q"), "m")
	}
}

// Numbers of any kind are delays, and come back as RabbitMQ's plugin writes them.
func TestADelayIsANumberOfAnyKind(t *testing.T) {
	for _, test := range []struct {
		value any
		delay time.Duration
		after any
	}{
		{int8(5), 5, int32(-5)}, {uint8(5), 5, int32(-5)}, {int16(5), 5, int32(-5)}, {uint16(5), 5, int32(-5)},
		{int32(5), 5, int32(-5)}, {uint32(5), 5, int32(-5)}, {int64(5), 5, int32(-5)}, {"5", 5, int32(-5)},
		{5.9, 5, int32(-5)}, {float32(5.9), 5, int32(-5)},
		{int64(maxMillis), maxMillis, int64(-maxMillis)}, {int64(maxMillis + 1), 0, nil}, {int32(-5), 0, nil},
	} {
		p := delayed(test.value)
		raw, err := p.append(nil)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "delay", Props{}.Delay(raw), test.delay*time.Millisecond)
		if test.after == nil {
			continue
		}
		out, err := parseProperties(Props{}.Delayed(raw))
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "after it", out.Headers, Table{{"x-delay", test.after}, {"other", "kept"}})
		equal(t, "again", Props{}.Delay(Props{}.Delayed(raw)), time.Duration(0))
	}
}

// A dead letter that still asks for a delay is delayed, once: it goes round, and comes back to be
// dead-lettered at once the next time.
func TestADeadLetterIsDelayedOnce(t *testing.T) {
	c := serve(t).dial()
	c.later("retry", "work")
	c.queue(queueDeclare{queue: "first", arguments: Table{{"x-dead-letter-exchange", "retry"},
		{"x-dead-letter-routing-key", "k"}}})
	c.putWith(&basicPublish{routingKey: "first"}, delayed(int32(100)), "a")
	equal(t, "at once", c.get("first"), "a")
	c.consume(1, basicConsume{queue: "work"})
	began := time.Now()
	c.send(1, &basicReject{deliveryTag: 1})
	_, m := wantMessage[*basicDeliver](c, 1)
	if since := time.Since(began); since < 100*time.Millisecond-tick {
		t.Errorf("it came after %v", since)
	}
	equal(t, "x-delay", field(m.props.Headers, "x-delay"), int32(-100))
	list, _ := field(m.props.Headers, "x-death").([]any)
	equal(t, "deaths", len(list), 1)
}

// A delayed exchange must name a type to route by.
func TestADelayedExchangeIsDeclaredWithAType(t *testing.T) {
	c := serve(t).dial()
	for _, test := range []struct {
		args Table
		text string
	}{
		{nil, "PRECONDITION_FAILED - Invalid argument, 'x-delayed-type' must be an existing exchange type"},
		{Table{{"x-delayed-type", int32(1)}},
			"PRECONDITION_FAILED - Invalid argument, 'x-delayed-type' must be an existing exchange type"},
		{Table{{"x-delayed-type", "odd"}}, "PRECONDITION_FAILED - unknown exchange type 'odd'"},
	} {
		m := &exchangeDeclare{exchange: "x", kind: "x-delayed-message", arguments: test.args}
		c.send(1, m)
		equal(t, "text", c.ended(1, replyPreconditionFailed, m), test.text)
		c.open(1)
	}
}
