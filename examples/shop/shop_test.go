package shop_test

import (
	"context"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/examples/shop"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/transport/embedded"
)

// inside is the shop in this program, on a disk that can be killed.
type inside struct {
	t     *testing.T
	b     *broker.Broker
	tr    *embedded.Transport
	buyer *tidings.Service
	stop  func()
}

func open(t *testing.T, disk vfs.FS) *inside {
	t.Helper()
	b, err := broker.Open("data", broker.Config{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	s := &inside{t: t, b: b, tr: embedded.New(b, embedded.Config{Lease: time.Second})}
	parts, err := shop.Inside(t.Context(), b, s.tr, shop.Quiet())
	if err != nil {
		t.Fatal(err)
	}
	s.buyer = tidings.NewService("buyer", s.tr, shop.Quiet())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- shop.RunAll(ctx, parts...) }()
	go func() { done <- s.buyer.Run(ctx) }()
	for _, p := range parts {
		<-p.Ready()
	}
	s.stop = func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		s.tr.Close(context.WithoutCancel(ctx))
		b.Close()
	}
	return s
}

// books waits until as many orders have ended, and returns the books.
func (s *inside) books(orders int) shop.Books {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 60*time.Second)
	defer cancel()
	for {
		b, err := shop.Open(ctx, s.buyer)
		if err != nil {
			s.t.Fatal(err)
		}
		if b.Completed+b.Rejected >= orders && b.Mails >= orders {
			return b
		}
		time.Sleep(20 * time.Millisecond) // there is no signal that all has ended
	}
}

func TestTheBooksBalanceAtTheEnd(t *testing.T) {
	s := open(t, vfs.NewMem())
	defer s.stop()
	const orders = 300
	if err := shop.NewCustomers("o-", 1).Buy(t.Context(), s.buyer, 0, orders); err != nil {
		t.Fatal(err)
	}
	b := s.books(orders)
	if err := b.Balance(); err != nil {
		t.Error(err)
	}
	if b.Completed == 0 || b.Rejected == 0 || b.Completed+b.Rejected != orders {
		t.Errorf("%d orders completed and %d rejected, of %d", b.Completed, b.Rejected, orders)
	}
}

// Killing everything at a random moment loses no order and charges none twice.
func TestAKillLosesNoOrder(t *testing.T) {
	disk := vfs.NewMem()
	const rounds, orders = 3, 60
	customers := shop.NewCustomers("o-", 2)
	for round := range rounds {
		s := open(t, disk)
		if err := customers.Buy(t.Context(), s.buyer, 0, orders); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(round) * 30 * time.Millisecond) // some way into the work
		killed := disk.Kill()
		s.stop()
		disk = killed
	}
	s := open(t, disk)
	defer s.stop()
	if err := s.books(rounds * orders).Balance(); err != nil {
		t.Error(err)
	}
}

func TestBooksThatDoNotBalanceAreNoticed(t *testing.T) {
	good := shop.Books{Page: shop.Page{Completed: 2, Rejected: 1, Revenue: 30, Accounts: 1,
		Balances: shop.Opening - 30, Sold: 3, Ordered: 3, Parcels: 2, Mails: 3}}
	if err := good.Balance(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*shop.Page){
		func(p *shop.Page) { p.Open++ }, func(p *shop.Page) { p.Balances++ }, func(p *shop.Page) { p.Twice++ },
		func(p *shop.Page) { p.Sold++ }, func(p *shop.Page) { p.Parcels-- }, func(p *shop.Page) { p.Mails++ },
	} {
		bad := good
		change(&bad.Page)
		if bad.Balance() == nil {
			t.Errorf("%+v balances", bad)
		}
	}
}
