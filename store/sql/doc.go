// Package sqlstore keeps inbox, outbox, event store, sagas and the checkpoints of projections in a database
// of database/sql: PostgreSQL or SQLite, with any driver. Import it as
//
//	import sqlstore "github.com/tidings-io/tidings/store/sql"
//
// Handlers and publishers share the *sql.Tx of the user. With PostgreSQL and pgx, package postgres
// does the same for pgx.Tx, and a relay there is woken by the database instead of looking. Both use
// the same tables.
//
// # SQLite
//
// The database needs a file in WAL mode, a time to wait for the write lock, and transactions that
// take it when they begin; with modernc.org/sqlite the name of the data source says so:
//
//	file:shop.db?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_txlock=immediate
//
// Without _txlock=immediate a transaction that reads first and writes then fails with "database is
// locked", at once and whatever the time to wait, when another has written between. Without WAL,
// readers and the writer wait for each other. SQLite has one writer at a time: keep transactions
// short. It needs version 3.42 (May 2023) or newer.
//
// # Tables
//
// [Store.Migrate] makes them and is safe to run at every start. [Store.Schema] is the SQL, for tools
// that do it instead. All names begin with the prefix, and schema_version says which files of it have
// run.
package sqlstore
