// Package tidingstest is for the tests of services: a broker in memory, faults for it, and
// scenarios of given, when and then.
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
// [Handle] tells in a test what a service does when something happens, handler by handler and
// without running it:
//
//	tidingstest.Handle(t, broker, billing).
//		Given(OrderPlaced.New(Placed{Order: "o-1"})).
//		When(OrderCancelled.New(Cancelled{Order: "o-1"})).
//		Then(InvoiceVoided.New(Voided{Order: "o-1"}))
//
// [Saga] does the same for a saga: what it sends, where it is, and in virtual time its deadlines.
// [Sagas] keeps sagas in memory, for the tests of whole services.
//
// # What it is not
//
// Nothing is on disk: what it keeps lives as long as the process. [Transport.Crash] is what
// services see of a crash of a broker that does have a disk. Everything that was published is kept
// for Published to tell, so a long run needs [WithKeep]. Many brokers promise less:
// [WithCapabilities] takes capabilities away, and a test that is to hold on a broker should have no
// more than those of its transport. Nothing in it is made to be fast.
package tidingstest
