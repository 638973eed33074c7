// Package server runs the real tidings program for black-box tests.
//
// The program is built once per test process, by Main, and each Server is a
// process of its own on loopback with its own data directory. A Server keeps
// its ports and its data over Restart, so clients find it again:
//
//	func TestMain(m *testing.M) { os.Exit(server.Main(m)) }
//
//	s := server.Start(t)              // tidings dev --ports auto
//	client := dial(s.Kafka)
//	s.Kill()                          // SIGKILL
//	took := s.Restart()               // same data, same ports
//
// A process ends with the test that started it, and on Linux also when the
// test process is killed.
package server
