package rabbitmq

import (
	"context"
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// What waits for later walks down a flight of levels. Level k is an exchange and a queue in which
// messages live for 2^k ticks and are dead-lettered to the level below; a level that is not needed
// is passed by without a queue. Which levels are needed is written in the routing key: a word "1"
// or "0" for each level, the highest first, then "q" or "x" and the group's queue or the topic's
// exchange. Below level 0 an exchange leads by those last words to the destination.
//
//	1.3 s = 13 ticks = 1101b      .0.0.1.1.0.1.q.orders
//
//	level 3 ─1→ [queue, 800 ms] ─→ level 2 ─1→ [queue, 400 ms] ─→ level 1 ─0─→
//	level 0 ─1→ [queue, 100 ms] ─→ out ─→ [orders]
//
// All messages in a queue live equally long, so none waits behind another that waits longer, and
// there are as many queues as levels, whatever the delays and groups.
const (
	delayPrefix = "tidings.delay."

	levels = 24
	tick   = 100 * time.Millisecond
	// longestDelay is some 19 days.
	longestDelay = (1<<levels - 1) * tick
)

// The words of a routing key that say what its last part names.
const (
	toQueue    = "q"
	toExchange = "x"
)

// ticksOf rounds up.
func ticksOf(d time.Duration) int64 { return int64((d + tick - 1) / tick) }

// delayKey is the routing key to a destination by the levels of a number of ticks.
func delayKey(ticks int64, kind, name string) string {
	var key strings.Builder
	for level := levels - 1; level >= 0; level-- {
		key.WriteByte('0' + byte(ticks>>level&1))
		key.WriteByte('.')
	}
	key.WriteString(kind + "." + name)
	return key.String()
}

// delayedTo is the destination in a routing key.
func delayedTo(key string) (kind, name string, ok bool) {
	const words = 2 * levels
	if len(key) < words {
		return "", "", false
	}
	return strings.Cut(key[words:], ".")
}

// topLevel is the first level that a delay passes.
func topLevel(ticks int64) int {
	level := 0
	for ticks>>(level+1) > 0 {
		level++
	}
	return level
}

// delayName is the name of a part of the flight that is made of a type of queues.
func (c *Config) delayName(part string) string {
	return delayPrefix + string(c.QueueType) + "." + part
}

// levelName is that of a level, and of what is below all of them.
func (c *Config) levelName(level int) string {
	if level < 0 {
		return c.delayName("out")
	}
	return c.delayName(fmt.Sprintf("%02d", level))
}

// declareDelay makes the levels of a delay, and the way from the lowest to the destination. The
// last is done each time: it is lost with a queue that is deleted and made again.
func (s *session) declareDelay(ctx context.Context, ticks int64, kind, name string) error {
	out := s.config.levelName(-1)
	if err := s.once(ctx, out, s.config.declareOut); err != nil {
		return err
	}
	for level := range topLevel(ticks) + 1 {
		err := s.once(ctx, s.config.levelName(level), func(ch *amqp.Channel) error {
			return s.config.declareLevel(ch, level)
		})
		if err != nil {
			return fmt.Errorf("rabbitmq: level %d of delays: %w", level, err)
		}
	}
	return s.onControl(ctx, func(ch *amqp.Channel) error {
		key := strings.Repeat("*.", levels) + kind + "." + name
		bind := ch.QueueBind
		if kind == toExchange {
			bind = ch.ExchangeBind
		}
		if err := bind(name, key, out, false, nil); err != nil {
			return fmt.Errorf("rabbitmq: lead what was delayed to %q: %w", name, err)
		}
		return nil
	})
}

// declareOut makes where all levels end. A queue that throws everything away takes all of it too,
// so that what leads nowhere any more has a destination: a quorum queue keeps what it cannot route,
// and 32 such messages would hold up all others of their level.
func (c *Config) declareOut(ch *amqp.Channel) error {
	out, end := c.levelName(-1), c.delayName("end")
	if err := declareExchange(ch, out); err != nil {
		return err
	}
	_, err := ch.QueueDeclare(end, true, false, false, false, amqp.Table{
		"x-queue-type": string(c.QueueType), "x-message-ttl": int32(0)})
	if err != nil {
		return queueError(end, err)
	}
	return ch.QueueBind(end, "#", out, false, nil)
}

func (c *Config) declareLevel(ch *amqp.Channel, level int) error {
	name, below := c.levelName(level), c.levelName(level-1)
	if err := declareExchange(ch, name); err != nil {
		return err
	}
	args := amqp.Table{"x-queue-type": string(c.QueueType), "x-dead-letter-exchange": below,
		"x-message-ttl": (tick << level).Milliseconds()}
	if c.QueueType == Quorum { // else a crash could lose what moves on
		args["x-dead-letter-strategy"] = "at-least-once"
		args["x-overflow"] = "reject-publish"
	}
	if _, err := ch.QueueDeclare(name, true, false, false, false, args); err != nil {
		return queueError(name, err)
	}
	before := strings.Repeat("*.", levels-1-level)
	if err := ch.QueueBind(name, before+"1.#", name, false, nil); err != nil {
		return err
	}
	return ch.ExchangeBind(below, before+"0.#", name, false, nil)
}
