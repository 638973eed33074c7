// Package relational is what the stores of relational databases have in common: the tables, their
// migrations and the statements, written once for PostgreSQL and SQLite. Packages postgres and sql
// bring a driver.
package relational
