package embedded_test

import (
	"context"
	"strconv"
	"testing"

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
