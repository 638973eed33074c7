package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// ear remembers what it hears, as text.
type ear struct {
	mu    sync.Mutex
	heard []string
	raw   bool // what WantsRaw answers
}

func (e *ear) WantsRaw() bool { return e.raw }

func (e *ear) Observe(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, describeEvent(ev))
}

func (e *ear) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.heard)
}

func describeEvent(ev Event) string {
	value := func(raw []byte) string {
		if raw == nil {
			return "nothing"
		}
		s := ""
		for r := range Records(raw) {
			s += string(r.Value)
		}
		return s
	}
	switch ev := ev.(type) {
	case *Published:
		return fmt.Sprintf("published %s@%d+%d %s", ev.Partition, ev.Base, ev.Count, value(ev.Raw))
	case *Duplicated:
		return fmt.Sprintf("duplicated %s@%d+%d of %d", ev.Partition, ev.Base, ev.Count, ev.Producer)
	case *StreamAppended:
		return fmt.Sprintf("stream %s/%s at %d: @%d+%d %s", ev.Streams.Name(), ev.Stream, ev.Version,
			ev.Base, ev.Count, value(ev.Raw))
	case *CursorMoved:
		return fmt.Sprintf("cursor %s in %s/%d at %d", ev.Group, ev.Topic, ev.Partition, ev.Cursor.Offset)
	case *TopicCreated:
		return "created " + ev.Topic.Name().Name
	case *TopicDeleted:
		return "deleted " + ev.Topic.Name().Name
	case *Delivered:
		return fmt.Sprintf("delivered to %s", ev.Client)
	case *MemberJoined:
		return "joined " + ev.Member
	case *MemberLeft:
		return "left " + ev.Member
	}
	return fmt.Sprintf("unknown %T", ev)
}

func TestObserverHearsEveryChangeOnce(t *testing.T) {
	e := &ear{raw: true}
	b := openOn(t, vfs.NewMem(), func(c *Config) { c.Observer = e })
	p := mustTopic(t, b, TopicSpec{Name: "t"}).Partition(0)
	s := mustStreams(t, b)
	if _, err := p.Append(ctx, from(t, 7, 0, 0, 2)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Append(ctx, from(t, 7, 0, 0, 2)); err != nil {
		t.Fatal(err)
	}
	tx := b.Begin()
	tx.Append(p, mustEncode(t, None, rec("x")))
	tx.AppendStream(s, "a", Any, []Record{rec("1"), rec("2")})
	tx.SaveCursor("", "g", p, Cursor{Offset: 2})
	mustCommit(t, tx)
	if err := b.DeleteTopic(ctx, "", "t"); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil { // tells the rest
		t.Fatal(err)
	}
	want := []string{
		"created t", "published t/0@0+2 7/07/1", "duplicated t/0@0+2 of 7", "published t/0@2+1 x",
		"stream s/a at 2: @0+2 12", "cursor g in t/0 at 2", "deleted t",
	}
	if got := e.all(); !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

func TestFaceReportsAreToldAtOnce(t *testing.T) {
	e := &ear{}
	b := openOn(t, vfs.NewMem(), func(c *Config) { c.Observer = e })
	if !b.Observing() {
		t.Error("not observing")
	}
	b.Observe(&Delivered{Client: "c"})
	b.Observe(&MemberJoined{Member: "m"})
	b.Observe(&MemberLeft{Member: "m"})
	want := []string{"delivered to c", "joined m", "left m"}
	if got := e.all(); !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
	openOn(t, vfs.NewMem()).Observe(&Delivered{}) // nobody listens
}

func TestObserverHearsNothingThatIsNotDurable(t *testing.T) {
	disk, e := newGate(vfs.NewMem()), &ear{raw: true}
	b := openOn(t, disk, func(c *Config) { c.Observer = e })
	p := mustTopic(t, b, TopicSpec{Name: "t"}).Partition(0)
	resume := disk.stop()
	a, err := p.Write(ctx, rec("x"))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond) // an early call would come now
	if got := e.all(); len(got) > 1 {
		t.Errorf("heard %q while the disk stands still", got)
	}
	resume()
	if err := a.Confirm.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if got, want := e.all(), []string{"created t", "published t/0@0+1 x"}; !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

func TestObserverNeverHearsOfWhatTheDiskLost(t *testing.T) {
	disk, e := vfs.NewFaulty(vfs.NewMem()), &ear{raw: true}
	b := openOn(t, disk, func(c *Config) { c.Observer = e })
	p := mustTopic(t, b, TopicSpec{Name: "t"}).Partition(0)
	disk.FailFrom(vfs.OpWrite, 1, nil)
	if _, err := p.Write(ctx, rec("lost")); err != nil {
		t.Fatal(err)
	}
	<-b.Failed()
	b.Close()
	if got, want := e.all(), []string{"created t"}; !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

func TestObserverThatWantsNoBytesGetsNone(t *testing.T) {
	e := &ear{raw: false}
	b := openOn(t, vfs.NewMem(), func(c *Config) { c.Observer = e })
	mustWrite(t, mustTopic(t, b, TopicSpec{Name: "t"}).Partition(0), rec("x"))
	b.Close()
	if got, want := e.all()[1], "published t/0@0+1 nothing"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
}

// TestEventsOfAPartitionComeInOrder has many writers.
func TestEventsOfAPartitionComeInOrder(t *testing.T) {
	next, bad := Offset(0), 0
	b := openOn(t, vfs.NewMem(), func(c *Config) {
		c.Observer = observerFunc(func(e Event) {
			if e, ok := e.(*Published); ok {
				info, err := ParseBatch(e.Raw)
				if err != nil || e.Base != next || info.Count != e.Count || len(e.Raw) != e.Bytes {
					bad++
				}
				next = e.Base + Offset(e.Count)
			}
		})
	})
	p := mustTopic(t, b, TopicSpec{Name: "t"}).Partition(0)
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			for i := range 100 {
				// Some are larger than the chunk that bytes are kept in.
				value := make([]byte, 10+(w*i%7)*50_000)
				if _, err := p.Write(ctx, Record{Value: value}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.Close()
	if bad != 0 || next != 400 {
		t.Errorf("%d events out of order or damaged, the last ends at %d of 400", bad, next)
	}
}

// TestSlowObserverHoldsAppendsBack: memory stays bounded, and a context ends the wait.
func TestSlowObserverHoldsAppendsBack(t *testing.T) {
	slow := make(chan struct{})
	b := openOn(t, vfs.NewMem(), func(c *Config) {
		c.Observer = observerFunc(func(e Event) {
			if _, ok := e.(*Published); ok {
				<-slow
			}
		})
	})
	p := mustTopic(t, b, TopicSpec{Name: "t"}).Partition(0)
	raw := mustEncode(t, None, Record{Value: make([]byte, 500_000)})
	n := 0
	for {
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		_, err := p.Append(short, raw)
		cancel()
		if err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			break
		}
		if n++; n > 100 {
			t.Fatal("appends are not held back")
		}
	}
	if want := 2 * (feedBytes/len(raw) + 1); n > want+1 {
		t.Errorf("%d batches wait for the observer, want at most %d", n, want+1)
	}
	close(slow)
	mustWrite(t, p, rec("goes on"))
}
