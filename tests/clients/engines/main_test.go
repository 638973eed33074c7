package engines

import (
	"flag"
	"os"
	"runtime"
	"testing"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(orphanEnv); name != "" {
		os.Exit(abandon(name))
	}
	flag.Parse()
	os.Exit(Main(m.Run))
}

// orphanEnv makes the test binary a process that starts the engine which it names and stays.
const orphanEnv = "TIDINGS_ENGINE_TO_ABANDON"

// recipes are all engines.
var recipes = []recipe{kafka, rabbitMQ, postgres, moto}

// verdict is a test that is told how it ends, and remembers it.
type verdict struct {
	testing.TB
	failed, skipped bool
}

func (v *verdict) Helper()               {}
func (v *verdict) Fatalf(string, ...any) { v.failed = true; runtime.Goexit() }
func (v *verdict) Skipf(string, ...any)  { v.skipped = true; runtime.Goexit() }

// judge runs a test to its end.
func judge(t *testing.T, test func(testing.TB)) *verdict {
	v := &verdict{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(v)
	}()
	<-done
	return v
}
