package embedded_test

import (
	"context"
	"testing"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/saga"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/store/embedded"
	"github.com/tidings-io/tidings/store/storetest"
	transport "github.com/tidings-io/tidings/transport/embedded"
)

func TestSagas(t *testing.T) {
	storetest.RunSagas(t, func(t *testing.T) storetest.Sagas {
		disk := vfs.NewMem()
		b, err := broker.Open("data", broker.Config{FS: disk})
		if err != nil {
			t.Fatal(err)
		}
		tr := transport.New(b, transport.Config{})
		stop := func() {
			tr.Close(context.WithoutCancel(t.Context()))
			b.Close()
		}
		t.Cleanup(stop)
		s := openStore(t, b, embedded.Config{Publisher: tr})
		return storetest.Sagas{Store: s.Sagas(), Transport: tr, Reopen: func() saga.Store {
			stop()
			return openStore(t, openBroker(t, disk), embedded.Config{}).Sagas()
		}}
	})
}
