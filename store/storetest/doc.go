// Package storetest has the suites of tests that every store of the patterns passes, in the words of
// the patterns' own documentation: [Inbox] for inbox.Store, [Outbox] for outbox.Table, [EventStore]
// for eventstore.Store, [RunSagas] for saga.Store. For inbox and outbox a store brings a [Database]
// too, the tables of a user in the same database.
package storetest
