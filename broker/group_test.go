package broker

import (
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/storage"
	"github.com/tidings-io/tidings/storage/vfs"
)

// groupState is all there is to see of a group.
type groupState struct {
	State   string
	Cursors map[string]Cursor
}

func stateOf(t testing.TB, b *Broker, name string) groupState {
	t.Helper()
	g, err := b.Group("", name)
	if err != nil {
		t.Fatal(err)
	}
	s := groupState{State: string(g.State()), Cursors: map[string]Cursor{}}
	for key, c := range g.Cursors() {
		topic, err := b.TopicByID(key.Topic)
		if err != nil || topic.Name().Name != key.Name {
			t.Errorf("cursor of topic %q has the id of %v %v", key.Name, topic, err)
		}
		if got, ok := g.Cursor(key.Name, key.Partition); !ok || got != c {
			t.Errorf("Cursor(%s, %d) is %+v %v, Cursors has %+v", key.Name, key.Partition, got, ok, c)
		}
		s.Cursors[topic.Partition(key.Partition).String()] = c
	}
	return s
}

func wantGroup(t testing.TB, b *Broker, name string, want groupState) {
	t.Helper()
	if got := stateOf(t, b, name); !reflect.DeepEqual(got, want) {
		t.Errorf("group %s: got %+v, want %+v", name, got, want)
	}
}

func TestGroupsSurviveAKill(t *testing.T) {
	fs, c := vfs.NewMem(), clockAt(50)
	b := openOn(t, fs, c.use)
	topic := mustTopic(t, b, TopicSpec{Name: "t", Partitions: 3})
	tx := b.Begin()
	tx.SaveGroup("", "g", []byte("members"))
	tx.SaveCursor("", "g", topic.Partition(0), Cursor{Offset: 5, LeaderEpoch: -1, Metadata: "m"})
	tx.SaveCursor("", "g", topic.Partition(2), Cursor{Offset: 7, Time: at(10)})
	tx.SaveCursor("", "only-cursors", topic.Partition(1), Cursor{Offset: 1})
	mustCommit(t, tx)
	tx = b.Begin()
	tx.SaveCursor("", "g", topic.Partition(0), Cursor{Offset: 6, LeaderEpoch: 0})
	mustCommit(t, tx)
	for range 2 {
		wantGroup(t, b, "g", groupState{"members", map[string]Cursor{
			"t/0": {Offset: 6, Time: at(50)}, "t/2": {Offset: 7, Time: at(10)},
		}})
		wantGroup(t, b, "only-cursors", groupState{"", map[string]Cursor{
			"t/1": {Offset: 1, Time: at(50)},
		}})
		b = openOn(t, fs.Kill(), c.use)
	}
}

func TestDeletedGroupIsGone(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	p := mustTopic(t, b, TopicSpec{Name: "t"}).Partition(0)
	tx := b.Begin()
	tx.SaveGroup("", "g", []byte("members"))
	tx.SaveCursor("", "g", p, Cursor{Offset: 5})
	mustCommit(t, tx)
	tx = b.Begin()
	tx.DeleteGroup("", "g")
	tx.DeleteGroup("", "never was")
	tx.DeleteCursor("", "never was", "t", 0)
	mustCommit(t, tx)
	for range 2 {
		if _, err := b.Group("", "g"); KindOf(err) != NotFound {
			t.Errorf("deleted group: %v, want NotFound", err)
		}
		if len(b.Groups("")) != 0 {
			t.Errorf("groups %v, want none", b.Groups(""))
		}
		b = reopen(t, b, fs)
	}
	for key := range b.store.Scan([]byte{familyCursor}) {
		t.Errorf("key %q is left", key)
	}
}

// TestGroupWithManyCursorsIsDeleted deletes more keys than one batch of the store takes.
func TestGroupWithManyCursorsIsDeleted(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	topic := mustTopic(t, b, TopicSpec{Name: "t", Partitions: 200})
	group := strings.Repeat("g", maxName)
	for i := 0; i < topic.Partitions(); i += 50 {
		tx := b.Begin()
		for j := range 50 {
			tx.SaveCursor("", group, topic.Partition(i+j), Cursor{Offset: 1})
		}
		mustCommit(t, tx)
	}
	tx := b.Begin()
	tx.DeleteGroup("", group)
	mustCommit(t, tx)
	for range 2 {
		if len(b.Groups("")) != 0 {
			t.Errorf("groups %v, want none", b.Groups(""))
		}
		for key := range b.store.Scan([]byte{familyCursor}) {
			t.Fatalf("key %q is left", key)
		}
		b = openOn(t, fs.Kill())
	}
}

// TestCursorsOfADeletedGroupStayGone cuts a deletion short behind its first batch.
func TestCursorsOfADeletedGroupStayGone(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	p := mustTopic(t, b, TopicSpec{Name: "t"}).Partition(0)
	tx := b.Begin()
	tx.SaveCursor("", "g", p, Cursor{Offset: 5})
	mustCommit(t, tx)
	var first storage.Batch
	first.Delete(catalogKey(Name{KindGroup, "", "g"}))
	seq, err := b.store.Submit(&first)
	if err == nil {
		err = b.store.Await(ctx, seq)
	}
	if err != nil {
		t.Fatal(err)
	}
	b = openOn(t, fs.Kill())
	tx = b.Begin()
	tx.SaveGroup("", "g", []byte("new"))
	mustCommit(t, tx)
	wantGroup(t, b, "g", groupState{"new", map[string]Cursor{}})
}

// TestChangesOfOneGroupHappenInOrder folds several calls of one Tx.
func TestChangesOfOneGroupHappenInOrder(t *testing.T) {
	fs, c := vfs.NewMem(), clockAt(50)
	b := openOn(t, fs, c.use)
	topic := mustTopic(t, b, TopicSpec{Name: "t", Partitions: 4})
	tx := b.Begin()
	for i := range 4 {
		tx.SaveCursor("", "g", topic.Partition(i), Cursor{Offset: 1})
	}
	tx.SaveGroup("", "g", []byte("old"))
	mustCommit(t, tx)

	tx = b.Begin()
	tx.SaveCursor("", "g", topic.Partition(1), Cursor{Offset: 2})
	tx.DeleteGroup("", "g")
	tx.SaveCursor("", "g", topic.Partition(2), Cursor{Offset: 3})
	tx.SaveCursor("", "g", topic.Partition(3), Cursor{Offset: 4})
	tx.DeleteCursor("", "g", "t", 2)
	tx.DeleteCursor("", "g", "no such topic", 2)
	tx.SaveGroup("", "gone", []byte("x"))
	tx.DeleteGroup("", "gone")
	mustCommit(t, tx)
	for range 2 {
		wantGroup(t, b, "g", groupState{"", map[string]Cursor{"t/3": {Offset: 4, Time: at(50)}}})
		if len(b.Groups("")) != 1 {
			t.Errorf("groups %v, want one", b.Groups(""))
		}
		b = reopen(t, b, fs, c.use)
	}
}

func TestGroupChangesAreChecked(t *testing.T) {
	b := openOn(t, vfs.NewMem(), func(c *Config) {
		c.Limits = Limits{Groups: 2, CursorMetadata: 3, GroupStateBytes: 3}
	})
	p := mustTopic(t, b, TopicSpec{Name: "t"}).Partition(0)
	tx := b.Begin()
	tx.SaveGroup("", "a", []byte("abc"))
	tx.SaveCursor("", "b", p, Cursor{Metadata: "abc"})
	mustCommit(t, tx)
	for _, c := range []struct {
		what string
		do   func(tx *Tx)
		want ErrorKind
	}{
		{"group without a name", func(tx *Tx) { tx.SaveGroup("", "", nil) }, Invalid},
		{"long name", func(tx *Tx) { tx.SaveGroup("", strings.Repeat("g", 256), nil) }, Invalid},
		{"bad namespace", func(tx *Tx) { tx.SaveGroup("\xff", "g", nil) }, Invalid},
		{"large state", func(tx *Tx) { tx.SaveGroup("", "a", []byte("abcd")) }, TooLarge},
		{"large metadata", func(tx *Tx) {
			tx.SaveCursor("", "a", p, Cursor{Metadata: "abcd"})
		}, TooLarge},
		{"no partition", func(tx *Tx) { tx.SaveCursor("", "a", nil, Cursor{}) }, Invalid},
		{"offset below zero", func(tx *Tx) { tx.SaveCursor("", "a", p, Cursor{Offset: -1}) }, Invalid},
		{"other namespace", func(tx *Tx) { tx.SaveCursor("x", "a", p, Cursor{}) }, Invalid},
		{"a third group", func(tx *Tx) { tx.SaveGroup("", "c", nil) }, Full},
		{"an append to nothing", func(tx *Tx) { tx.Append(nil, nil) }, Invalid},
		{"events for no store", func(tx *Tx) { tx.AppendStream(nil, "s", Any, []Record{{}}) }, Invalid},
	} {
		tx := b.Begin()
		c.do(tx)
		tx.SaveGroup("", "a", []byte("new"))
		_, err := tx.Commit(ctx)
		wantKind(t, c.what, err, c.want)
	}
	if got := stateOf(t, b, "a").State; got != "abc" {
		t.Errorf("a refused transaction changed the state to %q", got)
	}
}

func TestLargestStateOfAGroupIsSaved(t *testing.T) {
	b := openOn(t, vfs.NewMem(), func(c *Config) { c.Storage = storage.Config{} })
	tx := b.Begin()
	tx.SaveGroup(strings.Repeat("n", maxName), strings.Repeat("g", maxName),
		make([]byte, defaultLimits.GroupStateBytes))
	mustCommit(t, tx)
}

func TestCursorsOfADeletedTopicVanish(t *testing.T) {
	b := openOn(t, vfs.NewMem(), clockAt(50).use)
	old := mustTopic(t, b, TopicSpec{Name: "t"}).Partition(0)
	kept := mustTopic(t, b, TopicSpec{Name: "u"}).Partition(0)
	tx := b.Begin()
	tx.SaveCursor("", "g", old, Cursor{Offset: 5})
	tx.SaveCursor("", "g", kept, Cursor{Offset: 6})
	mustCommit(t, tx)
	if err := b.DeleteTopic(ctx, "", "t"); err != nil {
		t.Fatal(err)
	}
	mustTopic(t, b, TopicSpec{Name: "t"})
	wantGroup(t, b, "g", groupState{"", map[string]Cursor{"u/0": {Offset: 6, Time: at(50)}}})
	g, _ := b.Group("", "g")
	if c, ok := g.Cursor("t", 0); ok {
		t.Errorf("the new topic has the old one's cursor %+v", c)
	}
	if c, ok := g.Cursor("never was", 0); ok {
		t.Errorf("cursor %+v in no topic", c)
	}
}

func TestGroupsAreListedByNamespace(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	tx := b.Begin()
	for _, n := range []string{"b", "a", "c"} {
		tx.SaveGroup("", n, nil)
	}
	tx.SaveGroup("x", "a", nil)
	mustCommit(t, tx)
	names := ""
	for _, g := range append(b.Groups(""), b.Groups("x")...) {
		names += g.Name().String() + " "
	}
	if want := "a b c x/a "; names != want {
		t.Errorf("got %q, want %q", names, want)
	}
}

func TestCursorsReturnsACopy(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	p := mustTopic(t, b, TopicSpec{Name: "t"}).Partition(0)
	tx := b.Begin()
	tx.SaveCursor("", "g", p, Cursor{Offset: 5})
	mustCommit(t, tx)
	g, _ := b.Group("", "g")
	maps.DeleteFunc(g.Cursors(), func(CursorKey, Cursor) bool { return true })
	if _, ok := g.Cursor("t", 0); !ok {
		t.Error("the cursor was deleted from outside")
	}
}
