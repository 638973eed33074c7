package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/tidings-io/tidings"
)

// topic is the exchange of a topic, which is made at its first use.
func (s *session) topic(ctx context.Context, topic string) (exchange string, err error) {
	if exchange, err = s.config.name("topic", topic); err != nil {
		return "", err
	}
	return exchange, s.once(ctx, "exchange "+exchange, func(ch *amqp.Channel) error {
		return declareExchange(ch, exchange)
	})
}

// group is the queue of a group, which is made at its first use.
func (s *session) group(ctx context.Context, group string) (queue string, err error) {
	if queue, err = s.config.name("group", group); err != nil {
		return "", err
	}
	return queue, s.once(ctx, "queue "+queue, func(ch *amqp.Channel) error {
		return s.declareQueue(ch, queue, group)
	})
}

func declareExchange(ch *amqp.Channel, name string) error {
	err := ch.ExchangeDeclare(name, amqp.ExchangeTopic, true, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("rabbitmq: exchange %q: %w", name, err)
	}
	return nil
}

func (s *session) declareQueue(ch *amqp.Channel, name, group string) error {
	_, err := ch.QueueDeclare(name, true, false, false, false, s.groupArguments(group))
	return queueError(name, err)
}

// untilExpired is how long a temporary queue may be there without a consumer.
const untilExpired = time.Minute

// declareTemporary makes a queue that ends with its consumer, or with this connection.
func declareTemporary(ch *amqp.Channel, name string) error {
	_, err := ch.QueueDeclare(name, false, true, true, false, amqp.Table{
		"x-queue-type": string(Classic), "x-expires": int32(untilExpired.Milliseconds())})
	return queueError(name, err)
}

// groupArguments of a quorum queue lift the limit of deliveries, which would throw an event away
// that came back 20 times: how often to try is the policy's.
func (s *session) groupArguments(group string) amqp.Table {
	args := amqp.Table{"x-queue-type": string(s.config.QueueType)}
	if s.config.QueueType == Quorum && s.majorVersion() >= 4 {
		args["x-delivery-limit"] = int32(-1) // before 4.0 there is no limit, and -1 is refused
	}
	if s.config.SingleActive != nil && s.config.SingleActive(group) {
		args["x-single-active-consumer"] = true
	}
	for name, value := range s.config.QueueArguments {
		if args[name] = value; value == nil {
			delete(args, name)
		}
	}
	return args
}

// majorVersion is the broker's, or that of the RabbitMQ that it is like.
func (s *session) majorVersion() int {
	version, _ := s.conn.Properties["version"].(string)
	major, _, _ := strings.Cut(version, ".")
	n, _ := strconv.Atoi(major)
	return n
}

func queueError(queue string, err error) error {
	if e, ok := errors.AsType[*amqp.Error](err); ok && e.Code == amqp.PreconditionFailed {
		return fmt.Errorf("rabbitmq: queue %q is there with other arguments, "+
			"see QueueType, SingleActive and QueueArguments: %w", queue, err)
	}
	if err != nil {
		return fmt.Errorf("rabbitmq: queue %q: %w", queue, err)
	}
	return nil
}

// declare makes a subscription's queue and exchanges, and binds them, whatever was declared before:
// what is missing, somebody has deleted.
func (s *session) declare(ctx context.Context, sub tidings.Subscription) (
	queue string, err error) {
	if queue, err = s.config.name("group", sub.Group); err != nil {
		return "", err
	}
	exchanges := make([]string, len(sub.Topics))
	for i, topic := range sub.Topics {
		if exchanges[i], err = s.config.name("topic", topic); err != nil {
			return "", err
		}
	}
	return queue, s.onControl(ctx, func(ch *amqp.Channel) error {
		var err error
		if sub.Temporary {
			err = declareTemporary(ch, queue)
		} else {
			err = s.declareQueue(ch, queue, sub.Group)
		}
		if err != nil {
			return err
		}
		return bindAll(ch, queue, exchanges)
	})
}

func bindAll(ch *amqp.Channel, queue string, exchanges []string) error {
	for _, exchange := range exchanges {
		if err := declareExchange(ch, exchange); err != nil {
			return err
		}
		if err := ch.QueueBind(queue, "#", exchange, false, nil); err != nil {
			return fmt.Errorf("rabbitmq: bind queue %q to %q: %w", queue, exchange, err)
		}
	}
	return nil
}

// isGone says that something is not there that was.
func isGone(err error) bool {
	e, ok := errors.AsType[*amqp.Error](err)
	return ok && e.Code == amqp.NotFound
}

// route sets where a message goes and makes that, also where it was there and is gone.
func (s *session) route(ctx context.Context, m *pending, e *tidings.Event,
	delay time.Duration) error {
	err := s.routeOnce(ctx, m, e, delay)
	if isGone(err) {
		s.forget()
		err = s.routeOnce(ctx, m, e, delay)
	}
	if most := s.attributeBytes(e); err == nil && most > 0 && headerBytes(&m.message) > most {
		err = fmt.Errorf("rabbitmq: attributes of %d bytes, at most %d: %w",
			headerBytes(&m.message), most, tidings.ErrTooLarge)
	}
	return err
}

// attributeBytes is what the attributes of an event may take: a frame, of which copies, which have some
// more than what they are copies of, have the last part for themselves. 0 is without bound.
func (s *session) attributeBytes(e *tidings.Event) int {
	frame := s.conn.Config.FrameSize
	if e.IsCopy() || e.Extensions[tidings.ExtAttempt] != "" {
		return frame
	}
	return frame - min(tidings.CopyBytes, frame/2)
}

func (s *session) routeOnce(ctx context.Context, m *pending, e *tidings.Event,
	delay time.Duration) (err error) {
	kind, name := toQueue, ""
	switch e.Kind {
	case tidings.KindEvent:
		kind = toExchange
		name, err = s.topic(ctx, e.Topic)
		m.exchange, m.key = name, e.Type
	case tidings.KindCommand:
		name, err = s.group(ctx, e.Topic)
		m.key, m.mandatory = name, true
	default:
		name, err = s.config.name("group", e.Topic)
		m.key, m.mandatory = name, true
		if delay > 0 {
			err = fmt.Errorf("rabbitmq: a reply at a later time: %w", tidings.ErrUnsupported)
		}
	}
	if err != nil || delay <= 0 {
		return err
	}
	ticks := ticksOf(delay)
	m.exchange, m.mandatory = s.config.levelName(topLevel(ticks)), true
	m.key = delayKey(ticks, kind, name)
	return s.declareDelay(ctx, ticks, kind, name)
}
