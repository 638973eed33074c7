package transports

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tests/clients/engines"
	"github.com/tidings-io/tidings/transport/rabbitmq"
)

// eachQueueType runs a test against RabbitMQ with either kind of queue.
func eachQueueType(t *testing.T, test func(t *testing.T, r *rabbit)) {
	for _, kind := range []rabbitmq.QueueType{rabbitmq.Quorum, rabbitmq.Classic} {
		t.Run(string(kind), func(t *testing.T) {
			test(t, newRabbit(t, engines.SharedRabbitMQ(t).URL, kind))
		})
	}
}

// rabbit is a transport to RabbitMQ with names of its own.
type rabbit struct {
	t    *testing.T
	kind rabbitmq.QueueType
	url  string
	name func(string) string
	*rabbitmq.Transport
}

func newRabbit(t *testing.T, url string, kind rabbitmq.QueueType) *rabbit {
	t.Helper()
	own := tidings.NewID()[24:] + "."
	name := func(name string) string { return own + name }
	tr, err := rabbitmq.Open(soon(t), rabbitmq.Config{URL: url, QueueType: kind, Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := tr.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return &rabbit{t: t, kind: kind, url: url, name: name, Transport: tr}
}

const patience = 60 * time.Second

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func (r *rabbit) subscribe(group string, topics ...string) tidings.Consumer {
	r.t.Helper()
	c, err := r.Subscribe(soon(r.t), tidings.Subscription{Group: group, Topics: topics, Window: 500})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rabbit) publish(events ...tidings.Event) {
	r.t.Helper()
	if err := r.Publish(soon(r.t), events...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rabbit) receive(c tidings.Consumer, n int) (ds []*tidings.Delivery) {
	r.t.Helper()
	for len(ds) < n {
		some, err := c.Receive(soon(r.t), n-len(ds))
		if err != nil {
			r.t.Fatalf("after %d of %d: %v", len(ds), n, err)
		}
		ds = append(ds, some...)
	}
	return ds
}

func (r *rabbit) ack(c tidings.Consumer, ds ...*tidings.Delivery) {
	r.t.Helper()
	for _, d := range ds {
		if err := d.Ack(soon(r.t)); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := c.Commit(soon(r.t)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rabbit) close(c tidings.Consumer) {
	r.t.Helper()
	if err := c.Close(soon(r.t)); err != nil {
		r.t.Error(err)
	}
}

func event(id string) tidings.Event {
	return tidings.Event{Topic: "orders", ID: id, Source: "test", Type: "order.placed",
		Time: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), ContentType: "application/json",
		Key: "k", Payload: []byte(`{"n":1}`)}
}

func command(to, id string) tidings.Event {
	e := event(id)
	e.Kind, e.Topic = tidings.KindCommand, to
	return e
}

func ids(ds []*tidings.Delivery) (out []string) {
	for _, d := range ds {
		out = append(out, d.ID)
	}
	return out
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s\ngot  %v\nwant %v", what, got, want)
	}
}

func TestRabbitMQEventsCommandsAndReplies(t *testing.T) {
	eachQueueType(t, func(t *testing.T, r *rabbit) {
		a, b := r.subscribe("a", "orders"), r.subscribe("b", "orders")
		r.publish(event("e1"), command("b", "c1"), event("e2"))
		equal(t, "of a", ids(r.receive(a, 2)), []string{"e1", "e2"})
		got := r.receive(b, 3)
		equal(t, "of b", ids(got), []string{"e1", "c1", "e2"})
		equal(t, "event", got[0].Event, event("e1"))
		equal(t, "command", got[1].Event, command("b", "c1"))
		r.ack(b, got...)
		r.close(a)
		r.close(b)
		reply := command("inbox", "r1")
		reply.Kind = tidings.KindReply
		if err := r.Publish(soon(t), reply); !errors.Is(err, tidings.ErrUnroutable) {
			t.Errorf("got %v, want unroutable", err)
		}
		c, err := r.Subscribe(soon(t), tidings.Subscription{Group: "inbox", Temporary: true})
		if err != nil {
			t.Fatal(err)
		}
		r.publish(reply)
		r.ack(c, r.receive(c, 1)...)
		r.close(c)
		if err := r.Publish(soon(t), reply); !errors.Is(err, tidings.ErrUnroutable) {
			t.Errorf("after the end of the address: got %v, want unroutable", err)
		}
	})
}

func TestRabbitMQWhatIsGivenBackComesAgain(t *testing.T) {
	eachQueueType(t, func(t *testing.T, r *rabbit) {
		a, b := r.subscribe("a", "orders"), r.subscribe("b", "orders")
		r.publish(event("e1"))
		r.ack(b, r.receive(b, 1)...)
		// More often than RabbitMQ 4 would let it be without being told.
		for attempt := 1; attempt <= 25; attempt++ {
			d := r.receive(a, 1)[0]
			want := attempt
			if r.kind == rabbitmq.Classic {
				want = min(2, want)
			}
			equal(t, "attempt", d.Attempt, want)
			if err := d.Nack(soon(t), 0); err != nil {
				t.Fatal(err)
			}
		}
		d := r.receive(a, 1)[0]
		before, began := d.Attempt, time.Now()
		if err := d.Nack(soon(t), 1300*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		d = r.receive(a, 1)[0]
		took := time.Since(began)
		if took < 1300*time.Millisecond || took > 5*time.Second {
			t.Errorf("it came after %v, want 1.3 s or little more", took)
		}
		equal(t, "event", d.Event, event("e1"))
		equal(t, "attempt of the copy", d.Attempt, before+1)
		r.ack(a, d)
		r.close(a)
		r.close(b)
	})
}

func TestRabbitMQWhatIsPublishedLaterWaits(t *testing.T) {
	eachQueueType(t, func(t *testing.T, r *rabbit) {
		c := r.subscribe("a", "orders")
		began := time.Now()
		for _, e := range []struct {
			in time.Duration
			tidings.Event
		}{{time.Hour, event("late")}, {1500 * time.Millisecond, event("second")},
			{500 * time.Millisecond, command("a", "first")}} {
			if err := r.PublishAt(soon(t), began.Add(e.in), e.Event); err != nil {
				t.Fatal(err)
			}
		}
		ds := r.receive(c, 2)
		equal(t, "ids", ids(ds), []string{"first", "second"})
		equal(t, "event", ds[1].Event, event("second"))
		if took := time.Since(began); took < 1500*time.Millisecond {
			t.Errorf("all had come after %v", took)
		}
		r.ack(c, ds...)
		r.close(c)
	})
}

// An event for a group that is deleted while it waits does not hold up others of the same level;
// more of them than RabbitMQ hands on at once, which is 32.
func TestRabbitMQWhatLeadsNowhereHoldsUpNothing(t *testing.T) {
	eachQueueType(t, func(t *testing.T, r *rabbit) {
		at := time.Now().Add(2 * time.Second)
		for i := range 100 {
			e := event(fmt.Sprint("unread", i))
			e.Topic = "nobody"
			if err := r.PublishAt(soon(t), at, e, command("gone", fmt.Sprint("gone", i))); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.PublishAt(soon(t), at.Add(500*time.Millisecond), command("there", "c1")); err != nil {
			t.Fatal(err)
		}
		r.delete("gone")
		c := r.subscribe("there")
		r.ack(c, r.receive(c, 1)...)
		if late := time.Since(at); late > 10*time.Second {
			t.Errorf("it came %v late", late)
		}
		r.close(c)
	})
}

// delete removes a group's queue behind the transport's back.
func (r *rabbit) delete(group string) {
	r.t.Helper()
	conn, err := amqp.Dial(r.url)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := ch.QueueDelete(r.name(group), false, false, false); err != nil {
		r.t.Fatal(err)
	}
}
