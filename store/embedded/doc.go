// Package embedded is the stores of the patterns on the broker inside the program: an event store,
// an inbox, checkpoints of projections, snapshots, keys, and small values of the user, all changed
// in one atomic step of the broker's log together with what is published.
//
//	store, err := embedded.Open(ctx, b, embedded.Config{Name: "shop", Publisher: transport})
//	err = store.Do(ctx, func(ctx context.Context, tx *embedded.Tx) error {
//		if _, _, err := Accounts.Update(ctx, tx, "a-1", withdraw(10)); err != nil {
//			return err
//		}
//		tx.Put("last", []byte("a-1"))
//		return tx.Publish(ctx, Withdrawn.New(Withdrawal{10}))
//	})
//
// # What is promised
//
// Do does all of what its function gathered, or nothing, durably on return. Transactions are
// serializable: what one has read is compared when it commits, and where it has changed the
// function runs again; so it may run more than once, and only its last run counts. Streams that it
// reads without appending to them are not compared.
//
// # What can go wrong
//
// The function must do nothing that cannot be done twice: what it changes outside of its Tx it
// changes at each run.
//
// Values, marks of the inbox, checkpoints, snapshots and keys are facts of the broker, which are
// all in memory: at most broker.Limits.Facts together, 768 KiB each. They are for state that is
// small. Beyond the limit a commit fails with broker.Full; nothing is forgotten unasked. An inbox
// by position (Advance) takes one fact for each lane, one by id (Once) one for each event until
// Prune.
//
// A broker is one process on one disk, and a Store is opened once for each name: two that are open
// on the same name do not see each other's changes in time.
package embedded
