package broker

import (
	"reflect"
	"testing"
)

// send is one batch a producer sends, and what must come of it.
type send struct {
	epoch     int16
	seq, n    int32
	want      ErrorKind // 0: accepted
	duplicate bool
	base      Offset // of the original, for a duplicate
}

func TestSequencesFollowKafkasRules(t *testing.T) {
	for _, c := range []struct {
		name  string
		sends []send
	}{
		{"in order", []send{{seq: 0, n: 3}, {seq: 3, n: 1}, {seq: 4, n: 2}}},
		{"a gap", []send{{seq: 0, n: 3}, {seq: 4, n: 1, want: OutOfOrder}, {seq: 3, n: 1}}},
		{"unknown producers start anywhere", []send{{seq: 77, n: 1}, {seq: 78, n: 1}}},
		{"a duplicate of each of the last five", []send{
			{seq: 0, n: 2}, {seq: 2, n: 2}, {seq: 4, n: 2}, {seq: 6, n: 2}, {seq: 8, n: 2},
			{seq: 8, n: 2, duplicate: true, base: 8}, {seq: 0, n: 2, duplicate: true, base: 0},
			{seq: 4, n: 2, duplicate: true, base: 4}, {seq: 10, n: 2},
		}},
		{"the sixth is forgotten", []send{
			{seq: 0, n: 1}, {seq: 1, n: 1}, {seq: 2, n: 1}, {seq: 3, n: 1}, {seq: 4, n: 1},
			{seq: 5, n: 1}, {seq: 0, n: 1, want: OutOfOrder}, {seq: 1, n: 1, duplicate: true, base: 1},
		}},
		{"same start, other length is no duplicate", []send{
			{seq: 0, n: 2}, {seq: 0, n: 3, want: OutOfOrder},
		}},
		{"a new epoch starts at zero", []send{
			{epoch: 1, seq: 5, n: 1}, {epoch: 2, seq: 6, n: 1, want: OutOfOrder},
			{epoch: 2, seq: 0, n: 1}, {epoch: 2, seq: 1, n: 1},
		}},
		{"an old epoch is fenced", []send{
			{epoch: 2, seq: 0, n: 1}, {epoch: 1, seq: 0, n: 1, want: Fenced},
			{epoch: 2, seq: 1, n: 1},
		}},
		{"batches of an old epoch are no duplicates", []send{
			{epoch: 1, seq: 0, n: 1}, {epoch: 2, seq: 0, n: 1},
			{epoch: 2, seq: 0, n: 1, duplicate: true, base: 1},
		}},
		{"sequences wrap", []send{
			{seq: maxSeq - 1, n: 2}, {seq: 0, n: 1}, {seq: 1, n: 1},
			{seq: maxSeq - 1, n: 2, duplicate: true, base: 0},
		}},
		{"a batch spans the wrap", []send{
			{seq: maxSeq, n: 3}, {seq: 2, n: 1}, {seq: maxSeq, n: 3, duplicate: true, base: 0},
		}},
	} {
		var p producer
		base := Offset(0)
		for i, s := range c.sends {
			b := BatchInfo{Producer: 1, Epoch: s.epoch, FirstSeq: s.seq, Count: s.n}
			before := p
			dup, err := p.accept(&b, base)
			if kindOfSequence(err) != s.want || (dup != nil) != s.duplicate {
				t.Errorf("%s, batch %d: got %v, %+v, want %v, %v", c.name, i, err, dup, s.want, s.duplicate)
			}
			if dup != nil && dup.base != s.base {
				t.Errorf("%s, batch %d: original at %d, want %d", c.name, i, dup.base, s.base)
			}
			if (err != nil || dup != nil) && !reflect.DeepEqual(p, before) {
				t.Errorf("%s, batch %d: state changed to %+v, want %+v", c.name, i, p, before)
			}
			if err == nil && dup == nil {
				base += Offset(s.n)
			}
			p = viaDisk(t, p)
		}
	}
}

func kindOfSequence(err error) ErrorKind {
	if s, ok := err.(*sequenceError); ok {
		return s.kind
	}
	return 0
}

// viaDisk encodes and decodes a state: the rules must hold across a restart.
func viaDisk(t *testing.T, p producer) producer {
	t.Helper()
	if p.n == 0 {
		return p
	}
	value := p.appendTo(nil)
	got, err := decodeProducer(value)
	for i := range p.batches {
		p.batches[i].seq = 0
		if i >= int(p.n) {
			p.batches[i] = seqBatch{}
		}
	}
	if err != nil || !reflect.DeepEqual(*got, p) {
		t.Fatalf("decoded %+v %v, want %+v", got, err, p)
	}
	if len(value) > 96 {
		t.Errorf("state has %d bytes, more than the buffer of an append", len(value))
	}
	return *got
}

func TestLargestProducerStateFitsItsBuffer(t *testing.T) {
	p := producer{epoch: 1<<15 - 1, n: keptBatches, timeMs: 1 << 50}
	for i := range p.batches {
		p.batches[i] = seqBatch{first: int32(i) * 1000, count: 1000, base: 1<<62 + Offset(i)<<40}
	}
	if n := len(p.appendTo(nil)); n > 96 {
		t.Errorf("state has %d bytes, want at most 96", n)
	}
}

func TestProducerStateNeverPanics(t *testing.T) {
	p := producer{epoch: 3, timeMs: 12345}
	for i := range Offset(7) {
		p.push(seqBatch{first: int32(i) * 10, count: 10, base: i * 100})
	}
	value := p.appendTo(nil)
	for cut := range value {
		if _, err := decodeProducer(value[:cut]); err == nil {
			t.Errorf("cut to %d of %d bytes: no error", cut, len(value))
		}
	}
	if _, err := decodeProducer(append(value, 0)); err == nil {
		t.Error("a byte too many: no error")
	}
}
