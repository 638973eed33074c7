// Package clients drives the real tidings program with unmodified Kafka clients
// of other people: each scenario once, with each client.
//
// A scenario (scenario_*_test.go) is a story with a judge: franz-go's admin
// client and reader look at what the client under test has done. A driver
// (driver_*_test.go) is the thin layer that makes one client tell the story. What a
// client cannot do is named with a reason; the run ends with a matrix of
// clients and scenarios that shows it:
//
//	go test ./tests/clients -v           # needs node and kcat for two of the columns
//	go test . -run TestClients/kcat
//	go test . -matrix matrix.txt
//
// Members of consumer groups are processes of their own, because a client that
// is killed cannot leave its group.
package clients
