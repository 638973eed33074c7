package saga_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/saga"
	"github.com/tidings-io/tidings/tidingstest"
)

// Trip is the state of a saga, and here the data of its events too.
type Trip struct {
	ID    string
	Hotel string
}

func tripID(t Trip) string { return t.ID }

var (
	TripAsked    = tidings.Define("trips", "example.trip-asked.v1", tidings.KeyBy(tripID))
	BookHotel    = tidings.DefineCommand("hotels", "example.book.v1", tidings.KeyBy(tripID))
	HotelBooked  = tidings.Define("hotels", "example.booked.v1", tidings.KeyBy(tripID))
	HotelFull    = tidings.Define("hotels", "example.full.v1", tidings.KeyBy(tripID))
	CancelHotel  = tidings.DefineCommand("hotels", "example.cancel.v1", tidings.KeyBy(tripID))
	HotelFree    = tidings.Define("hotels", "example.cancelled.v1", tidings.KeyBy(tripID))
	BuyTicket    = tidings.DefineCommand("flights", "example.buy.v1", tidings.KeyBy(tripID))
	TicketBought = tidings.Define("flights", "example.bought.v1", tidings.KeyBy(tripID))
	TicketGone   = tidings.Define("flights", "example.gone.v1", tidings.KeyBy(tripID))
	TripBooked   = tidings.Define("trips", "example.trip-booked.v1", tidings.KeyBy(tripID))
)

// example is a saga at work on a broker in memory, and tells what it sends.
type example struct {
	ctx    context.Context
	broker *tidingstest.Transport
	store  saga.Store
	svc    *tidings.Service
	told   int
}

func newExample(machines ...saga.Machine) *example {
	broker := tidingstest.NewTransport()
	store := tidingstest.NewSagas(broker)
	svc := tidings.NewService("trips", broker, tidings.WithLogger(slog.New(slog.DiscardHandler)))
	svc.Subscribe(tidings.Policy{}, saga.Routes(store, machines...)...)
	return &example{ctx: context.Background(), broker: broker, store: store, svc: svc}
}

// happens has the service handle events, and prints what the saga sends.
func (x *example) happens(events ...tidings.Event) {
	for _, e := range events {
		e.Source = "example"
		if err := x.svc.Handle(x.ctx, e); err != nil {
			fmt.Println(err)
		}
		x.tell()
	}
}

// start begins an instance, and prints what it sends.
func (x *example) start(d *saga.Definition[Trip], id string) {
	if _, err := d.Start(x.ctx, x.store, id, Trip{ID: id}); err != nil {
		fmt.Println(err)
	}
	x.tell()
}

func (x *example) tell() {
	sent := x.broker.Published()
	for _, e := range sent[x.told:] {
		fmt.Println("sends", e.Type)
	}
	x.told = len(sent)
}

func (x *example) status(d *saga.Definition[Trip], id string) {
	in, err := d.Get(x.ctx, x.store, id)
	fmt.Println(in.Status, in.Step, err)
}

func does(c *tidings.Command[Trip]) func(Trip) tidings.Event {
	return func(t Trip) tidings.Event { return c.New(t) }
}

// newTrip books a hotel, buys a ticket, and says so. Without a ticket the hotel is cancelled.
func newTrip() *saga.Definition[Trip] {
	d := saga.New[Trip]("trip", 1)
	saga.StartOn(d, TripAsked, func(m tidings.Msg[Trip]) (string, Trip) { return m.Data.ID, m.Data })
	d.Step("hotel", does(BookHotel)).Done(HotelBooked).Fails(HotelFull).
		Undo(does(CancelHotel), HotelFree)
	d.Step("ticket", does(BuyTicket)).Done(TicketBought).Fails(TicketGone).Pivot()
	d.Step("booked", func(t Trip) tidings.Event { return TripBooked.New(t) })
	return d
}

// A saga that books a trip, from the event that begins it to its end.
func Example() {
	x := newExample(newTrip())
	trip := Trip{ID: "t-1"}
	x.happens(TripAsked.New(trip), HotelBooked.New(trip), TicketBought.New(trip))
	x.status(newTrip(), "t-1")
	// Output:
	// sends example.book.v1
	// sends example.buy.v1
	// sends example.trip-booked.v1
	// completed  <nil>
}

// An instance may begin without an event too, by Start.
func ExampleNew() {
	d := saga.New[Trip]("trip", 1)
	d.Step("hotel", does(BookHotel)).Done(HotelBooked)
	x := newExample(d)
	for range 2 {
		begun, err := d.Start(x.ctx, x.store, "t-1", Trip{ID: "t-1"})
		fmt.Println(begun, err)
	}
	x.status(d, "t-1")
	// Output:
	// true <nil>
	// false <nil>
	// running hotel <nil>
}

func ExampleStartOn() {
	d := saga.New[Trip]("trip", 1)
	saga.StartOn(d, TripAsked, func(m tidings.Msg[Trip]) (string, Trip) {
		return m.Data.ID, Trip{ID: m.Data.ID}
	})
	d.Step("hotel", does(BookHotel)).Done(HotelBooked)
	x := newExample(d)
	x.happens(TripAsked.New(Trip{ID: "t-1"}))
	x.happens(TripAsked.New(Trip{ID: "t-1"})) // there is one already
	// Output:
	// sends example.book.v1
}

// A step without answers is done when its event is committed; this saga needs none.
func ExampleDefinition_Step() {
	d := saga.New[Trip]("trip", 1)
	d.Step("hotel", does(BookHotel))
	d.Step("booked", func(t Trip) tidings.Event { return TripBooked.New(t) })
	x := newExample(d)
	x.start(d, "t-1")
	x.status(d, "t-1")
	fmt.Println(d.Steps())
	// Output:
	// sends example.book.v1
	// sends example.trip-booked.v1
	// completed  <nil>
	// [hotel booked]
}

// What an answer says is kept in the state, and some answers fail the step.
func ExampleOn() {
	d := saga.New[Trip]("trip", 1)
	d.Step("hotel", does(BookHotel), saga.On(HotelBooked, func(t *Trip, m tidings.Msg[Trip]) error {
		if m.Data.Hotel == "" {
			return errors.New("booked no hotel")
		}
		t.Hotel = m.Data.Hotel
		return nil
	}))
	x := newExample(d)
	x.start(d, "t-1")
	x.start(d, "t-2")
	x.happens(HotelBooked.New(Trip{ID: "t-1", Hotel: "Ritz"}), HotelBooked.New(Trip{ID: "t-2"}))
	for _, id := range []string{"t-1", "t-2"} {
		in, err := d.Get(x.ctx, x.store, id)
		fmt.Println(in.Status, in.State.Hotel, in.Reason, err)
	}
	// Output:
	// sends example.book.v1
	// sends example.book.v1
	// completed Ritz  <nil>
	// compensated  booked no hotel <nil>
}

// An answer from outside names its instance neither by its cause nor by its key.
func ExampleBy() {
	bill := tidings.Define[Trip]("bills", "example.bill.v1") // has no key
	d := saga.New[Trip]("trip", 1)
	d.Step("hotel", does(BookHotel), saga.By(bill,
		func(m tidings.Msg[Trip]) string { return m.Data.ID },
		saga.On(bill, func(*Trip, tidings.Msg[Trip]) error { return nil })))
	x := newExample(d)
	x.start(d, "t-1")
	x.happens(bill.New(Trip{ID: "t-1"}))
	x.status(d, "t-1")
	// Output:
	// sends example.book.v1
	// completed  <nil>
}

func ExampleStepDef_Done() {
	d := saga.New[Trip]("trip", 1)
	saga.StartOn(d, TripAsked, func(m tidings.Msg[Trip]) (string, Trip) { return m.Data.ID, m.Data })
	d.Step("hotel", does(BookHotel)).Done(HotelBooked).Fails(HotelFull)
	d.Step("ticket", does(BuyTicket)).Done(TicketBought)
	x := newExample(d)
	trip := Trip{ID: "t-1"}
	x.happens(TripAsked.New(trip), HotelBooked.New(trip))
	x.status(d, "t-1")
	// Output:
	// sends example.book.v1
	// sends example.buy.v1
	// running ticket <nil>
}

// There is no ticket any more: what was done before is undone.
func ExampleStepDef_Undo() {
	x := newExample(newTrip())
	trip := Trip{ID: "t-1"}
	x.happens(TripAsked.New(trip), HotelBooked.New(trip), TicketGone.New(trip))
	x.status(newTrip(), "t-1")
	x.happens(HotelFree.New(trip))
	x.status(newTrip(), "t-1")
	// Output:
	// sends example.book.v1
	// sends example.buy.v1
	// sends example.cancel.v1
	// compensating hotel <nil>
	// compensated  <nil>
}

// A deadline is a command to the saga itself, published when it is due, from wherever the store
// keeps what is sent. Tests let the time of a bubble pass, see tidingstest.Saga.
func ExampleStepDef_Within() {
	d := saga.New[Trip]("trip", 1)
	d.Step("hotel", does(BookHotel)).Done(HotelBooked).Within(48 * time.Hour)
	x := newExample(d)
	x.start(d, "t-1")
	timer := x.broker.Scheduled()[0]
	fmt.Println(timer.Event.Topic, time.Until(timer.At).Round(time.Hour))
	x.happens(timer.Event) // as if two days had passed
	in, err := d.Get(x.ctx, x.store, "t-1")
	fmt.Println(in.Status, in.Reason, err)
	// Output:
	// sends example.book.v1
	// trip.saga 48h0m0s
	// compensated no answer in time <nil>
}

// Behind the pivot a step that fails is tried again, and nothing is undone.
func ExampleStepDef_Pivot() {
	d := saga.New[Trip]("trip", 1)
	d.Step("ticket", does(BuyTicket)).Pivot()
	d.Step("hotel", does(BookHotel)).Done(HotelBooked).Fails(HotelFull)
	x := newExample(d)
	x.start(d, "t-1")
	x.happens(HotelFull.New(Trip{ID: "t-1"}))
	x.status(d, "t-1")
	x.happens(x.broker.Scheduled()[0].Event) // as if the pause had passed
	x.happens(HotelBooked.New(Trip{ID: "t-1"}))
	x.status(d, "t-1")
	// Output:
	// sends example.buy.v1
	// sends example.book.v1
	// running hotel <nil>
	// sends example.book.v1
	// completed  <nil>
}

// Versions run side by side: instances stay with the one that they began with.
func ExampleRoutes() {
	old := saga.New[Trip]("trip", 1)
	old.Step("hotel", does(BookHotel)).Done(HotelBooked)
	x := newExample(old, newVersion())
	x.start(old, "t-1")
	x.happens(TripAsked.New(Trip{ID: "t-2"}))
	for in, err := range old.All(x.ctx, x.store, saga.Filter{}) {
		fmt.Println(in.ID, in.Version, in.Step, err)
	}
	// Unordered output:
	// sends example.book.v1
	// sends example.buy.v1
	// t-2 2 ticket <nil>
	// t-1 1 hotel <nil>
}

// newVersion buys the ticket first.
func newVersion() *saga.Definition[Trip] {
	d := saga.New[Trip]("trip", 2)
	saga.StartOn(d, TripAsked, func(m tidings.Msg[Trip]) (string, Trip) { return m.Data.ID, m.Data })
	d.Step("ticket", does(BuyTicket)).Done(TicketBought)
	d.Step("hotel", does(BookHotel)).Done(HotelBooked)
	return d
}

func ExampleDefinition_Get() {
	d := newTrip()
	x := newExample(d)
	x.happens(TripAsked.New(Trip{ID: "t-1"}))
	in, err := d.Get(x.ctx, x.store, "t-1")
	fmt.Println(in.Status, in.Step, in.State.ID, err)
	for _, h := range in.History {
		fmt.Printf("%q %s\n", h.Step, h.What)
	}
	_, err = d.Get(x.ctx, x.store, "t-2")
	fmt.Println(errors.Is(err, saga.ErrNotFound))
	// Output:
	// sends example.book.v1
	// running hotel t-1 <nil>
	// "" started
	// "hotel" sent
	// true
}

// What is stuck, or has waited for a day.
func ExampleDefinition_All() {
	d := newTrip()
	x := newExample(d)
	x.happens(TripAsked.New(Trip{ID: "t-1"}))
	for _, f := range []saga.Filter{
		{Status: []saga.Status{saga.Stuck}},
		{Status: []saga.Status{saga.Running}, Before: time.Now().Add(-24 * time.Hour)},
		{Status: []saga.Status{saga.Running}, Limit: 10},
	} {
		n := 0
		for in, err := range d.All(x.ctx, x.store, f) {
			n++
			fmt.Println(in.ID, in.Step, err)
		}
		fmt.Println(n)
	}
	// Output:
	// sends example.book.v1
	// 0
	// 0
	// t-1 hotel <nil>
	// 1
}

// An instance is stuck when its retries have ended. Somebody looks, and decides.
func ExampleDefinition_Resolve() {
	d := saga.New[Trip]("trip", 1)
	d.Step("ticket", does(BuyTicket)).Pivot()
	d.Step("hotel", does(BookHotel)).Done(HotelBooked).Fails(HotelFull).Retries(0)
	x := newExample(d)
	x.start(d, "t-1")
	x.happens(HotelFull.New(Trip{ID: "t-1"}))
	x.status(d, "t-1")
	fmt.Println(d.Resolve(x.ctx, x.store, "t-1", saga.RetryStep))
	x.tell()
	x.happens(HotelBooked.New(Trip{ID: "t-1"}))
	x.status(d, "t-1")
	// Output:
	// sends example.buy.v1
	// sends example.book.v1
	// stuck hotel <nil>
	// <nil>
	// sends example.book.v1
	// completed  <nil>
}
