package need

import (
	"runtime"
	"testing"
)

// verdict is a test that is told how it ends, and remembers it.
type verdict struct {
	testing.TB
	end string
}

func (v *verdict) Helper()               {}
func (v *verdict) Fatalf(string, ...any) { v.end = "failed"; runtime.Goexit() }
func (v *verdict) Skipf(string, ...any)  { v.end = "skipped"; runtime.Goexit() }

// TestAMissingProgramSkipsATestUnlessItIsNeeded and a name is needed as a whole.
func TestAMissingProgramSkipsATestUnlessItIsNeeded(t *testing.T) {
	before := *names
	defer func() { *names = before }()
	*names = "kafka,postgres"
	for name, want := range map[string]string{"kafka": "failed", "postgres": "failed", "moto": "skipped", "post": "skipped"} {
		v := &verdict{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			Without(v, name, "nobody installed it")
		}()
		<-done
		if v.end != want {
			t.Errorf("without %s the test %s, want %s", name, v.end, want)
		}
	}
}
