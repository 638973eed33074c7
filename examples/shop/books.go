package shop

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tidings-io/tidings"
)

// Page is what a service tells of its books. A service fills what it knows.
type Page struct {
	Open, Completed, Rejected int   // orders
	Revenue                   int64 // totals of completed orders
	Accounts                  int
	Balances                  int64
	Twice                     int // orders that were charged twice, or told of twice
	Sold                      int // things that are gone from the stock
	Ordered                   int // things in completed orders
	Parcels, Mails            int
}

// Books are the pages of all services.
type Books struct{ Page }

// Asked is a question for a page.
type Asked struct{}

func ask(service string) *tidings.Command[Asked] {
	return tidings.DefineCommand[Asked](service, "shop.books."+service+".v1")
}

var answer = tidings.Define[Page]("books", "shop.books.page.v1")

// books is the route by which a service tells its page.
func books(p Place, service string, page func(context.Context, Place, *Page) error) tidings.Route {
	return tidings.Replier(ask(service), answer, func(ctx context.Context, _ tidings.Msg[Asked]) (out Page, err error) {
		err = page(ctx, p, &out)
		return out, err
	})
}

// Ask asks a service for its page. s is the service that asks, and runs.
func Ask(ctx context.Context, s *tidings.Service, service string) (Page, error) {
	return tidings.Request(ctx, s, ask(service).New(Asked{}), answer)
}

// Open asks all services. What they tell is of one time only when nothing moves.
func Open(ctx context.Context, s *tidings.Service) (Books, error) {
	var b Books
	for _, name := range Names {
		p, err := Ask(ctx, s, name)
		if err != nil {
			return b, fmt.Errorf("books of %s: %w", name, err)
		}
		b.add(p)
	}
	return b, nil
}

func (b *Books) add(p Page) {
	b.Page.Open += p.Open
	b.Completed += p.Completed
	b.Rejected += p.Rejected
	b.Revenue += p.Revenue
	b.Accounts += p.Accounts
	b.Balances += p.Balances
	b.Twice += p.Twice
	b.Sold += p.Sold
	b.Ordered += p.Ordered
	b.Parcels += p.Parcels
	b.Mails += p.Mails
}

// Balance is nil when every order has ended and the books agree: what customers no longer have is
// what completed orders cost, what is gone from the stock is what they contain, and for each order there is one mail.
func (b Books) Balance() error {
	var wrong []string
	check := func(what string, got, want int64) {
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s %d, want %d", what, got, want))
		}
	}
	check("open orders", int64(b.Page.Open), 0)
	check("balances", b.Balances, int64(b.Accounts)*Opening-b.Revenue)
	check("orders charged or told of twice", int64(b.Twice), 0)
	check("things sold", int64(b.Sold), int64(b.Ordered))
	check("parcels", int64(b.Parcels), int64(b.Completed))
	check("mails", int64(b.Mails), int64(b.Completed+b.Rejected))
	if wrong == nil {
		return nil
	}
	return fmt.Errorf("the books do not balance: %s", strings.Join(wrong, "; "))
}

func orderBooks(_ context.Context, p Place, page *Page) error {
	return each(p, "", func(_ string, now progress) {
		switch now.Status {
		case completed:
			page.Completed++
			page.Revenue += now.Order.Total
			for _, it := range now.Order.Items {
				page.Ordered += it.Count
			}
		case rejected:
			page.Rejected++
		default:
			page.Open++
		}
	})
}

// paymentBooks reads every event of every account.
func paymentBooks(ctx context.Context, p Place, page *Page) error {
	charged := map[string]int{}
	for r, err := range p.Store.All(ctx, 0) {
		if err != nil {
			return err
		}
		var e Entry
		switch r.Type {
		case AccountOpened.Name():
			page.Accounts++
			page.Balances += Opening
		case AccountCharged.Name(), AccountRefunded.Name():
			if err := json.Unmarshal(r.Payload, &e); err != nil {
				return err
			}
		}
		if r.Type == AccountRefunded.Name() {
			page.Balances += e.Amount
		} else if e.Order != "" {
			page.Balances -= e.Amount
			if charged[e.Order]++; charged[e.Order] == 2 {
				page.Twice++
			}
		}
	}
	return nil
}

func inventoryBooks(_ context.Context, p Place, page *Page) error {
	return each(p, leftKeys, func(_ string, left int) { page.Sold += Stocked - left })
}

func shippingBooks(_ context.Context, p Place, page *Page) error {
	return each(p, parcelKeys, func(string, Parcel) { page.Parcels++ })
}

func notificationBooks(_ context.Context, p Place, page *Page) error {
	return each(p, "", func(_ string, mails []string) {
		page.Mails++
		if len(mails) > 1 {
			page.Twice++
		}
	})
}

// each ranges over the values of a store whose keys begin with a prefix.
func each[T any](p Place, prefix string, fn func(key string, v T)) error {
	for key, text := range p.Store.Values(prefix) {
		var v T
		if err := json.Unmarshal(text, &v); err != nil {
			return fmt.Errorf("value %s: %w", key, err)
		}
		fn(key, v)
	}
	return nil
}
