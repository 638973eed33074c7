package broker

import (
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

// TestACompanionIsMadeOnceForEachBroker and key.
func TestACompanionIsMadeOnceForEachBroker(t *testing.T) {
	type key struct{ name string }
	a, b := openOn(t, vfs.NewMem()), openOn(t, vfs.NewMem())
	defer a.Close()
	defer b.Close()
	made := 0
	get := func(b *Broker, name string) any {
		return b.Companion(key{name}, func() any { made++; return &made })
	}
	if get(a, "x") != get(a, "x") || made != 1 {
		t.Errorf("made %d for one key", made)
	}
	get(a, "y")
	if get(b, "x"); made != 3 {
		t.Errorf("made %d for three", made)
	}
}
