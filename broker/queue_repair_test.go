package broker

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings/storage"
	"github.com/tidings-io/tidings/storage/vfs"
)

// repaired is a queue with the records 0 to 7, of which a repair gave some up.
func repaired(t *testing.T, s QueueSettings, lost ...string) *pool {
	t.Helper()
	p := newPool(t, QueueSpec{Durable: true, Settings: s})
	bodies := strings.Split("0_ 1_ 2_ 3_ 4_ 5_ 6_ 7_", " ")
	for _, body := range bodies { // each in a frame of its own
		p.publish(marked(body))
	}
	fs := p.fs.Kill() // a close would put them into one frame
	if err := p.b.Close(); err != nil {
		t.Fatal(err)
	}
	p.fs = fs
	for _, body := range lost {
		damage(t, p.fs, ".", []byte(marked(body)))
	}
	r, err := storage.Repair(p.fs, storage.RepairOptions{AcceptLoss: true})
	if err != nil || len(r.Lost) == 0 {
		t.Fatalf("lost %+v, %v", r, err)
	}
	p.b = openIn(t, p.fs)
	if p.q, err = p.b.Queue("", "jobs"); err != nil {
		t.Fatal(err)
	}
	return p
}

// marked makes a body that stands nowhere else on the disk.
func marked(body string) string { return strings.Repeat(body, 20) }

// damage flips a byte wherever some bytes stand in a file.
func damage(t *testing.T, fs vfs.FS, dir string, what []byte) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if dir != "." {
			name = dir + "/" + name
		}
		f, err := fs.Open(name, vfs.OpenOptions{Write: true})
		if err != nil {
			damage(t, fs, name, what)
			continue
		}
		size, _ := f.Size()
		all := make([]byte, size)
		_, _ = f.ReadAt(all, 0)
		if at := bytes.Index(all, what); at >= 0 {
			if _, err := f.WriteAt([]byte{'!'}, int64(at)); err != nil {
				t.Fatal(err)
			}
		}
		f.Close()
	}
}

// firsts are the bodies' first characters.
func firsts(ds []Delivery) (s string) {
	for i := range ds {
		s += string(ds[i].Record.Body[:1])
	}
	return s
}

// TestWhatARepairGaveUpIsSettled as soon as it comes up, and counted: it takes nobody's
// credit, and holds up nothing behind it.
func TestWhatARepairGaveUpIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := repaired(t, QueueSettings{}, "2_", "3_", "6_")
		var credit Credit
		credit.SetLimit(2)
		c := p.subscribe(SubscribeOptions{Credits: []*Credit{&credit}})
		got := ""
		for len(got) < 5 {
			ds := c.take(1)
			got += firsts(ds)
			c.settle(Accept, ds...)
		}
		synctest.Wait()
		if ds, err := c.s.Take(nil, 9); len(ds) > 0 || err != nil || got != "01457" {
			t.Errorf("got %q and %d, %v", got, len(ds), err)
		}
		if s := p.q.Stats(); s.Ready != 0 || s.Leased != 0 || s.Counts.Lost != 3 {
			t.Errorf("got %+v", s)
		}
		c.s.Close()
		if err := p.b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestGetPassesOverWhatARepairGaveUp.
func TestGetPassesOverWhatARepairGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := repaired(t, QueueSettings{}, "0_", "2_", "6_")
		got := ""
		for {
			d, ok, err := p.q.Get(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			got += firsts([]Delivery{d})
		}
		synctest.Wait() // whoever looks for expired records passes over them too
		if s := p.q.Stats(); got != "13457" || s.Leased != 5 || s.Counts.Lost != 3 {
			t.Errorf("got %q, %+v", got, s)
		}
		if err := p.b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestRecordsExpireBehindWhatARepairGaveUp, and are dropped for their bytes.
func TestRecordsExpireBehindWhatARepairGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := repaired(t, QueueSettings{TTL: ptr(time.Hour)}, "0_", "3_")
		p.policy("p", 0, QueueSettings{MaxLengthBytes: ptr(int64(160))})
		synctest.Wait()
		if s := p.q.Stats(); s.Ready != 4 || s.Counts.Dropped != 2 || s.Counts.Lost != 2 {
			t.Errorf("of 240 bytes 160 are to stay: got %+v", s)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if s := p.q.Stats(); s.Ready != 0 || s.Leased != 0 || s.Counts.Expired != 4 {
			t.Errorf("after an hour: got %+v", s)
		}
		if err := p.b.Close(); err != nil {
			t.Error(err)
		}
	})
}
