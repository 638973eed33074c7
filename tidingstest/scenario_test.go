package tidingstest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

type invoiced struct {
	Order string
	Cents int
}

var (
	invoiceIssued = tidings.Define("invoices", "shop.invoice.issued.v1",
		tidings.KeyBy(func(i invoiced) string { return i.Order }))
	invoiceVoided  = tidings.Define[invoiced]("invoices", "shop.invoice.voided.v1")
	orderCancelled = tidings.Define[placed]("orders", "shop.order.cancelled.v1")
	remind         = tidings.DefineCommand[invoiced]("billing", "shop.remind.v1")
	reminded       = tidings.Define[invoiced]("letters", "shop.reminded.v1")
	errNoInvoice   = errors.New("no invoice")
)

// newBilling issues invoices, voids them, and reminds of them after a week and once more.
func newBilling(broker *tidingstest.Transport) *tidings.Service {
	issued := map[string]bool{}
	s := tidings.NewService("billing", broker)
	onPlaced := func(ctx context.Context, m tidings.Msg[placed]) error {
		issued[m.Data.Order] = true
		due := invoiced{m.Data.Order, 990}
		return errors.Join(s.PublishAt(ctx, time.Now().Add(7*24*time.Hour), remind.New(due)),
			s.Publish(ctx, invoiceIssued.New(due)))
	}
	onCancelled := func(ctx context.Context, m tidings.Msg[placed]) error {
		if !issued[m.Data.Order] {
			return errNoInvoice
		}
		return s.Publish(ctx, invoiceVoided.New(invoiced{Order: m.Data.Order}))
	}
	onRemind := func(ctx context.Context, m tidings.Msg[invoiced]) error {
		return errors.Join(s.Publish(ctx, reminded.New(m.Data)),
			s.PublishAt(ctx, time.Now().Add(24*time.Hour), reminded.New(m.Data)))
	}
	return s.Subscribe(tidings.Policy{}, tidings.On(orderPlaced, onPlaced),
		tidings.On(orderCancelled, onCancelled), tidings.Handle(remind, onRemind))
}

func TestAScenarioOfAService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		bill := invoiced{"o-1", 990}
		tidingstest.Handle(t, broker, newBilling(broker)).
			When(orderCancelled.New(placed{"o-1"})).
			ThenError(errNoInvoice).
			Then().
			When(orderPlaced.New(placed{"o-1"})).
			ThenScheduled(7*24*time.Hour, remind.New(bill)).
			Then(invoiceIssued.New(bill)).
			Advance(7*24*time.Hour - 1).
			Then().
			Advance(1).
			Then(reminded.New(bill)).
			Advance(48 * time.Hour).
			Then(reminded.New(bill)).
			When(orderCancelled.New(placed{"o-1"})).
			Then(invoiceVoided.New(invoiced{Order: "o-1"}))
	})
}

// fatal is a test that notes why it ends.
type fatal struct {
	testing.TB
	why string
}

func (f *fatal) Fatalf(format string, args ...any) {
	f.why = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// why is what a scenario ends its test with.
func why(t *testing.T, scenario func(t testing.TB)) string {
	f := &fatal{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		scenario(f)
	}()
	<-ended
	return f.why
}

func TestAScenarioTellsWhatIsDifferent(t *testing.T) {
	begin := func(t testing.TB) *tidingstest.Scenario {
		broker := tidingstest.NewTransport()
		return tidingstest.Handle(t, broker, newBilling(broker))
	}
	place, cancel := orderPlaced.New(placed{"o-1"}), orderCancelled.New(placed{"o-1"})
	issued, voided := invoiceIssued.New(invoiced{"o-1", 990}), invoiceVoided.New(invoiced{"o-1", 0})
	for what, c := range map[string]struct {
		scenario func(t testing.TB)
		want     string
	}{
		"other data": {func(t testing.TB) {
			begin(t).When(place).Then(invoiceIssued.New(invoiced{"o-1", 1}))
		},
			`events published (- missing, + not wanted)
- event invoices shop.invoice.issued.v1 key o-1 {"Cents":1,"Order":"o-1"}
+ event invoices shop.invoice.issued.v1 key o-1 {"Cents":990,"Order":"o-1"}
`},
		"one missing": {func(t testing.TB) { begin(t).When(place, cancel).Then(issued, issued, voided) },
			`events published (- missing, + not wanted)
  event invoices shop.invoice.issued.v1 key o-1 {"Cents":990,"Order":"o-1"}
- event invoices shop.invoice.issued.v1 key o-1 {"Cents":990,"Order":"o-1"}
  event invoices shop.invoice.voided.v1 {"Cents":0,"Order":"o-1"}
`},
		"one too many": {func(t testing.TB) { begin(t).Given(place).When(cancel).Then() },
			`events published (- missing, + not wanted)
+ event invoices shop.invoice.voided.v1 {"Cents":0,"Order":"o-1"}
`},
		"an error": {func(t testing.TB) { begin(t).When(cancel).Then() },
			"the handler failed: no invoice"},
		"no error": {func(t testing.TB) { begin(t).When(place).ThenError(errNoInvoice) },
			"error of the handler\ngot  <nil>\nwant no invoice"},
		"given an error": {func(t testing.TB) { begin(t).Given(cancel) },
			`given event orders shop.order.cancelled.v1 {"Order":"o-1"}: no invoice`},
		"no route": {func(t testing.TB) { begin(t).When(voided).Then() },
			"the handler failed: event to invoices of type \"shop.invoice.voided.v1\": " +
				"no route takes the event"},
		"nothing scheduled": {func(t testing.TB) { begin(t).ThenScheduled(time.Hour, issued) },
			`events scheduled (- missing, + not wanted)
- event invoices shop.invoice.issued.v1 key o-1 {"Cents":990,"Order":"o-1"}
`},
	} {
		if got := why(t, c.scenario); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", what, got, c.want)
		}
	}
}

func ExampleHandle() {
	_ = func(t *testing.T) { // a test
		broker := tidingstest.NewTransport()
		tidingstest.Handle(t, broker, newBilling(broker)).
			Given(orderPlaced.New(placed{"o-1"})).
			When(orderCancelled.New(placed{"o-1"})).
			Then(invoiceVoided.New(invoiced{Order: "o-1"}))
	}
}
