// Package saga runs orchestrated sagas: steps that send commands and wait for answers, with
// compensation, durable deadlines and a history that one can list.
//
//	c := saga.New[Checkout]("checkout", 1)
//	saga.StartOn(c, OrderPlaced, func(m tidings.Msg[Placed]) (string, Checkout) {
//		return m.Data.Order, Checkout{Order: m.Data.Order, Total: m.Data.Total}
//	})
//	c.Step("reserve", func(s Checkout) tidings.Event { return Reserve.New(s.Order) }).
//		Done(Reserved).Fails(OutOfStock).
//		Undo(func(s Checkout) tidings.Event { return Release.New(s.Order) }).
//		Within(time.Minute)
//	c.Step("charge", func(s Checkout) tidings.Event { return Charge.New(s) }).
//		Done(Charged).Fails(Declined).Pivot()
//	c.Step("confirm", func(s Checkout) tidings.Event { return Confirmed.New(s.Order) })
//	svc.Subscribe(tidings.Policy{}, saga.Routes(store, c)...)
//
// Three ideas carry the package.
//
// A saga is a record, not a program that is run again: its state, the step it is in and its history
// are kept in a [Store], and each answer moves it by plain functions. There are no rules of
// determinism; functions of steps should only look at the state they are given, because they may
// be called again when a transaction is tried again. They get the state as its JSON gives it back.
// One that panics, or makes an event without a topic, fails the event that came, as in any handler,
// and leaves the instance as it was.
//
// A transition is one transaction. The new state and what is to be sent are committed together, so
// no crash leaves a step without its command. A command has the same id and source, which is the
// saga's name, however often it is sent; with an inbox its handler does it once. After an answer
// that it failed, the next one is a new command. (A broker that takes an id once within a time, as
// SQS's FIFO queues do within five minutes, does not deliver it again within that.)
//
// Time is an event. A deadline is a command to the saga's own group, committed with the step and
// published when it is due; nothing polls. Clocks that differ make it early or late by as much.
//
// # What is promised
//
// Each step's command is sent at least once, with one id until it is answered by a failure. Each
// answer moves an instance at most once; late and repeated ones are ignored, as far back as its
// history goes. When a step before the pivot fails, the compensations of the steps that were done
// run in reverse, each is sent again until it is answered or its retries end; then the instance is
// stuck: visible, kept, and resumed by [Definition.Resolve], or by the answer that was waited for.
// A step that ended by its deadline may have been done all the same, so its own compensation is
// sent too, and must bear that there is nothing to undo. Send both to one address with one key, or
// the compensation may come before the command. After the pivot nothing is compensated: steps are
// tried again.
//
// Nothing that comes is dropped where an instance cannot be moved. An answer that does not decode
// is among the dead letters of the service, and its step waits. An instance whose version, step or
// state no registered definition knows is stuck, and what came is a dead letter too: register the
// definition, and redrive. A timer that could not be handled is a dead letter as well.
//
// # What is not
//
// There is no isolation: others see what steps did before a compensation. A compensation restores
// what its command says and nothing else. Instances that have ended stay until [Store.Prune]; an
// event that starts an instance starts it anew when it comes again after that.
//
// # Which instance an answer belongs to
//
// Commands carry the extension "sagaid", see [Extension], which events published by their handlers
// inherit, however many hops later. An answer of a type that several steps wait for is for the one
// whose command it answers. An answer without the extension belongs to the instance whose id is its
// key, unless [By] says otherwise; so does one that comes out of another saga.
//
// Names of sagas are unique among the services of a broker: ids of commands and the address of
// timers, [Address], derive from them.
package saga
