package broker

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage"
	"github.com/tidings-io/tidings/storage/vfs"
)

func mustStreams(t testing.TB, b *Broker) *Streams {
	t.Helper()
	s, err := b.CreateStreams(ctx, "", "s")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustAppend(t testing.TB, s *Streams, stream string, want Expect, recs ...Record) Appended {
	t.Helper()
	a, err := s.Append(ctx, stream, want, recs...)
	if err == nil {
		err = a.Confirm.Wait(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// lines renders events as "stream/version@position value".
func lines(t testing.TB, events iter.Seq2[StreamRecord, error]) []string {
	t.Helper()
	got := []string{}
	for e, err := range events {
		if err != nil {
			t.Fatal(err)
		}
		if e.Position != e.Offset {
			t.Errorf("position %d, offset %d", e.Position, e.Offset)
		}
		got = append(got, fmt.Sprintf("%s/%d@%d %s", e.Stream, e.Version, e.Position, e.Value))
	}
	return got
}

func firstError[T any](events iter.Seq2[T, error]) error {
	for _, err := range events {
		return err
	}
	return nil
}

func TestStreamsKeepVersionsAndPositions(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	s := mustStreams(t, b)
	if a := mustAppend(t, s, "a", NoStream, rec("a1"), rec("a2")); a.Base != 0 || a.Version != 2 {
		t.Errorf("first append: %+v", a)
	}
	mustAppend(t, s, "b", NoStream, rec("b1"))
	mustAppend(t, s, "a", 2, rec("a3"))
	mustAppend(t, s, "b", Any, rec("b2"))
	for range 2 {
		all := []string{"a/1@0 a1", "a/2@1 a2", "b/1@2 b1", "a/3@3 a3", "b/2@4 b2"}
		for from := range all {
			if got := lines(t, s.All(ctx, Offset(from))); !slices.Equal(got, all[from:]) {
				t.Errorf("all from %d: got %q, want %q", from, got, all[from:])
			}
		}
		a := []string{"a/1@0 a1", "a/2@1 a2", "a/3@3 a3"}
		for from := range int64(4) {
			if got := lines(t, s.Read(ctx, "a", from+1)); !slices.Equal(got, a[from:]) {
				t.Errorf("a from %d: got %q, want %q", from+1, got, a[from:])
			}
		}
		if got := lines(t, s.Read(ctx, "none", 1)); len(got) != 0 {
			t.Errorf("stream that is not there: %q", got)
		}
		if s.Version("a") != 3 || s.Version("b") != 2 || s.Version("none") != 0 {
			t.Errorf("versions %d %d %d", s.Version("a"), s.Version("b"), s.Version("none"))
		}
		if start, end := s.Bounds(); start != 0 || end != 5 {
			t.Errorf("bounds %d %d, want 0 5", start, end)
		}
		var err error
		if s, err = openOn(t, fs.Kill()).Streams("", "s"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEventsKeepTheirRecord(t *testing.T) {
	s := mustStreams(t, openOn(t, vfs.NewMem()))
	want := Record{
		Key: []byte("k"), Value: []byte("v"), Time: at(7), Offset: 1,
		Headers: []Header{{"type", []byte("Ordered")}},
	}
	mustAppend(t, s, "x", Any, rec("first"))
	mustAppend(t, s, "y", Any, want)
	for e, err := range s.Read(ctx, "y", 1) {
		if err != nil || fmt.Sprint(e.Record) != fmt.Sprint(want) {
			t.Errorf("got %+v %v, want %+v", e.Record, err, want)
		}
	}
}

func TestWrongVersionIsAConflict(t *testing.T) {
	s := mustStreams(t, openOn(t, vfs.NewMem()))
	mustAppend(t, s, "a", Any, rec("1"), rec("2"))
	for _, want := range []Expect{NoStream, 1, 3} {
		_, err := s.Append(ctx, "a", want, rec("x"))
		var conflict *VersionConflict
		if !errors.As(err, &conflict) || *conflict != (VersionConflict{"a", want, 2}) ||
			KindOf(err) != Conflict {
			t.Errorf("expected %d: got %v", want, err)
		}
	}
	_, err := s.Append(ctx, "new", 1, rec("x"))
	wantKind(t, "version 1 of a stream that is not there", err, Conflict)
	if got := lines(t, s.All(ctx, 0)); len(got) != 2 {
		t.Errorf("refused events were appended: %q", got)
	}
}

// TestConflictIsToldWhenItIsDurable: the append that won is not on disk yet. If the
// loser were told now, a power cut could take back what it was told.
func TestConflictIsToldWhenItIsDurable(t *testing.T) {
	disk := newGate(vfs.NewMem())
	s := mustStreams(t, openOn(t, disk))
	resume := disk.stop()
	a, err := s.Append(ctx, "a", NoStream, rec("winner"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Version("a") != 0 || len(lines(t, s.Read(ctx, "a", 1))) != 0 {
		t.Error("readers see an event that a power cut could take back")
	}
	told := make(chan error)
	go func() {
		_, err := s.Append(ctx, "a", NoStream, rec("loser"))
		told <- err
	}()
	select {
	case err := <-told:
		t.Errorf("told %v before the disk has the winner", err)
	case <-time.After(20 * time.Millisecond):
	}
	resume()
	wantKind(t, "loser", <-told, Conflict)
	if !a.Confirm.Done() {
		t.Error("the winner is not durable")
	}
}

// TestAppendsBuildOnWhatIsNotDurableYet pipelines appends with exact versions.
func TestAppendsBuildOnWhatIsNotDurableYet(t *testing.T) {
	disk := newGate(vfs.NewMem())
	s := mustStreams(t, openOn(t, disk))
	resume := disk.stop()
	var last Appended
	for i := range 200 {
		var err error
		if last, err = s.Append(ctx, "a", Expect(i), rec(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.pending) != 1 || len(s.waiting) != 200 {
		t.Errorf("%d streams and %d appends wait for the disk", len(s.pending), len(s.waiting))
	}
	resume()
	if err := last.Confirm.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	want := []string{"a/199@198 198", "a/200@199 199"}
	if got := lines(t, s.Read(ctx, "a", 199)); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	mustAppend(t, s, "b", NoStream, rec("x"))
	if mustAppend(t, s, "b", 1, rec("y")); len(s.pending) > 1 || len(s.waiting) > 1 {
		t.Errorf("%d streams and %d appends are still remembered", len(s.pending), len(s.waiting))
	}
}

// TestStreamsOfManyBlocks reads streams whose batches lie across index blocks.
func TestStreamsOfManyBlocks(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	s := mustStreams(t, b)
	rng := rand.New(rand.NewPCG(5, 5))
	want := map[string][]string{}
	position := 0
	for range 150 {
		name := fmt.Sprint("stream", rng.IntN(3))
		recs := []Record{}
		for range 1 + rng.IntN(9) {
			version := len(want[name]) + 1
			recs = append(recs, rec(fmt.Sprint(version)))
			want[name] = append(want[name], fmt.Sprintf("%s/%d@%d %d", name, version, position, version))
			position++
		}
		if _, err := s.Append(ctx, name, Expect(len(want[name])-len(recs)), recs...); err != nil {
			t.Fatal(err)
		}
	}
	mustAppend(t, s, "huge", Any, slices.Repeat([]Record{rec("h")}, 1000)...)
	for range 2 {
		for name, all := range want {
			for _, from := range []int{1, 2, 64, 65, 66, 128, 129, len(all), len(all) + 1} {
				if got := lines(t, s.Read(ctx, name, int64(from))); !slices.Equal(got, all[from-1:]) {
					t.Fatalf("%s from %d: got %q, want %q", name, from, got, all[from-1:])
				}
			}
		}
		if got := lines(t, s.Read(ctx, "huge", 990)); len(got) != 11 {
			t.Errorf("huge stream: %q", got)
		}
		var err error
		if s, err = openOn(t, fs.Kill()).Streams("", "s"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestConcurrentAppendsAreLinearizable: of all that expect one version, one wins.
func TestConcurrentAppendsAreLinearizable(t *testing.T) {
	s := mustStreams(t, openOn(t, vfs.NewMem()))
	const workers, each = 6, 20
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for done, version := 0, Expect(0); done < each; {
				a, err := s.Append(ctx, "a", version, rec(fmt.Sprintf("%d:%d", w, done)))
				var conflict *VersionConflict
				switch {
				case errors.As(err, &conflict):
					version = Expect(conflict.Actual)
				case err != nil:
					t.Error(err)
					return
				default:
					version = Expect(a.Version)
					done++
				}
			}
		})
	}
	group.Wait()
	mustAppend(t, s, "a", workers*each, rec("end"))
	next := map[string]int{}
	for e, err := range s.Read(ctx, "a", 1) {
		if err != nil {
			t.Fatal(err)
		}
		var w string
		var n int
		if fmt.Sscanf(string(e.Value), "%1s:%d", &w, &n); w != "e" && next[w] != n {
			t.Errorf("version %d is %s, want number %d of its writer", e.Version, e.Value, next[w])
		}
		next[w]++
	}
}

func TestStreamAppendRefuses(t *testing.T) {
	s := mustStreams(t, openOn(t, vfs.NewMem(), func(c *Config) {
		c.Limits = Limits{StreamName: 5, BatchBytes: 500}
	}))
	for _, c := range []struct {
		what   string
		stream string
		want   Expect
		recs   []Record
		kind   ErrorKind
	}{
		{"no name", "", Any, []Record{{}}, Invalid},
		{"long name", "abcdef", Any, []Record{{}}, TooLarge},
		{"odd expectation", "a", -2, []Record{{}}, Invalid},
		{"no events", "a", Any, nil, Invalid},
		{"large events", "a", Any, []Record{{Value: make([]byte, 500)}}, TooLarge},
		{"reserved header", "a", Any, []Record{{}, {Headers: []Header{{Key: streamHeader}}}}, Invalid},
		{"a time before 1970", "a", Any, []Record{{Time: time.Unix(-9, 0)}}, Invalid},
	} {
		_, err := s.Append(ctx, c.stream, c.want, c.recs...)
		wantKind(t, c.what, err, c.kind)
	}
	wantKind(t, "version 0", firstError(s.Read(ctx, "a", 0)), Invalid)
	wantKind(t, "position -1", firstError(s.All(ctx, -1)), OutOfRange)
	wantKind(t, "position beyond the end", firstError(s.All(ctx, 1)), OutOfRange)
	_, err := s.b.CreateStreams(ctx, "", "s")
	wantKind(t, "same name", err, Exists)
	_, err = s.b.CreateStreams(ctx, "", "a b")
	wantKind(t, "bad name", err, Invalid)
	_, err = s.b.Streams("", "none")
	wantKind(t, "unknown", err, NotFound)
	wantKind(t, "delete unknown", s.b.DeleteStreams(ctx, "", "none"), NotFound)
}

func TestReadersStopWhenAsked(t *testing.T) {
	s := mustStreams(t, openOn(t, vfs.NewMem()))
	for i := range 3 {
		mustAppend(t, s, "a", Expect(2*i), rec("x"), rec("y"))
	}
	for stop := 1; stop <= 6; stop++ {
		for name, events := range map[string]iter.Seq2[StreamRecord, error]{
			"read": s.Read(ctx, "a", 1), "all": s.All(ctx, 0),
		} {
			n := 0
			for range events {
				if n++; n == stop {
					break
				}
			}
			if n != stop {
				t.Errorf("%s: %d events, want %d", name, n, stop)
			}
		}
	}
}

func TestDeletedStreamsLeaveNothing(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	s := mustStreams(t, b)
	for i := range 300 {
		if _, err := s.Append(ctx, fmt.Sprint("stream", i%150), Any, rec("x")); err != nil {
			t.Fatal(err)
		}
	}
	mustAppend(t, s, "long", Any, slices.Repeat([]Record{rec("h")}, 200)...)
	if err := b.DeleteStreams(ctx, "", "s"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Append(ctx, "a", Any, rec("x"))
	wantKind(t, "append", err, NotFound)
	wantKind(t, "read", firstError(s.Read(ctx, "stream1", 1)), NotFound)
	wantKind(t, "read all", firstError(s.All(ctx, 0)), NotFound)
	if s.Version("stream1") != 0 {
		t.Errorf("version %d, want 0", s.Version("stream1"))
	}
	if again := mustStreams(t, b); again.Version("stream1") != 0 {
		t.Errorf("the new store has the old one's stream at version %d", again.Version("stream1"))
	}
	wantNoIndex(t, reopen(t, b, fs))
}

func wantNoIndex(t *testing.T, b *Broker) {
	t.Helper()
	for _, family := range []byte{familyStream, familyTrash} {
		for key := range b.store.Scan([]byte{family}) {
			t.Errorf("key %q is left", key)
		}
	}
}

// TestIndexOfDeletedStreamsIsSweptAfterACrash ends the process between the drop
// and the deletion of the index.
func TestIndexOfDeletedStreamsIsSweptAfterACrash(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	s := mustStreams(t, b)
	for i := range 100 {
		if _, err := s.Append(ctx, fmt.Sprint(i), Any, rec("x")); err != nil {
			t.Fatal(err)
		}
	}
	_, seq, err := b.removeStreams("delete streams", s.name)
	if err == nil {
		err = b.store.Await(ctx, seq)
	}
	if err != nil {
		t.Fatal(err)
	}
	b = openOn(t, fs.Kill())
	if err := b.retain(ctx); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if len(b.trash()) != 0 {
		t.Errorf("trash %v, want none", b.trash())
	}
}

func TestStreamsWakeTheirReaders(t *testing.T) {
	s := mustStreams(t, openOn(t, vfs.NewMem()))
	w := &Waiter{C: make(chan struct{}, 1), MinBytes: 1}
	s.Watch(w)
	defer s.Unwatch(w)
	mustAppend(t, s, "a", Any, rec("x"))
	<-w.C
}

// TestDamagedIndexIsReported points the index at another stream's event.
func TestDamagedIndexIsReported(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	s := mustStreams(t, b)
	mustAppend(t, s, "a", Any, rec("x"))
	mustAppend(t, s, "b", Any, rec("y"))
	for _, c := range []struct {
		what  string
		value []byte
	}{
		{"another stream's position", (&streamHead{version: 1, open: []Offset{1}}).encode()},
		{"a missing block", (&streamHead{version: 65, open: []Offset{1}}).encode()},
		{"malformed", []byte{valueVersion, 9}},
	} {
		var batch storage.Batch
		batch.Put(streamKey(s.log.ID(), "a", headBlock), c.value)
		seq, err := b.store.Submit(&batch)
		if err == nil {
			err = b.store.Await(ctx, seq)
		}
		if err != nil {
			t.Fatal(err)
		}
		wantKind(t, c.what, firstError(s.Read(ctx, "a", 1)), Corrupt)
	}
	_, err := s.Append(ctx, "a", Any, rec("z"))
	wantKind(t, "append", err, Corrupt)
}

// The index of a deleted event store goes piece by piece. Who reads meanwhile must not take
// that for damage.
func TestReadingADeletedEventStoreIsNotDamage(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	s, err := b.CreateStreams(ctx, "", "s")
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Append(ctx, "a", Any, make([]Record, 3*blockEvents)...)
	if err == nil {
		err = a.Confirm.Wait(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err = range s.Read(ctx, "a", 1) {
		if n++; n == 1 {
			if err := b.DeleteStreams(ctx, "", "s"); err != nil {
				t.Fatal(err)
			}
			mustTopic(t, b, TopicSpec{Name: "later"}) // the end of the index is on disk before it
		}
	}
	wantKind(t, "read", err, NotFound)
}
