// Package inbox makes handlers idempotent: what a handler writes to its database is there once for
// each event, however often the event is delivered.
//
//	svc.Subscribe(tidings.Policy{}, inbox.On(store, OrderPlaced,
//		func(ctx context.Context, tx pgx.Tx, m tidings.Msg[Placed]) error {
//			_, err := tx.Exec(ctx, `insert into invoices (order_id) values ($1)`, m.Data.Order)
//			return err
//		}))
//
// # What is promised
//
// The store begins a transaction, inserts the group and the id of the event, and only then calls
// the handler with the same transaction. Both are committed together or not at all:
//
//   - A duplicate that comes later finds the row and is done without a call.
//   - Of two that come at the same time one commits, and the other returns behind it. In PostgreSQL
//     the second waits for the first on the unique key, in SQLite for the write lock: when the first
//     commits it is done, when the first fails it takes its turn.
//   - A handler that returns an error or panics leaves nothing: neither its writes nor the row. The
//     event is handled again, which is why an event is never lost here. (To look an event up, skip
//     it or remember it, and then to handle it loses the event when the handler fails: it is
//     remembered, and not handled.)
//
// So the handler may run more than once, but it commits once.
//
// # What is not promised
//
//   - Calls that leave the database: a mail or a card is at least once. Pass the id of the event as
//     the other side's idempotency key, or publish a command through package outbox.
//   - Two databases: a write through another connection than tx is not part of the transaction.
//   - Anything after the row is gone. Rows must outlive every path on which the event may come again:
//     the retention of the topic, the dead letters, and whoever redrives them by hand. [Keep] them for
//     the longest of these.
//   - Ids that change. An id is remembered together with its source, as CloudEvents wants; events that
//     are published again must have both. Two events with one source and one id are one event here.
//
// A conflict that the database finds (a deadlock, a serialization failure, SQLite's "database is
// locked") is an ordinary error: everything is rolled back, and the policy of the subscription tries
// again. It is never made permanent.
//
// # Positions
//
// [OnPosition] remembers one number for each lane instead of a row for each event: the offset of the
// last handled event. It needs a transport whose deliveries have offsets, and takes the events of a
// lane one after the other. What is remembered outlives the topic: when a topic is deleted and made
// again, or is to be handled again from the start, delete the rows of its lanes first.
package inbox
