// Package shop is an example: a shop of five services that talk by events only.
//
//	order         takes orders, and knows how each ended
//	payment       charges accounts, which are event-sourced
//	inventory     reserves what is in stock
//	shipping      sends parcels to addresses that it keeps a copy of
//	notification  tells customers, once for each order
//
// An order takes one of two ways. By choreography each service reacts to what it hears, and
// nobody knows the whole way:
//
//	OrderPlaced → payment: PaymentTaken → inventory: StockReserved → shipping: ParcelSent → order: OrderCompleted
//	                └ PaymentRefused ─────────┐   └ OutOfStock → payment: PaymentRefunded ─┐
//	                                          └────────────────────────────────────────────┴→ order: OrderRejected
//
// By orchestration the saga "checkout" in the order service sends commands and hears the answers,
// and undoes what was done when a step fails.
//
//	OrderSubmitted → ReserveStock → ChargeCustomer → SendParcel → OrderCompleted
//	                      └ OutOfStock    └ PaymentRefused: ReleaseStock → OrderRejected
//
// Each service keeps its state in a store of its own ([Place]), changes it in one transaction with
// what it publishes, and remembers what it has handled: killed at any moment it loses no order and
// charges none twice. [Books] adds up what the services tell, and says whether it balances.
//
// The services run in one program on the broker inside it, or each as a process of its own on
// Tidings, Apache Kafka, RabbitMQ or AWS: an address is all that changes.
package shop
