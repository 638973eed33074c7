package shop

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/inbox"
	"github.com/tidings-io/tidings/store/embedded"
	local "github.com/tidings-io/tidings/transport/embedded"
)

// Place is where a service lives: the broker that it talks through, and a store of its own.
type Place struct {
	Transport tidings.Transport
	Store     *embedded.Store
	// Relay publishes what the store's transactions published, where the store is not on the broker
	// that the service talks through; else nil.
	Relay *tidings.Service
	// Options are for the service.
	Options []tidings.Option

	local *local.Transport // of the relay
}

// Close ends what a place apart has of its own.
func (p Place) Close(ctx context.Context) error {
	if p.local == nil {
		return nil
	}
	return p.local.Close(ctx)
}

// Part is a service of the shop with what runs beside it.
type Part struct {
	*tidings.Service
	place Place
}

// Run runs the service, the relay of its outbox, and what keeps its inbox small, until ctx ends or
// one of them does.
func (p Part) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var beside sync.WaitGroup
	var relayed error
	beside.Go(func() { inbox.Keep(ctx, p.place.Store, remember) })
	if p.place.Relay != nil {
		beside.Go(func() {
			defer stop()
			relayed = p.place.Relay.Run(ctx)
		})
	}
	err := p.Service.Run(ctx)
	stop()
	beside.Wait()
	return errors.Join(err, relayed)
}

// An event that was handled is remembered for longer than it may come again: brokers keep what is
// not acknowledged for days, and dead letters are put back by people.
const remember = 14 * 24 * time.Hour

// part makes a service in a place.
func (p Place) part(name string, policy tidings.Policy, routes ...tidings.Route) Part {
	s := tidings.NewService(name, p.Transport, p.Options...)
	return Part{s.Subscribe(policy, routes...), p}
}

// Names are the services of the shop.
var Names = []string{"order", "payment", "inventory", "shipping", "notification"}

// New makes the service of a name in a place; an unknown name is nil.
func New(name string, p Place) *Part {
	make := map[string]func(Place) Part{"order": newOrder, "payment": newPayment, "inventory": newInventory,
		"shipping": newShipping, "notification": newNotification}[name]
	if make == nil {
		return nil
	}
	part := make(p)
	return &part
}

// Quiet is an option for services whose failures are wanted.
func Quiet() tidings.Option { return tidings.WithLogger(slog.New(slog.DiscardHandler)) }
