package embedded_test

import (
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
