package broker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// follow begins to follow a topic; the test ends it.
func follow(t testing.TB, topic *Topic, o FollowOptions) *Follower {
	t.Helper()
	if o.Wake == nil {
		o.Wake = make(chan struct{}, 1)
	}
	f, err := topic.Follow(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// took is all that a follower may have now, "offset:value" each.
func took(t testing.TB, f *Follower) (all []string) {
	t.Helper()
	var room [3]Followed
	for {
		got, err := f.Take(room[:0], len(room))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			f.Rest()
			return all
		}
		for _, x := range got {
			all = append(all, fmt.Sprintf("%d:%s", x.Record.Offset, x.Record.Value))
		}
	}
}

func wantTaken(t testing.TB, what string, f *Follower, want ...string) {
	t.Helper()
	if got := took(t, f); !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// A follower begins where it is told to: at the first record, at the last batch, behind
// all, at an offset, at a time.
func TestAFollowerBeginsWhereItIsTold(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	topic := mustTopic(t, b, TopicSpec{Name: "t"})
	p := topic.Partition(0)
	at := func(s int64, v string) Record { return Record{Value: []byte(v), Time: time.Unix(s, 0)} }
	mustWrite(t, p, at(1, "a"), at(2, "b"))
	mustWrite(t, p, at(3, "c"), at(4, "d"))
	if _, err := p.Trim(ctx, 1); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		from Start
		want []string
	}{
		{"first", FromFirst, []string{"1:b", "2:c", "3:d"}},
		{"last", FromLast, []string{"2:c", "3:d"}},
		{"next", FromNext, nil},
		{"offset", FromOffset(3), []string{"3:d"}},
		{"offset that is gone", FromOffset(0), []string{"1:b", "2:c", "3:d"}},
		{"offset to come", FromOffset(9), nil},
		{"time", FromTime(time.Unix(2, 1)), []string{"2:c", "3:d"}},
		{"time to come", FromTime(time.Unix(9, 0)), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantTaken(t, test.name, follow(t, topic, FollowOptions{From: test.from}), test.want...)
		})
	}
	_, err := topic.Follow(ctx, FollowOptions{Partition: 1})
	wantKind(t, "a partition that is not there", err, Invalid)
	_, err = topic.Follow(ctx, FollowOptions{From: FromOffset(-1)})
	wantKind(t, "a negative offset", err, Invalid)
}

// What becomes durable wakes a follower, whoever wrote it and however often it was woken.
func TestAFollowerIsWokenByWhatIsNew(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	topic := mustTopic(t, b, TopicSpec{Name: "t"})
	wake := make(chan struct{}, 1)
	f := follow(t, topic, FollowOptions{Wake: wake})
	for i := range 5 {
		wantTaken(t, "before", f)
		mustWrite(t, topic.Partition(0), rec(strconv.Itoa(i)))
		awaitWake(t, wake)
		wantTaken(t, "then", f, fmt.Sprintf("%d:%d", i, i))
	}
}

func awaitWake(t testing.TB, wake <-chan struct{}) {
	t.Helper()
	select {
	case <-wake:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody was woken")
	}
}

// A follower of all partitions has each in its order, and those that the topic gets later.
func TestAFollowerHasEveryPartition(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	topic := mustTopic(t, b, TopicSpec{Name: "t", Partitions: 2})
	for i := range 2 {
		mustWrite(t, topic.Partition(i), rec("a"), rec("b"), rec("c"), rec("d"))
	}
	_, err := topic.Follow(ctx, FollowOptions{Partition: EveryPartition, From: FromOffset(1)})
	wantKind(t, "an offset of no partition", err, Invalid)
	wake := make(chan struct{}, 1)
	f := follow(t, topic, FollowOptions{Wake: wake, Partition: EveryPartition, From: FromFirst})
	var got [3][]string
	var room [2]Followed
	for n := 0; n < 8; {
		all, err := f.Take(room[:0], len(room))
		if err != nil || len(all) == 0 {
			t.Fatalf("got %d of 8, %v", n, err)
		}
		for _, x := range all {
			got[x.Partition] = append(got[x.Partition], string(x.Record.Value))
		}
		n += len(all)
	}
	for i := range 2 {
		if want := []string{"a", "b", "c", "d"}; !slices.Equal(got[i], want) {
			t.Errorf("partition %d: got %q, want %q", i, got[i], want)
		}
	}
	wantTaken(t, "at the end", f)
	wantTaken(t, "of one", follow(t, topic, FollowOptions{Partition: 1, From: FromOffset(3)}), "3:d")
	if err := b.GrowTopic(ctx, "", "t", 3); err != nil {
		t.Fatal(err)
	}
	awaitWake(t, wake)
	wantTaken(t, "with one more", f)
	mustWrite(t, topic.Partition(2), rec("new"))
	awaitWake(t, wake)
	wantTaken(t, "of a new partition", f, "0:new")
}

// Credit bounds what is taken and not given back, and giving it back wakes.
func TestAFollowerTakesWhatItHasCreditFor(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	topic := mustTopic(t, b, TopicSpec{Name: "t"})
	mustWrite(t, topic.Partition(0), rec("a"), rec("b"), rec("c"), rec("d"))
	wake := make(chan struct{}, 1)
	var own, shared Credit
	own.SetLimit(3)
	shared.SetLimit(2)
	f := follow(t, topic, FollowOptions{Wake: wake, From: FromFirst, Credits: []*Credit{&own, &shared}})
	wantTaken(t, "at first", f, "0:a", "1:b")
	wantTaken(t, "without credit", f)
	f.Accept(1)
	awaitWake(t, wake)
	wantTaken(t, "with credit for one", f, "2:c")
	shared.SetLimit(0)
	wantTaken(t, "with its own credit only", f, "3:d")
	f.Accept(3)
	if own.used.Load() != 0 || shared.used.Load() != 0 {
		t.Errorf("credit is gone: %d, %d", own.used.Load(), shared.used.Load())
	}
}

// Compressed batches come record by record, wherever a round ends and whether or not the
// memory for them may be kept.
func TestAFollowerReadsCompressedBatches(t *testing.T) {
	for _, taken := range []int64{0, followMemory} {
		b := openOn(t, vfs.NewMem())
		b.following.Store(taken)
		topic := mustTopic(t, b, TopicSpec{Name: "t"})
		var want []string
		for i := range 3 {
			var recs []Record
			for k := range 10 {
				want = append(want, fmt.Sprintf("%d:%d", len(want), 10*i+k))
				recs = append(recs, rec(strconv.Itoa(10*i+k)))
			}
			raw, err := EncodeBatch(nil, []Compression{Gzip, None, Zstd}[i], recs...)
			if err != nil {
				t.Fatal(err)
			}
			a, err := topic.Partition(0).Append(ctx, raw)
			if err == nil {
				err = a.Confirm.Wait(ctx)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		var credit Credit
		credit.SetLimit(4)
		f := follow(t, topic, FollowOptions{From: FromFirst, Credits: []*Credit{&credit}})
		var got []string
		for n := 1; n > 0; {
			all := took(t, f)
			got, n = append(got, all...), len(all)
			f.Accept(n)
		}
		if !slices.Equal(got, want) {
			t.Errorf("with %d bytes kept by others: got %q, want %q", taken, got, want)
		}
		f.Close()
		if n := b.following.Load(); n != taken {
			t.Errorf("%d bytes stay accounted for", n-taken)
		}
	}
}

// Retention that passes a slow follower lets it go on with the first record that is there.
func TestAFollowerGoesOnBehindWhatIsGone(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	topic := mustTopic(t, b, TopicSpec{Name: "t"})
	p := topic.Partition(0)
	mustWrite(t, p, rec("a"))
	f := follow(t, topic, FollowOptions{From: FromFirst})
	wantTaken(t, "at first", f, "0:a")
	mustWrite(t, p, rec("b"), rec("c"), rec("d"))
	if _, err := p.Trim(ctx, 3); err != nil {
		t.Fatal(err)
	}
	wantTaken(t, "then", f, "3:d")
}

// A batch that cannot be decoded is named and passed over.
func TestAFollowerPassesOverWhatItCannotDecode(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	topic := mustTopic(t, b, TopicSpec{Name: "t"})
	p := topic.Partition(0)
	mustWrite(t, p, rec("a"))
	raw, err := EncodeBatch(nil, Gzip, rec("b"), rec("c"))
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 0xff
	raw[batchHeader+4] ^= 0xff
	raw[batchHeader+12] ^= 0xff
	sealBatch(raw)
	if _, err := p.Append(ctx, raw); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, p, rec("d"))
	f := follow(t, topic, FollowOptions{From: FromFirst})
	var got []string
	var errs []string
	for range 5 {
		all, err := f.Take(nil, 10)
		if err != nil {
			errs = append(errs, KindOf(err).String()+" "+err.(*Error).Name)
		}
		for _, x := range all {
			got = append(got, string(x.Record.Value))
		}
	}
	if want := []string{"a", "d"}; !slices.Equal(got, want) || !slices.Equal(errs, []string{"corrupt t/0@1"}) {
		t.Errorf("got %q and errors %q, want %q", got, errs, want)
	}
}

// The end of its topic wakes a follower, and is what it takes.
func TestAFollowerEndsWithItsTopic(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	topic := mustTopic(t, b, TopicSpec{Name: "t"})
	wake := make(chan struct{}, 1)
	var none Credit
	none.SetLimit(1)
	none.acquire()
	f := follow(t, topic, FollowOptions{Wake: wake, Credits: []*Credit{&none}})
	wantTaken(t, "before", f)
	if n := topic.Followers(); n != 1 {
		t.Errorf("%d follow, want 1", n)
	}
	if err := b.DeleteTopic(ctx, "", "t"); err != nil {
		t.Fatal(err)
	}
	awaitWake(t, wake)
	_, err := f.Take(nil, 1)
	wantKind(t, "take", err, NotFound)
	f.Close()
	f.Close()
	if n := topic.Followers(); n != 0 {
		t.Errorf("%d follow, want none", n)
	}
}

// Records stay what they were until the next Take, also while others read and write.
func TestFollowedRecordsAreValidUntilTheNextTake(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	topic := mustTopic(t, b, TopicSpec{Name: "t"})
	large := strings.Repeat("x", followBytes)
	mustWrite(t, topic.Partition(0), rec("1"+large))
	mustWrite(t, topic.Partition(0), rec("2"+large))
	f := follow(t, topic, FollowOptions{From: FromFirst})
	for _, want := range []string{"1", "2"} {
		got, err := f.Take(nil, 10)
		if err != nil || len(got) != 1 {
			t.Fatalf("got %d records, %v, want one of a buffer", len(got), err)
		}
		other := follow(t, topic, FollowOptions{From: FromFirst})
		took(t, other)
		if v := string(got[0].Record.Value); v != want+large {
			t.Errorf("got %.10q, want %s and what follows", v, want)
		}
	}
}

// TestFollowBeginsWhileATopicIsTrimmed, wherever it is asked to.
func TestFollowBeginsWhileATopicIsTrimmed(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	topic := mustTopic(t, b, TopicSpec{Name: "t"})
	part := topic.Partition(0)
	end := make(chan struct{})
	var trims sync.WaitGroup
	defer trims.Wait()
	defer close(end)
	trims.Go(func() {
		for {
			select {
			case <-end:
				return
			default:
				mustWrite(t, part, rec("a"))
				if _, err := part.Trim(ctx, -1); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range 5_000 {
		for _, from := range []Start{FromFirst, FromNext, FromLast, FromOffset(3)} {
			f, err := topic.Follow(ctx, FollowOptions{Wake: make(chan struct{}, 1), From: from})
			if err != nil {
				t.Fatalf("%+v: %v", from, err)
			}
			if _, err := f.Take(nil, 10); err != nil {
				t.Fatalf("%+v: %v", from, err)
			}
			f.Close()
		}
	}
}
