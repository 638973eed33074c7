package shop

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	store "github.com/tidings-io/tidings/store/embedded"
	"github.com/tidings-io/tidings/transport/embedded"
)

// Inside makes all services on a broker inside the program, each with a store of its own there.
// What they publish is in the transaction of their store.
func Inside(ctx context.Context, b *broker.Broker, t *embedded.Transport, opts ...tidings.Option) ([]*Part, error) {
	var parts []*Part
	for _, name := range Names {
		st, err := store.Open(ctx, b, store.Config{Name: "shop." + name, Publisher: t})
		if err != nil {
			return nil, err
		}
		parts = append(parts, New(name, Place{Transport: t, Store: st, Options: opts}))
	}
	return parts, nil
}

// Apart is the place of a service on another broker: its store, and the events that wait in it, are
// on a broker of its own. Close it before that.
func Apart(ctx context.Context, name string, own *broker.Broker, t tidings.Transport,
	opts ...tidings.Option) (Place, error) {
	local := embedded.New(own, embedded.Config{})
	out := store.NewOutbox(local, "shop."+name+".outbox")
	st, err := store.Open(ctx, own, store.Config{Name: "shop." + name, Publisher: out})
	if err != nil {
		return Place{}, fmt.Errorf("place of %s: %w", name, errors.Join(err, local.Close(ctx)))
	}
	return Place{Transport: t, Store: st, Relay: out.Relay(t, opts...), Options: opts, local: local}, nil
}

// RunAll runs services until ctx ends, or one of them does; then all have ended.
func RunAll(ctx context.Context, parts ...*Part) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	errs := make([]error, len(parts))
	for i, p := range parts {
		all.Go(func() {
			defer stop()
			errs[i] = p.Run(ctx)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
