// Package engines runs the brokers and the database that others made, for tests that hold ours and
// our library against them: Apache Kafka, RabbitMQ, PostgreSQL, and moto in the place of AWS.
//
// Each engine is processes of its own on loopback, with ports and a directory of its own, so any
// number of tests may run at a time. It is ready when Kafka and its like return, it answers at the
// same address after a Kill and a Restart, and it ends with its test:
//
//	k := engines.Kafka(t)
//	client := dial(k.Addr)
//	k.Kill()                          // SIGKILL to all of its processes
//	took := k.Restart()               // same data, same port
//
// Starting takes seconds. Tests that neither kill the engine nor mind what others left in it share
// one, which ends with Main:
//
//	func TestMain(m *testing.M) { os.Exit(engines.Main(m.Run)) }
//
//	k := engines.SharedKafka(t)
//
// A test whose engine is not on the machine is skipped, or fails if the flag -need names it: kafka,
// rabbitmq, postgres, moto. `make engines` installs what is missing.
//
// All processes end with the test. On Linux they also end when the test process is killed, panics or runs
// into its time limit; elsewhere they are left behind then. Their directories in the temporary one are left
// in any case. What an engine said last is in the log of a test that fails.
package engines
