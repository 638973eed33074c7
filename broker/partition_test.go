package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage"
	"github.com/tidings-io/tidings/storage/vfs"
)

// onePartition opens a broker with a topic of one partition.
func onePartition(t testing.TB, c TopicConfig, change ...func(*Config)) *Partition {
	t.Helper()
	b := openOn(t, vfs.NewMem(), change...)
	return mustTopic(t, b, TopicSpec{Name: "t", Config: c}).Partition(0)
}

func TestWrittenRecordsAreReadInOrder(t *testing.T) {
	p := onePartition(t, TopicConfig{})
	if a := mustWrite(t, p, rec("a"), rec("b"), rec("c")); a.Base != 0 || a.Duplicate || a.Start != 0 {
		t.Errorf("first batch: %+v", a)
	}
	if a := mustWrite(t, p, rec("d")); a.Base != 3 {
		t.Errorf("second batch at %d, want 3", a.Base)
	}
	for from, want := range [][]string{{"a", "b", "c", "d"}, {"b", "c", "d"}, {"c", "d"}, {"d"}, {}} {
		if got := values(t, p, Offset(from)); !slices.Equal(got, want) {
			t.Errorf("from %d: got %q, want %q", from, got, want)
		}
	}
	if start, end := p.Bounds(); start != 0 || end != 4 || p.SizeBytes() < 150 {
		t.Errorf("bounds %d %d, %d bytes, want 0 4", start, end, p.SizeBytes())
	}
	if p.String() != "t/0" || p.Topic().Name().Name != "t" {
		t.Errorf("partition is called %s", p)
	}
}

func TestReadReturnsWholeBatches(t *testing.T) {
	p := onePartition(t, TopicConfig{})
	mustWrite(t, p, rec("a"), rec("b"))
	mustWrite(t, p, rec("c"))
	var buf Buffer
	defer buf.Release()
	for _, c := range []struct {
		from Offset
		max  int
		want string
	}{
		{1, 0, "[0+2]"}, {0, 1 << 20, "[0+2 2+1]"}, {2, 1, "[2+1]"}, {3, 1 << 20, "[]"},
	} {
		if err := p.Read(&buf, c.from, c.max); err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, e := range buf.Entries {
			got = append(got, fmt.Sprintf("%d+%d", e.Base, e.Count))
			if info, err := ParseBatch(e.Bytes); err != nil || info.Base != e.Base {
				t.Errorf("batch at %d: %+v %v", e.Base, info, err)
			}
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("from %d, %d bytes: got %v, want %s", c.from, c.max, got, c.want)
		}
	}
	wantKind(t, "beyond the end", p.Read(&buf, 4, 1), OutOfRange)
	wantKind(t, "below zero", p.Read(&buf, -1, 1), OutOfRange)
}

func TestAppendKeepsTheBytes(t *testing.T) {
	p := onePartition(t, TopicConfig{})
	for c := None; c <= Zstd; c++ {
		raw := mustEncode(t, c, someRecords...)
		binary.BigEndian.PutUint32(raw[posEpoch:], 77) // outside the checksum
		want := slices.Clone(raw)
		a, err := p.Append(ctx, raw)
		if err == nil {
			err = a.Confirm.Wait(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		var buf Buffer
		if err := p.Read(&buf, a.Base, 1); err != nil {
			t.Fatal(err)
		}
		binary.BigEndian.PutUint64(want, uint64(a.Base))
		binary.BigEndian.PutUint32(want[posEpoch:], 0)
		if got := buf.Entries[0].Bytes; !slices.Equal(got, want) {
			t.Errorf("%v: got %x, want %x", c, got, want)
		}
		buf.Release()
	}
}

func TestAppendRefuses(t *testing.T) {
	p := onePartition(t, TopicConfig{BatchBytes: 300})
	future := Record{Time: time.Now().Add(2 * time.Hour)}
	stamped := mustEncode(t, None, rec("x"))
	stampAppendTime(stamped, 1)
	control := spoiled(t, func(raw []byte) { raw[posAttributes+1] |= attrControl })
	for _, c := range []struct {
		what string
		raw  []byte
		want ErrorKind
	}{
		{"nothing", nil, Corrupt},
		{"too large", mustEncode(t, None, Record{Value: make([]byte, 300)}), TooLarge},
		{"in the future", mustEncode(t, None, future), Invalid},
		{"append time from a client", stamped, Invalid},
		{"a control batch", control, Unsupported},
	} {
		_, err := p.Append(ctx, c.raw)
		wantKind(t, c.what, err, c.want)
	}
	_, err := p.Write(ctx)
	wantKind(t, "no records", err, Invalid)
	_, err = p.Write(ctx, Record{Value: make([]byte, 300)})
	wantKind(t, "too large to write", err, TooLarge)
	_, err = p.Write(ctx, future)
	wantKind(t, "written in the future", err, Invalid)
	if _, end := p.Bounds(); end != 0 {
		t.Errorf("%d records were appended", end)
	}
}

func TestTimeAheadIsTheTopicsOwn(t *testing.T) {
	far := Record{Time: time.Now().Add(1000 * time.Hour)}
	mustWrite(t, onePartition(t, TopicConfig{TimeAhead: Forever}), far)
	mustWrite(t, onePartition(t, TopicConfig{TimeAhead: 2000 * time.Hour}), far)
	_, err := onePartition(t, TopicConfig{TimeAhead: time.Second}).Write(ctx, far)
	wantKind(t, "beyond a second", err, Invalid)
}

func TestAppendTimeIsTheBrokers(t *testing.T) {
	c := clockAt(5000)
	p := onePartition(t, TopicConfig{AppendTime: true}, c.use)
	a := mustWrite(t, p, Record{Value: []byte("a"), Time: at(1)})
	raw := mustEncode(t, LZ4, Record{Value: []byte("b"), Time: at(2)}, Record{Time: at(3)})
	c.advance(time.Minute)
	if b, err := p.Append(ctx, raw); err != nil || !b.Time.Equal(at(5060)) || !a.Time.Equal(at(5000)) {
		t.Errorf("times %v %v %v, want %v %v", a.Time, b.Time, err, at(5000), at(5060))
	}
	mustWrite(t, p, rec("last"))
	recs, err := readAll(p, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := []int64{}
	for _, r := range recs {
		got = append(got, r.Time.Unix())
	}
	if want := []int64{5000, 5060, 5060, 5060}; !slices.Equal(got, want) {
		t.Errorf("record times %v, want %v", got, want)
	}
}

func TestOffsetAtFindsTheFirstRecordInsideItsBatch(t *testing.T) {
	for c := None; c <= Zstd; c++ {
		p := onePartition(t, TopicConfig{})
		for _, batch := range [][]Record{
			{{Time: at(100)}, {Time: at(200)}, {Time: at(150)}},
			{{Time: at(120)}},
			{{Time: at(300)}, {Time: at(400)}},
		} {
			if _, err := p.Append(ctx, mustEncode(t, c, batch...)); err != nil {
				t.Fatal(err)
			}
		}
		a := mustWrite(t, p, Record{Time: at(50)})
		for _, q := range []struct {
			sec  int64
			want string
		}{
			{0, "0 at 100"}, {100, "0 at 100"}, {101, "1 at 200"}, {200, "1 at 200"},
			{201, "4 at 300"}, {301, "5 at 400"}, {400, "5 at 400"}, {401, "none"},
		} {
			off, when, ok, err := p.OffsetAt(ctx, at(q.sec))
			got := fmt.Sprintf("%d at %d", off, when.Unix())
			if !ok {
				got = "none"
			}
			if err != nil || got != q.want {
				t.Errorf("%v, time %d: got %s %v, want %s", c, q.sec, got, err, q.want)
			}
		}
		off, when, ok, err := p.Latest(ctx)
		if off != 5 || when.Unix() != 400 || !ok || err != nil {
			t.Errorf("%v, latest: %d %v %v %v, want 5 at 400", c, off, when, ok, err)
		}
		if _, err := p.Trim(ctx, a.Base); err != nil {
			t.Fatal(err)
		}
		if off, _, ok, err := p.OffsetAt(ctx, at(0)); off != a.Base || !ok || err != nil {
			t.Errorf("%v, after a trim: %d %v %v, want %d", c, off, ok, err, a.Base)
		}
	}
}

func TestOffsetAtRoundsUp(t *testing.T) {
	p := onePartition(t, TopicConfig{})
	mustWrite(t, p, Record{Time: at(1)}, Record{Time: at(2)})
	if off, _, ok, err := p.OffsetAt(ctx, at(1).Add(time.Microsecond)); off != 1 || !ok || err != nil {
		t.Errorf("got %d %v %v, want 1", off, ok, err)
	}
}

func TestOffsetAtLooksBehindAHeaderThatLies(t *testing.T) {
	p := onePartition(t, TopicConfig{})
	liar := mustEncode(t, None, Record{Time: at(100)})
	binary.BigEndian.PutUint64(liar[posMaxTime:], 900_000)
	sealBatch(liar)
	if _, err := p.Append(ctx, liar); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, p, Record{Time: at(800)})
	if off, _, ok, err := p.OffsetAt(ctx, at(500)); off != 1 || !ok || err != nil {
		t.Errorf("got %d %v %v, want 1", off, ok, err)
	}
	if _, _, ok, err := p.OffsetAt(ctx, at(850)); ok || err != nil {
		t.Errorf("found a record that is not there: %v", err)
	}
}

// Retention or DeleteRecords takes away what a search is about to read.
func TestTimeSearchGoesOnWhereATrimLeavesIt(t *testing.T) {
	p := onePartition(t, TopicConfig{})
	large := Record{Value: make([]byte, searchBytes), Time: at(100)} // one to a read
	for range 3 {
		mustWrite(t, p, large)
	}
	visited := []Offset{}
	err := p.walk(ctx, "test", 0, func(e storage.View, _ Offset) (bool, error) {
		visited = append(visited, e.Base)
		_, err := p.Trim(ctx, 2)
		return false, err
	})
	if want := []Offset{0, 2}; err != nil || !slices.Equal(visited, want) {
		t.Errorf("visited %v %v, want %v", visited, err, want)
	}
}

// Headers that promise a time which no record has make a search decode every batch.
func TestTimeSearchEndsWithItsContext(t *testing.T) {
	p := onePartition(t, TopicConfig{})
	liar := mustEncode(t, Gzip, Record{Time: at(100)})
	binary.BigEndian.PutUint64(liar[posMaxTime:], 900_000)
	sealBatch(liar)
	a, err := p.Append(ctx, liar)
	if err == nil {
		err = a.Confirm.Wait(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	for range cap(decoding) { // others decode, and take long
		enterDecoding(ctx)
		defer leaveDecoding()
	}
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if _, _, _, err := p.OffsetAt(short, at(500)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("OffsetAt: got %v, want the context's error", err)
	}
	if _, _, _, err := p.Latest(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Latest: got %v, want the context's error", err)
	}
}

func TestLatestIsFoundBehindATrimInsideABatch(t *testing.T) {
	for _, c := range []struct {
		first, second []int64 // times of two batches; the first record is trimmed
		want          string
	}{
		{[]int64{100, 50}, []int64{60}, "2 at 60"},
		{[]int64{100, 70, 65}, []int64{60, 70}, "1 at 70"},
		{[]int64{100, 50}, []int64{60, 80, 80}, "3 at 80"},
		{[]int64{50, 100}, []int64{60}, "1 at 100"},
	} {
		p := onePartition(t, TopicConfig{})
		for _, times := range [][]int64{c.first, c.second} {
			var recs []Record
			for _, sec := range times {
				recs = append(recs, Record{Time: at(sec)})
			}
			mustWrite(t, p, recs...)
		}
		if _, err := p.Trim(ctx, 1); err != nil {
			t.Fatal(err)
		}
		off, when, ok, err := p.Latest(ctx)
		if got := fmt.Sprintf("%d at %d", off, when.Unix()); got != c.want || !ok || err != nil {
			t.Errorf("%v, %v: got %s %v %v, want %s", c.first, c.second, got, ok, err, c.want)
		}
	}
}

func TestTimesOfAnEmptyPartition(t *testing.T) {
	p := onePartition(t, TopicConfig{})
	if _, _, ok, err := p.OffsetAt(ctx, at(0)); ok || err != nil {
		t.Errorf("OffsetAt: %v %v, want none", ok, err)
	}
	if _, _, ok, err := p.Latest(ctx); ok || err != nil {
		t.Errorf("Latest: %v %v, want none", ok, err)
	}
}

func TestTimeSearchNamesADamagedBatch(t *testing.T) {
	p := onePartition(t, TopicConfig{})
	raw := mustEncode(t, Gzip, Record{Time: at(100)})
	raw = append(raw[:batchHeader], "no gzip"...)
	sealBatch(raw)
	a, err := p.Append(ctx, raw)
	if err == nil {
		err = a.Confirm.Wait(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, _, _, err = p.OffsetAt(ctx, at(0))
	wantKind(t, "search", err, Corrupt)
	if want := "find time t/0@0: "; err == nil || err.Error()[:len(want)] != want {
		t.Errorf("got %v, want it to begin with %q", err, want)
	}
}

// A panic over a broken invariant may be recovered by a protocol face, which ends one connection.
func TestPartitionInDoubtRefusesAndBlocksNobody(t *testing.T) {
	p := onePartition(t, TopicConfig{})
	mustWrite(t, p, rec("a"))
	var batch storage.Batch // what nobody may do: append beside the partition
	batch.Append(p.log, storage.Entry{Count: 1, Patch: storage.At(0), Bytes: mustEncode(t, None, rec("x"))})
	if _, err := p.b.store.Submit(&batch); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("got no panic, want one: the offset is not the one expected")
			}
		}()
		p.Write(ctx, rec("b"))
	}()
	if !p.mu.TryLock() {
		t.Fatal("the partition is locked for ever")
	}
	p.mu.Unlock()
	_, err := p.Write(ctx, rec("b"))
	wantKind(t, "the next append", err, Storage)
}

func TestWatchHearsOfATopicThatIsGoneAlready(t *testing.T) {
	p := onePartition(t, TopicConfig{})
	if err := p.b.DeleteTopic(ctx, "", "t"); err != nil {
		t.Fatal(err)
	}
	w := &Waiter{C: make(chan struct{}, 1), MinBytes: 1 << 20}
	p.Watch(w)
	defer p.Unwatch(w)
	select {
	case <-w.C:
	default:
		t.Error("got nothing, want to hear of the deletion")
	}
}

func TestTrimMovesTheStartForGood(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	p := mustTopic(t, b, TopicSpec{Name: "t"}).Partition(0)
	mustWrite(t, p, rec("a"), rec("b"), rec("c"))
	mustWrite(t, p, rec("d"))
	for _, c := range []struct {
		to, want Offset
		kind     ErrorKind
	}{{0, 0, 0}, {2, 2, 0}, {1, 2, 0}, {5, 2, OutOfRange}, {-2, 2, OutOfRange}} {
		start, err := p.Trim(ctx, c.to)
		if wantKind(t, "trim", err, c.kind); start != c.want {
			t.Errorf("trim to %d: start %d, want %d", c.to, start, c.want)
		}
	}
	if got, want := values(t, p, 2), []string{"c", "d"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	var buf Buffer
	wantKind(t, "read before the start", p.Read(&buf, 1, 1), OutOfRange)
	b = openOn(t, fs.Kill())
	topic, err := b.Topic("", "t")
	if err != nil {
		t.Fatal(err)
	}
	p = topic.Partition(0)
	if start, end := p.Bounds(); start != 2 || end != 4 {
		t.Errorf("bounds after a restart %d %d, want 2 4", start, end)
	}
	if start, err := p.Trim(ctx, -1); err != nil || start != 4 {
		t.Errorf("trim all: %d %v, want 4", start, err)
	}
	if a := mustWrite(t, p, rec("e")); a.Base != 4 || a.Start != 4 {
		t.Errorf("next batch %+v, want offset 4", a)
	}
}

func TestWatchedPartitionWakesItsReader(t *testing.T) {
	p := onePartition(t, TopicConfig{})
	w := &Waiter{C: make(chan struct{}, 1), MinBytes: 1}
	p.Watch(w)
	defer p.Unwatch(w)
	mustWrite(t, p, rec("a"))
	<-w.C
	if got := values(t, p, 0); len(got) != 1 {
		t.Errorf("woken, but read %q", got)
	}
}

func TestConcurrentAppendsGetEveryOffsetOnce(t *testing.T) {
	p := onePartition(t, TopicConfig{})
	const writers, each = 8, 50
	var group sync.WaitGroup
	bases := make([][]Offset, writers)
	for i := range writers {
		group.Go(func() {
			for range each {
				a, err := p.Write(ctx, rec("a"), rec("b"))
				if err != nil {
					t.Error(err)
					return
				}
				bases[i] = append(bases[i], a.Base)
			}
		})
	}
	group.Wait()
	all := slices.Concat(bases...)
	slices.Sort(all)
	for i, base := range all {
		if base != Offset(2*i) {
			t.Fatalf("batch %d has offset %d, want %d", i, base, 2*i)
		}
	}
	if len(all) != writers*each {
		t.Errorf("%d batches, want %d", len(all), writers*each)
	}
}
