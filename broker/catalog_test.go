package broker

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage"
	"github.com/tidings-io/tidings/storage/vfs"
)

// describe is all there is to see of a topic.
func describe(t *Topic) map[string]any {
	return map[string]any{
		"id": t.ID(), "name": t.Name(), "created": t.Created(), "config": t.Config(),
		"partitions": t.Partitions(),
	}
}

func TestTopicsSurviveARestart(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	want := []map[string]any{
		describe(mustTopic(t, b, TopicSpec{Name: "a"})),
		describe(mustTopic(t, b, TopicSpec{Name: "b", Partitions: 3, Config: TopicConfig{
			RetentionTime: time.Hour, RetentionBytes: 1 << 20, SegmentBytes: 1 << 20, BatchBytes: 5000,
			AppendTime: true, TimeAhead: Forever, Extra: map[string]string{"cleanup.policy": "delete"},
		}})),
	}
	mustTopic(t, b, TopicSpec{Name: "a", Namespace: "other"})
	b = openOn(t, fs.Kill())
	var got []map[string]any
	for _, topic := range b.Topics("") {
		got = append(got, describe(topic))
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if names := b.Topics("other"); len(names) != 1 || names[0].Name().String() != "other/a" {
		t.Errorf("other namespace has %v, want other/a", names)
	}
}

func TestCreateTopicRefuses(t *testing.T) {
	b := openOn(t, vfs.NewMem(), func(c *Config) {
		c.Limits = Limits{Topics: 3, PartitionsPerTopic: 10, Partitions: 12, ConfigBytes: 10}
	})
	mustTopic(t, b, TopicSpec{Name: "taken", Partitions: 5})
	if _, err := b.CreateStreams(ctx, "", "taken"); err != nil {
		t.Fatal(err) // another kind, another name
	}
	for _, c := range []struct {
		what string
		spec TopicSpec
		want ErrorKind
	}{
		{"taken", TopicSpec{Name: "taken"}, Exists},
		{"bad name", TopicSpec{Name: "a b"}, Invalid},
		{"bad namespace", TopicSpec{Name: "a", Namespace: "\xff"}, Invalid},
		{"long namespace", TopicSpec{Name: "a", Namespace: strings.Repeat("n", 256)}, Invalid},
		{"no partitions", TopicSpec{Name: "a", Partitions: -1}, Invalid},
		{"too many partitions", TopicSpec{Name: "a", Partitions: 11}, Invalid},
		{"too many in all", TopicSpec{Name: "a", Partitions: 8}, Full},
		{"retention time", TopicSpec{Name: "a", Config: TopicConfig{RetentionTime: -2}}, Invalid},
		{"retention bytes", TopicSpec{Name: "a", Config: TopicConfig{RetentionBytes: -2}}, Invalid},
		{"segment bytes", TopicSpec{Name: "a", Config: TopicConfig{SegmentBytes: -1}}, Invalid},
		{"batch bytes", TopicSpec{Name: "a", Config: TopicConfig{BatchBytes: -1}}, Invalid},
		{"time ahead", TopicSpec{Name: "a", Config: TopicConfig{TimeAhead: -2}}, Invalid},
		{"much extra", TopicSpec{Name: "a", Config: TopicConfig{
			Extra: map[string]string{"12345": "123456"}}}, Invalid},
	} {
		_, err := b.CreateTopic(ctx, c.spec)
		wantKind(t, c.what, err, c.want)
	}
	mustTopic(t, b, TopicSpec{Name: "third"})
	_, err := b.CreateTopic(ctx, TopicSpec{Name: "fourth"})
	wantKind(t, "beyond the limit of topics", err, Full)
	_, err = b.CreateStreams(ctx, "", "fourth")
	wantKind(t, "event store beyond the limit", err, Full)
}

func TestEffectiveConfigFillsTheDefaults(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	got := mustTopic(t, b, TopicSpec{Name: "a"}).Effective()
	want := TopicConfig{
		RetentionTime: 7 * 24 * time.Hour, RetentionBytes: -1, BatchBytes: 1_048_588,
		TimeAhead: time.Hour,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	set := TopicConfig{
		RetentionTime: Forever, RetentionBytes: 7, SegmentBytes: 1 << 16, BatchBytes: 9,
		TimeAhead: Forever, AppendTime: true, Extra: map[string]string{"k": "v"},
	}
	got = mustTopic(t, b, TopicSpec{Name: "b", Config: set}).Effective()
	if !reflect.DeepEqual(got, set) {
		t.Errorf("got %+v, want %+v", got, set)
	}
}

func TestConfigCannotBeChangedFromOutside(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	extra := map[string]string{"k": "v"}
	topic := mustTopic(t, b, TopicSpec{Name: "a", Config: TopicConfig{Extra: extra}})
	extra["k"] = "changed"
	topic.Config().Extra["k"] = "changed"
	if got := topic.Config().Extra["k"]; got != "v" {
		t.Errorf("got %q, want v", got)
	}
}

func TestDeletedTopicIsGone(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	old := mustTopic(t, b, TopicSpec{Name: "a", Partitions: 2})
	p := old.Partition(1)
	mustWrite(t, p, rec("x"))
	raw := mustEncode(t, None, rec("y"))
	SetProducer(raw, 5, 0, 0)
	if _, err := p.Append(ctx, raw); err != nil {
		t.Fatal(err)
	}
	tx := b.Begin()
	tx.SaveCursor("", "g", p, Cursor{Offset: 1})
	mustCommit(t, tx)
	if err := b.DeleteTopic(ctx, "", "a"); err != nil {
		t.Fatal(err)
	}
	wantGone(t, b, p)
	again := mustTopic(t, b, TopicSpec{Name: "a", Partitions: 2})
	if again.ID() == old.ID() {
		t.Error("the new topic has the old one's id")
	}
	if got := values(t, again.Partition(1), 0); len(got) != 0 {
		t.Errorf("the new topic has the old one's records: %q", got)
	}
	wantGone(t, b, p)
	b = reopen(t, b, fs)
	if _, err := b.TopicByID(old.ID()); KindOf(err) != NotFound {
		t.Errorf("old id after a restart: %v, want NotFound", err)
	}
	if got, err := b.TopicByID(again.ID()); err != nil || got.Name() != again.Name() {
		t.Errorf("new id after a restart: %v %v", got, err)
	}
	for _, family := range []byte{familyProducer, familyCursor} {
		for key := range b.store.Scan([]byte{family}) {
			t.Errorf("key %q is left", key)
		}
	}
}

// wantGone checks what is left of a partition whose topic was deleted: nothing.
func wantGone(t *testing.T, b *Broker, p *Partition) {
	t.Helper()
	if _, err := b.TopicByID(p.Topic().ID()); KindOf(err) != NotFound {
		t.Errorf("by id: %v, want NotFound", err)
	}
	var buf Buffer
	_, err := p.Write(ctx, rec("z"))
	wantKind(t, "write", err, NotFound)
	wantKind(t, "read", p.Read(&buf, 0, 1), NotFound)
	_, err = p.Trim(ctx, -1)
	if err != nil {
		wantKind(t, "trim", err, NotFound)
	}
	tx := b.Begin()
	tx.SaveCursor("", "g", p, Cursor{})
	_, err = tx.Commit(ctx)
	wantKind(t, "cursor", err, NotFound)
	tx = b.Begin()
	tx.Append(p, mustEncode(t, None, rec("z")))
	_, err = tx.Commit(ctx)
	wantKind(t, "append in a transaction", err, NotFound)
	if g, err := b.Group("", "g"); err != nil || len(g.Cursors()) != 0 {
		t.Errorf("cursors %v %v, want none", g.Cursors(), err)
	}
	if len(p.Producers()) != 0 {
		t.Errorf("producers %v, want none", p.Producers())
	}
}

func TestDeleteByIDSparesTheTopicThatHasTheNameNow(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	old := mustTopic(t, b, TopicSpec{Name: "a"})
	if err := b.DeleteTopicByID(ctx, old.ID()); err != nil {
		t.Fatal(err)
	}
	again := mustTopic(t, b, TopicSpec{Name: "a"})
	wantKind(t, "delete by the old id", b.DeleteTopicByID(ctx, old.ID()), NotFound)
	if got, err := b.Topic("", "a"); got != again || err != nil {
		t.Errorf("got %v %v, want the topic that was created again", got, err)
	}
}

func TestDeleteTopicThatIsNotThere(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	wantKind(t, "delete", b.DeleteTopic(ctx, "", "a"), NotFound)
	_, err := b.Topic("", "a")
	wantKind(t, "find", err, NotFound)
}

// TestLeftoversOfADeletionAreSwept opens a store in which a crash ended a deletion
// after the topic was gone and before all its keys were.
func TestLeftoversOfADeletionAreSwept(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	p := mustTopic(t, b, TopicSpec{Name: "kept"}).Partition(0)
	raw := mustEncode(t, None, rec("y"))
	SetProducer(raw, 5, 0, 0)
	if _, err := p.Append(ctx, raw); err != nil {
		t.Fatal(err)
	}
	tx := b.Begin()
	tx.SaveCursor("", "g", p, Cursor{Offset: 1})
	mustCommit(t, tx)
	var state producer
	state.push(seqBatch{count: 1})
	cursor := Cursor{Time: at(0)}
	var batch storage.Batch
	batch.Put(appendProducerKey(nil, 999, 5), state.appendTo(nil))
	prefix := slices.Clip(cursorPrefix(Name{KindGroup, "", "g"}))
	batch.Put(appendCursorKey(prefix, cursorAt{newID(), 0}), cursor.appendTo(nil))
	stranger := slices.Clip(cursorPrefix(Name{KindGroup, "", "nobody"}))
	batch.Put(appendCursorKey(stranger, cursorAt{p.topic.id, 0}), cursor.appendTo(nil))
	if _, err := b.store.Submit(&batch); err != nil {
		t.Fatal(err)
	}
	b = reopen(t, reopen(t, b, fs), fs)
	n := 0
	for _, family := range []byte{familyProducer, familyCursor} {
		for range b.store.Scan([]byte{family}) {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d keys are left, want the 2 of the topic that is kept", n)
	}
}

func TestGrownTopicKeepsItsRecords(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs, func(c *Config) { c.Limits = Limits{PartitionsPerTopic: 5, Partitions: 6} })
	topic := mustTopic(t, b, TopicSpec{Name: "a", Partitions: 2})
	mustWrite(t, topic.Partition(1), rec("x"))
	mustTopic(t, b, TopicSpec{Name: "b"})
	for _, c := range []struct {
		n    int
		name string
		want ErrorKind
	}{
		{2, "a", Invalid}, {1, "a", Invalid}, {6, "a", Invalid}, {3, "c", NotFound}, {4, "a", 0},
		{5, "b", Full},
	} {
		wantKind(t, c.name, b.GrowTopic(ctx, "", c.name, c.n), c.want)
	}
	mustWrite(t, topic.Partition(3), rec("y"))
	b = reopen(t, b, fs)
	topic, err := b.Topic("", "a")
	if err != nil || topic.Partitions() != 4 {
		t.Fatalf("%v %v, want 4 partitions", topic, err)
	}
	got := append(values(t, topic.Partition(1), 0), values(t, topic.Partition(3), 0)...)
	if want := []string{"x", "y"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPartitionThatIsNotThereIsNil(t *testing.T) {
	topic := mustTopic(t, openOn(t, vfs.NewMem()), TopicSpec{Name: "a", Partitions: 2})
	if topic.Partition(-1) != nil || topic.Partition(2) != nil || topic.Partition(1).Index() != 1 {
		t.Error("partitions other than 0 and 1 exist")
	}
}

// TestTopicIsDurableWhenCreateReturns kills the process right after.
func TestTopicIsDurableWhenCreateReturns(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	for _, name := range []string{"a", "b", "c"} {
		id := mustTopic(t, b, TopicSpec{Name: name, Partitions: 2}).ID()
		after := openOn(t, fs.Crash(seeded(1)))
		got, err := after.Topic("", name)
		if err != nil || got.ID() != id {
			t.Errorf("%s after a power cut: %v %v, want id %v", name, got, err, id)
		}
		after.Close()
	}
}

// TestCatalogIsAwaited: a topic shows before it is on disk, and who tells of it can wait. The
// one who hears that it exists already has waited.
func TestCatalogIsAwaited(t *testing.T) {
	disk := newGate(vfs.NewMem())
	b := openOn(t, disk)
	resume := disk.stop()
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if _, err := b.CreateTopic(short, TopicSpec{Name: "a"}); err == nil || KindOf(err) != 0 {
		t.Errorf("create: %v, want the context's error", err)
	}
	if _, err := b.Topic("", "a"); err != nil {
		t.Errorf("find: %v, want the topic", err)
	}
	for what, try := range map[string]func() error{
		"await":        func() error { return b.AwaitCatalog(short) },
		"create again": func() error { _, err := b.CreateTopic(short, TopicSpec{Name: "a"}); return err },
		"grow by none": func() error { return b.GrowTopic(short, "", "a", 1) },
		"delete none":  func() error { return b.DeleteTopic(short, "", "b") },
	} {
		if err := try(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s while the disk stands still: got %v, want the context's error", what, err)
		}
	}
	resume()
	if err := b.AwaitCatalog(ctx); err != nil {
		t.Error(err)
	}
	_, err := b.CreateTopic(ctx, TopicSpec{Name: "a"})
	wantKind(t, "create again", err, Exists)
}

func TestRefusedChangesOfEventStoresAreOnDisk(t *testing.T) {
	disk := newGate(vfs.NewMem())
	b := openOn(t, disk)
	if _, err := b.CreateStreams(ctx, "", "old"); err != nil {
		t.Fatal(err)
	}
	resume := disk.stop()
	defer resume()
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	for range 2 { // the change, and the one that is refused because of it
		if _, err := b.CreateStreams(short, "", "new"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("create: got %v, want the context's error", err)
		}
		if err := b.DeleteStreams(short, "", "old"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("delete: got %v, want the context's error", err)
		}
	}
}

func TestCreateTopicThatIsNotWaitedForStillHappens(t *testing.T) {
	disk := newGate(vfs.NewMem())
	b := openOn(t, disk)
	resume := disk.stop()
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if _, err := b.CreateTopic(short, TopicSpec{Name: "a"}); err == nil || KindOf(err) != 0 {
		t.Errorf("create: %v, want the context's error", err)
	}
	resume()
	topic, err := b.Topic("", "a")
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, topic.Partition(0), rec("x"))
}

func TestTopicOfTenThousandPartitions(t *testing.T) {
	fs := vfs.NewMem()
	large := func(c *Config) { c.Storage = storage.Config{} }
	b := openOn(t, fs, large)
	mustTopic(t, b, TopicSpec{Name: "wide", Partitions: 10_000})
	b = reopen(t, b, fs, large)
	topic, err := b.Topic("", "wide")
	if err != nil || topic.Partitions() != 10_000 {
		t.Fatalf("%v %v, want 10,000 partitions", topic, err)
	}
	if err := b.DeleteTopic(ctx, "", "wide"); err != nil {
		t.Fatal(err)
	}
}

func TestAChangedTopicIsAsIfCreatedSo(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	topic := mustTopic(t, b, TopicSpec{Name: "t", Config: TopicConfig{RetentionTime: time.Hour}})
	want := TopicConfig{RetentionTime: 2 * time.Hour, BatchBytes: 5000}
	if err := b.ChangeTopic(ctx, topic, want); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "wrong", b.ChangeTopic(ctx, topic, TopicConfig{BatchBytes: -1}), Invalid)
	_, err := topic.Partition(0).Write(ctx, Record{Value: make([]byte, 6000)})
	wantKind(t, "beyond the new limit", err, TooLarge)
	b = reopen(t, b, fs)
	topic, err = b.Topic("", "t")
	if err != nil {
		t.Fatal(err)
	}
	if got := topic.Config(); !reflect.DeepEqual(got, want) {
		t.Errorf("after a restart it is %+v, want %+v", got, want)
	}
	if err := b.DeleteTopic(ctx, "", "t"); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "deleted", b.ChangeTopic(ctx, topic, want), NotFound)
}
