package amqp

import (
	"context"
	"iter"
	"testing"

	"github.com/tidings-io/tidings/broker"
)

// relay is what another protocol brings: it leads every record to the queue that has the
// exchange's name.
type relay struct{ b *broker.Broker }

const relayType = "other"

func (r relay) Relay(x *broker.Exchange, rec *broker.QueueRecord) iter.Seq[broker.Relayed] {
	return func(yield func(broker.Relayed) bool) {
		if q, err := r.b.Queue("", x.Name().Name); err == nil {
			yield(broker.Relayed{Queue: q, Record: *rec})
		}
	}
}

func TestAnExchangeOfAnotherProtocolTakesMessagesOnly(t *testing.T) {
	r := serve(t)
	if _, _, err := r.broker.DeclareExchange(context.Background(),
		broker.ExchangeSpec{Name: "news", Type: relayType, Durable: true}); err != nil {
		t.Fatal(err)
	}
	c := r.dial()
	c.queue(queueDeclare{queue: "news", durable: true})
	c.exchange(exchangeDeclare{exchange: "in", kind: "fanout"})
	c.send(1, &exchangeBind{destination: "news", source: "in"})
	want[*exchangeBindOk](c, 1)
	c.send(1, &exchangeDeclare{exchange: "news", passive: true})
	want[*exchangeDeclareOk](c, 1)
	c.putWith(&basicPublish{exchange: "news"}, Properties{}, "direct")
	c.putWith(&basicPublish{exchange: "in"}, Properties{}, "by another")
	equal(t, "first", c.get("news"), "direct")
	equal(t, "second", c.get("news"), "by another")
	for _, no := range []struct {
		m    method
		code uint16
	}{
		{&exchangeDeclare{exchange: "news", kind: relayType, durable: true}, replyPreconditionFailed},
		{&exchangeDeclare{exchange: "mine", kind: relayType}, replyPreconditionFailed},
		{&exchangeDelete{exchange: "news"}, replyAccessRefused},
		{&queueBind{queue: "news", exchange: "news"}, replyPreconditionFailed},
		{&exchangeBind{destination: "in", source: "news"}, replyPreconditionFailed},
	} {
		c.send(1, no.m)
		c.ended(1, no.code, no.m)
		c.open(1)
	}
}
