package tidingstest_test

import (
	"testing"

	"github.com/tidings-io/tidings/saga"
	"github.com/tidings-io/tidings/store/storetest"
	"github.com/tidings-io/tidings/tidingstest"
)

func TestSagas(t *testing.T) {
	storetest.RunSagas(t, func(*testing.T) storetest.Sagas {
		transport := tidingstest.NewTransport()
		return storetest.Sagas{Store: tidingstest.NewSagas(transport), Transport: transport}
	})
}

// Nothing waits while the function of an Update runs: it may look at the store, and what another one
// has changed meanwhile has it called again.
func TestAnUpdateRunsUnderNoLock(t *testing.T) {
	s, calls := tidingstest.NewSagas(tidingstest.NewTransport()), 0
	begin := func(rec *saga.Record) ([]saga.Outgoing, error) {
		rec.Version, rec.Attempt = 1, rec.Attempt+1
		return nil, nil
	}
	err := s.Update(t.Context(), "s", "id", func(rec *saga.Record) ([]saga.Outgoing, error) {
		if calls++; calls == 1 {
			if err := s.Update(t.Context(), "s", "id", begin); err != nil {
				t.Error(err)
			}
		}
		return begin(rec)
	})
	rec, loadErr := s.Load(t.Context(), "s", "id")
	if err != nil || loadErr != nil || calls != 2 || rec.Attempt != 2 {
		t.Errorf("%d calls, %d changes, %v, %v; want two of each", calls, rec.Attempt, err, loadErr)
	}
}
