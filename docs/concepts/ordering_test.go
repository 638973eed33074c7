package concepts_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

// page {
// Moved has the account as its key: deposits and withdrawals of one account keep their order.
type Moved struct {
	Account string `json:"account"`
	Step    int    `json:"step"`
}

var MoneyMoved = tidings.Define("accounts", "bank.money.moved.v1",
	tidings.KeyBy(func(m Moved) string { return m.Account }))

// 64 accounts at once; within an account one after the other, also when one fails and is tried again.
var byAccount = tidings.Policy{Concurrency: 64, Delays: []time.Duration{time.Millisecond, time.Second}}

// page }

func Example_ordering() {
	t := tidingstest.NewTransport()
	var mu sync.Mutex
	seen := map[string][]int{}
	var all sync.WaitGroup
	handle := func(_ context.Context, m tidings.Msg[Moved]) error {
		if m.Data.Step%3 == 0 && m.Data.Account < "a-2" && m.Attempt <= 3 { // two of them at once, one later
			return errors.New("not now")
		}
		mu.Lock()
		defer mu.Unlock()
		seen[m.Data.Account] = append(seen[m.Data.Account], m.Data.Step)
		all.Done()
		return nil
	}
	stop := running(tidings.NewService("bank", t, quiet()).Subscribe(byAccount, tidings.On(MoneyMoved, handle)))
	shop := tidings.NewService("shop", t)
	for i := range 20 * 10 {
		all.Add(1)
		check(shop.Publish(context.Background(), MoneyMoved.New(Moved{fmt.Sprint("a-", i%20), i / 20})))
	}
	all.Wait()
	stop()
	sorted := 0
	for _, steps := range seen {
		if len(steps) == 10 && slices.IsSorted(steps) {
			sorted++
		}
	}
	fmt.Println(sorted, "of", len(seen), "accounts in order")
	// Output: 20 of 20 accounts in order
}
