// Package projection builds tables for reading from the events of an event store, and keeps how far
// it has come in the same transaction as the rows.
//
//	var Balances = projection.Define("balances", 1,
//		projection.On(Deposited,
//			func(ctx context.Context, tx pgx.Tx, d Deposit, r eventstore.Recorded) error {
//				_, err := tx.Exec(ctx, `insert into balances_v1 …`, r.Stream, d.Amount)
//				return err
//			}))
//
//	err := Balances.Run(ctx, store, checkpoints, projection.Options{})
//
// # What is promised
//
// Handlers see every event once in effect, in the order of positions: what they write in tx is at
// any moment the fold of all events up to the checkpoint, whatever crashes. Two processes that run
// one projection take turns; that is safe, and not faster.
//
// A handler that fails is called again, with growing waits. What goes on failing stops the
// projection with a [*PoisonError], or is skipped and recorded where [Options] say so: a table that
// silently lacks an event is wrong forever.
//
// # Versions
//
// A changed projection gets another version, and tables of its own. Rebuild fills them from the
// first event on, beside the old ones that are read meanwhile; when it has caught up it makes its
// version the active one, which readers ask for with [Checkpoints.Active]. Forget and the user's
// own "drop table" end the old version.
//
// # What can go wrong
//
// Rows are behind the events, by a time that Status tells: who has just written must not expect to
// read it here. A handler may run more than once, and only its last run is committed: it must do
// nothing outside of tx. An event that was appended with data that is erased since comes without
// it, see OnErased; what was projected before an erasure stays until a handler of yours deletes it.
package projection
