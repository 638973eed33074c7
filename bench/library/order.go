package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// order is the data of every event: 1 KiB as JSON.
type order struct {
	Number   string    `json:"number"`
	Customer string    `json:"customer"`
	Placed   time.Time `json:"placed"`
	Lines    []line    `json:"lines"`
	Total    int       `json:"total_cents"`
	Note     string    `json:"note"`
}

type line struct {
	SKU   string `json:"sku"`
	Count int    `json:"count"`
	Cents int    `json:"cents"`
}

// eventBytes is what an order takes in JSON.
const eventBytes = 1024

// eventType is the CloudEvents type of orders.
const eventType = "bench.order.placed.v1"

// customers is how many keys there are.
const customers = 1000

// newOrder is the order of a number. Its note makes it as long as all others.
func newOrder(number int) order {
	o := withoutNote(number)
	o.Note = note
	return o
}

func withoutNote(number int) order {
	return order{
		Number:   fmt.Sprintf("order-%09d", number),
		Customer: fmt.Sprintf("customer-%03d", number%customers),
		Placed:   time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC), Total: 12_345,
		Lines: []line{
			{"shirt-blue-m", 2, 1_999}, {"shirt-white-m", 1, 2_499}, {"socks-grey-42", 5, 1_170}},
	}
}

var note = func() string {
	data, _ := json.Marshal(withoutNote(0))
	const words = "leave it at the door, please; "
	return strings.Repeat(words, eventBytes/len(words)+1)[:eventBytes-len(data)]
}()
