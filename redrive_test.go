package tidings_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

// Dead letters go back to their group and to nobody else, as what they were.
func TestRedriveGivesDeadLettersBackToTheirGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var done, others journal
		broken := true
		handle := func(_ context.Context, m tidings.Msg[placed]) error {
			if broken {
				return tidings.Permanent(errFlaky)
			}
			done.add("%s %s %s %s %v", m.Kind, m.Topic, m.ID, m.Key, m.Extensions)
			return nil
		}
		s := run(t, tidings.NewService("orders", broker).Subscribe(tidings.Policy{},
			tidings.On(orderPlaced, handle), tidings.Handle(placeOrder, handle)))
		other := run(t, tidings.NewService("other", broker).Subscribe(tidings.Policy{},
			tidings.On(orderPlaced, func(_ context.Context, m tidings.Msg[placed]) error {
				others.add("%s", m.ID)
				return nil
			})))
		publish(t, s, orderPlaced.New(placed{Order: "a"}, tidings.WithID("1"), tidings.WithExtension("tenant", "t")),
			placeOrder.New(placed{Order: "b"}, tidings.WithID("2")))
		synctest.Wait()
		equal(t, "dead letters", len(broker.DeadLetters("orders")), 2)
		broken = false
		time.Sleep(time.Second)
		n, err := tidings.Redrive(t.Context(), broker, "orders")
		equal(t, "redriven", []any{n, err}, []any{2, nil})
		synctest.Wait()
		equal(t, "handled", sorted(done.all()), []string{"command orders 2  map[]", "event orders 1 a map[tenant:t]"})
		equal(t, "others", others.all(), []string{"1"})
		equal(t, "left", []int{broker.Pending("orders.dlq"), broker.Pending("orders")}, []int{0, 0})
		s.end()
		other.end()
	})
}

// Whatever moves a dead letter to the address of its group redrives it: what a broker has of its own
// for that, too. The event of another group stays a letter, for which there is no route.
func TestADeadLetterThatIsMovedBackIsHandledAsWhatItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var done journal
		broken := true
		handle := func(_ context.Context, m tidings.Msg[placed]) error {
			switch {
			case broken:
				return tidings.Permanent(errFlaky)
			case m.Data.Order == "a" && m.Attempt == 1:
				return tidings.RetryAfter(errFlaky, time.Second)
			}
			done.add("%s %s %s %s %v", m.Kind, m.Topic, m.ID, m.Key, m.Extensions)
			return nil
		}
		s := run(t, tidings.NewService("orders", broker).Subscribe(tidings.Policy{StepAside: true, Immediate: tidings.NoRetries},
			tidings.On(orderPlaced, handle), tidings.Handle(placeOrder, handle)))
		publish(t, s, orderPlaced.New(placed{Order: "a"}, tidings.WithID("1"), tidings.WithExtension("tenant", "t")),
			placeOrder.New(placed{Order: "b"}, tidings.WithID("2")))
		synctest.Wait()
		broken = false
		for _, letter := range broker.DeadLetters("orders") {
			letter.Topic = "orders"
			publish(t, s, letter)
			if letter.Extensions[tidings.ExtDeadTopic] != "" {
				letter.ID, letter.Extensions[tidings.ExtDeadGroup] = "3", "others"
				publish(t, s, letter)
			}
		}
		time.Sleep(2 * time.Second)
		equal(t, "handled", sorted(done.all()), []string{"command orders 2  map[]", "event orders 1 a map[tenant:t]"})
		s.end()
	})
}

// What fails again during a redrive is not redriven by the same call, which would not end.
func TestRedriveLeavesWhatDiesAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		s := run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{},
			tidings.On(orderPlaced, func(context.Context, tidings.Msg[placed]) error {
				time.Sleep(time.Millisecond)
				return tidings.Permanent(errFlaky)
			})))
		publish(t, s, order("a", 1), order("b", 1), order("c", 1))
		time.Sleep(time.Second)
		n, err := tidings.Redrive(t.Context(), broker, "billing")
		equal(t, "redriven", []any{n, err}, []any{3, nil})
		equal(t, "dead letters again", len(broker.DeadLetters("billing")), 3)
		n, err = tidings.Redrive(t.Context(), broker, "billing", tidings.RedriveMax(1))
		equal(t, "redriven", []any{n, err}, []any{1, nil})
		s.end()
	})
}

func TestRedriveTakesTheDeadLettersOfItsGroupOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		fail := func(context.Context, tidings.Msg[placed]) error { return tidings.Permanent(errFlaky) }
		var services []*running
		for _, group := range []string{"one", "two"} {
			services = append(services, run(t, tidings.NewService(group, broker).Subscribe(
				tidings.Policy{DeadLetter: "morgue"}, tidings.On(orderPlaced, fail))))
		}
		publish(t, services[0], order("a", 1))
		synctest.Wait()
		for _, s := range services {
			s.end()
		}
		n, err := tidings.Redrive(t.Context(), broker, "one", tidings.RedriveFrom("morgue"),
			tidings.RedriveWait(time.Second))
		equal(t, "redriven", []any{n, err}, []any{1, nil})
		equal(t, "pending", []int{broker.Pending("morgue"), broker.Pending("one"), broker.Pending("two")}, []int{1, 1, 0})
	})
}

// A dead letter that could not be published again is a dead letter still.
func TestRedriveKeepsWhatItCannotPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		dead := placeOrder.New(placed{})
		dead.Topic, dead.Source = "orders.dlq", "shop"
		publish(t, broker, dead)
		broker.SetFaults(tidingstest.Faults{Publish: map[int]tidingstest.PublishFault{1: tidingstest.FailBefore}})
		n, err := tidings.Redrive(t.Context(), broker, "orders")
		equal(t, "redriven", []any{n, errors.Is(err, tidingstest.ErrFault)}, []any{0, true})
		equal(t, "left", broker.Pending("orders.dlq"), 1)
	})
}

// Letters of other groups are passed; where too many are in the way, Redrive says so.
func TestRedriveFindsWhatIsBehindTheLettersOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		letter := func(group string) tidings.Event {
			e := placeOrder.New(placed{}, tidings.WithExtension(tidings.ExtDeadGroup, group))
			e.Topic, e.Source = "morgue", "shop"
			return e
		}
		others := func(n int) {
			for range n {
				publish(t, broker, letter("other"))
			}
		}
		redrive := func() (int, bool) {
			n, err := tidings.Redrive(t.Context(), broker, "mine", tidings.RedriveFrom("morgue"))
			return n, err == nil
		}
		others(3000)
		publish(t, broker, letter("mine"), letter("mine"))
		n, ok := redrive()
		equal(t, "redriven", []any{n, ok}, []any{2, true})
		equal(t, "left", broker.Pending("morgue"), 3000)
		others(7000)
		publish(t, broker, letter("mine"))
		n, ok = redrive()
		equal(t, "redriven behind too many", []any{n, ok}, []any{0, false})
		equal(t, "left", broker.Pending("morgue"), 10_001)
	})
}

// A handler of dead letters may fail as well: its letters, redriven, come to it as what they were to it,
// and not as the events that they were to the first group.
func TestTheDeadLetterOfADeadLetterIsRedriven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var done journal
		broken := true
		morgue := tidings.Route{Kind: tidings.KindCommand, Topic: "orders.dlq", Handler: tidings.HandlerFunc(
			func(_ context.Context, d *tidings.Delivery) error {
				if broken {
					return tidings.Permanent(errFlaky)
				}
				done.add("%s %s %s of %s from %s", d.Kind, d.Topic, d.ID, d.Extensions["dlqgroup"], d.Extensions["dlqtopic"])
				return nil
			})}
		s := run(t, tidings.NewService("orders", broker).Subscribe(tidings.Policy{},
			tidings.On(orderPlaced, func(context.Context, tidings.Msg[placed]) error { return tidings.Permanent(errFlaky) }),
			morgue))
		publish(t, s, orderPlaced.New(placed{Order: "a"}, tidings.WithID("1")))
		synctest.Wait()
		equal(t, "dead letters of the dead letters", len(broker.DeadLetters("orders.dlq")), 1)
		broken = false
		n, err := tidings.Redrive(t.Context(), broker, "orders.dlq")
		equal(t, "redriven", []any{n, err}, []any{1, nil})
		synctest.Wait()
		equal(t, "handled", done.all(), []string{"command orders.dlq 1 of orders from orders"})
		s.end()
	})
}

// A record of somebody who knows no types has none when it comes back, either.
func TestARedrivenForeignRecordHasNoType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var done journal
		broken := true
		s := run(t, tidings.NewService("billing", altered{Transport: broker, deliver: typeless}).Subscribe(tidings.Policy{},
			tidings.OnAny("orders", func(_ context.Context, d *tidings.Delivery) error {
				if broken {
					return tidings.Permanent(errFlaky)
				}
				done.add("%s %s %q", d.Kind, d.Topic, d.Type)
				return nil
			})))
		publish(t, s, order("a", 1))
		synctest.Wait()
		broken = false
		n, err := tidings.Redrive(t.Context(), broker, "billing")
		equal(t, "redriven", []any{n, err}, []any{1, nil})
		synctest.Wait()
		equal(t, "handled", done.all(), []string{`event orders ""`})
		s.end()
	})
}

func typeless(d *tidings.Delivery) {
	if d.Kind == tidings.KindEvent {
		d.Type = ""
	}
}
