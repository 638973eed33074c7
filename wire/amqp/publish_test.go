package amqp

import (
	"fmt"
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

// Trap 9: every type of RabbitMQ's field tables arrives as it was sent, and integers are equal
// whatever their width.
func TestEveryFieldTypeTravels(t *testing.T) {
	c := serve(t).dial()
	c.queue(queueDeclare{queue: "q"})
	all := Table{{"t", true}, {"b", int8(-1)}, {"B", uint8(200)}, {"s", int16(-2)}, {"u", uint16(3)},
		{"I", int32(-4)}, {"i", uint32(5)}, {"l", int64(-6)}, {"f", float32(1.5)}, {"d", 2.5},
		{"D", Decimal{2, 314}}, {"S", "text"}, {"A", []any{int8(1), "x", nil}},
		{"T", Timestamp(1 << 33)}, {"F", Table{{"in", int8(1)}}}, {"V", nil}, {"x", []byte{0, 255}}}
	c.publish(1, &basicPublish{routingKey: "q"}, Properties{present: hasHeaders, Headers: all}, "")
	c.send(1, &basicGet{queue: "q", noAck: true})
	_, m := wantMessage[*basicGetOk](c, 1)
	equal(t, "headers", m.props.Headers, all)
	for _, n := range []any{int8(9), uint8(9), int16(9), uint16(9), int32(9), uint32(9), int64(9)} {
		c.queue(queueDeclare{queue: "sized", arguments: Table{{"x-max-length", n}}})
	}
}

// Trap 10: confirms count every publish of the channel from confirm.select on, routed or not, and a
// return comes before its ack.
func TestConfirmsCountEveryPublish(t *testing.T) {
	c := serve(t).dial()
	c.queue(queueDeclare{queue: "q"})
	c.publish(1, &basicPublish{routingKey: "q"}, Properties{}, "before")
	c.send(1, &confirmSelect{})
	want[*confirmSelectOk](c, 1)
	out := c.appendPublish(nil, 1, &basicPublish{routingKey: "q"}, durably, "one")
	out = c.appendPublish(out, 1, &basicPublish{routingKey: "nowhere", mandatory: true}, durably, "two")
	out = c.appendPublish(out, 1, &basicPublish{routingKey: "nowhere"}, durably, "three")
	c.write(out)
	acked := uint64(0)
	returned := false
	for acked < 3 {
		switch m := c.nextOn(1); a := m.method.(type) {
		case *basicReturn:
			if acked >= 2 || m.body != "two" || a.replyCode != 312 || a.replyText != "NO_ROUTE" {
				t.Errorf("behind ack %d came %+v %q", acked, a, m.body)
			}
			returned = true
		case *basicAck:
			if a.deliveryTag <= acked || a.deliveryTag >= 2 && !returned {
				t.Errorf("got ack %d behind ack %d", a.deliveryTag, acked)
			}
			acked = a.deliveryTag
		default:
			t.Fatalf("got %+v", a)
		}
	}
	c.sync(1)
	equal(t, "ready", c.ready("q"), 2)
}

// Trap 10: acks that go together leave out what was refused.
func TestARefusedPublishIsNacked(t *testing.T) {
	c := serve(t).dial()
	c.queue(queueDeclare{queue: "q", durable: true,
		arguments: Table{{"x-max-length", int32(2)}, {"x-overflow", "reject-publish"}}})
	c.queue(queueDeclare{queue: "wide", durable: true})
	c.send(1, &confirmSelect{})
	want[*confirmSelectOk](c, 1)
	var out []byte
	for i, q := range []string{"q", "q", "q", "wide", "q", "wide"} {
		out = c.appendPublish(out, 1, &basicPublish{routingKey: q, mandatory: true}, durably, fmt.Sprint(i))
	}
	c.write(out)
	got := map[uint64]string{}
	note := func(last uint64, multiple bool, what string) {
		for tag := last; tag > 0 && got[tag] == ""; tag-- {
			if got[tag] = what; !multiple {
				return
			}
		}
	}
	for len(got) < 6 {
		switch m := c.nextOn(1).method.(type) {
		case *basicAck:
			note(m.deliveryTag, m.multiple, "ack")
		case *basicNack:
			note(m.deliveryTag, m.multiple, "nack")
		default:
			t.Fatalf("got %+v", m)
		}
	}
	equal(t, "confirms", got, map[uint64]string{1: "ack", 2: "ack", 3: "nack", 4: "ack", 5: "nack", 6: "ack"})
}

// Trap 10: a confirm waits for the disk of all queues, and what is behind it waits too.
func TestConfirmsWaitForTheDisk(t *testing.T) {
	disk := vfs.NewMem()
	slow := newGate(disk)
	c := serveOn(t, disk, slow).dial()
	c.exchange(exchangeDeclare{exchange: "all", kind: "fanout"})
	for _, q := range []string{"q1", "q2"} {
		c.queue(queueDeclare{queue: q, durable: true})
		c.bind(q, "all", "")
	}
	c.send(1, &confirmSelect{})
	want[*confirmSelectOk](c, 1)
	open := slow.shut()
	c.publish(1, &basicPublish{exchange: "all"}, durably, "x")
	c.publish(1, &basicPublish{exchange: "", routingKey: "nowhere"}, durably, "y")
	c.sync(1) // no ack before
	open()
	for tag := uint64(0); tag < 2; {
		tag = want[*basicAck](c, 1).deliveryTag
	}
}

// CC and BCC are further keys; who gets the message sees CC only.
func TestCopiesGoToFurtherKeys(t *testing.T) {
	c := serve(t).dial()
	for _, q := range []string{"to", "cc", "bcc"} {
		c.queue(queueDeclare{queue: q})
	}
	c.putWith(&basicPublish{routingKey: "to"}, Properties{present: hasHeaders, Headers: Table{
		{"CC", []any{"cc", "to"}}, {"BCC", []any{"bcc"}}}}, "x")
	for _, q := range []string{"to", "cc", "bcc"} {
		c.send(1, &basicGet{queue: q, noAck: true})
		g, m := wantMessage[*basicGetOk](c, 1)
		equal(t, q, m.props.Headers, Table{{"CC", []any{"cc", "to"}}})
		equal(t, "key of "+q, g.routingKey, "to")
		equal(t, "behind it in "+q, g.messageCount, uint32(0))
	}
}

// A publish that its properties forbid closes the channel.
func TestPublishesThatTheirPropertiesForbid(t *testing.T) {
	publish := &basicPublish{routingKey: "q"}
	for _, test := range []struct {
		name string
		p    Properties
		text string
	}{
		{"an expiration with a unit", Properties{present: hasExpiration, Expiration: "10s"},
			"PRECONDITION_FAILED - invalid expiration '10s': not an integer"},
		{"a negative expiration", Properties{present: hasExpiration, Expiration: "-1"},
			"PRECONDITION_FAILED - invalid expiration '-1': out of range"},
		{"somebody else", Properties{present: hasUserID, UserID: "admin"}, "PRECONDITION_FAILED - " +
			"user_id property set to 'admin' but authenticated user was 'guest'"},
		{"replies to nobody", Properties{present: hasReplyTo, ReplyTo: directReplyTo},
			"PRECONDITION_FAILED - fast reply consumer does not exist"},
		{"a copy to no list", Properties{present: hasHeaders, Headers: Table{{"CC", "x"}}},
			"PRECONDITION_FAILED - 'CC' header must be a list of strings"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := serve(t).dial()
			c.publish(1, publish, test.p, "x")
			equal(t, "text", c.ended(1, replyPreconditionFailed, publish), test.text)
		})
	}
}

// Direct replies go from the answerer to the asker without a queue.
func TestDirectRepliesReachTheAsker(t *testing.T) {
	r := serve(t)
	asker, answerer := r.dial(), r.dial()
	answerer.queue(queueDeclare{queue: "rpc"})
	answerer.consume(1, basicConsume{queue: "rpc", noAck: true})
	asker.consume(1, basicConsume{queue: directReplyTo, noAck: true, consumerTag: "replies"})
	asker.publish(1, &basicPublish{routingKey: "rpc"}, Properties{present: hasReplyTo, ReplyTo: directReplyTo},
		"question")
	_, m := wantMessage[*basicDeliver](answerer, 1)
	to := m.props.ReplyTo
	equal(t, "its queue", answerer.queue(queueDeclare{queue: to, passive: true}),
		&queueDeclareOk{queue: to, consumerCount: 1})
	answerer.publish(1, &basicPublish{routingKey: to}, Properties{}, "answer")
	d, m := wantMessage[*basicDeliver](asker, 1)
	equal(t, "answer", m.body+" to "+d.consumerTag, "answer to replies")
	asker.bye()
	answerer.publish(1, &basicPublish{routingKey: to, mandatory: true}, Properties{}, "late")
	want[*basicReturn](answerer, 1)
}

// A transaction is all or nothing, and what it had settled is given back with its channel.
func TestATransactionIsAllOrNothing(t *testing.T) {
	c := serve(t).dial()
	c.queue(queueDeclare{queue: "in", durable: true})
	c.queue(queueDeclare{queue: "out", durable: true})
	c.put("in", "a", "b")
	c.send(1, &txSelect{})
	want[*txSelectOk](c, 1)
	equal(t, "taken", c.get("in"), "a")
	c.publish(1, &basicPublish{routingKey: "out"}, durably, "A")
	c.send(1, &basicAck{deliveryTag: 1}, &txRollback{})
	want[*txRollbackOk](c, 1)
	equal(t, "after the rollback", c.ready("out"), 0)
	c.publish(1, &basicPublish{routingKey: "out"}, durably, "A")
	c.send(1, &basicAck{deliveryTag: 1}, &txCommit{}) // it is unsettled again
	want[*txCommitOk](c, 1)
	equal(t, "after the commit", c.ready("out"), 1)

	equal(t, "taken", c.get("in"), "b")
	c.send(1, &basicAck{deliveryTag: 2})
	c.shut(1)
	c.open(1)
	equal(t, "never committed", c.get("in"), "b*")
	sel := &confirmSelect{}
	c.send(1, &txSelect{}, sel)
	want[*txSelectOk](c, 1)
	equal(t, "text", c.ended(1, replyPreconditionFailed, sel),
		"PRECONDITION_FAILED - cannot switch from tx to confirm mode")
}
