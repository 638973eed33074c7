package broker

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// nsStorm is workers that do whatever can be done in a namespace while it is deleted and
// made again.
type nsStorm struct {
	t    *testing.T
	b    *Broker
	acts chan struct{} // capacity 1: one more was done
}

const stormed = "stormed"

// TestAStormOverANamespaceLeavesNothing: no queue, schedule, log or key stays behind.
func TestAStormOverANamespaceLeavesNothing(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs, withDelays, func(c *Config) { c.Observer = &queueEar{wants: true} })
	s := &nsStorm{t: t, b: b, acts: make(chan struct{}, 1)}
	end := make(chan struct{})
	var workers sync.WaitGroup
	for i := range 4 {
		workers.Go(func() {
			rng := seeded(uint64(i))
			for {
				select {
				case <-end:
					return
				default:
					s.act(rng)
					ring(s.acts)
				}
			}
		})
	}
	for range 30 {
		mustNamespace(t, b, stormed)
		for range 20 { // that something is in it
			<-s.acts
		}
		if err := b.DeleteNamespace(ctx, stormed); err != nil {
			t.Fatal(err)
		}
	}
	close(end)
	workers.Wait()
	mustNamespace(t, b, stormed) // topics and groups need none
	if err := b.DeleteNamespace(ctx, stormed); err != nil {
		t.Fatal(err)
	}
	if n := contents(b, stormed); n != 0 {
		t.Errorf("%d things are left", n)
	}
	fs = fs.Kill()
	b.Close()
	b = openOn(t, fs, withDelays)
	if n, keys := contents(b, stormed), keysOf(b, stormed); n != 0 || keys != 0 {
		t.Errorf("after a restart %d things and %d keys are left", n, keys)
	}
	if n := b.Storage().Logs; n != 0 {
		t.Errorf("%d logs are left", n)
	}
}

// act does one thing. What is not there, or there already, is no error.
func (s *nsStorm) act(rng *rand.Rand) {
	b, name := s.b, fmt.Sprint(rng.IntN(3))
	var err error
	switch rng.IntN(12) {
	case 0:
		_, _, err = b.DeclareExchange(ctx, ExchangeSpec{Namespace: stormed, Name: "x" + name,
			Type: delayedType, Durable: rng.IntN(2) > 0, AutoDelete: rng.IntN(2) > 0,
			Alternate: "amq.fanout", Args: Args{{delayedRouting, "fanout"}}})
	case 1, 2:
		_, _, err = b.DeclareQueue(ctx, s.queue(rng, name))
	case 3:
		_, err = b.CreateTopic(ctx, TopicSpec{Namespace: stormed, Name: "t" + name, Partitions: 2})
	case 4, 5:
		err = b.Bind(ctx, s.binding(rng, name))
	case 6, 7, 8:
		err = s.publish(rng, name)
	case 9:
		_, err = b.SetPolicy(ctx, Policy{Namespace: stormed, Name: name, ApplyTo: Everything,
			Alternate: "x1", Queue: QueueSettings{MaxLengthBytes: ptr(int64(rng.IntN(100))),
				DeadLetters: true, DeadLetterTo: "amq.fanout"}})
	case 10:
		tx := b.Begin()
		tx.SaveGroup(stormed, "g"+name, nil)
		_, err = tx.Commit(ctx)
	default:
		err = s.take(name)
	}
	switch KindOf(err) {
	case 0, NotFound, Conflict, Exists:
	default:
		s.t.Error(err)
	}
}

func (s *nsStorm) queue(rng *rand.Rand, name string) QueueSpec {
	spec := QueueSpec{Namespace: stormed, Name: "q" + name, Durable: rng.IntN(2) > 0}
	if rng.IntN(2) > 0 {
		spec.Settings.MaxPriority = 9
	}
	if rng.IntN(2) > 0 {
		spec.Settings.TTL = ptr(time.Duration(rng.IntN(5)) * time.Millisecond)
	}
	return spec
}

func (s *nsStorm) binding(rng *rand.Rand, name string) Binding {
	to := []Name{{KindQueue, stormed, "q" + name}, {KindTopic, stormed, "t" + name},
		{KindExchange, stormed, "x" + name}, {KindExchange, stormed, "amq.fanout"}}
	from := []string{"x0", "x1", "amq.fanout"}
	return Binding{Namespace: stormed, Source: from[rng.IntN(len(from))], Destination: to[rng.IntN(len(to))]}
}

func (s *nsStorm) publish(rng *rand.Rand, name string) error {
	x, err := s.b.Exchange(stormed, "x"+name)
	if err != nil {
		x, err = s.b.Exchange(stormed, "amq.fanout")
	}
	if err != nil {
		return err
	}
	tx := s.b.Begin()
	for range 1 + rng.IntN(3) {
		tx.Publish(x, delayed("record", rng.IntN(5)))
		tx.PublishAt(x, body("record"), time.Now().Add(time.Duration(rng.IntN(2))*time.Hour))
	}
	_, err = tx.Commit(ctx)
	tx.Release()
	return err
}

// take takes one record, and lets it die.
func (s *nsStorm) take(name string) error {
	q, err := s.b.Queue(stormed, "q"+name)
	if err != nil {
		return err
	}
	d, ok, err := q.Get(ctx, nil)
	if err != nil || !ok {
		return err
	}
	tx := s.b.Begin()
	tx.Settle(q, nil, d.ID, Reject)
	_, err = tx.Commit(ctx)
	tx.Release()
	return err
}
