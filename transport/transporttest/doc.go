// Package transporttest is the suite of tests that every [tidings.Transport] passes: what the doc
// comments of package tidings promise, with the faults that a broker and a network have.
//
//	func TestTransport(t *testing.T) {
//		addr := startBroker(t)
//		transporttest.Run(t, transporttest.Harness{
//			New: func(t testing.TB) tidings.Transport { return dial(t, addr) },
//			Cut: func(t testing.TB) (tidings.Transport, func()) {
//				p := transporttest.NewProxy(t, addr)
//				return dial(t, p.Addr()), p.Cut
//			},
//			Parallel: true,
//		})
//	}
//
// Each test has the name of what it checks. What the transport's Capabilities lack, and what the
// harness has no hook for, is skipped and says so; so is what Harness.Skip names, with its reason.
//
// # Caveats
//
// A test that nothing comes waits for Harness.Quiet and can miss what comes later. Duplicates are
// errors only where no fault explains them. Tests use topics and groups of their own, so that
// several Runs may use one broker, but not while a Run with Kill does.
package transporttest
