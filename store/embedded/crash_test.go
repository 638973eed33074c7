package embedded_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/projection"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/store/embedded"
	"github.com/tidings-io/tidings/store/storetest"
)

// crashSeeds is how many histories TestEveryCrash plays.
var crashSeeds = flag.Uint64("crash.seeds", 8, "histories of TestEveryCrash")

// TestEveryCrash appends, transacts and projects until the power is cut at a random moment, several
// times over. Then what was acknowledged is there, versions and positions have no gaps, a stream and
// the value that was changed with it agree, and a projection is the fold of the prefix up to its
// checkpoint.
func TestEveryCrash(t *testing.T) {
	for seed := range *crashSeeds {
		w := &crashWorld{t: t, rng: rand.New(rand.NewPCG(seed, 17)), acked: map[string]int64{}}
		w.play()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

type crashWorld struct {
	t     *testing.T
	rng   *rand.Rand
	mu    sync.Mutex
	acked map[string]int64 // versions of streams
}

func (w *crashWorld) play() {
	fs := vfs.NewMem()
	for range 4 {
		b, err := broker.Open("data", broker.Config{FS: fs})
		if err != nil {
			w.t.Fatal(err)
		}
		s := openStore(w.t, b, embedded.Config{})
		w.check(s)
		fs.CutAfter(1 + w.rng.IntN(60))
		w.work(b, s)
		_ = b.Close() // the power is gone
		fs = fs.Crash(w.rng)
	}
}

var (
	crashed  = slog.New(slog.DiscardHandler)
	together = projection.Define("all", 1, projection.On(storetest.Noted,
		func(_ context.Context, tx *embedded.Tx, n storetest.Note, r eventstore.Recorded) error {
			was, _ := tx.Get("all")
			tx.Put("all", append(append([]byte{}, was...), fmt.Sprintf("%s/%d;", r.Stream, r.Version)...))
			return nil
		}))
)

// work goes on until the disk has failed.
func (w *crashWorld) work(b *broker.Broker, s *embedded.Store) {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	go func() {
		select {
		case <-b.Failed():
			cancel()
		case <-ctx.Done():
		}
	}()
	var group sync.WaitGroup
	for i := range 3 {
		group.Go(func() { w.append(ctx, s, fmt.Sprint("s", i%2)) })
	}
	group.Go(func() { w.transact(ctx, s) })
	group.Go(func() {
		_ = together.Run(ctx, s, s.Checkpoints(), projection.Options{Batch: 3, Logger: crashed})
	})
	group.Wait()
}

func (w *crashWorld) append(ctx context.Context, s *embedded.Store, stream string) {
	for {
		v, err := s.Append(ctx, stream, eventstore.Any, note("x"), note("y"))
		if err != nil {
			return // the power is gone
		}
		w.ack(stream, v)
	}
}

func (w *crashWorld) ack(stream string, version int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked[stream] = max(w.acked[stream], version)
}

// transact appends to a stream and counts that in a value.
func (w *crashWorld) transact(ctx context.Context, s *embedded.Store) {
	for {
		version := 0
		err := s.Do(ctx, func(ctx context.Context, tx *embedded.Tx) error {
			was, _ := tx.Get("count")
			version = len(was) + 1
			tx.Put("count", append([]byte{'x'}, was...))
			_, err := tx.Append(ctx, "counted", eventstore.Expect(len(was)), note("z"))
			return err
		})
		if errors.Is(err, eventstore.ErrConflict) {
			w.t.Errorf("a stream and the value that is changed with it: %v", err)
		}
		if err != nil {
			return
		}
		w.ack("counted", int64(version))
	}
}

func (w *crashWorld) check(s *embedded.Store) {
	versions := map[string]int64{}
	at, err := s.Checkpoints().Load(w.t.Context(), together.ID())
	if err != nil {
		w.t.Fatal(err)
	}
	var fold strings.Builder
	position := int64(0)
	for r, err := range s.All(w.t.Context(), 1) {
		if err != nil {
			w.t.Fatal(err)
		}
		versions[r.Stream]++
		position++
		if r.Version != versions[r.Stream] || r.Position != position {
			w.t.Fatalf("stream %s: version %d at %d, want %d at %d", r.Stream, r.Version, r.Position,
				versions[r.Stream], position)
		}
		if position <= at.Position {
			fmt.Fprintf(&fold, "%s/%d;", r.Stream, r.Version)
		}
	}
	for stream, v := range w.acked {
		if versions[stream] < v {
			w.t.Errorf("stream %s has %d events, %d were acknowledged", stream, versions[stream], v)
		}
	}
	if v, _ := s.Get("count"); int64(len(v)) != versions["counted"] {
		w.t.Errorf("the value counts %d, the stream has %d", len(v), versions["counted"])
	}
	if v, _ := s.Get("all"); string(v) != fold.String() || at.Position > position {
		w.t.Errorf("the projection is at %d\n%s\nwhere the fold is\n%s", at.Position, v, fold.String())
	}
}
