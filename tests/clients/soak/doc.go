// Package soak fills the real program with records and measures what that costs: memory, and the
// time to start again.
//
//	go test ./soak -v -records=10000000 -strict
//
// needs 11 GB of disk. Memory always decides; times decide with -strict only, because
// machines that test are busy.
package soak
