package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage"
	"github.com/tidings-io/tidings/storage/vfs"
)

func TestBrokerKeepsItsIdentity(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	id := b.ID()
	if again := reopen(t, b, fs).ID(); again != id || id == (ID{}) {
		t.Errorf("id %v after a restart, want %v", again, id)
	}
	if other := openOn(t, vfs.NewMem()).ID(); other == id {
		t.Errorf("two directories have the id %v", id)
	}
}

func TestIDReadsAsAUUID(t *testing.T) {
	id := ID{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0x4d, 0xef, 0x81, 15: 0xff}
	if got, want := id.String(), "01234567-89ab-4def-8100-0000000000ff"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if s := newID().String(); s[14] != '4' || !strings.ContainsRune("89ab", rune(s[19])) {
		t.Errorf("%s is not a UUID of version 4", s)
	}
}

func TestSecondHolderIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	openOn(t, fs, func(c *Config) { c.Storage.Owner = "the first one" })
	_, err := Open("test", Config{FS: fs, Storage: smallStore})
	if !errors.Is(err, vfs.ErrLocked) || !strings.Contains(err.Error(), "the first one") {
		t.Errorf("got %v, want %v naming the holder", err, vfs.ErrLocked)
	}
}

// Who opens a broker in two programs is told which, without having configured it.
func TestAHolderIsNamedByItsProgram(t *testing.T) {
	dir := t.TempDir()
	b, err := Open(dir, Config{Storage: smallStore})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	_, err = Open(dir, Config{})
	want := fmt.Sprintf("open broker %s: lock %s: locked by another process: %s (pid %d)", dir,
		filepath.Join(dir, "LOCK"), filepath.Base(os.Args[0]), os.Getpid())
	if !errors.Is(err, vfs.ErrLocked) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestOpenMakesADirectoryThatIsMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "var", "data")
	for range 2 { // the second finds what the first made
		b, err := Open(dir, Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenRefusesBadConfiguration(t *testing.T) {
	for name, c := range map[string]Config{
		"negative limit":     {Limits: Limits{Topics: -1}},
		"state beyond store": {Limits: Limits{GroupStateBytes: 2 << 20}},
		"negative retention": {RetentionInterval: -1},
		"negative expiry":    {ProducerExpiry: -1},
	} {
		c.FS = vfs.NewMem()
		_, err := Open("test", c)
		wantKind(t, name, err, Invalid)
	}
}

func TestOpenRefusesValuesOfANewerVersion(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	var batch storage.Batch
	batch.Put(catalogKey(Name{KindTopic, "", "future"}), []byte{valueVersion + 1, 1, 2, 3})
	if _, err := b.store.Submit(&batch); err != nil {
		t.Fatal(err)
	}
	b.Close()
	_, err := Open("test", Config{FS: fs, Storage: smallStore})
	wantKind(t, "open", err, Unsupported)
	if !strings.Contains(err.Error(), "future") {
		t.Errorf("%v does not name the topic", err)
	}
}

func TestOpenRefusesMalformedValues(t *testing.T) {
	for name, change := range map[string]func(*storage.Batch){
		"topic":   func(x *storage.Batch) { x.Put(catalogKey(Name{KindTopic, "", "t"}), []byte{1, 2}) },
		"streams": func(x *storage.Batch) { x.Put(catalogKey(Name{KindStreams, "", "t"}), []byte{1, 2}) },
		"key":     func(x *storage.Batch) { x.Put([]byte{familyCatalog, 1, 200}, []byte{1}) },
		"cursor":  func(x *storage.Batch) { x.Put([]byte{familyCursor, 200}, []byte{1}) },
		"producer": func(x *storage.Batch) {
			x.Put([]byte{familyProducer, 1}, []byte{1})
		},
		"identity": func(x *storage.Batch) { x.Put([]byte{familyBroker}, []byte{1}) },
		"ids":      func(x *storage.Batch) { x.Put([]byte{familyProducerID}, []byte{1}) },
	} {
		fs := vfs.NewMem()
		b := openOn(t, fs)
		var batch storage.Batch
		change(&batch)
		if _, err := b.store.Submit(&batch); err != nil {
			t.Fatal(err)
		}
		b.Close()
		_, err := Open("test", Config{FS: fs, Storage: smallStore})
		wantKind(t, name, err, Corrupt)
	}
}

func TestClosedBrokerRefusesEverything(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	topic := mustTopic(t, b, TopicSpec{Name: "t"})
	p := topic.Partition(0)
	a := mustWrite(t, p, rec("x"))
	s, err := b.CreateStreams(ctx, "", "s")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("second Close: %v, want no error", err)
	}
	if err := a.Confirm.Wait(ctx); err != nil {
		t.Errorf("confirm from before: %v, want no error", err)
	}
	raw := mustEncode(t, None, rec("y"))
	tx := b.Begin()
	tx.SaveGroup("", "g", nil)
	var buf Buffer
	for what, do := range map[string]func() error{
		"append":         func() error { _, err := p.Append(ctx, raw); return err },
		"write":          func() error { _, err := p.Write(ctx, rec("z")); return err },
		"read":           func() error { return p.Read(&buf, 0, 100) },
		"trim":           func() error { _, err := p.Trim(ctx, -1); return err },
		"commit":         func() error { _, err := tx.Commit(ctx); return err },
		"create topic":   func() error { _, err := b.CreateTopic(ctx, TopicSpec{Name: "u"}); return err },
		"delete topic":   func() error { return b.DeleteTopic(ctx, "", "t") },
		"grow topic":     func() error { return b.GrowTopic(ctx, "", "t", 5) },
		"new producer":   func() error { _, err := b.NewProducer(ctx); return err },
		"create streams": func() error { _, err := b.CreateStreams(ctx, "", "u"); return err },
		"delete streams": func() error { return b.DeleteStreams(ctx, "", "s") },
		"append stream":  func() error { _, err := s.Append(ctx, "a", Any, rec("x")); return err },
		"read stream": func() error {
			for _, err := range s.Read(ctx, "a", 1) {
				return err
			}
			return nil
		},
		"read all": func() error {
			for _, err := range s.All(ctx, 0) {
				return err
			}
			return nil
		},
	} {
		wantKind(t, what, do(), Closed)
	}
}

func TestConfirmWaitsForTheDisk(t *testing.T) {
	disk := newGate(vfs.NewMem())
	b := openOn(t, disk)
	p := mustTopic(t, b, TopicSpec{Name: "t"}).Partition(0)
	resume := disk.stop()
	a, err := p.Write(ctx, rec("x"))
	if err != nil {
		t.Fatal(err)
	}
	woken := make(chan struct{}, 1)
	a.Confirm.Notify(woken)
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if err := a.Confirm.Wait(short); !errors.Is(err, context.DeadlineExceeded) || KindOf(err) != 0 {
		t.Errorf("wait while the disk stands still: %v, want the context's error", err)
	}
	if a.Confirm.Done() || a.Confirm.Err() != nil || len(woken) != 0 {
		t.Errorf("confirm is done %v, %v, before the disk is", a.Confirm.Done(), a.Confirm.Err())
	}
	if _, end := p.Bounds(); end != 0 {
		t.Errorf("readers see %d records that a power cut could take back", end)
	}
	resume()
	if err := a.Confirm.Wait(ctx); err != nil || !a.Confirm.Done() {
		t.Errorf("wait: %v, done %v", err, a.Confirm.Done())
	}
	<-woken
	if got := values(t, p, 0); len(got) != 1 {
		t.Errorf("read %q, want the record", got)
	}
}

func TestZeroConfirmIsKept(t *testing.T) {
	var c Confirm
	ch := make(chan struct{}, 1)
	c.Notify(ch)
	if err := c.Wait(ctx); err != nil || !c.Done() || c.Err() != nil || len(ch) != 1 {
		t.Errorf("wait %v, done %v, err %v, notified %d", err, c.Done(), c.Err(), len(ch))
	}
}

func TestFailedDiskEndsTheBroker(t *testing.T) {
	disk := vfs.NewFaulty(vfs.NewMem())
	b := openOn(t, disk)
	p := mustTopic(t, b, TopicSpec{Name: "t"}).Partition(0)
	mustWrite(t, p, rec("kept"))
	disk.FailFrom(vfs.OpWrite, 1, nil)
	a, err := p.Write(ctx, rec("lost"))
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, "confirm", a.Confirm.Wait(ctx), Storage)
	wantKind(t, "confirm's error", a.Confirm.Err(), Storage)
	<-b.Failed()
	wantKind(t, "broker's error", b.Err(), Storage)
	_, err = p.Write(ctx, rec("refused"))
	wantKind(t, "later write", err, Storage)
	_, err = b.CreateTopic(ctx, TopicSpec{Name: "u"})
	wantKind(t, "later topic", err, Storage)
	if got := values(t, p, 0); len(got) != 1 || got[0] != "kept" {
		t.Errorf("read %q, want what was confirmed", got)
	}
	wantKind(t, "close", b.Close(), Storage)
}

func TestFullDiskRefusesAppendsAndLetsConsumersGoOn(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	p := mustTopic(t, b, TopicSpec{Name: "t"}).Partition(0)
	mustWrite(t, p, rec("x"))
	if !fillDisk(b, fs) {
		t.Fatal("the store does not notice that the disk is full")
	}
	_, err := p.Write(ctx, rec("y"))
	wantKind(t, "write", err, Full)
	_, err = b.CreateTopic(ctx, TopicSpec{Name: "u"})
	wantKind(t, "create topic", err, Full)
	tx := b.Begin()
	tx.SaveCursor("", "g", p, Cursor{Offset: 1})
	mustCommit(t, tx)
	if err := b.DeleteTopic(ctx, "", "t"); err != nil {
		t.Errorf("delete topic: %v, want no error", err)
	}
}

// fillDisk takes the free space away and waits until the store has noticed.
func fillDisk(b *Broker, fs *vfs.Mem) bool {
	free, total, err := fs.Space()
	if err != nil {
		return false
	}
	fs.SetCapacity(total - free + 4096)
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if b.Storage().Full {
			return true
		}
		time.Sleep(time.Millisecond) // the store looks by its own timer
	}
	return false
}

func TestProducerIDsAreNeverGivenTwice(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	seen := map[int64]bool{}
	take := func(n int) {
		for range n {
			id, err := b.NewProducer(ctx)
			if err != nil || id < 1 || seen[id] {
				t.Fatalf("id %d %v, want a new one", id, err)
			}
			seen[id] = true
		}
	}
	take(producerBlock + 5) // more than one block
	b = reopen(t, b, fs)
	take(5)
	kept := fs.Kill()
	take(1)
	b = openOn(t, kept)
	take(5)
}

func TestBrokerReportsItsLimitsAndCounters(t *testing.T) {
	b := openOn(t, vfs.NewMem(), func(c *Config) { c.Limits.Topics = 3 })
	mustTopic(t, b, TopicSpec{Name: "t", Partitions: 4})
	want := defaultLimits
	want.Topics = 3
	if b.Limits() != want || b.Storage().Logs != 4 {
		t.Errorf("limits %+v, %d logs, want %+v, 4", b.Limits(), b.Storage().Logs, want)
	}
	select {
	case <-b.Failed():
		t.Error("failed")
	default:
	}
	if b.Err() != nil || b.Observing() {
		t.Errorf("err %v, observing %v, want neither", b.Err(), b.Observing())
	}
}
