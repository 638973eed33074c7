package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/store/embedded"
	"github.com/tidings-io/tidings/store/storetest"
)

func note(text string) tidings.Event { return storetest.Noted.New(storetest.Note{Text: text}) }

// enlisted publishes into a stream of its own, so that a test sees what became of it.
type enlisted struct{ streams *broker.Streams }

func (p enlisted) Enlist(tx *broker.Tx, events ...tidings.Event) error {
	for _, e := range events {
		rec := broker.Record{Value: []byte(e.Source + " " + e.Causation)}
		tx.AppendStream(p.streams, e.Topic, broker.Any, []broker.Record{rec})
	}
	return nil
}

func (p enlisted) EnlistAt(tx *broker.Tx, at time.Time, events ...tidings.Event) error {
	for i := range events {
		events[i].Topic += " at " + at.Format("15:04")
	}
	return p.Enlist(tx, events...)
}

func (p enlisted) all(t *testing.T) (out []string) {
	t.Helper()
	for r, err := range p.streams.All(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s: %s", r.Stream, r.Value))
	}
	return out
}

func publishing(t *testing.T, fs vfs.FS) (*embedded.Store, enlisted) {
	t.Helper()
	b := openBroker(t, fs)
	streams, err := b.CreateStreams(t.Context(), "", "published")
	if err != nil {
		t.Fatal(err)
	}
	return openStore(t, b, embedded.Config{Publisher: enlisted{streams}}), enlisted{streams}
}

func streamOf(t *testing.T, s eventstore.Streams, stream string) (out []string) {
	t.Helper()
	for r, err := range s.Read(t.Context(), stream, 1) {
		if err != nil {
			t.Fatal(err)
		}
		n, err := storetest.Noted.Decode(r.Event)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, n.Text)
	}
	return out
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s\ngot  %q\nwant %q", what, got, want)
	}
}

func TestATransactionDoesAllOrNothing(t *testing.T) {
	s, published := publishing(t, vfs.NewMem())
	cause := note("cause")
	ctx := tidings.Handling(t.Context(), "shop", "shop", &cause)
	change := func(tx *embedded.Tx, err error) error {
		_, appended := tx.Append(ctx, "a", eventstore.Any, note("1"), note("2"))
		tx.Put("k", []byte("v"))
		tx.Put("gone", nil)
		tx.Delete("gone")
		return errors.Join(appended, tx.Publish(ctx, note("p")),
			tx.PublishAt(ctx, time.Date(2030, 1, 1, 12, 30, 0, 0, time.UTC), note("q")), err)
	}
	broke := errors.New("broke")
	if err := s.Do(ctx, func(_ context.Context, tx *embedded.Tx) error { return change(tx, broke) }); !errors.Is(err, broke) {
		t.Errorf("got %v", err)
	}
	if _, ok := s.Get("k"); ok || len(streamOf(t, s, "a"))+len(published.all(t)) > 0 {
		t.Error("a transaction that failed has left something")
	}
	if err := s.Do(ctx, func(_ context.Context, tx *embedded.Tx) error { return change(tx, nil) }); err != nil {
		t.Fatal(err)
	}
	same(t, "appended", streamOf(t, s, "a"), []string{"1", "2"})
	same(t, "published", published.all(t), []string{"notes: shop " + cause.ID, "notes at 12:30: shop " + cause.ID})
	var values []string
	for key, v := range s.Values("") {
		values = append(values, key+"="+string(v))
	}
	same(t, "values", values, []string{"k=v"})
}

func TestAStoreWithoutAPublisherRefusesToPublish(t *testing.T) {
	s := openStore(t, openBroker(t, vfs.NewMem()), embedded.Config{})
	err := s.Do(t.Context(), func(ctx context.Context, tx *embedded.Tx) error { return tx.Publish(ctx, note("")) })
	if !errors.Is(err, tidings.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

func TestTransactionsAreSerializable(t *testing.T) {
	s := openStore(t, openBroker(t, vfs.NewMem()), embedded.Config{})
	const workers, each = 6, 30
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := range each {
				err := s.Do(t.Context(), func(_ context.Context, tx *embedded.Tx) error {
					a, _ := tx.Get("a")
					b, _ := tx.Get("b")
					if len(a) != len(b) {
						return fmt.Errorf("a has %d, b %d", len(a), len(b))
					}
					if (w+i)%7 == 0 {
						return nil // it only reads
					}
					tx.Put("a", append(slices.Clone(a), 'x'))
					tx.Put("b", append(slices.Clone(b), 'x'))
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	want := 0
	for w := range workers {
		for i := range each {
			if (w+i)%7 != 0 {
				want++
			}
		}
	}
	if v, _ := s.Get("a"); len(v) != want {
		t.Errorf("%d changes, want %d", len(v), want)
	}
}

func TestATransactionSeesWhatItHasChanged(t *testing.T) {
	s := openStore(t, openBroker(t, vfs.NewMem()), embedded.Config{})
	err := s.Do(t.Context(), func(ctx context.Context, tx *embedded.Tx) error {
		tx.Put("k", []byte("v"))
		if v, ok := tx.Get("k"); string(v) != "v" || !ok {
			return fmt.Errorf("k is %q %t", v, ok)
		}
		if v, err := tx.Append(ctx, "a", 0, note("1")); v != 1 || err != nil {
			return fmt.Errorf("version %d, %w", v, err)
		}
		if v, err := tx.Append(ctx, "a", 1, note("2")); v != 2 || err != nil {
			return fmt.Errorf("version %d, %w", v, err)
		}
		for range tx.Read(ctx, "a", 2) {
			break
		}
		same(t, "within", streamOf(t, tx, "a"), []string{"1", "2"})
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	same(t, "after", streamOf(t, s, "a"), []string{"1", "2"})
}

func TestATransactionThatHasReadAStreamRunsAgainAfterAConflict(t *testing.T) {
	s := openStore(t, openBroker(t, vfs.NewMem()), embedded.Config{})
	runs := 0
	err := s.Do(t.Context(), func(ctx context.Context, tx *embedded.Tx) error {
		seen := streamOf(t, tx, "a")
		if runs++; runs < 3 {
			if _, err := s.Append(ctx, "a", eventstore.Any, note("other")); err != nil {
				return err
			}
		}
		_, err := tx.Append(ctx, "a", eventstore.Expect(len(seen)), note(fmt.Sprint("after ", len(seen))))
		return err
	})
	if err != nil || runs != 3 {
		t.Errorf("%d runs, %v", runs, err)
	}
	same(t, "a", streamOf(t, s, "a"), []string{"other", "other", "after 2"})
}

func TestAConflictThatReadingAgainDoesNotMendIsTold(t *testing.T) {
	s := openStore(t, openBroker(t, vfs.NewMem()), embedded.Config{})
	for _, reads := range []bool{false, true} {
		runs := 0
		err := s.Do(t.Context(), func(ctx context.Context, tx *embedded.Tx) error {
			if runs++; reads {
				streamOf(t, tx, "a")
			}
			_, err := tx.Append(ctx, "a", 7, note(""))
			return err
		})
		c, ok := errors.AsType[*eventstore.ConflictError](err)
		if !ok || *c != (eventstore.ConflictError{Stream: "a", Expected: 7, Actual: 0}) || runs != 1 {
			t.Errorf("%d runs, %v", runs, err)
		}
	}
}

func TestLimitsOfValuesAreErrors(t *testing.T) {
	s := openStore(t, openBroker(t, vfs.NewMem()), embedded.Config{})
	for _, c := range []struct {
		key   string
		bytes int
		kind  error
	}{{strings.Repeat("k", embedded.MaxKey), broker.MaxFactValue, nil}, {strings.Repeat("k", 600), 0, broker.TooLarge},
		{"k", broker.MaxFactValue + 1, broker.TooLarge}} {
		err := s.Do(t.Context(), func(_ context.Context, tx *embedded.Tx) error {
			tx.Put(c.key, make([]byte, c.bytes))
			return nil
		})
		if !errors.Is(err, c.kind) {
			t.Errorf("%d bytes of key, %d of value: %v", len(c.key), c.bytes, err)
		}
	}
	if _, err := embedded.Open(t.Context(), openBroker(t, vfs.NewMem()), embedded.Config{Name: strings.Repeat("n", 200)}); err == nil {
		t.Error("a name that leaves no room for keys was taken")
	}
}

func TestOnceHandlesAnEventOnce(t *testing.T) {
	fs := vfs.NewMem()
	s := openStore(t, openBroker(t, fs), embedded.Config{})
	const ids, deliveries = 40, 4
	var group sync.WaitGroup
	for d := range deliveries {
		group.Go(func() {
			for i := range ids {
				id := fmt.Sprint(i, strings.Repeat("x", i*10)) // short ones and long ones
				for attempt := 0; ; attempt++ {
					_, err := s.Once(t.Context(), "g", id, func(_ context.Context, tx *embedded.Tx) error {
						n, _ := tx.Get("effects")
						tx.Put("effects", append(slices.Clone(n), 'x'))
						if (i+d+attempt)%3 == 0 {
							return errors.New("it fails after its effect")
						}
						return nil
					})
					if err == nil {
						break
					}
				}
			}
		})
	}
	group.Wait()
	for range 2 {
		if v, _ := s.Get("effects"); len(v) != ids {
			t.Errorf("%d effects, want %d", len(v), ids)
		}
		already, err := s.Once(t.Context(), "g", "0", func(context.Context, *embedded.Tx) error { return errors.New("called") })
		if !already || err != nil {
			t.Errorf("already %t, %v", already, err)
		}
		s = openStore(t, openBroker(t, fs.Kill()), embedded.Config{})
	}
	already, err := s.Once(t.Context(), "other", "0", func(context.Context, *embedded.Tx) error { return nil })
	if already || err != nil {
		t.Errorf("another group: already %t, %v", already, err)
	}
}

func TestAFullInboxRefusesUntilItIsPruned(t *testing.T) {
	s := openStore(t, openBroker(t, vfs.NewMem()), embedded.Config{MaxOnce: 3})
	nothing := func(context.Context, *embedded.Tx) error { return nil }
	once := func(id string) error {
		_, err := s.Once(t.Context(), "g", id, nothing)
		return err
	}
	for _, id := range []string{"1", "2", "3"} {
		if err := once(id); err != nil {
			t.Fatal(err)
		}
	}
	if err := once("4"); !errors.Is(err, embedded.ErrInboxFull) {
		t.Errorf("got %v, want that it is full", err)
	}
	if err := once("3"); err != nil {
		t.Errorf("one that is remembered: %v", err)
	}
	if n, err := s.Prune(t.Context(), time.Hour); n != 0 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
	if _, err := s.Prune(t.Context(), 0); err == nil {
		t.Error("an age of nothing was taken")
	}
	time.Sleep(5 * time.Millisecond) // ages have milliseconds
	if n, err := s.Prune(t.Context(), time.Millisecond); n != 3 || err != nil {
		t.Errorf("pruned %d, %v, want 3", n, err)
	}
	if err := once("4"); err != nil {
		t.Errorf("after a prune: %v", err)
	}
}
