package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/examples/shop"
)

// look is how often the books are asked for while orders are under way.
const look = time.Second

// buy places orders, tells now and then how many have ended, and when all have, whether the books
// balance.
func buy(ctx context.Context, o options, t tidings.Transport) error {
	s := tidings.NewService(fmt.Sprintf("buyer-%d", o.seed), t)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	customers := shop.NewCustomers(fmt.Sprintf("o%d-", o.seed), o.seed)
	bought := make(chan error, 1)
	go func() { bought <- customers.Buy(ctx, s, o.every, o.orders) }()
	err := watch(ctx, o, s, bought)
	stop()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, <-ended)
}

// watch tells how the shop does until every order has ended.
func watch(ctx context.Context, o options, s *tidings.Service, bought <-chan error) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for all := false; ; {
		select {
		case err := <-bought:
			if err != nil {
				return err
			}
			all = true
			bought = nil
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		books, err := ask(ctx, s)
		if err != nil {
			fmt.Fprintf(o.out, "no books yet: %v\n", err)
			continue
		}
		fmt.Fprintf(o.out, "%d completed, %d rejected, %d open; revenue %d.%02d\n", books.Completed, books.Rejected,
			books.Page.Open, books.Revenue/100, books.Revenue%100)
		if all && books.Completed+books.Rejected >= o.orders && books.Mails >= o.orders {
			return conclude(o, books)
		}
	}
}

// ask asks for the books, but not for long: a service may be down.
func ask(ctx context.Context, s *tidings.Service) (shop.Books, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return shop.Open(ctx, s)
}

func conclude(o options, b shop.Books) error {
	if err := b.Balance(); err != nil {
		return err
	}
	fmt.Fprintf(o.out, "the books balance: %d orders, %d completed, %d rejected\n", b.Completed+b.Rejected,
		b.Completed, b.Rejected)
	return nil
}
