// Package child starts the programs of tests so that they end with the tests, and keeps the
// last of what they said.
package child
