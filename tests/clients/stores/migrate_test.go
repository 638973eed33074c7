package stores

import (
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tidings-io/tidings/store/postgres"
)

// TestMigrateRunsAtOnceByAnyIsolation: also where Config.Tx sees the database as it was before the
// others.
func TestMigrateRunsAtOnceByAnyIsolation(t *testing.T) {
	for _, level := range []pgx.TxIsoLevel{"", pgx.RepeatableRead, pgx.Serializable} {
		pool := openPool(t, freshDSN(t))
		for round := range 5 {
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					store, err := postgres.New(pool, postgres.Config{Prefix: fmt.Sprintf("round%d_", round),
						Tx: pgx.TxOptions{IsoLevel: level}})
					if err == nil {
						err = store.Migrate(t.Context())
					}
					if err != nil {
						t.Errorf("%q: %v", level, err)
					}
				})
			}
			all.Wait()
		}
	}
}
