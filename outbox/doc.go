// Package outbox publishes events if and only if a transaction of the user's database commits.
//
//	tx, err := pool.Begin(ctx)
//	...
//	_, err = tx.Exec(ctx, `insert into orders …`)
//	err = out.In(tx).Publish(ctx, OrderPlaced.New(Placed{Order: "o-1"})) // a row, no broker yet
//	err = tx.Commit(ctx)
//
//	err = outbox.NewRelay(out, transport).Run(ctx) // elsewhere: publishes the rows
//
// # What is promised
//
//   - An event of a transaction that commits is published at least once; one of a transaction that
//     does not is never published. Its id is fixed when the row is inserted, so that a consumer with
//     an inbox handles it once.
//   - No row is skipped, whatever the order in which transactions commit. The relay asks for what is
//     not published yet, and not for what comes behind the last one: numbers of a sequence become
//     visible in the order of commits, so that a reader that remembers a number loses those that
//     come late.
//   - The relay publishes first and marks then. When it dies between, it publishes again.
//   - Events of one topic and key are published in the order in which they were inserted: each waits
//     until the one before it is published. Where a copy is published again, it comes after the
//     first time of events before it. Only commits that were in turn have an order: take the lock of
//     the aggregate first (update its row, or check its version), and publish into the transaction
//     then. A row that is inserted before that may carry a lower number than one that commits first.
//   - An event that fails holds back its own topic and key and nothing else, is tried again with a
//     growing pause, and is never dropped. What a publisher refuses for good (ErrTooLarge,
//     ErrUnroutable, ErrUnsupported, a Permanent error) is parked in the table with its error, where
//     it is counted and can be listed, tried again and discarded; what comes behind it goes on.
//   - One relay works at a time, under a lease; others wait, and take over when it is given back or
//     has run out. A relay that cannot renew its lease begins nothing more when it has run out; what
//     it was publishing then may still arrive, as a copy.
//
// # What is not promised
//
//   - Once: a relay that dies, or a publish whose answer is lost, makes a copy with the same id.
//   - Order across keys or topics, and of events that are published at a time: these take their place
//     when they are due.
//   - Two databases: the row is in the database of tx, and nowhere else.
//   - Where tx is rolled back to a savepoint, the rows inserted since are gone with it.
//
// # The same id twice
//
// Publishing an event whose id the table has already, with the same source, topic and type, changes
// nothing, so that a step that runs again may publish again. With another topic or type it is
// [ErrTaken]: an event would be lost without a word. The table knows an id as long as it has the row:
// until it is published, or for as long as published rows are kept.
package outbox
