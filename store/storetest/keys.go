package storetest

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/tidings-io/tidings/eventstore"
)

// Keys tests what package eventstore promises of stores of keys. open opens an empty one.
func Keys(t *testing.T, open func(t *testing.T) eventstore.Keys) {
	t.Run("a subject has one key until it is erased", func(t *testing.T) { testKeys(t, open(t)) })
	t.Run("many that ask at once get one key", func(t *testing.T) { testOneKey(t, open(t)) })
}

func current(t *testing.T, k eventstore.Keys, subject string) eventstore.Key {
	t.Helper()
	key, err := k.Current(t.Context(), subject)
	if err != nil || key.ID == "" || key.Secret == [32]byte{} {
		t.Fatalf("current key of %s: %v %v", subject, key, err)
	}
	return key
}

func testKeys(t *testing.T, k eventstore.Keys) {
	const long = 300
	first, other := current(t, k, "ann"), current(t, k, strings.Repeat("ü", long/2))
	again := current(t, k, "ann")
	if again != first || first.ID == other.ID || first.Secret == other.Secret {
		t.Errorf("keys %v, again %v, of another %v", first, again, other)
	}
	if found, err := k.Find(t.Context(), first.ID); found != first || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
	for _, subject := range []string{"ann", "ann", "nobody"} {
		if err := k.Erase(t.Context(), subject); err != nil {
			t.Errorf("erase %s: %v", subject, err)
		}
	}
	if _, err := k.Find(t.Context(), first.ID); !errors.Is(err, eventstore.ErrErased) {
		t.Errorf("an erased key: %v", err)
	}
	if _, err := k.Find(t.Context(), "none"); err == nil || errors.Is(err, eventstore.ErrErased) {
		t.Errorf("a key that never was: %v, want an error that is no erasure", err)
	}
	if found, err := k.Find(t.Context(), other.ID); found != other || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
	next := current(t, k, "ann")
	if next.ID == first.ID || next.Secret == first.Secret {
		t.Error("an erased key is back")
	}
	if err := k.Erase(t.Context(), "ann"); err != nil {
		t.Error(err)
	}
	for _, id := range []string{first.ID, next.ID} {
		if _, err := k.Find(t.Context(), id); !errors.Is(err, eventstore.ErrErased) {
			t.Errorf("after two erasures: %v", err)
		}
	}
}

func testOneKey(t *testing.T, k eventstore.Keys) {
	var mu sync.Mutex
	got := map[eventstore.Key]bool{}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			key, err := k.Current(t.Context(), "ann")
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[key] = true
		})
	}
	group.Wait()
	if len(got) != 1 {
		t.Errorf("%d keys", len(got))
	}
}
