package inbox

import (
	"context"
	"log/slog"
	"time"
)

// PruneEvery is how often Keep prunes.
const PruneEvery = time.Hour

// Pruner is a Store as Keep sees it.
type Pruner interface {
	Prune(ctx context.Context, olderThan time.Duration) (n int, err error)
}

// Keep has a store forget what is older than an age, at once and every PruneEvery, until ctx ends. What
// fails is logged to slog.Default and tried again the next time. Several may run for one store.
//
// The age must exceed every way on which an event may come again: see the package.
func Keep(ctx context.Context, store Pruner, age time.Duration) {
	tick := time.NewTicker(PruneEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if n, err := store.Prune(ctx, age); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "inbox: prune", "pruned", n, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}
