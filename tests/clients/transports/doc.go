// Package transports holds the library's transports against the brokers that others made.
package transports
