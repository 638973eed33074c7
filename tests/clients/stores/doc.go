// Package stores holds the stores of the library against a real PostgreSQL, by pgx and by database/sql:
// their suites, and what only many connections at a time can show.
package stores
