package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/eventstore"
)

// Note is what the suites append.
type Note struct{ Text string }

// Noted is the event of the suites.
var Noted = tidings.Define[Note]("notes", "storetest.noted.v1")

func note(text string) tidings.Event { return Noted.New(Note{text}) }

func notes(n int) []tidings.Event { return slices.Repeat([]tidings.Event{note("")}, n) }

// EventStore tests what package eventstore promises of a Store. open opens an empty one; the test
// closes it by t.Cleanup.
func EventStore(t *testing.T, open func(t *testing.T) eventstore.Store) {
	for name, test := range map[string]func(*testing.T, eventstore.Store){
		"versions and positions have no gaps":                  testPlaces,
		"events come back as they were appended":               testWhole,
		"another version is a conflict":                        testConflict,
		"the same append again is success":                     testAgain,
		"what is too much or makes no sense is refused":        testRefused,
		"what could not be read back is refused":               testUnreadable,
		"an append is stamped with its context":                testStamp,
		"reading ends with its context":                        testEnded,
		"a follower catches up and stays live":                 testFollow,
		"appends are linearizable by expected version":         testLinearizable,
		"no reader sees a position before all smaller ones":    testNoGaps,
		"updates of an aggregate lose nothing":                 testUpdates,
		"snapshots are a cache":                                testSnapshots,
		"a snapshot is not used for a time before it":          testSnapshotsInTime,
		"snapshots of another schema are not used":             testSchema,
		"a large append is read whole, and from its middle on": testLarge,
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func appendTo(t *testing.T, s eventstore.Streams, stream string, at eventstore.Expect,
	events ...tidings.Event) int64 {
	t.Helper()
	version, err := s.Append(t.Context(), stream, at, events...)
	if err != nil {
		t.Fatalf("append to %s at %d: %v", stream, at, err)
	}
	return version
}

// places renders events as "stream/version@position text".
func places(t *testing.T, events func(func(eventstore.Recorded, error) bool)) (out []string) {
	t.Helper()
	for r, err := range events {
		if err != nil {
			t.Fatal(err)
		}
		data, err := Noted.Decode(r.Event)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s/%d@%d %s", r.Stream, r.Version, r.Position, data.Text))
	}
	return out
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s\ngot  %q\nwant %q", what, got, want)
	}
}

func testPlaces(t *testing.T, s eventstore.Store) {
	if head, err := s.Head(t.Context()); head != 0 || err != nil {
		t.Errorf("head of nothing: %d, %v", head, err)
	}
	same(t, "all of nothing", places(t, s.All(t.Context(), 1)), nil)
	if v := appendTo(t, s, "a", eventstore.NoStream, note("a1"), note("a2")); v != 2 {
		t.Errorf("version %d, want 2", v)
	}
	appendTo(t, s, "ä/1", eventstore.Any, note("b1"))
	appendTo(t, s, "a", 2, note("a3"))
	if v := appendTo(t, s, "ä/1", eventstore.Any, note("b2")); v != 2 {
		t.Errorf("version with any %d, want 2", v)
	}
	all := []string{"a/1@1 a1", "a/2@2 a2", "ä/1/1@3 b1", "a/3@4 a3", "ä/1/2@5 b2"}
	for from := range int64(7) {
		want := all[min(max(from-1, 0), 5):]
		same(t, fmt.Sprint("all from ", from), places(t, s.All(t.Context(), from)), want)
	}
	a := []string{"a/1@1 a1", "a/2@2 a2", "a/3@4 a3"}
	for from := range int64(6) {
		want := a[min(max(from-1, 0), 3):]
		same(t, fmt.Sprint("a from ", from), places(t, s.Read(t.Context(), "a", from)), want)
	}
	same(t, "no stream", places(t, s.Read(t.Context(), "none", 1)), nil)
	if head, err := s.Head(t.Context()); head != 5 || err != nil {
		t.Errorf("head %d, %v, want 5", head, err)
	}
	for range s.All(t.Context(), 1) {
		break // a reader may stop
	}
}

func testWhole(t *testing.T, s eventstore.Store) {
	want := Noted.New(Note{"ü"}, tidings.WithKey("k\x01\"'"), tidings.WithSubject("subject"),
		tidings.WithExtension("tenant", "t\n1"),
		tidings.WithTime(time.Date(1955, 11, 5, 6, 15, 0, 123456789, time.UTC)))
	want.Source, want.Schema, want.ReplyTo = "/s", "https://example.com/s", "r"
	want.Correlation, want.Causation = "co", "ca"
	want.TraceParent, want.TraceState = "00-x-y-01", "a=b"
	binary := note("")
	binary.ContentType, binary.Payload = "application/octet-stream", []byte{0, 255, 1}
	binary.Source = "/s"
	binary.Kind, binary.Topic, binary.Correlation = tidings.KindCommand, "group", "c"
	empty := note("")
	empty.Payload, empty.ContentType, empty.Source, empty.Correlation = nil, "", "/s", "c"
	began := time.Now().Add(-time.Minute)
	appendTo(t, s, "a", eventstore.Any, want, binary, empty)
	i := 0
	for r, err := range s.Read(t.Context(), "a", 1) {
		if err != nil {
			t.Fatal(err)
		}
		want := []tidings.Event{want, binary, empty}[i]
		if len(r.Payload) == 0 {
			r.Payload = nil
		}
		if got, want := fmt.Sprintf("%+v", r.Event), fmt.Sprintf("%+v", want); got != want {
			t.Errorf("event %d\ngot  %s\nwant %s", i, got, want)
		}
		if r.At.Before(began) || r.At.After(time.Now().Add(time.Minute)) {
			t.Errorf("recorded at %v", r.At)
		}
		i++
	}
	if i != 3 {
		t.Errorf("%d events, want 3", i)
	}
}

func testConflict(t *testing.T, s eventstore.Store) {
	appendTo(t, s, "a", eventstore.NoStream, note("1"), note("2"))
	for _, at := range []eventstore.Expect{eventstore.NoStream, 1, 3} {
		_, err := s.Append(t.Context(), "a", at, note("x"), note("y"))
		c, ok := errors.AsType[*eventstore.ConflictError](err)
		if !ok || *c != (eventstore.ConflictError{Stream: "a", Expected: at, Actual: 2}) ||
			!errors.Is(err, eventstore.ErrConflict) {
			t.Errorf("append at %d: got %v", at, err)
		}
	}
	_, err := s.Append(t.Context(), "new", 1, note("x"))
	if c, ok := errors.AsType[*eventstore.ConflictError](err); !ok || c.Actual != 0 {
		t.Errorf("append at 1 of no stream: got %v", err)
	}
	same(t, "all", places(t, s.All(t.Context(), 1)), []string{"a/1@1 1", "a/2@2 2"})
}

func testAgain(t *testing.T, s eventstore.Store) {
	first, second := note("1"), note("2")
	appendTo(t, s, "a", eventstore.NoStream, first, second)
	appendTo(t, s, "a", 2, note("3"))
	for range 2 {
		if v := appendTo(t, s, "a", eventstore.NoStream, first, second); v != 2 {
			t.Errorf("version %d, want 2: that of the first time", v)
		}
	}
	for what, events := range map[string][]tidings.Event{
		"other order": {second, first}, "one more": {first, second, note("3")},
		"another id": {first, note("2")}, "one less": {second},
	} {
		_, err := s.Append(t.Context(), "a", eventstore.NoStream, events...)
		if !errors.Is(err, eventstore.ErrConflict) {
			t.Errorf("%s: got %v, want a conflict", what, err)
		}
	}
	if v := appendTo(t, s, "a", eventstore.Any, first); v != 4 {
		t.Errorf("with any: version %d, want 4: nothing is compared", v)
	}
	want := []string{"a/1@1 1", "a/2@2 2", "a/3@3 3", "a/4@4 1"}
	same(t, "all", places(t, s.All(t.Context(), 1)), want)
}

func testRefused(t *testing.T, s eventstore.Store) {
	big := note(strings.Repeat("x", eventstore.MaxBytes/2))
	torn := Noted.New(Note{}, tidings.WithExtension("NOT", "x"))
	long := strings.Repeat("n", eventstore.MaxStreamName)
	for _, c := range []struct {
		what, stream string
		at           eventstore.Expect
		events       []tidings.Event
		large        bool
	}{
		{"no name", "", 0, []tidings.Event{note("")}, false},
		{"a long name", long + "n", 0, []tidings.Event{note("")}, true},
		{"a name with NUL", "a\x00b", 0, []tidings.Event{note("")}, false},
		{"a name not in UTF-8", "a\xff", 0, []tidings.Event{note("")}, false},
		{"no events", "a", 0, nil, false},
		{"a version below any", "a", -2, []tidings.Event{note("")}, false},
		{"many events", "a", 0, notes(eventstore.MaxEvents + 1), true},
		{"many bytes", "a", 0, []tidings.Event{big, big, big}, true},
		{"an event with an error", "a", 0, []tidings.Event{torn}, false},
		{"an event without id", "a", 0, []tidings.Event{{Type: "t"}}, false},
	} {
		_, err := s.Append(t.Context(), c.stream, c.at, c.events...)
		if err == nil || errors.Is(err, tidings.ErrTooLarge) != c.large {
			t.Errorf("%s: got %v", c.what, err)
		}
	}
	same(t, "all", places(t, s.All(t.Context(), 1)), nil)
	appendTo(t, s, long, 0, notes(eventstore.MaxEvents)...)
	appendTo(t, s, "large", 0, note(strings.Repeat("x", eventstore.MaxBytes-1000)))
}

func testStamp(t *testing.T, s eventstore.Store) {
	cause := note("cause")
	cause.Correlation = "conversation"
	ctx := tidings.Handling(t.Context(), "billing", "billing", &cause)
	if _, err := s.Append(ctx, "a", 0, note("1")); err != nil {
		t.Fatal(err)
	}
	appendTo(t, s, "a", 1, note("2"))
	var got []string
	for r, err := range s.Read(t.Context(), "a", 1) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Version == 1 {
			got = append(got, r.Source, r.Correlation, r.Causation)
		} else if r.Source == "" || r.Correlation != r.ID || r.Causation != "" {
			t.Errorf("an event without a cause: %+v", r.Event)
		}
	}
	same(t, "stamped", got, []string{"billing", "conversation", cause.ID})
}

func testEnded(t *testing.T, s eventstore.Store) {
	appendTo(t, s, "a", 0, note("1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for what, events := range map[string]func(func(eventstore.Recorded, error) bool){
		"read": s.Read(ctx, "a", 1), "all": s.All(ctx, 1),
		"follow": s.Follow(ctx, 1), "follow the end": s.Follow(ctx, 2),
	} {
		var last error
		for _, err := range events {
			if last != nil {
				t.Errorf("%s: a pair after an error", what)
			}
			last = err
		}
		if !errors.Is(last, context.Canceled) {
			t.Errorf("%s: got %v, want the error of its context", what, last)
		}
	}
}

func testFollow(t *testing.T, s eventstore.Store) {
	appendTo(t, s, "a", 0, note("1"), note("2"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []string
	for r, err := range s.Follow(ctx, 2) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			break
		}
		got = append(got, fmt.Sprintf("%s/%d@%d", r.Stream, r.Version, r.Position))
		switch r.Position {
		case 2: // it has caught up: what comes now is live
			appendTo(t, s, "b", 0, note("3"), note("4"))
		case 4:
			appendTo(t, s, "a", 2, note("5"))
		case 5:
			cancel()
		}
	}
	same(t, "followed", got, []string{"a/2@2", "b/1@3", "b/2@4", "a/3@5"})
}

func testLarge(t *testing.T, s eventstore.Store) {
	var events []tidings.Event
	for i := range 300 {
		events = append(events, note(fmt.Sprint(i)))
	}
	appendTo(t, s, "a", 0, events[:200]...)
	appendTo(t, s, "b", 0, events...)
	appendTo(t, s, "a", 200, events...)
	for _, from := range []int64{1, 63, 64, 65, 199, 200, 201, 450, 500} {
		next := from
		for r, err := range s.Read(t.Context(), "a", from) {
			if err != nil || r.Version != next {
				t.Fatalf("from %d: version %d, %v, want %d", from, r.Version, err, next)
			}
			next++
		}
		if next != 501 {
			t.Errorf("from %d: ended before %d", from, next)
		}
	}
}

// attempt is one append to a stream, or a look at its version, of a concurrent history.
type attempt struct {
	began, ended time.Time
	expect, size int64
	version      int64 // with it, or that it conflicted with
	ok           bool
}

func testLinearizable(t *testing.T, s eventstore.Store) {
	const workers, each = 6, 25
	var mu sync.Mutex
	var history []attempt
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 11))
			known := int64(0)
			for range each {
				a := try(t.Context(), s, rng, known)
				if a.version < 0 {
					t.Error("an append failed with more than a conflict")
					return
				}
				known = a.version
				mu.Lock()
				history = append(history, a)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if err := linearizable(history); err != nil {
		t.Error(err)
	}
}

func try(ctx context.Context, s eventstore.Store, rng *rand.Rand, known int64) attempt {
	a := attempt{began: time.Now(), expect: known, size: 1 + rng.Int64N(3)}
	if rng.IntN(4) == 0 {
		a.expect = max(known-rng.Int64N(3), 0)
	}
	var events []tidings.Event
	for range a.size {
		events = append(events, note(""))
	}
	version, err := s.Append(ctx, "a", eventstore.Expect(a.expect), events...)
	a.ended, a.version, a.ok = time.Now(), version, err == nil
	if c, ok := errors.AsType[*eventstore.ConflictError](err); ok {
		a.version = c.Actual
	} else if err != nil {
		a.version = -1
	}
	return a
}

// linearizable says why a history could not have come from one append at a time. Each version is
// made by one append, so that their order is known; what is left is whether a moment can be given
// to each, in this order, within its call and between those that a conflict saw and did not see.
func linearizable(history []attempt) error {
	made := map[int64]*attempt{} // by the version it left
	next := map[int64]*attempt{} // by the version it found
	for i := range history {
		if a := &history[i]; a.ok {
			if a.version != a.expect+a.size || next[a.expect] != nil {
				return fmt.Errorf("appends %+v and %+v", a, next[a.expect])
			}
			made[a.version], next[a.expect] = a, a
		}
	}
	for _, c := range history {
		if c.ok {
			continue
		}
		if c.version == c.expect || c.version > 0 && made[c.version] == nil {
			return fmt.Errorf("conflict %+v with a version that never was", c)
		}
		if a := made[c.version]; a != nil && c.ended.Before(a.ended) {
			a.ended = c.ended // it was there
		}
		if a := next[c.version]; a != nil && c.began.After(a.began) {
			a.began = c.began // it was not there yet
		}
	}
	at, version := time.Time{}, int64(0)
	for a := next[0]; a != nil; a = next[version] {
		if a.began.After(at) {
			at = a.began
		}
		if at.After(a.ended) {
			return fmt.Errorf("append %+v comes after one that it precedes", a)
		}
		version = a.version
	}
	if len(made) > 0 && version != slices.Max(keysOf(made)) {
		return fmt.Errorf("the versions end at %d", version)
	}
	return nil
}

func keysOf[V any](m map[int64]V) (keys []int64) {
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

func testNoGaps(t *testing.T, s eventstore.Store) {
	const writers, each, readers = 8, 20, 3
	var group sync.WaitGroup
	for r := range readers {
		group.Go(func() { followAll(t, s, int64(1+r*7), writers*each) })
	}
	for w := range writers {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 12))
			for i := 0; i < each; {
				n := min(1+rng.IntN(4), each-i)
				stream := fmt.Sprint("s", rng.IntN(4))
				_, err := s.Append(t.Context(), stream, eventstore.Any, notes(n)...)
				if err != nil {
					t.Error(err)
					return
				}
				i += n
			}
		})
	}
	group.Wait()
	versions := map[string]int64{}
	for r, err := range s.All(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		if versions[r.Stream]++; r.Version != versions[r.Stream] {
			t.Fatalf("stream %s: version %d, want %d", r.Stream, r.Version, versions[r.Stream])
		}
	}
}

func followAll(t *testing.T, s eventstore.Store, from, to int64) {
	next := from
	for r, err := range s.Follow(t.Context(), from) {
		if err != nil || r.Position != next {
			t.Errorf("follow: position %d, %v, want %d", r.Position, err, next)
			return
		}
		if next++; next > to {
			return
		}
	}
}

func testUnreadable(t *testing.T, s eventstore.Store) {
	for what, spoil := range map[string]func(e *tidings.Event){
		"no id":     func(e *tidings.Event) { e.ID = "" },
		"no type":   func(e *tidings.Event) { e.Type = "" },
		"a name":    func(e *tidings.Event) { e.Extensions = map[string]string{"Color": "red"} },
		"a version": func(e *tidings.Event) { e.Extensions = map[string]string{"specversion": "0.3"} },
		"other id":  func(e *tidings.Event) { e.Extensions = map[string]string{"id": "another"} },
		"late":      func(e *tidings.Event) { e.Time = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"not UTF-8": func(e *tidings.Event) { e.ID = "\xff" },
		"a NUL":     func(e *tidings.Event) { e.Type = "note\x00" },
		"a topic":   func(e *tidings.Event) { e.Topic = "notes\x00" },
	} {
		e := note("spoilt")
		spoil(&e)
		if _, err := s.Append(t.Context(), "a", eventstore.Any, e); err == nil {
			t.Errorf("%s: it is not refused", what)
		}
	}
	appendTo(t, s, "a", eventstore.NoStream, note("good"))
	same(t, "all", places(t, s.All(t.Context(), 1)), []string{"a/1@1 good"})
}
