// Package postgres keeps inbox, outbox, event store and the checkpoints of projections in PostgreSQL, with
// pgx: handlers, publishers and projections share the pgx.Tx of the user.
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
// # Tables
//
// [Store.Migrate] makes them and is safe to run at every start. [Store.Schema] is the SQL, for tools
// that do it instead. All names begin with the prefix, and schema_version says which files of it have
// run. The sequence of the outbox's seq must keep a cache of 1, or the order of keys is gone.
package postgres
