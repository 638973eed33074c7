// Package tidingstest is for the tests of services: a broker in memory, and faults for it.
//
// [NewTransport] is a [tidings.Transport] with every capability but transactions. It uses nothing
// but the clock and channels and starts no goroutine, so that in a bubble of testing/synctest
// delays, deadlines and schedules pass at once and exactly:
//
//	synctest.Test(t, func(t *testing.T) {
//		broker := tidingstest.NewTransport(tidingstest.WithFaults(
//			tidingstest.Faults{Seed: 1, DropAcks: 0.1, Duplicate: 0.1}))
//		// run services on it, then:
//		if n := broker.Pending("billing"); n != 0 { ... }
//		for _, e := range broker.Published("invoices") { ... }
//	})
//
// # What it is not
//
// Nothing is on disk: what it keeps lives as long as the process. [Transport.Crash] is what
// services see of a crash of a broker that does have a disk. Everything that was published is kept
// for Published to tell, so a long run needs [WithKeep]. Many brokers promise less; [WithCapabilities]
// takes capabilities away, and a test that is to hold on a broker should have no more than those of
// its transport.
package tidingstest
