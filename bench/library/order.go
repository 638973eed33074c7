package main

import (
	"encoding/json"
	"fmt"
	"slices"
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

// orders are what is published, in turn: one of each customer.
var orders = func() []order {
	all := make([]order, customers)
	for i := range all {
		all[i] = order{
			Number: fmt.Sprintf("order-%09d", i), Customer: fmt.Sprintf("customer-%03d", i),
			Placed: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC), Total: 12_345,
			Lines: []line{
				{"shirt-blue-m", 2, 1_999}, {"shirt-white-m", 1, 2_499}, {"socks-grey-42", 5, 1_170}},
		}
		all[i].Note = noteFor(all[i])
	}
	return all
}()

// noteFor is a text that makes an order as long as all others.
func noteFor(o order) string {
	data, _ := json.Marshal(o)
	const words = "leave it at the door, please; "
	return strings.Repeat(words, eventBytes/len(words)+1)[:eventBytes-len(data)]
}

var twice = slices.Concat(orders, orders)

// some are n orders, up to as many as there are, from the i-th on.
func some(i, n int) []order {
	return twice[i%customers:][:n]
}

// format is how orders become bytes, and the other way.
type format struct {
	encode func(o order) ([]byte, error)
	decode func(data []byte, o *order) error
}

// asJSON is what services do.
var asJSON = format{
	func(o order) ([]byte, error) { return json.Marshal(o) },
	func(data []byte, o *order) error { return json.Unmarshal(data, o) },
}

// asBytes is the data of somebody who has it as bytes: what is left is the library's own.
var asBytes = format{
	func(order) ([]byte, error) { return encoded, nil },
	func(data []byte, _ *order) error {
		if len(data) != eventBytes {
			return fmt.Errorf("an event of %d bytes, want %d", len(data), eventBytes)
		}
		return nil
	},
}

var encoded, _ = json.Marshal(orders[0])
