package shop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tidings-io/tidings"
)

// Customers makes orders of customers who buy at random, some of them more than they can pay, or
// than there is. The orders of a seed are always the same.
type Customers struct {
	random *rand.Rand
	prefix string
	n      int
}

// NewCustomers makes customers whose orders have numbers that begin with a prefix.
func NewCustomers(prefix string, seed uint64) *Customers {
	return &Customers{random: rand.New(rand.NewPCG(seed, seed)), prefix: prefix}
}

const (
	customers = 20
	things    = 12
)

// Next is what the next customer does: commands and events to publish. Every other order is
// submitted to the saga; now and then somebody moves.
func (c *Customers) Next() []tidings.Event {
	c.n++
	id := fmt.Sprintf("%s%d", c.prefix, c.n)
	who := fmt.Sprintf("customer-%d", c.random.IntN(customers))
	o := Order{ID: id, Customer: who}
	for range 1 + c.random.IntN(3) {
		count := 1 + c.random.IntN(4)
		o.Items = append(o.Items, Item{fmt.Sprintf("thing-%d", c.random.IntN(things)), count})
		o.Total += int64(count) * (500 + c.random.Int64N(2000))
	}
	o.Items = merge(o.Items)
	command := PlaceOrder
	if c.n%2 == 0 {
		command = SubmitOrder
	}
	events := []tidings.Event{command.New(o, tidings.WithID("take-"+id))}
	if c.random.IntN(5) == 0 {
		events = append(events, CustomerMoved.New(Moved{who, fmt.Sprintf("%d High Street", 1+c.random.IntN(99))},
			tidings.WithID("move-"+id)))
	}
	return events
}

// merge has each thing once.
func merge(items []Item) (out []Item) {
	at := map[string]int{}
	for _, it := range items {
		i, twice := at[it.SKU]
		if twice {
			out[i].Count += it.Count
			continue
		}
		at[it.SKU] = len(out)
		out = append(out, it)
	}
	return out
}

// Buy has customers buy every so often, until ctx ends or so many have, 0 for no end. What was not
// published is published again. They wait until the shop has opened.
func (c *Customers) Buy(ctx context.Context, s *tidings.Service, every time.Duration, orders int) error {
	if err := awaitOpening(ctx, s); err != nil {
		return err
	}
	tick := time.NewTicker(max(every, 1))
	defer tick.Stop()
	for n := 0; orders == 0 || n < orders; n++ {
		events := c.Next()
		for s.Publish(ctx, events...) != nil && ctx.Err() == nil {
			pause(ctx, 100*time.Millisecond)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// awaitOpening waits until every service has answered once. Then its group is there, and misses
// nothing any more, whether it runs or not: an event is for the groups that exist when it is published.
func awaitOpening(ctx context.Context, s *tidings.Service) error {
	for _, name := range Names {
		for ctx.Err() == nil {
			asked, cancel := context.WithTimeout(ctx, 5*time.Second)
			_, err := Ask(asked, s, name)
			cancel()
			if err == nil {
				break
			}
			pause(ctx, 100*time.Millisecond)
		}
	}
	return ctx.Err()
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
