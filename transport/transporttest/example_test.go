package transporttest_test

import (
	"testing"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
	"github.com/tidings-io/tidings/transport/transporttest"
)

func ExampleRun() {
	_ = func(t *testing.T) { // a test
		broker := tidingstest.NewTransport()
		transporttest.Run(t, transporttest.Harness{
			New:     func(testing.TB) tidings.Transport { return broker },
			Cut:     func(testing.TB) (tidings.Transport, func()) { return broker, broker.Crash },
			Kill:    func(testing.TB) { broker.Crash() },
			Restart: func(testing.TB) {},
			Skip:    map[string]string{"ReceiveHonoursMax": "this is how a test is skipped"},
		})
	}
}
