// Package postgres keeps inbox, outbox, event store, sagas and the checkpoints of projections in PostgreSQL,
// with pgx: handlers, publishers and projections share the pgx.Tx of the user.
//
//	store, err := postgres.New(pool, postgres.Config{})
//	err = store.Migrate(ctx)
//	in, out := store.Inbox(), store.Outbox(postgres.OutboxConfig{Source: "shop"})
//
// PostgreSQL 12 or newer. Any isolation level will do; the default, read committed, is enough.
//
// # Waking
//
// Publishing into a transaction notifies a channel, so that a relay, in whatever process, publishes as
// soon as the transaction commits, a few milliseconds later. PostgreSQL commits transactions that notify
// one after the other: 16 writers on two cores came to 700 transactions a second, and to 2,300 without.
// Where that matters, [OutboxConfig.Poll] turns notifications off, and the relay looks at an interval. A pool in front of the database must not take the relay's session away from it
// between statements (PgBouncer in transaction mode does): let the relay connect directly, or use Poll.
//
// # Event store
//
// Positions without gaps have a price: a transaction that appends holds the row with the last position
// until the disk has its commit, and others that append wait. Appends of one [Store] that wait for each
// other share a transaction. Measured on two cores, events of 500 bytes, one for each append: 210 a
// second with one writer, 720 with 4, 1,870 with 16, where inserts without a position reach 300, 2,000
// and 5,800. Without the sharing they were 230, 290 and 530, which is what appends in transactions of
// the user's reach: append last there, and commit soon.
//
// # Tables
//
// [Store.Migrate] makes them and is safe to run at every start. [Store.Schema] is the SQL, for tools
// that do it instead. All names begin with the prefix, and schema_version says which files of it have
// run. The sequence of the outbox's seq must keep a cache of 1, or the order of keys is gone.
package postgres
