package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

func TestTransactionIsAllOrNothing(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	topic := mustTopic(t, b, TopicSpec{Name: "t", Partitions: 2})
	s, err := b.CreateStreams(ctx, "", "s")
	if err != nil {
		t.Fatal(err)
	}
	attempt := func(last func(tx *Tx)) error {
		tx := b.Begin()
		tx.Append(topic.Partition(1), from(t, 1, 0, 0, 2))
		tx.Append(topic.Partition(0), mustEncode(t, None, rec("plain")))
		tx.SaveCursor("", "g", topic.Partition(0), Cursor{Offset: 1})
		tx.SaveGroup("", "h", []byte("state"))
		tx.AppendStream(s, "a", NoStream, []Record{rec("event")})
		last(tx)
		c, err := tx.Commit(ctx)
		if err != nil {
			return err
		}
		return c.Wait(ctx)
	}
	for what, c := range map[string]struct {
		last func(tx *Tx)
		want ErrorKind
	}{
		"a gap in a sequence": {func(tx *Tx) {
			tx.Append(topic.Partition(1), from(t, 1, 0, 3, 1))
		}, OutOfOrder},
		"a corrupt batch": {func(tx *Tx) { tx.Append(topic.Partition(1), []byte("x")) }, Corrupt},
		"a stream's version": {func(tx *Tx) {
			tx.AppendStream(s, "a", 5, []Record{rec("x")})
		}, Conflict},
		"a group without name": {func(tx *Tx) { tx.SaveGroup("", "", nil) }, Invalid},
	} {
		wantKind(t, what, attempt(c.last), c.want)
		for _, p := range topic.all() {
			if _, _, end := p.log.Bounds(); end != 0 || len(p.Producers()) != 0 {
				t.Errorf("%s: %s ends at %d with producers %v", what, p, end, p.Producers())
			}
		}
		if len(b.Groups("")) != 0 || s.Version("a") != 0 {
			t.Errorf("%s: groups %v, stream at %d", what, b.Groups(""), s.Version("a"))
		}
	}
	if err := attempt(func(*Tx) {}); err != nil {
		t.Fatal(err)
	}
	b = openOn(t, fs.Crash(seeded(3)))
	topic, err = b.Topic("", "t")
	if err != nil {
		t.Fatal(err)
	}
	got := append(values(t, topic.Partition(0), 0), values(t, topic.Partition(1), 0)...)
	if want := []string{"plain", "1/0", "1/1"}; !slices.Equal(got, want) {
		t.Errorf("records %q, want %q", got, want)
	}
	if stateOf(t, b, "h").State != "state" || stateOf(t, b, "g").Cursors["t/0"].Offset != 1 {
		t.Errorf("groups %+v %+v", stateOf(t, b, "g"), stateOf(t, b, "h"))
	}
	if s, err = b.Streams("", "s"); err != nil || s.Version("a") != 1 {
		t.Errorf("stream at version %d %v, want 1", s.Version("a"), err)
	}
}

func TestResultsAreInTheOrderOfTheCalls(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	topic := mustTopic(t, b, TopicSpec{Name: "t", Partitions: 3})
	s, err := b.CreateStreams(ctx, "", "s")
	if err != nil {
		t.Fatal(err)
	}
	tx := b.Begin()
	two := mustEncode(t, None, rec("a"), rec("b"))
	at := []int{
		tx.Append(topic.Partition(2), two),
		tx.AppendStream(s, "x", NoStream, []Record{rec("1")}),
		tx.Append(topic.Partition(0), two),
		tx.Append(topic.Partition(2), two),
		tx.AppendStream(s, "y", NoStream, []Record{rec("1"), rec("2")}),
		tx.AppendStream(s, "x", 1, []Record{rec("2")}),
		tx.Append(topic.Partition(2), two),
	}
	mustCommit(t, tx)
	got := ""
	for _, i := range at {
		r := tx.Result(i)
		got += fmt.Sprintf("%d@%d ", r.Base, r.Version)
	}
	if want := "0@0 0@1 0@0 2@0 1@2 3@2 4@0 "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := values(t, topic.Partition(2), 0); len(got) != 6 {
		t.Errorf("partition 2 has %q", got)
	}
}

func TestIdempotentBatchesOfOneTransaction(t *testing.T) {
	p := onePartition(t, TopicConfig{})
	tx := p.b.Begin()
	tx.Append(p, from(t, 7, 0, 0, 2))
	tx.Append(p, from(t, 7, 0, 2, 1))
	tx.Append(p, from(t, 7, 0, 0, 2)) // its original is two lines above
	tx.Append(p, from(t, 8, 0, 0, 1))
	mustCommit(t, tx)
	got := ""
	for i := range 4 {
		got += fmt.Sprintf("%d,%v ", tx.Result(i).Base, tx.Result(i).Duplicate)
	}
	if want := "0,false 2,false 0,true 3,false "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	tx = p.b.Begin()
	tx.Append(p, from(t, 7, 0, 2, 1))
	mustCommit(t, tx)
	if r := tx.Result(0); !r.Duplicate || r.Base != 2 {
		t.Errorf("a transaction of one duplicate: %+v", r)
	}
	if got := values(t, p, 0); len(got) != 4 {
		t.Errorf("records %q, want 4", got)
	}
}

func TestDuplicateOfATransactionWaitsForTheOriginal(t *testing.T) {
	disk := newGate(vfs.NewMem())
	p := mustTopic(t, openOn(t, disk), TopicSpec{Name: "t"}).Partition(0)
	mustWrite(t, p, rec("before"))
	resume := disk.stop()
	defer resume()
	tx := p.b.Begin()
	for seq := range int32(3) {
		tx.Append(p, from(t, 7, 0, seq, 1))
	}
	confirm, err := tx.Commit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for seq := range int32(3) {
		a, err := p.Append(ctx, from(t, 7, 0, seq, 1))
		want := Appended{Base: Offset(seq) + 1, Duplicate: true, Confirm: confirm}
		if err != nil || a != want || a.Confirm.Done() {
			t.Errorf("batch %d: got %+v %v, done %v, want %+v", seq, a, err, a.Confirm.Done(), want)
		}
	}
}

func TestEmptyTransactionIsDone(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	tx := b.Begin()
	if c, err := tx.Commit(ctx); err != nil || !c.Done() {
		t.Errorf("commit: %v, done %v", err, c.Done())
	}
	_, err := tx.Commit(ctx)
	wantKind(t, "second commit", err, Invalid)
}

// TestTransactionsThatCrossDoNotDeadlock takes locks in every order that callers
// can name them.
func TestTransactionsThatCrossDoNotDeadlock(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	topic := mustTopic(t, b, TopicSpec{Name: "t", Partitions: 4})
	s, err := b.CreateStreams(ctx, "", "s")
	if err != nil {
		t.Fatal(err)
	}
	raw := mustEncode(t, None, rec("x"))
	const workers, each = 4, 60
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for range each {
				tx := b.Begin()
				for _, i := range rng.Perm(4) {
					tx.Append(topic.Partition(i), raw)
					tx.SaveCursor("", fmt.Sprint("g", rng.IntN(3)), topic.Partition(i), Cursor{Offset: 1})
				}
				tx.AppendStream(s, "a", Any, []Record{rec("e")})
				if rng.IntN(5) == 0 {
					tx.DeleteGroup("", fmt.Sprint("g", rng.IntN(3)))
				}
				if _, err := tx.Commit(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Go(func() { // the catalog changes beside them
		for i := range each {
			name := fmt.Sprint("other", i)
			mustTopic(t, b, TopicSpec{Name: name})
			if err := b.DeleteTopic(ctx, "", name); err != nil {
				t.Error(err)
			}
		}
	})
	group.Wait()
	for _, p := range topic.all() {
		if _, _, end := p.log.Bounds(); end != workers*each {
			t.Errorf("%s ends at %d, want %d", p, end, workers*each)
		}
	}
}

func TestAReleasedTxBeginsEmpty(t *testing.T) {
	p := newPool(t, QueueSpec{Durable: true})
	x, err := p.b.Exchange("", "")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		tx := p.b.Begin()
		tx.Publish(x, QueueRecord{Key: p.q.name.Name, Body: []byte("one")})
		confirm, err := tx.Commit(ctx)
		tx.Release()
		if err == nil {
			err = confirm.Wait(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	tx := p.b.Begin()
	if _, err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if got := p.q.Stats().Ready; got != 3 {
		t.Errorf("%d records wait, want 3", got)
	}
}
