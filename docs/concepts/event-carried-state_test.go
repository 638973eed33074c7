package concepts_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/inbox"
	store "github.com/tidings-io/tidings/store/embedded"
	"github.com/tidings-io/tidings/tidingstest"
)

// page {
// Address is the whole state of a customer's address, with a version that its owner counts.
type Address struct {
	Customer string `json:"customer"`
	Street   string `json:"street"`
	Version  int    `json:"version"`
}

var AddressChanged = tidings.Define("customers", "shop.address.changed.v1",
	tidings.KeyBy(func(a Address) string { return a.Customer }))

// keepAddress keeps shipping's own copy: nobody is asked when a parcel is sent.
func keepAddress(st *store.Store) tidings.Route {
	return inbox.On(st, AddressChanged,
		func(_ context.Context, tx *store.Tx, m tidings.Msg[Address]) error {
			if addressOf(tx, m.Data.Customer).Version >= m.Data.Version {
				return nil // an older fact that came late
			}
			text, err := json.Marshal(m.Data)
			tx.Put("address/"+m.Data.Customer, text)
			return err
		})
}

// page }

func addressOf(tx *store.Tx, customer string) (a Address) {
	text, _ := tx.Get("address/" + customer)
	_ = json.Unmarshal(text, &a) // there is none before the first
	return a
}

func Example_carriedState() {
	_, st, end := memory()
	defer end()
	route := keepAddress(st)
	for _, a := range []Address{{"ann", "1 High Street", 1}, {"ann", "9 Sea View", 3}, {"ann", "2 Mill Lane", 2}} {
		e := AddressChanged.New(a)
		tidings.Stamp(context.Background(), "customers", &e)
		check(tidingstest.Deliver(context.Background(), e, route))
	}
	text, _ := st.Get("address/ann")
	fmt.Println(string(text))
	// Output: {"customer":"ann","street":"9 Sea View","version":3}
}
