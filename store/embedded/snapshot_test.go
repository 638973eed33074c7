package embedded_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/store/embedded"
	"github.com/tidings-io/tidings/store/storetest"
)

// texts grow with each note, and so do their snapshots.
var texts = eventstore.Define("texts",
	eventstore.Apply(storetest.Noted, func(s *string, n storetest.Note) { *s += n.Text }),
	eventstore.SnapshotEvery[string](2, 1), eventstore.WithLogger[string](slog.New(slog.DiscardHandler)))

// A snapshot is a cache, and a value of a store is not large.
func TestASnapshotThatIsTooLargeFailsNoTransaction(t *testing.T) {
	s := openStore(t, openBroker(t, vfs.NewMem()), embedded.Config{})
	const part = broker.MaxFactValue / 4 // in a snapshot, a third more
	for id, notes := range map[string]int{"large": 4, "b": 2, "c": 2} {
		for range notes {
			e := note(strings.Repeat("x", part))
			if _, err := s.Append(t.Context(), texts.Stream(id), eventstore.Any, e); err != nil {
				t.Fatal(err)
			}
		}
	}
	one := func(string) ([]tidings.Event, error) { return []tidings.Event{note("y")}, nil }
	for what, ids := range map[string][]string{"alone": {"large"}, "with others": {"b", "c"}} {
		err := s.Do(t.Context(), func(ctx context.Context, tx *embedded.Tx) error {
			for _, id := range ids {
				if _, _, err := texts.Update(ctx, tx, id, one); err != nil {
					return err
				}
			}
			tx.Put(what, make([]byte, part))
			return nil
		})
		if v, _ := s.Get(what); err != nil || len(v) != part {
			t.Errorf("%s: %v, and a value of %d bytes", what, err, len(v))
		}
	}
	_, b, _ := s.LoadSnapshot(t.Context(), texts.Stream("b"))
	_, c, _ := s.LoadSnapshot(t.Context(), texts.Stream("c"))
	if b == c {
		t.Errorf("of two snapshots, for one of which there is room, kept %t and %t", b, c)
	}
}
