package embedded_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/store/embedded"
	"github.com/tidings-io/tidings/store/storetest"
)

func openBroker(t testing.TB, fs vfs.FS) *broker.Broker {
	t.Helper()
	b, err := broker.Open("data", broker.Config{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func openStore(t testing.TB, b *broker.Broker, c embedded.Config) *embedded.Store {
	t.Helper()
	s, err := embedded.Open(t.Context(), b, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEventStore(t *testing.T) {
	storetest.EventStore(t, func(t *testing.T) eventstore.Store {
		return openStore(t, openBroker(t, vfs.NewMem()), embedded.Config{})
	})
}

func TestProjection(t *testing.T) {
	storetest.Projection(t, func(t *testing.T) storetest.Projected[*embedded.Tx] {
		return projected(openStore(t, openBroker(t, vfs.NewMem()), embedded.Config{}))
	})
}

func projected(s *embedded.Store) storetest.Projected[*embedded.Tx] {
	return storetest.Projected[*embedded.Tx]{Store: s, Checkpoints: s.Checkpoints(),
		Append: func(_ context.Context, tx *embedded.Tx, key, text string) error {
			was, _ := tx.Get(key)
			tx.Put(key, append(slices.Clip(was), text...))
			return nil
		},
		Text: func(_ context.Context, key string) (string, error) {
			v, _ := s.Get(key)
			return string(v), nil
		}}
}

func TestKeys(t *testing.T) {
	storetest.Keys(t, func(t *testing.T) eventstore.Keys {
		return openStore(t, openBroker(t, vfs.NewMem()), embedded.Config{}).Keys()
	})
}

func TestAFollowerEndsWithItsBroker(t *testing.T) {
	b := openBroker(t, vfs.NewMem())
	s := openStore(t, b, embedded.Config{})
	if _, err := s.Append(t.Context(), "a", eventstore.Any, note("x")); err != nil {
		t.Fatal(err)
	}
	for r, err := range s.Follow(t.Context(), 1) {
		if err != nil {
			if !errors.Is(err, broker.Closed) {
				t.Errorf("got %v, want that the broker is closed", err)
			}
			return
		}
		if r.Position == 1 {
			go b.Close()
		}
	}
	t.Error("it ended without an error")
}
