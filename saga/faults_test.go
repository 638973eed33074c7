package saga_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/saga"
	"github.com/tidings-io/tidings/tidingstest"
)

// hands do the commands of a saga, each once, as handlers with an inbox do: effect and answer are
// there together or not at all, and a command that has been answered is not answered again.
type hands struct {
	to *tidings.Service

	mu      sync.Mutex
	handled map[string]bool
	effects map[string]int // by what was answered, and the order
}

// handle declines every third charge, and loses what is shipped by the first command.
func (h *hands) handle(ctx context.Context, m tidings.Msg[order]) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.handled[m.Source+m.ID] {
		return nil
	}
	answer := map[string]*tidings.Type[order]{reserve.Name(): reserved, release.Name(): released,
		charge.Name(): charged, ship.Name(): shipped}[m.Type]
	switch {
	case answer == charged && strings.HasSuffix(m.Data.Order, "3"):
		answer = declined
	case answer == shipped && h.effects[lost.Name()+m.Data.Order] == 0:
		answer = lost
	}
	e := answer.New(m.Data, tidings.WithID(tidings.DerivedID("answer", m.ID)))
	if err := h.to.Publish(ctx, e); err != nil {
		return err
	}
	h.handled[m.Source+m.ID] = true
	h.effects[answer.Name()+m.Data.Order]++
	return nil
}

// TestUnderFaultsEachStepIsDoneOnceOrUndone: acknowledgements and answers of the broker are lost,
// deliveries come twice and in another order, and handlers do each command once.
func TestUnderFaultsEachStepIsDoneOnceOrUndone(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			runUnderFaults(t, tidingstest.Faults{Seed: seed,
				DropAcks: 0.1, Duplicate: 0.2, FailPublish: 0.1, Reorder: 5})
		})
	}
}

func runUnderFaults(t *testing.T, faults tidingstest.Faults) {
	const orders = 10
	broker := tidingstest.NewTransport(tidingstest.WithLease(5*time.Second),
		tidingstest.WithFaults(faults))
	sagas := tidingstest.NewSagas(broker)
	often := tidings.Policy{Immediate: 1000}
	quiet := tidings.WithLogger(slog.New(slog.DiscardHandler))
	d := reserving(1, time.Hour)
	service := tidings.NewService("orders", broker, quiet).Subscribe(often, saga.Routes(sagas, d)...)
	others := tidings.NewService("others", broker, quiet)
	h := &hands{to: others, handled: map[string]bool{}, effects: map[string]int{}}
	for _, c := range []*tidings.Command[order]{reserve, release, charge, ship} {
		p := often
		p.Group = c.Topic()
		others.Subscribe(p, tidings.Handle(c, h.handle))
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, s := range []*tidings.Service{service, others} {
		running.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		<-s.Ready()
	}
	for i := range orders {
		id := fmt.Sprint("o-", i)
		for {
			if _, err := d.Start(ctx, sagas, id, checkout{Order: id}); err == nil {
				break
			}
		}
	}
	time.Sleep(50 * time.Minute) // of the bubble: less than the deadlines of steps
	stop()
	running.Wait()
	for in, err := range d.All(t.Context(), sagas, saga.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		h.check(t, in)
	}
}

func (h *hands) check(t *testing.T, in saga.Instance[checkout]) {
	want := map[*tidings.Type[order]]int{reserved: 1, charged: 1, lost: 1, shipped: 1}
	status := saga.Completed
	if strings.HasSuffix(in.ID, "3") {
		want = map[*tidings.Type[order]]int{reserved: 1, declined: 1, released: 1}
		status = saga.Compensated
	}
	equal(t, in.ID, in.Status, status)
	for _, typ := range []*tidings.Type[order]{reserved, released, charged, declined, lost, shipped} {
		equal(t, in.ID+" "+typ.Name(), h.effects[typ.Name()+in.ID], want[typ])
	}
}
