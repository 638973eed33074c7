package broker

import (
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// filled is a partition of 40 records of 20 KB, one a minute, in segments of about
// 64 KiB: after a restart nothing of it is in memory.
func filled(t testing.TB, config TopicConfig, c *clock) *Partition {
	t.Helper()
	fs := vfs.NewMem()
	b := openOn(t, fs, c.use)
	config.SegmentBytes = 64 << 10
	p := mustTopic(t, b, TopicSpec{Name: "t", Config: config}).Partition(0)
	for range 40 {
		mustWrite(t, p, Record{Value: make([]byte, 20_000)})
		c.advance(time.Minute)
	}
	topic, err := reopen(t, b, fs, c.use).Topic("", "t")
	if err != nil {
		t.Fatal(err)
	}
	return topic.Partition(0)
}

// retain has the retention loop look once, durably.
func retain(t testing.TB, b *Broker) {
	t.Helper()
	if err := b.retain(ctx); err != nil {
		t.Fatal(err)
	}
	tx := b.Begin()
	tx.SaveGroup("", "after retain", nil)
	mustCommit(t, tx)
}

func TestRetentionByTimeKeepsWhatIsYoung(t *testing.T) {
	c := clockAt(1_000_000)
	p := filled(t, TopicConfig{RetentionTime: 5 * time.Minute}, c)
	retain(t, p.b)
	// The last 5 of 40 minutes are kept, and what shares their segment.
	if start, end := p.Bounds(); start == 0 || start > 35 || end != 40 {
		t.Errorf("bounds %d %d, want a start from 1 to 35", start, end)
	}
	c.advance(time.Hour)
	retain(t, p.b)
	if start, end := p.Bounds(); start != 40 || end != 40 {
		t.Errorf("bounds %d %d, want 40 40", start, end)
	}
	if a := mustWrite(t, p, rec("x")); a.Base != 40 {
		t.Errorf("next record at %d, want 40", a.Base)
	}
}

func TestRetentionBySizeKeepsTheNewest(t *testing.T) {
	c := clockAt(1_000_000)
	p := filled(t, TopicConfig{RetentionTime: Forever, RetentionBytes: 300_000}, c)
	before := p.SizeBytes()
	retain(t, p.b)
	start, end := p.Bounds()
	if size := p.SizeBytes(); start == 0 || end != 40 || size < 300_000 || size > before*2/3 {
		t.Errorf("bounds %d %d, %d of %d bytes, want at least 300,000", start, end, size, before)
	}
}

func TestRetentionForeverKeepsAll(t *testing.T) {
	c := clockAt(1_000_000)
	p := filled(t, TopicConfig{RetentionTime: Forever}, c)
	c.advance(10_000 * time.Hour)
	retain(t, p.b)
	if start, end := p.Bounds(); start != 0 || end != 40 {
		t.Errorf("bounds %d %d, want 0 40", start, end)
	}
}

func TestRecordsWithoutTimeAreKeptByTheirAppend(t *testing.T) {
	c := clockAt(1_000_000)
	p := onePartition(t, TopicConfig{RetentionTime: time.Hour}, c.use)
	raw := spoiled(t, func(raw []byte) {
		for _, pos := range []int{posBaseTime, posMaxTime} {
			copy(raw[pos:], "\xff\xff\xff\xff\xff\xff\xff\xff")
		}
	})
	if _, err := p.Append(ctx, raw); err != nil {
		t.Fatal(err)
	}
	retain(t, p.b)
	if start, end := p.Bounds(); start != 0 || end != 3 {
		t.Errorf("bounds %d %d, want 0 3", start, end)
	}
	c.advance(2 * time.Hour)
	retain(t, p.b)
	if start, _ := p.Bounds(); start != 3 {
		t.Errorf("start %d two hours later, want 3", start)
	}
}

func TestIdleProducersAreForgotten(t *testing.T) {
	fs, c := vfs.NewMem(), clockAt(1_000_000)
	expiry := func(conf *Config) { conf.ProducerExpiry = time.Hour }
	b := openOn(t, fs, c.use, expiry)
	forever := TopicConfig{RetentionTime: Forever}
	p := mustTopic(t, b, TopicSpec{Name: "t", Config: forever}).Partition(0)
	for _, id := range []int64{1, 2} {
		if _, err := p.Append(ctx, from(t, id, 0, 0, 1)); err != nil {
			t.Fatal(err)
		}
		c.advance(40 * time.Minute)
	}
	retain(t, b)
	if got := p.Producers(); len(got) != 1 || got[0].ID != 2 {
		t.Errorf("producers %+v, want 2 only", got)
	}
	// A producer that is not known may go on anywhere.
	if _, err := p.Append(ctx, from(t, 1, 0, 17, 1)); err != nil {
		t.Errorf("forgotten producer: %v, want no error", err)
	}
	c.advance(30 * time.Minute)
	retain(t, b)
	b = reopen(t, b, fs, c.use, expiry)
	topic, err := b.Topic("", "t")
	if err != nil {
		t.Fatal(err)
	}
	if got := topic.Partition(0).Producers(); len(got) != 1 || got[0].ID != 1 {
		t.Errorf("producers after a restart %+v, want 1 only", got)
	}
}

// TestRetentionLoopRuns waits for the loop itself, by the wake-up of a trim.
func TestRetentionLoopRuns(t *testing.T) {
	c := clockAt(1_000_000)
	p := onePartition(t, TopicConfig{RetentionTime: time.Minute}, c.use, func(conf *Config) {
		conf.RetentionInterval = time.Millisecond
	})
	mustWrite(t, p, rec("x"))
	w := &Waiter{C: make(chan struct{}, 1), MinBytes: 1 << 40}
	p.Watch(w)
	defer p.Unwatch(w)
	c.advance(time.Hour)
	<-w.C
	if start, end := p.Bounds(); start != 1 || end != 1 {
		t.Errorf("bounds %d %d, want 1 1", start, end)
	}
}

func TestRetentionSkipsADeletedTopic(t *testing.T) {
	p := onePartition(t, TopicConfig{RetentionTime: time.Minute})
	mustWrite(t, p, rec("x"))
	if err := p.b.DeleteTopic(ctx, "", "t"); err != nil {
		t.Fatal(err)
	}
	config := p.topic.Effective()
	if err := p.retain(time.Now().Add(time.Hour), &config); err != nil {
		t.Errorf("retain: %v, want no error", err)
	}
}
