package broker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// from makes a batch of n records of a producer.
func from(t testing.TB, id int64, epoch int16, seq int32, n int) []byte {
	t.Helper()
	recs := make([]Record, n)
	for i := range recs {
		recs[i] = Record{Value: fmt.Appendf(nil, "%d/%d", id, int(seq)+i), Time: at(100)}
	}
	raw := mustEncode(t, None, recs...)
	if err := SetProducer(raw, id, epoch, seq); err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestDuplicateAnswersWithTheOriginal(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	p := mustTopic(t, b, TopicSpec{Name: "t"}).Partition(0)
	mustWrite(t, p, rec("other"))
	first, err := p.Append(ctx, from(t, 7, 0, 0, 3))
	if err != nil {
		t.Fatal(err)
	}
	second, err := p.Append(ctx, from(t, 7, 0, 3, 1))
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.Append(ctx, from(t, 7, 0, 0, 3))
	want := Appended{Base: 1, Duplicate: true, Confirm: first.Confirm}
	if err != nil || again != want {
		t.Errorf("got %+v %v, want %+v", again, err, want)
	}
	if err := second.Confirm.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	b = openOn(t, fs.Kill())
	topic, err := b.Topic("", "t")
	if err != nil {
		t.Fatal(err)
	}
	p = topic.Partition(0)
	for _, raw := range [][]byte{from(t, 7, 0, 0, 3), from(t, 7, 0, 3, 1)} {
		a, err := p.Append(ctx, raw)
		if err != nil || !a.Duplicate || !a.Confirm.Done() {
			t.Errorf("duplicate after a restart: %+v %v", a, err)
		}
	}
	if a, err := p.Append(ctx, from(t, 7, 0, 4, 1)); err != nil || a.Base != 5 {
		t.Errorf("next batch after a restart: %+v %v, want offset 5", a, err)
	}
}

// TestDuplicateWaitsForTheOriginal: the original is not on disk yet, so its
// duplicate must not be confirmed either.
func TestDuplicateWaitsForTheOriginal(t *testing.T) {
	disk := newGate(vfs.NewMem())
	p := mustTopic(t, openOn(t, disk), TopicSpec{Name: "t"}).Partition(0)
	resume := disk.stop()
	if _, err := p.Append(ctx, from(t, 7, 0, 0, 1)); err != nil {
		t.Fatal(err)
	}
	a, err := p.Append(ctx, from(t, 7, 0, 0, 1))
	if err != nil || !a.Duplicate || a.Confirm.Done() {
		t.Errorf("duplicate %+v %v, done %v before the original", a, err, a.Confirm.Done())
	}
	resume()
	if err := a.Confirm.Wait(ctx); err != nil {
		t.Error(err)
	}
}

func TestBadSequencesAreRefusedAndChangeNothing(t *testing.T) {
	p := onePartition(t, TopicConfig{})
	send := func(epoch int16, seq int32, want ErrorKind) {
		t.Helper()
		_, err := p.Append(ctx, from(t, 7, epoch, seq, 1))
		wantKind(t, fmt.Sprintf("epoch %d, sequence %d", epoch, seq), err, want)
	}
	send(1, 0, 0)
	send(1, 2, OutOfOrder)
	send(0, 1, Fenced)
	send(2, 1, OutOfOrder)
	send(1, 1, 0)
	send(2, 0, 0)
	send(1, 2, Fenced)
	mustWrite(t, p, rec("end"))
	if got, want := values(t, p, 0), []string{"7/0", "7/1", "7/0", "end"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestProducersAreListed(t *testing.T) {
	c := clockAt(1000)
	p := onePartition(t, TopicConfig{}, c.use)
	for _, raw := range [][]byte{from(t, 9, 2, 0, 4), from(t, 3, 0, 10, 1), from(t, 9, 2, 4, 2)} {
		if _, err := p.Append(ctx, raw); err != nil {
			t.Fatal(err)
		}
		c.advance(time.Second)
	}
	want := []ProducerState{
		{ID: 3, LastSeq: 10, LastOff: 4, Time: at(1001)},
		{ID: 9, Epoch: 2, LastSeq: 5, LastOff: 6, Time: at(1002)},
	}
	if got := p.Producers(); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestTransactionForgetsNobodyWhoAppendsInIt(t *testing.T) {
	fs, c := vfs.NewMem(), clockAt(1000)
	limit := func(conf *Config) { conf.Limits.ProducersPerPart = 2 }
	b := openOn(t, fs, c.use, limit)
	p := mustTopic(t, b, TopicSpec{Name: "t"}).Partition(0)
	for id := range int64(2) {
		if _, err := p.Append(ctx, from(t, id, 0, 0, 1)); err != nil {
			t.Fatal(err)
		}
		c.advance(time.Second)
	}
	c.advance(producerGrace)
	tx := b.Begin()
	tx.Append(p, from(t, 0, 0, 1, 1)) // idle longest until now
	tx.Append(p, from(t, 2, 0, 0, 1)) // takes the place of 1
	tx.Append(p, from(t, 2, 0, 1, 1))
	tx.Append(p, from(t, 0, 0, 2, 1))
	mustCommit(t, tx)
	if a, err := p.Append(ctx, from(t, 0, 0, 1, 1)); err != nil || !a.Duplicate {
		t.Errorf("a batch of the transaction again: %+v %v, want a duplicate", a, err)
	}
	want := p.Producers()
	if len(want) != 2 || want[0].ID != 0 || want[1].ID != 2 {
		t.Errorf("got producers %+v, want 0 and 2", want)
	}
	b = reopen(t, b, fs, c.use, limit)
	topic, err := b.Topic("", "t")
	if err != nil {
		t.Fatal(err)
	}
	if got := topic.Partition(0).Producers(); !slices.Equal(got, want) {
		t.Errorf("after a restart: got producers %+v, want %+v", got, want)
	}
}

// A producer that a transaction forgets before its own append in it keeps its
// history, and another one makes room for it.
func TestTransactionTakesBackAProducerThatItForgot(t *testing.T) {
	fs, c := vfs.NewMem(), clockAt(1000)
	limit := func(conf *Config) { conf.Limits.ProducersPerPart = 2 }
	b := openOn(t, fs, c.use, limit)
	p := mustTopic(t, b, TopicSpec{Name: "t"}).Partition(0)
	for id := range int64(2) {
		if _, err := p.Append(ctx, from(t, id, 0, 0, 1)); err != nil {
			t.Fatal(err)
		}
		c.advance(time.Second)
	}
	c.advance(producerGrace)
	tx := b.Begin()
	tx.Append(p, from(t, 2, 0, 0, 1)) // takes the place of 0
	again := tx.Append(p, from(t, 0, 0, 0, 1))
	tx.Append(p, from(t, 0, 0, 1, 1)) // takes the place of 1
	mustCommit(t, tx)
	if r := tx.Result(again); !r.Duplicate || r.Base != 0 {
		t.Errorf("a repeat: got %+v, want a duplicate of offset 0", r)
	}
	want := p.Producers()
	if len(want) != 2 || want[0].ID != 0 || want[1].ID != 2 {
		t.Errorf("got producers %+v, want 0 and 2", want)
	}
	b = reopen(t, b, fs, c.use, limit)
	topic, err := b.Topic("", "t")
	if err != nil {
		t.Fatal(err)
	}
	if got := topic.Partition(0).Producers(); !slices.Equal(got, want) {
		t.Errorf("after a restart: got producers %+v, want %+v", got, want)
	}
}

func TestIdleProducerMakesRoom(t *testing.T) {
	fs, c := vfs.NewMem(), clockAt(1000)
	limit := func(conf *Config) { conf.Limits.ProducersPerPart = 2 }
	b := openOn(t, fs, c.use, limit)
	p := mustTopic(t, b, TopicSpec{Name: "t"}).Partition(0)
	send := func(id int64, seq int32, want ErrorKind) {
		t.Helper()
		_, err := p.Append(ctx, from(t, id, 0, seq, 1))
		wantKind(t, fmt.Sprintf("producer %d, sequence %d", id, seq), err, want)
	}
	send(1, 0, 0)
	c.advance(time.Minute)
	send(2, 0, 0)
	send(3, 0, Full) // both were active in the last ten minutes
	c.advance(producerGrace)
	send(3, 0, 0) // 1 is idle longest
	send(1, 5, Full)
	send(2, 1, 0)
	ids := func() (ids []int64) {
		for _, s := range p.Producers() {
			ids = append(ids, s.ID)
		}
		return ids
	}
	if got := ids(); !slices.Equal(got, []int64{2, 3}) {
		t.Errorf("producers %v, want 2 and 3", got)
	}
	b = reopen(t, b, fs, c.use, limit)
	topic, err := b.Topic("", "t")
	if err != nil {
		t.Fatal(err)
	}
	if p = topic.Partition(0); !slices.Equal(ids(), []int64{2, 3}) {
		t.Errorf("producers after a restart %v, want 2 and 3", ids())
	}
}
