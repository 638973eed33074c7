package transporttest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

// memory is a harness of a broker in memory, in virtual time, with clients that wrap makes of it.
func memory(opts []tidingstest.Option, wrap func(tidings.Transport) tidings.Transport) Harness {
	var b *tidingstest.Transport // of the check that runs
	var raw int
	client := func(testing.TB) tidings.Transport { return wrap(b) }
	return Harness{
		New: client,
		Leased: func(testing.TB) tidings.Transport {
			return wrap(b)
		},
		Cut: func(testing.TB) (tidings.Transport, func()) {
			return wrap(b), b.Crash
		},
		Stall: func(testing.TB) (tidings.Transport, func() func()) {
			n := &network{}
			return wrap(n.before(b)), n.stall
		},
		Kill:    func(testing.TB) { b.Crash() },
		Restart: func(testing.TB) {},
		PublishRaw: func(ctx context.Context, topic string, m Raw) error {
			raw++
			e := decode(topic, fmt.Sprint(topic, "/", raw), m)
			e.Kind = tidings.KindEvent // a topic's, whatever it says
			return b.Publish(ctx, e)
		},
		Around: func(t *testing.T, test func(t *testing.T)) {
			synctest.Test(t, func(t *testing.T) {
				b = tidingstest.NewTransport(append(opts, tidingstest.WithLease(2*time.Second))...)
				test(t)
			})
		},
	}
}

// network is between a client and the broker in memory.
type network struct {
	mu      sync.Mutex
	resumed chan struct{} // nil while everything passes
}

func (n *network) stall() (resume func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	resumed := make(chan struct{})
	n.resumed = resumed
	return sync.OnceFunc(func() { close(resumed) })
}

func (n *network) pass(ctx context.Context) error {
	n.mu.Lock()
	resumed := n.resumed
	n.mu.Unlock()
	if resumed == nil {
		return nil
	}
	select {
	case <-resumed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *network) before(t tidings.Transport) tidings.Transport {
	c := &changed{Transport: t}
	c.publish = func(ctx context.Context, next tidings.Publisher, events []tidings.Event) error {
		if err := n.pass(ctx); err != nil {
			return err
		}
		return next.Publish(ctx, events...)
	}
	c.receive = func(ctx context.Context, next tidings.Consumer, max int) (deliveries, error) {
		if err := n.pass(ctx); err != nil {
			return nil, err
		}
		return next.Receive(ctx, max)
	}
	return c
}

// decode is what a transport makes of a message. The broker in memory has no messages but events,
// and needs a type.
func decode(topic, id string, m Raw) tidings.Event {
	e := tidings.Event{Topic: topic, Key: m.Key}
	var err error
	switch {
	case tidings.IsStructured(m.ContentType):
		err = json.Unmarshal(m.Body, &e)
	case m.Attributes["specversion"] != "":
		e.ContentType, e.Payload = m.ContentType, m.Body
		for name, value := range m.Attributes {
			if bad := e.SetAttribute(name, value); bad != nil {
				err = bad
			}
		}
	default:
		return tidings.Event{Topic: topic, Key: m.Key, ID: id, Source: "memory:" + topic, Type: foreign,
			ContentType: m.ContentType, Payload: m.Body}
	}
	if err == nil {
		return e
	}
	return tidings.Event{Topic: topic, Key: m.Key, ID: id, Source: "memory:" + topic, Type: foreign,
		ContentType: m.ContentType, Payload: m.Body,
		Extensions: map[string]string{"malformed": err.Error()}}
}

// foreign stands for no type.
const foreign = "foreign"

// untyped takes the type of foreign messages away again.
func untyped(t tidings.Transport) tidings.Transport {
	return &changed{Transport: t, delivery: func(d *tidings.Delivery) {
		if d.Type == foreign {
			d.Type = ""
		}
	}}
}

// all is every capability, limits too.
var all = []tidingstest.Option{tidingstest.WithCapabilities(func(c *tidings.Capabilities) {
	c.MaxBytes, c.DedupWindow = 1<<20, time.Minute
})}

func TestTheBrokerInMemory(t *testing.T) {
	Run(t, memory(all, untyped))
}

// The suite holds for less capable brokers too, and what they lack they refuse.
func TestTheBrokerInMemoryWithLess(t *testing.T) {
	for _, order := range []tidings.Order{tidings.Unordered, tidings.OrderQueue, tidings.OrderKey} {
		t.Run(order.String(), func(t *testing.T) {
			less := tidingstest.WithCapabilities(func(c *tidings.Capabilities) {
				*c = tidings.Capabilities{Order: order, MaxDelay: 12 * time.Hour, MaxSchedule: 15 * time.Minute}
			})
			Run(t, memory([]tidingstest.Option{less}, untyped))
		})
	}
}

// In real time the race detector has something to see.
func TestTheBrokerInMemoryInRealTime(t *testing.T) {
	b := tidingstest.NewTransport()
	Run(t, Harness{
		New:      func(testing.TB) tidings.Transport { return b },
		Quiet:    20 * time.Millisecond,
		Parallel: true,
		Skip: map[string]string{
			"NackComesNotBeforeItsDelay": "takes seconds, and has its turn in virtual time",
			"PublishAtComesAtItsTime":    "takes seconds, and has its turn in virtual time",
		},
	})
}
