package tidingstest_test

import (
	"testing"

	"github.com/tidings-io/tidings/store/storetest"
	"github.com/tidings-io/tidings/tidingstest"
)

func TestSagas(t *testing.T) {
	storetest.RunSagas(t, func(*testing.T) storetest.Sagas {
		transport := tidingstest.NewTransport()
		return storetest.Sagas{Store: tidingstest.NewSagas(transport), Transport: transport}
	})
}
