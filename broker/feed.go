package broker

import (
	"context"
	"sync"

	"github.com/tidings-io/tidings/storage"
)

// feed tells an observer what has become durable.
//
// Appends push their events under the lock of their partition, so that events of
// one partition are in order; one goroutine takes everything that is waiting,
// waits for the disk and calls the observer without a lock. There are two sets:
// one is being filled while the other is being told, so memory is bounded and
// the bytes of batches are copied into buffers that are used again.
type feed struct {
	observer Observer
	raw      RawObserver   // observer, if it can say what it wants
	queues   QueueObserver // the same, of queues
	store    *storage.Store

	// mu is a leaf: nothing else is locked while it is held.
	mu      sync.Mutex
	filling *feedSet
	room    chan struct{} // not nil while someone waits; closed when sets are swapped
	missed  int           // deliveries that were left out since the last one that was told

	wake chan struct{} // capacity 1: something was pushed
	disk chan struct{} // capacity 1: the store's answer to Notify
	stop chan struct{} // closed by close, when the store has reached its last state
	done chan struct{} // closed when run has ended
}

// Bounds of one set. An append that finds room may go beyond them by its own size.
const (
	feedBytes  = 4 << 20
	feedEvents = 16384
	chunkBytes = 256 << 10
)

// feedSet is events in the order of their submission with the bytes they show.
type feedSet struct {
	events []heard
	chunks [][]byte // the last one is being filled
	spare  [][]byte // emptied chunks, to be used again
	bytes  int
}

type heard struct {
	seq   storage.Seq
	event Event
}

func newFeed(o Observer, store *storage.Store) *feed {
	f := &feed{
		observer: o, store: store, filling: new(feedSet),
		wake: make(chan struct{}, 1), disk: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	f.raw, _ = o.(RawObserver)
	f.queues, _ = o.(QueueObserver)
	return f
}

// admit waits while the observer is behind.
func (f *feed) admit(ctx context.Context) error {
	for {
		room := f.wantRoom()
		if room == nil {
			return nil
		}
		select {
		case <-room:
		case <-f.stop:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *feed) wantRoom() chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hasRoomLocked() {
		return nil
	}
	if f.room == nil {
		f.room = make(chan struct{})
	}
	return f.room
}

func (f *feed) hasRoomLocked() bool {
	return f.filling.bytes < feedBytes && len(f.filling.events) < feedEvents
}

// pushDelivered queues a delivery, or leaves it out where there is no room: consumers
// do not ask for room before, and must not wait for it with the lock of their queue.
func (f *feed) pushDelivered(e *QueueDelivered) {
	f.mu.Lock()
	if !f.hasRoomLocked() {
		f.missed++
		f.mu.Unlock()
		return
	}
	e.Missed, f.missed = f.missed, 0
	f.filling.events = append(f.filling.events, heard{0, e})
	f.mu.Unlock()
	ring(f.wake)
}

// push queues an event; raw, where the observer wants it, is copied.
func (f *feed) push(seq storage.Seq, e Event, raw []byte) {
	if f.raw != nil && raw != nil && !f.raw.WantsRaw() {
		raw = nil
	}
	f.mu.Lock()
	switch e := e.(type) {
	case *Published:
		e.Raw = f.filling.keep(raw)
	case *StreamAppended:
		e.Raw = f.filling.keep(raw)
	}
	f.filling.events = append(f.filling.events, heard{seq, e})
	f.mu.Unlock()
	ring(f.wake)
}

// keep copies raw into the set's chunks.
func (s *feedSet) keep(raw []byte) []byte {
	if raw == nil {
		return nil
	}
	s.bytes += len(raw)
	if len(raw) > chunkBytes {
		return append([]byte(nil), raw...)
	}
	if n := len(s.chunks); n == 0 || len(s.chunks[n-1])+len(raw) > chunkBytes {
		s.chunks = append(s.chunks, s.emptyChunk())
	}
	last := &s.chunks[len(s.chunks)-1]
	from := len(*last)
	*last = append(*last, raw...)
	return (*last)[from:len(*last):len(*last)]
}

func (s *feedSet) emptyChunk() []byte {
	if n := len(s.spare); n > 0 {
		c := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return c
	}
	return make([]byte, 0, chunkBytes)
}

// reset forgets the events and keeps the memory.
func (s *feedSet) reset() {
	clear(s.events)
	s.events, s.bytes = s.events[:0], 0
	for _, c := range s.chunks {
		s.spare = append(s.spare, c[:0])
	}
	clear(s.chunks)
	s.chunks = s.chunks[:0]
}

// run tells until close; it owns the set that is not being filled.
func (f *feed) run() {
	defer close(f.done)
	telling := new(feedSet)
	for {
		select {
		case <-f.wake:
		case <-f.stop:
			f.tell(f.swap(telling))
			return
		}
		telling = f.swap(telling)
		f.tell(telling)
		telling.reset()
	}
}

// swap gives an empty set to be filled and returns the filled one.
func (f *feed) swap(empty *feedSet) *feedSet {
	f.mu.Lock()
	defer f.mu.Unlock()
	full := f.filling
	f.filling = empty
	if f.room != nil {
		close(f.room)
		f.room = nil
	}
	return full
}

// tell calls the observer for every event of the set that becomes durable.
func (f *feed) tell(s *feedSet) {
	for _, h := range s.events {
		if f.awaitDurable(h.seq) {
			f.observer.Observe(h.event)
		}
	}
}

// awaitDurable waits for the disk; it reports false where the store failed or was
// closed first, and what had been submitted never became durable.
func (f *feed) awaitDurable(seq storage.Seq) bool {
	for f.store.Durable() < seq {
		if f.store.Err() != nil {
			return false
		}
		f.store.Notify(f.disk, seq)
		select {
		case <-f.disk:
		case <-f.stop:
			return f.store.Durable() >= seq
		}
	}
	return true
}

// close tells the rest and ends the goroutine. The store must be closed before,
// so that what is durable does not change any more.
func (f *feed) close() {
	close(f.stop)
	<-f.done
}
