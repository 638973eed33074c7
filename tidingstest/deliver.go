package tidingstest

import (
	"context"
	"log/slog"

	"github.com/tidings-io/tidings"
)

func silent() tidings.Option { return tidings.WithLogger(slog.New(slog.DiscardHandler)) }

// Deliver runs the handler that takes an event among routes, once, in a service "test" of its own
// that publishes to nobody, and returns its error: tidings.ErrNoRoute where no route takes it. For
// the routes of a service there is tidings.Service.Handle.
func Deliver(ctx context.Context, e tidings.Event, routes ...tidings.Route) error {
	s := tidings.NewService("test", NewTransport(), silent())
	return s.Subscribe(tidings.Policy{}, routes...).Handle(ctx, e)
}
