package storage

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

// These three are the models that the format must carry, each over a power cut:
// see docs/adr/0002-storage-api-lessons.md.

func reopen(t *testing.T, mem *vfs.Mem) *Store {
	t.Helper()
	s, err := Open(mem.Crash(rand.New(rand.NewPCG(1, 2))), Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestQueueSettlesOutOfOrderOverAPowerCut(t *testing.T) {
	mem := vfs.NewMem()
	s, err := Open(mem, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var b Batch
	queue, settled := s.NewLog(&b, LogOptions{}), s.NewSet(&b)
	for range 10 {
		b.Append(queue, Entry{Count: 1, Bytes: []byte("work")})
	}
	commit(t, s, &b)
	for _, o := range []Offset{0, 7, 1, 3, 2, 9} { // in the order the consumers finish
		b.Mark(settled, o, o+1)
	}
	commit(t, s, &b)
	b.Trim(queue, settled.Floor()) // what all have settled leaves the log
	commit(t, s, &b)

	s = reopen(t, mem)
	again := s.Set(settled.ID())
	var redelivered []Offset
	start, end, _ := s.Log(queue.ID()).Bounds()
	for o := again.Next(start); o < end; o = again.Next(o + 1) {
		redelivered = append(redelivered, o)
	}
	if want := []Offset{4, 5, 6, 8}; !equalOffsets(redelivered, want) || start != 4 {
		t.Errorf("from %d redelivered %v, want from 4 %v", start, redelivered, want)
	}
}

func equalOffsets(a, b []Offset) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestFanOutAndDeadLetterAreAllOrNothing(t *testing.T) {
	for cut := 1; ; cut++ {
		mem := vfs.NewMem()
		s, err := Open(mem, Config{manual: true})
		if err != nil {
			t.Fatal(err)
		}
		var b Batch
		var queues [10]*Log
		for i := range queues {
			queues[i] = s.NewLog(&b, LogOptions{})
		}
		dead, settled := s.NewLog(&b, LogOptions{}), s.NewSet(&b)
		if _, err := s.Submit(&b); err != nil {
			t.Fatal(err)
		}
		if err := s.commitAll(); err != nil {
			t.Fatal(err)
		}
		mem.CutAfter(cut)
		done := fanOutAndReject(t, s, queues[:], dead, settled)
		after := reopen(t, mem)
		_, first, _ := after.Log(queues[0].ID()).Bounds()
		for _, q := range queues {
			if _, n, _ := after.Log(q.ID()).Bounds(); n != first {
				t.Fatalf("cut %d: log %d has %d records, log %d has %d", cut, q.ID(), n, queues[0].ID(), first)
			}
		}
		_, buried, _ := after.Log(dead.ID()).Bounds()
		if gone := after.Set(settled.ID()).Floor(); gone != buried {
			t.Fatalf("cut %d: %d rejected, %d in the dead letters", cut, gone, buried)
		}
		if done {
			return
		}
	}
}

// fanOutAndReject reports whether both commits came through.
func fanOutAndReject(t *testing.T, s *Store, queues []*Log, dead *Log, settled *Set) bool {
	t.Helper()
	var fan, reject Batch
	for _, q := range queues {
		fan.Append(q, Entry{Count: 1, Bytes: []byte("event")})
	}
	reject.Mark(settled, 0, 1)
	reject.Append(dead, Entry{Count: 1, Bytes: []byte("event")})
	for _, b := range []*Batch{&fan, &reject} {
		if _, err := s.Submit(b); err != nil {
			return false
		}
		if err := s.commitAll(); err != nil {
			return false
		}
	}
	return true
}

var errConflict = errors.New("another version")

// eventStore appends to streams that must have an expected version.
type eventStore struct {
	s   *Store
	log *Log
}

func (e *eventStore) append(t *testing.T, stream string, want uint64) error {
	t.Helper()
	version, _ := e.s.Get([]byte(stream))
	if got := binary.BigEndian.Uint64(append(make([]byte, 8-len(version)), version...)); got != want {
		return errConflict
	}
	var b Batch
	b.Append(e.log, Entry{Count: 1, Bytes: []byte(stream)})
	b.Put([]byte(stream), binary.BigEndian.AppendUint64(nil, want+1))
	commit(t, e.s, &b)
	return nil
}

func TestExpectedVersionHoldsOverAPowerCut(t *testing.T) {
	mem := vfs.NewMem()
	s, err := Open(mem, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var b Batch
	e := &eventStore{s, s.NewLog(&b, LogOptions{})}
	commit(t, s, &b)
	for version := range uint64(3) {
		if err := e.append(t, "account-1", version); err != nil {
			t.Fatal(err)
		}
	}
	s = reopen(t, mem)
	e = &eventStore{s, s.Log(e.log.ID())}
	if err := e.append(t, "account-1", 2); !errors.Is(err, errConflict) {
		t.Errorf("at version 3, expecting 2: got %v, want %v", err, errConflict)
	}
	if err := e.append(t, "account-1", 3); err != nil {
		t.Error(err)
	}
}
