// Package saga runs orchestrated sagas: steps that send commands and wait for answers, with
// compensation, durable deadlines and a history that one can list.
//
//	c := saga.New[Checkout]("checkout", 1)
//	saga.StartOn(c, OrderPlaced, func(m tidings.Msg[Placed]) (string, Checkout) {
//		return m.Data.Order, Checkout{Order: m.Data.Order, Total: m.Data.Total}
//	})
//	c.Step("reserve", func(s Checkout) tidings.Event { return Reserve.New(Reservation{s.Order}) }).
//		Done(Reserved).Fails(OutOfStock).
//		Undo(func(s Checkout) tidings.Event { return Release.New(Reservation{s.Order}) }).
//		Within(time.Minute)
//	c.Step("charge", func(s Checkout) tidings.Event { return Charge.New(Payment{s.Order, s.Total}) }).
//		Done(Charged).Fails(Declined).Pivot()
//	c.Step("confirm", func(s Checkout) tidings.Event { return Confirmed.New(s.Order) })
//	svc.Subscribe(tidings.Policy{}, saga.Routes(store, c)...)
//
// Three ideas carry the package.
//
// A saga is a record, not a program that is run again: its state, the step it is in and its history
// are kept in a [Store], and each answer moves it by plain functions. There are no rules of
// determinism; functions of steps should only look at the state they are given, because they may
// be called again when a transaction is tried again.
//
// A transition is one transaction. The new state and what is to be sent are committed together, so
// no crash leaves a step without its command. A command has the same id however often it is sent;
// with an inbox its handler does it once.
//
// Time is an event. A deadline is a command to the saga's own group, committed with the step and
// published when it is due; nothing polls.
//
// # What is promised
//
// Each step's command is sent at least once, with one id. Each answer moves an instance at most
// once; late and repeated ones are ignored. When a step before the pivot fails, the compensations of the
// steps that were done run in reverse, each is sent again until it is answered or its retries end;
// then the instance is stuck: visible, kept, and resumed by [Definition.Resolve]. A step that ended
// by its deadline may have been done all the same, so its own compensation is sent too, and must
// bear that there is nothing to undo. After the pivot nothing is compensated: steps are tried again.
//
// # What is not
//
// There is no isolation: others see what steps did before a compensation. A compensation restores
// what its command says and nothing else.
//
// # Which instance an answer belongs to
//
// Commands carry the extension "sagaid", which events published by their handlers inherit, however
// many hops later. An answer without it belongs to the instance whose id is its key, unless [By]
// says otherwise.
package saga
