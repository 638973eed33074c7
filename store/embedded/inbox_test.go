package embedded_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings/inbox"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/store/embedded"
	"github.com/tidings-io/tidings/store/storetest"
)

// counters are values of the user as storetest wants them.
type counters struct{ *embedded.Store }

func (c counters) Do(ctx context.Context, fn func(tx *embedded.Tx) error) error {
	return c.Store.Do(ctx, func(_ context.Context, tx *embedded.Tx) error { return fn(tx) })
}

func (c counters) Count(_ context.Context, tx *embedded.Tx, name string) (int64, error) {
	v, _ := tx.Get("counter/" + name)
	n, _ := strconv.ParseInt(string(v), 10, 64) // none is 0
	tx.Put("counter/"+name, strconv.AppendInt(nil, n+1, 10))
	return n + 1, nil
}

func (c counters) Counts(context.Context) (map[string]int64, error) {
	all := map[string]int64{}
	for key, v := range c.Values("counter/") {
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil {
			return nil, err
		}
		all[key[len("counter/"):]] = n
	}
	return all, nil
}

func TestInbox(t *testing.T) {
	storetest.Inbox(t, func(t *testing.T) storetest.InboxHarness[*embedded.Tx] {
		s := openStore(t, openBroker(t, vfs.NewMem()), embedded.Config{})
		return storetest.InboxHarness[*embedded.Tx]{Store: inbox.Store[*embedded.Tx](s), Database: counters{s}}
	})
}

func nothing(context.Context, *embedded.Tx) error { return nil }

func TestAnErrorOfAHandlerIsReturnedAsItIs(t *testing.T) {
	s := openStore(t, openBroker(t, vfs.NewMem()), embedded.Config{})
	broke := errors.New("no funds")
	_, err := s.Once(t.Context(), "g", "1", func(context.Context, *embedded.Tx) error { return broke })
	if err != broke { //nolint:errorlint // as it is
		t.Errorf("got %#v, want %#v", err, broke)
	}
}

// meddling is a context that does something when a transaction is about to commit.
type meddling struct {
	context.Context
	once func()
}

func (m meddling) Done() <-chan struct{} {
	m.once()
	return m.Context.Done()
}

func TestPruneLeavesWhatWasHandledMeanwhile(t *testing.T) {
	s := openStore(t, openBroker(t, vfs.NewMem()), embedded.Config{})
	if _, err := s.Once(t.Context(), "g", "1", nothing); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Millisecond) // ages have milliseconds
	meddle := meddling{t.Context(), sync.OnceFunc(func() {
		if n, err := s.Prune(t.Context(), time.Millisecond); n != 1 || err != nil {
			t.Errorf("another prune: %d, %v", n, err)
		}
		if already, err := s.Once(t.Context(), "g", "1", nothing); already || err != nil {
			t.Errorf("handled again after a prune: already %t, %v", already, err)
		}
	})}
	if n, err := s.Prune(meddle, time.Millisecond); n != 0 || err != nil {
		t.Errorf("pruned %d, %v, want none: what is there now is young", n, err)
	}
	if already, err := s.Once(t.Context(), "g", "1", nothing); !already || err != nil {
		t.Errorf("delivered again: already %t, %v", already, err)
	}
}
