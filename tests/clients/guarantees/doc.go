// Package guarantees proves docs/guarantees.md: services in processes of their own send, receive, run
// sagas and keep events while they, and the broker, are killed with SIGKILL at random moments. What they
// left in databases, and what they said, is judged by the claims of that page, word by word.
//
//	go test ./guarantees -v -kills 200 -seed 7
package guarantees
