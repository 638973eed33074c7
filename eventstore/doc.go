// Package eventstore keeps what happened as the truth: streams of events that are only ever added
// to, and state that is a fold over them.
//
// A stream is the history of one thing, such as an account. Its events have versions 1, 2, 3…; an
// append says which version it expects, so that of two writers who decided on the same history one
// gets a [*ConflictError] and decides again. All streams of a [Store] share one order, the
// position, which readers see without gaps: who has handled everything up to position p has missed
// nothing.
//
// An [Aggregate] is a plain struct and pure functions:
//
//	var Accounts = eventstore.Define("account",
//		eventstore.Apply(Deposited, func(a *Account, d Deposit) { a.Balance += d.Amount }),
//		eventstore.Apply(Withdrawn, func(a *Account, w Withdrawal) { a.Balance -= w.Amount }))
//
//	_, _, err := Accounts.Update(ctx, store, "a-1", func(a Account) ([]tidings.Event, error) {
//		if a.Balance < amount {
//			return nil, ErrFunds
//		}
//		return []tidings.Event{Withdrawn.New(Withdrawal{amount})}, nil
//	})
//
//	then, _, err := Accounts.Load(ctx, store, "a-1", eventstore.AsOf(yesterday))
//
// Events of older types are read through the upcasts of their [tidings.Type]. Readers that keep
// tables of their own are in package projection.
//
// # What is promised
//
// An append that returned nil is durable as the store documents, all of its events or none.
// Appends to a stream are linearizable by expected version. Versions and positions have no gaps,
// and no reader sees a position before all smaller ones. Snapshots are a cache: deleting them
// changes nothing but time. Package store/storetest proves it of each store.
//
// # What can go wrong
//
// An append whose answer was lost may have happened. Append the same events at the same expected
// version again: where they are in the stream at that place already, by their ids, that is
// success. With [Any] nothing can be compared, and they are appended twice.
//
// Decisions run again after a conflict. They must only decide: what they do besides is done twice.
//
// Two streams cannot be appended to in one step through a Store. The transactions of
// store/embedded, store/postgres and store/sql can, together with rows, publishes and the inbox.
//
// # Erasure
//
// A [Shredder] encrypts the data of events that are about somebody with a key of theirs. Erase
// destroys the key: the event stays in its place, marked and without data. What it does not reach:
// attributes of the event (subject, key, extensions: put no personal data there), copies that were
// read or published before, rows of projections, consumers downstream, and backups of the store of
// keys. Those need an event of their own, such as "customer erased", that their owners handle.
package eventstore
