package amqp

import (
	"strings"
	"testing"
)

// replyCase is something that a client must not do, or may, and what it hears.
type replyCase struct {
	name string
	do   method
	code uint16
	text string // the whole reply text; one that ends in "..." is its beginning
	hard bool   // the connection closes
	ok   method // instead: the answer
}

// TestReplies has every row of the table of replies that clients match.
func TestReplies(t *testing.T) {
	r := serve(t)
	other := r.dial()
	other.queue(queueDeclare{queue: "theirs", exclusive: true})
	furnish(other)
	for _, test := range replyCases {
		t.Run(test.name, func(t *testing.T) {
			c := r.dial()
			c.t = t
			c.open(2)
			c.send(2, &basicConsume{queue: "used", consumerTag: "mine"})
			want[*basicConsumeOk](c, 2)
			c.send(2, test.do)
			test.judge(c)
		})
	}
}

func (test *replyCase) judge(c *client) {
	if test.ok != nil {
		if got := c.next(); got.id() != test.ok.id() {
			c.t.Fatalf("got %v: %+v\nwant %v", got.id(), got.method, test.ok.id())
		}
		c.sync(2)
		c.bye()
		return
	}
	var text string
	if test.hard {
		text = c.gone(test.code, test.do.id())
	} else {
		text = c.ended(2, test.code, test.do)
		c.open(2) // the connection lives, and the number is free
		c.sync(1)
		c.bye()
	}
	begin, cut := strings.CutSuffix(test.text, "...")
	if text != test.text && !(cut && strings.HasPrefix(text, begin)) {
		c.t.Errorf("got  %s\nwant %s", text, test.text)
	}
}

// furnish declares what the cases are about.
func furnish(c *client) {
	c.queue(queueDeclare{queue: "plain", durable: true})
	c.queue(queueDeclare{queue: "sized", arguments: Table{{"x-max-length", int32(10)}}})
	c.queue(queueDeclare{queue: "used"})
	c.queue(queueDeclare{queue: "full"})
	c.put("full", "x")
	c.queue(queueDeclare{queue: "single"})
	c.open(3)
	c.consume(3, basicConsume{queue: "single", exclusive: true})
	c.exchange(exchangeDeclare{exchange: "inside", kind: "fanout", internal: true})
	c.exchange(exchangeDeclare{exchange: "routes", kind: "direct", durable: true})
	c.bind("plain", "routes", "k")
}

const lockedText = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'theirs' in vhost '/'..."

var replyCases = []replyCase{
	{name: "passive declare of a missing queue", do: &queueDeclare{queue: "none", passive: true},
		code: 404, text: "NOT_FOUND - no queue 'none' in vhost '/'"},
	{name: "passive declare of a missing exchange", do: &exchangeDeclare{exchange: "none", passive: true},
		code: 404, text: "NOT_FOUND - no exchange 'none' in vhost '/'"},
	{name: "bind of a missing queue", do: &queueBind{queue: "none", exchange: "amq.direct"},
		code: 404, text: "NOT_FOUND - no queue 'none' in vhost '/'"},
	{name: "bind to a missing exchange", do: &queueBind{queue: "plain", exchange: "none"},
		code: 404, text: "NOT_FOUND - no exchange 'none' in vhost '/'"},
	{name: "bind of exchanges that are missing", do: &exchangeBind{destination: "none", source: "amq.direct"},
		code: 404, text: "NOT_FOUND - no exchange 'none' in vhost '/'"},
	{name: "consume from a missing queue", do: &basicConsume{queue: "none"},
		code: 404, text: "NOT_FOUND - no queue 'none' in vhost '/'"},
	{name: "get from a missing queue", do: &basicGet{queue: "none"},
		code: 404, text: "NOT_FOUND - no queue 'none' in vhost '/'"},
	{name: "purge of a missing queue", do: &queuePurge{queue: "none"},
		code: 404, text: "NOT_FOUND - no queue 'none' in vhost '/'"},
	{name: "publish to a missing exchange", do: &basicPublish{exchange: "none"},
		code: 404, text: "NOT_FOUND - no exchange 'none' in vhost '/'"},
	{name: "no queue declared before", do: &basicGet{},
		code: 404, text: "NOT_FOUND - no previously declared queue"},

	{name: "redeclare with another durability", do: &queueDeclare{queue: "plain"}, code: 406,
		text: "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'plain' in vhost '/': " +
			"received 'false' but current is 'true'"},
	{name: "redeclare as auto-delete", do: &queueDeclare{queue: "plain", durable: true, autoDelete: true},
		code: 406, text: "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for queue 'plain' in vhost " +
			"'/': received 'true' but current is 'false'"},
	{name: "redeclare with an argument more", code: 406,
		do: &queueDeclare{queue: "plain", durable: true, arguments: Table{{"x-max-length", int32(1)}}},
		text: "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'plain' in vhost '/': " +
			"received the value '1' of type 'signedint' but current is none"},
	{name: "redeclare with an argument less", code: 406, do: &queueDeclare{queue: "sized"},
		text: "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'sized' in vhost '/': " +
			"received none but current is the value '10' of type 'signedint'"},
	{name: "redeclare with an argument of another width",
		do: &queueDeclare{queue: "sized", arguments: Table{{"x-max-length", int64(10)}}}, ok: &queueDeclareOk{}},
	{name: "redeclare an exchange as another type", code: 406,
		do: &exchangeDeclare{exchange: "routes", kind: "topic", durable: true},
		text: "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'routes' in vhost '/': " +
			"received 'topic' but current is 'direct'"},
	{name: "passive declare of another type",
		do: &exchangeDeclare{exchange: "routes", kind: "topic", passive: true}, ok: &exchangeDeclareOk{}},
	{name: "passive declare with other attributes",
		do: &queueDeclare{queue: "plain", passive: true, autoDelete: true}, ok: &queueDeclareOk{}},

	{name: "a queue of a reserved name", do: &queueDeclare{queue: "amq.mine"}, code: 403,
		text: "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"},
	{name: "an exchange of a reserved name", do: &exchangeDeclare{exchange: "amq.mine", kind: "topic"},
		code: 403, text: "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'"},
	{name: "delete of a system exchange", do: &exchangeDelete{exchange: "amq.topic"}, code: 403,
		text: "ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '/' not allowed"},
	{name: "delete of the default exchange", do: &exchangeDelete{}, code: 403, text: defaultText},
	{name: "declare of the default exchange", do: &exchangeDeclare{kind: "direct", durable: true},
		code: 403, text: defaultText},
	{name: "passive declare of the default exchange", do: &exchangeDeclare{passive: true},
		code: 403, text: defaultText},
	{name: "bind to the default exchange", do: &queueBind{queue: "plain", routingKey: "k"},
		code: 403, text: defaultText},
	{name: "bind of a missing queue to the default exchange", do: &queueBind{queue: "none", routingKey: "k"},
		code: 403, text: defaultText},
	{name: "unbind from the default exchange", do: &queueUnbind{queue: "plain", routingKey: "k"},
		code: 403, text: defaultText},
	{name: "bind to the default exchange as destination", do: &exchangeBind{source: "amq.direct"},
		code: 403, text: defaultText},
	{name: "publish to an internal exchange", do: &basicPublish{exchange: "inside"}, code: 403,
		text: "ACCESS_REFUSED - cannot publish to internal exchange 'inside' in vhost '/'"},

	{name: "passive declare of another's queue", do: &queueDeclare{queue: "theirs", passive: true},
		code: 405, text: lockedText},
	{name: "declare of another's queue", do: &queueDeclare{queue: "theirs"}, code: 405, text: lockedText},
	{name: "consume from another's queue", do: &basicConsume{queue: "theirs"}, code: 405, text: lockedText},
	{name: "get from another's queue", do: &basicGet{queue: "theirs"}, code: 405, text: lockedText},
	{name: "purge of another's queue", do: &queuePurge{queue: "theirs"}, code: 405, text: lockedText},
	{name: "delete of another's queue", do: &queueDelete{queue: "theirs"}, code: 405, text: lockedText},
	{name: "bind of another's queue", do: &queueBind{queue: "theirs", exchange: "amq.direct"},
		code: 405, text: lockedText},
	{name: "unbind of another's queue", do: &queueUnbind{queue: "theirs", exchange: "amq.direct"},
		code: 405, text: lockedText},
	{name: "consume beside an exclusive consumer", do: &basicConsume{queue: "single"}, code: 403,
		text: "ACCESS_REFUSED - queue 'single' in vhost '/' in exclusive use"},
	{name: "consume exclusively beside others", do: &basicConsume{queue: "used", exclusive: true}, code: 403,
		text: "ACCESS_REFUSED - queue 'used' in vhost '/' in exclusive use"},

	{name: "delete of a used queue if unused", do: &queueDelete{queue: "used", ifUnused: true}, code: 406,
		text: "PRECONDITION_FAILED - queue 'used' in vhost '/' in use"},
	{name: "delete of a full queue if empty", do: &queueDelete{queue: "full", ifEmpty: true}, code: 406,
		text: "PRECONDITION_FAILED - queue 'full' in vhost '/' not empty"},
	{name: "delete of a used exchange if unused", do: &exchangeDelete{exchange: "routes", ifUnused: true},
		code: 406, text: "PRECONDITION_FAILED - exchange 'routes' in vhost '/' in use"},
	{name: "delete of a missing queue", do: &queueDelete{queue: "none"}, ok: &queueDeleteOk{}},
	{name: "delete of a missing exchange", do: &exchangeDelete{exchange: "none"}, ok: &exchangeDeleteOk{}},
	{name: "unbind of a missing binding", do: &queueUnbind{queue: "plain", exchange: "routes", routingKey: "x"},
		ok: &queueUnbindOk{}},
	{name: "unbind of missing exchanges", do: &exchangeUnbind{destination: "none", source: "nil"},
		ok: &exchangeUnbindOk{}},
	{name: "cancel of an unknown tag", do: &basicCancel{consumerTag: "none"}, ok: &basicCancelOk{}},
	{name: "an unknown type of exchange", do: &exchangeDeclare{exchange: "odd", kind: "odd"}, code: 406,
		text: "PRECONDITION_FAILED - unknown exchange type 'odd'"},
	{name: "a consumer tag twice", do: &basicConsume{queue: "used", consumerTag: "mine"}, code: 530, hard: true,
		text: "NOT_ALLOWED - attempt to reuse consumer tag 'mine'"},
	{name: "an unknown delivery tag", do: &basicAck{deliveryTag: 7}, code: 406,
		text: "PRECONDITION_FAILED - unknown delivery tag 7"},
	{name: "an unknown delivery tag and all before", do: &basicNack{deliveryTag: 7, multiple: true},
		code: 406, text: "PRECONDITION_FAILED - unknown delivery tag 7"},
	{name: "a rejection of an unknown delivery tag", do: &basicReject{deliveryTag: 7},
		code: 406, text: "PRECONDITION_FAILED - unknown delivery tag 7"},

	{name: "a prefetch in bytes", do: &basicQos{prefetchSize: 9}, code: 540, hard: true,
		text: "NOT_IMPLEMENTED - prefetch_size!=0 (9)"},
	{name: "an immediate publish", do: &basicPublish{immediate: true}, code: 540, hard: true,
		text: "NOT_IMPLEMENTED - immediate=true"},
	{name: "recover without requeue", do: &basicRecover{}, code: 540, hard: true,
		text: "NOT_IMPLEMENTED - requeue=false"},
	{name: "flow off", do: &channelFlow{}, code: 540, hard: true, text: "NOT_IMPLEMENTED - active=false"},
	{name: "a channel that is open", do: &channelOpen{}, code: 504, hard: true,
		text: "CHANNEL_ERROR - second 'channel.open' seen"},
	{name: "a commit outside of a transaction", do: &txCommit{}, code: 406,
		text: "PRECONDITION_FAILED - channel is not transactional"},
	{name: "a rollback outside of a transaction", do: &txRollback{}, code: 406,
		text: "PRECONDITION_FAILED - channel is not transactional"},
	{name: "direct replies with acks", do: &basicConsume{queue: directReplyTo}, code: 406,
		text: "PRECONDITION_FAILED - reply consumer cannot acknowledge"},
	{name: "the name of direct replies", do: &queueDeclare{queue: directReplyTo}, ok: &queueDeclareOk{}},
	{name: "a direct reply to nobody", do: &queueDeclare{queue: directReplyTo + ".x", passive: true}, code: 404,
		text: "NOT_FOUND - no queue 'amq.rabbitmq.reply-to.x' in vhost '/'"},
	{name: "a ticket", do: &accessRequest{realm: "/data"}, ok: &accessRequestOk{}},
}

const defaultText = "ACCESS_REFUSED - operation not permitted on the default exchange"
