package tidingstest_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/saga"
	"github.com/tidings-io/tidings/tidingstest"
)

type purchase struct {
	Order string
	Cents int
}

var (
	ofOrder  = tidings.KeyBy(func(p purchase) string { return p.Order })
	reserve  = tidings.DefineCommand("stock", "shop.reserve.v1", ofOrder)
	reserved = tidings.Define[purchase]("stock", "shop.reserved.v1") // has no key
	release  = tidings.DefineCommand("stock", "shop.release.v1", ofOrder)
	released = tidings.Define("stock", "shop.released.v1", ofOrder)
	charge   = tidings.DefineCommand("payments", "shop.charge.v1", ofOrder)
	charged  = tidings.Define("payments", "shop.charged.v1", ofOrder)
	rejected = tidings.Define("orders", "shop.rejected.v1", ofOrder)
)

// newPurchase reserves and charges, each within a time.
func newPurchase() *saga.Definition[purchase] {
	do := func(c *tidings.Command[purchase]) func(purchase) tidings.Event {
		return func(p purchase) tidings.Event { return c.New(p) }
	}
	d := saga.New[purchase]("purchase", 1)
	saga.StartOn(d, orderPlaced, func(m tidings.Msg[placed]) (string, purchase) {
		return m.Data.Order, purchase{Order: m.Data.Order}
	})
	d.Step("reserve", do(reserve), saga.On(reserved, func(p *purchase, m tidings.Msg[purchase]) error {
		p.Cents = m.Data.Cents
		return nil
	})).Undo(do(release), released).Within(time.Minute)
	d.Step("charge", do(charge)).Done(charged).Within(time.Hour)
	return d.Compensated(func(p purchase, _ string) tidings.Event { return rejected.New(p) })
}

// TestAPurchase is how a saga is tested.
func TestAPurchase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, priced := purchase{Order: "o-1"}, purchase{"o-1", 990}
		tidingstest.Saga(t, newPurchase()).
			When(orderPlaced.New(placed{"o-1"})).
			ThenSends(reserve.New(asked)).
			ThenStatus(saga.Running).
			ThenStep("reserve").
			Answer(reserved.New(purchase{Cents: 990})).
			ThenSends(charge.New(priced)).
			ThenState(priced).
			Advance(time.Hour - 1).
			ThenSends().
			Advance(1).
			ThenSends(release.New(priced)).
			ThenStatus(saga.Compensating).
			Advance(time.Minute + time.Second). // no answer: it is sent again
			ThenSends(release.New(priced)).
			Answer(released.New(priced)).
			ThenSends(rejected.New(priced)).
			ThenStatus(saga.Compensated).
			ThenStep("")
	})
}

func TestASagaScenarioBeginsAnywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := purchase{"o-1", 5}
		s := tidingstest.Saga(t, newPurchase()).
			Start("o-1", p).
			ThenSends(reserve.New(p)).
			When(reserved.New(p)). // has neither the key nor a cause
			ThenSends().
			ThenStep("reserve").
			Answer(reserved.New(p)).
			When(charged.New(p)). // has the key
			ThenSends().
			ThenStatus(saga.Completed).
			Given(orderPlaced.New(placed{"o-2"})).
			ThenSends().
			ThenStatus(saga.Running). // of the one that was begun last
			Resolve(saga.Compensate).
			ThenSends(release.New(purchase{Order: "o-2"})).
			Resolve(saga.SkipStep).
			ThenError(saga.ErrNotStuck)
		if in := s.Instance(); in.ID != "o-2" || in.Reason != "resolved: compensate" {
			t.Errorf("got %+v", in)
		}
	})
}

func TestASagaScenarioTellsWhatIsDifferent(t *testing.T) {
	begin := func(t testing.TB) *tidingstest.SagaScenario[purchase] {
		return tidingstest.Saga(t, newPurchase()).When(orderPlaced.New(placed{"o-1"}))
	}
	poison := reserved.New(purchase{})
	poison.Payload = []byte("{")
	for what, c := range map[string]struct {
		scenario func(t testing.TB)
		want     string
	}{
		"other data": {func(t testing.TB) { begin(t).ThenSends(reserve.New(purchase{"o-1", 3})) },
			`events sent (- missing, + not wanted)
- command stock shop.reserve.v1 key o-1 {"Cents":3,"Order":"o-1"}
+ command stock shop.reserve.v1 key o-1 {"Cents":0,"Order":"o-1"}
`},
		"nothing": {func(t testing.TB) { begin(t).ThenSends() },
			`events sent (- missing, + not wanted)
+ command stock shop.reserve.v1 key o-1 {"Cents":0,"Order":"o-1"}
`},
		"other status": {func(t testing.TB) { begin(t).ThenStatus(saga.Completed) },
			`status of o-1
got  running
want completed
its history
  running  started
  running reserve sent`},
		"other step": {func(t testing.TB) { begin(t).ThenStep("charge") },
			`step of o-1
got  "reserve"
want "charge"
its history
  running  started
  running reserve sent`},
		"other state": {func(t testing.TB) { begin(t).ThenState(purchase{"o-1", 7}) },
			`state of o-1 (- missing, + not wanted)
  {
    "Order": "o-1",
-   "Cents": 7
+   "Cents": 0
  }
`},
		"an error": {func(t testing.TB) { begin(t).Answer(poison).ThenStatus(saga.Running) },
			`then: the saga failed: answer to step reserve of saga purchase/o-1: `},
		"given an error": {func(t testing.TB) { begin(t).Given(orderPlaced.New(placed{})) },
			`given: the saga failed: shop.order.placed.v1 `},
		"no error": {func(t testing.TB) { begin(t).ThenError(errNoInvoice) },
			"error of the handler\ngot  <nil>\nwant no invoice"},
		"no instance": {func(t testing.TB) { tidingstest.Saga(t, newPurchase()).ThenStep("") },
			"no instance: no such saga instance"},
		"no command": {func(t testing.TB) { tidingstest.Saga(t, newPurchase()).Answer(poison) },
			"answer: the saga has sent no command"},
		"there already": {func(t testing.TB) { begin(t).Start("o-1", purchase{}) },
			`start: instance "o-1" is there already`},
		"the real clock": {func(t testing.TB) { begin(t).Advance(time.Hour) },
			"Advance waits for the real clock"},
	} {
		if got := why(t, c.scenario); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s\ngot  %s\nwant %s", what, got, c.want)
		}
	}
}

func TestASagaScenarioHasOtherVersions(t *testing.T) {
	old := saga.New[purchase]("purchase", 1)
	old.Step("charge", func(p purchase) tidings.Event { return charge.New(p) }).Done(charged)
	newer := saga.New[purchase]("purchase", 2)
	newer.Step("reserve", func(p purchase) tidings.Event { return reserve.New(p) })
	tidingstest.Saga(t, old, newer).
		Start("o-1", purchase{Order: "o-1"}).
		When(charged.New(purchase{Order: "o-1"})).
		ThenStatus(saga.Completed)
}

func ExampleSaga() {
	_ = func(t *testing.T) { // a test
		synctest.Test(t, func(t *testing.T) {
			order := purchase{Order: "o-1"}
			tidingstest.Saga(t, newPurchase()).
				Given(orderPlaced.New(placed{"o-1"})).
				Answer(reserved.New(purchase{Cents: 990})).
				ThenSends(charge.New(purchase{"o-1", 990})).
				Advance(time.Hour). // its deadline
				ThenSends(release.New(purchase{"o-1", 990})).
				Answer(released.New(order)).
				ThenStatus(saga.Compensated)
		})
	}
}
