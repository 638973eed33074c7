package main

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/tidings-io/tidings/bench/internal/measure"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/amqp"
)

func TestAWindowIsFullWhenSoManyAreNotConfirmed(t *testing.T) {
	w := window{size: 2}
	var got []string
	for _, step := range []func(){
		func() {}, func() { w.sent++ }, func() { w.sent++ }, func() { w.confirmed++ },
		func() { w.confirmed++ },
	} {
		step()
		got = append(got, fmt.Sprintf("empty %t full %t", w.empty(), w.full()))
	}
	want := []string{
		"empty true full false", "empty false full false", "empty false full true",
		"empty false full false", "empty true full false",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAPublisherTakesWhatIsThereAndNoMore(t *testing.T) {
	confirms := make(chan amqp091.Confirmation, 5)
	p := publisher{window: window{size: 5, sent: 5}, confirms: confirms}
	for tag := range uint64(3) {
		confirms <- amqp091.Confirmation{DeliveryTag: tag + 1, Ack: true}
	}
	if err := p.takeSome(); err != nil || p.confirmed != 3 {
		t.Errorf("got %d confirms and %v, want 3", p.confirmed, err)
	}
	confirms <- amqp091.Confirmation{DeliveryTag: 4}
	if err := p.takeSome(); err == nil || p.confirmed != 3 {
		t.Errorf("got %d confirms and %v after a nack, want 3 and an error", p.confirmed, err)
	}
}

// listen runs a broker with an AMQP face in this process.
func listen(t *testing.T) target {
	b, err := broker.Open(t.TempDir(), broker.Config{
		Props: map[broker.PropsFormat]broker.PropsReader{broker.PropsAMQP: amqp.Props{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := amqp.Listen(b, amqp.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return target{addr: s.Addr().String()}
}

func TestLoadsCountWhatWasConfirmedAndConsumed(t *testing.T) {
	const kib = 1024
	type loads = []func(context.Context, *scenario, target) (measure.Outcome, error)
	type outcomes = []measure.Outcome
	for _, c := range []struct {
		s     scenario
		loads loads
		want  outcomes
		left  int // messages in the queues
	}{
		{
			scenario{name: "a backlog", queues: names(1), channels: 1, messages: 3000},
			loads{publishAll, consumeAll},
			outcomes{{Records: 3000, Bytes: 3000 * kib}, {Records: 3000, Bytes: 3000 * kib}}, 0,
		}, {
			scenario{name: "both at once", queues: names(1), channels: 1, messages: 3000},
			loads{both}, outcomes{{Records: 3000, Bytes: 3000 * kib}}, 0,
		}, {
			scenario{name: "a fanout", queues: names(3), exchange: "x", channels: 1, messages: 200},
			loads{publishAll, consumeAll},
			outcomes{{Records: 200, Bytes: 200 * kib}, {Records: 600, Bytes: 600 * kib}}, 0,
		}, {
			scenario{name: "queues", queues: names(50), channels: 4, messages: 400, bare: true},
			loads{declareAll, publishAll, consumeAll},
			outcomes{{Records: 50}, {Records: 400, Bytes: 400 * kib},
				{Records: 400, Bytes: 400 * kib}}, 0,
		}, {
			scenario{name: "paced", queues: names(1), channels: 1, messages: 20},
			loads{publishPaced}, outcomes{{Records: 20, Bytes: 20 * kib}}, 20,
		},
	} {
		t.Run(c.s.name, func(t *testing.T) {
			to := listen(t)
			if !c.s.bare {
				if err := c.s.setup(t.Context(), to); err != nil {
					t.Fatal(err)
				}
			}
			var got []measure.Outcome
			for _, load := range c.loads {
				out, err := load(t.Context(), &c.s, to)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, measure.Outcome{Records: out.Records, Bytes: out.Bytes})
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if left := messagesIn(t, to, c.s.queues); left != c.left {
				t.Errorf("%d messages are left in the queues, want %d", left, c.left)
			}
		})
	}
}

// messagesIn counts what waits in queues.
func messagesIn(t *testing.T, to target, queues []string) (n int) {
	c, err := dial(t.Context(), to.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range queues {
		q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		n += q.Messages
	}
	return n
}

func TestEveryPacedMessageHasATime(t *testing.T) {
	to := listen(t)
	s := scenario{queues: names(1), channels: 1, messages: 10}
	if err := s.setup(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	out, err := publishPaced(t.Context(), &s, to)
	if err != nil || len(out.Times) != 10 || slices.Min(out.Times) <= 0 {
		t.Errorf("got %v and %v, want 10 times", out.Times, err)
	}
	if least := 9 * pace; out.Took < least {
		t.Errorf("10 messages took %v, want at least %v", out.Took, least)
	}
}

func TestALoadEndsWithItsContext(t *testing.T) {
	to := listen(t)
	s := scenario{queues: names(1), channels: 1, messages: 1}
	if err := s.setup(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if out, err := consumeAll(ctx, &s, to); err == nil {
		t.Errorf("got %+v from an empty queue, want an error when the time is over", out)
	}
}

func TestEachKindOfQueueIsAPeerWithPortsAndDataOfItsOwn(t *testing.T) {
	p := measure.RabbitMQ("RabbitMQ quorum")
	place := measure.Place{
		Dir: "/data", Addr: "127.0.0.1:1", Spare: [2]string{"127.0.0.1:2", "127.0.0.1:3"},
	}
	env := p.Env(place)
	for _, want := range []string{
		"RABBITMQ_NODE_PORT=1", "RABBITMQ_DIST_PORT=2", "ERL_EPMD_PORT=3", "HOME=/data",
		"RABBITMQ_MNESIA_BASE=/data/mnesia", "RABBITMQ_NODENAME=bench1@localhost",
	} {
		if !slices.Contains(env, want) {
			t.Errorf("no %s in %s", want, strings.Join(env, " "))
		}
	}
	if got := queueArgs(p.Name)["x-queue-type"]; got != "quorum" {
		t.Errorf("got queues of type %v, want quorum", got)
	}
	if got := queueArgs("tidings"); got != nil {
		t.Errorf("got %v for tidings, want nothing", got)
	}
}
