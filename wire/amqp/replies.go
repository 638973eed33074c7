package amqp

import (
	"strings"
	"sync"
)

// directReplyTo is the name under which a client consumes replies without a queue: requests with
// this reply_to carry the client's own address instead, and what is published to that through the
// default exchange goes straight to the client.
const directReplyTo = "amq.rabbitmq.reply-to"

// replies is who consumes direct replies, by token.
type replies struct {
	mu sync.RWMutex
	by map[string]*consumer
}

// consumeReplies is a basic.consume of direct replies.
func (ch *channel) consumeReplies(m *basicConsume) error {
	if !m.noAck {
		return errorf(replyPreconditionFailed, "reply consumer cannot acknowledge")
	}
	if ch.replyToken != "" {
		return errorf(replyPreconditionFailed, "reply consumer already set")
	}
	x := &consumer{ch: ch, tag: m.consumerTag, noAck: true, info: ch.infoOf(m, directReplyTo)}
	ch.mu.Lock()
	ch.consumers[x.tag] = x
	ch.mu.Unlock()
	r := &ch.c.s.replies
	ch.replyToken = generatedName("")
	r.mu.Lock()
	if r.by == nil {
		r.by = map[string]*consumer{}
	}
	r.by[ch.replyToken] = x
	r.mu.Unlock()
	return ch.answerUnless(m.noWait, &basicConsumeOk{consumerTag: x.tag})
}

// forget ends the direct replies of a channel.
func (r *replies) forget(ch *channel) {
	if ch.replyToken == "" {
		return
	}
	r.mu.Lock()
	delete(r.by, ch.replyToken)
	r.mu.Unlock()
	ch.replyToken = ""
}

// find returns who gets what is published so; nil: a queue does.
func (r *replies) find(exchange, key string) *consumer {
	token, ok := strings.CutPrefix(key, directReplyTo+".")
	if !ok || exchange != "" {
		return nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.by[token]
}

// address replaces the reply_to of a request by the channel's own address.
func (r *replies) address(ch *channel, props []byte) ([]byte, error) {
	if ch.replyToken == "" {
		return nil, errorf(replyPreconditionFailed, "fast reply consumer does not exist")
	}
	p, err := parseProperties(props)
	if err != nil {
		return nil, err
	}
	p.ReplyTo = directReplyTo + "." + ch.replyToken
	return p.append(nil)
}

// declareReply answers whether an address of direct replies is still good, as for a queue that has
// one consumer. Nothing is declared.
func (ch *channel) declareReply(m *queueDeclare) error {
	if m.queue != directReplyTo && ch.c.s.replies.find("", m.queue) == nil {
		return noQueue(ch.queueNamed(m.queue))
	}
	return ch.answerUnless(m.noWait, &queueDeclareOk{queue: m.queue, consumerCount: 1})
}

// reply delivers a direct reply; false if the client is gone, or does not read what it gets.
func (x *consumer) reply(p *published) bool {
	ch := x.ch
	taken := false
	ch.c.out.put(func(dst []byte) []byte {
		ch.mu.Lock()
		defer ch.mu.Unlock()
		if ch.ended || len(dst) > ch.c.s.config.Limits.QueuedBytes {
			return dst
		}
		ch.lastTag++
		out, err := appendMethod(dst, ch.id, &basicDeliver{consumerTag: x.tag, deliveryTag: ch.lastTag,
			exchange: p.rec.Exchange, routingKey: p.rec.Key})
		if err != nil {
			return dst
		}
		taken = true
		return appendContent(out, ch.id, p.rec.Props, p.rec.Body, ch.c.frameMax)
	})
	return taken
}
