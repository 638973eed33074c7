// Package worker is the program that the tests of package guarantees kill: services over a transport
// that send, receive, run sagas and keep events, as users' services do. What it does it says on its
// standard output, a note a line, each in one write: what was written before a SIGKILL is in the pipe,
// so that notes outlive their process.
package worker
