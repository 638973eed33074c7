package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// wire is a frame reader at one end of a connection.
type wire struct {
	*frames
	peer   net.Conn
	drain  chan struct{}
	memory *budget
}

func newWire(t *testing.T, change ...func(*Limits)) *wire {
	t.Helper()
	var l Limits
	for _, f := range change {
		f(&l)
	}
	l.setDefaults()
	here, there := net.Pipe()
	t.Cleanup(func() { here.Close(); there.Close() })
	w := &wire{peer: there, drain: make(chan struct{}), memory: newBudget(l.RequestMemory)}
	small := make([]byte, smallBuffer)
	w.frames = &frames{
		ctx: context.Background(), conn: here, limits: &l, drain: w.drain,
		small: small, buf: small, memory: share{of: w.memory},
	}
	return w
}

// framed is a Produce request of n bytes in all, whose last byte says which it is.
func framed(n int, mark byte) []byte {
	b := make([]byte, n)
	binary.BigEndian.PutUint32(b, uint32(n-lengthBytes))
	b[n-1] = mark
	return b
}

func (w *wire) read() ([]byte, error) {
	if err := w.begin(); err != nil {
		return nil, err
	}
	b := w.rest()
	if b == nil {
		return nil, w.err
	}
	return b, w.end()
}

// feed writes while the test reads; the result tells when all of it has been taken.
func (w *wire) feed(parts ...[]byte) <-chan error {
	done := make(chan error, 1)
	go func() {
		for _, p := range parts {
			if _, err := w.peer.Write(p); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	return done
}

func (w *wire) mustRead(t *testing.T, size int, mark byte) {
	t.Helper()
	got, err := w.read()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != size-lengthBytes || got[len(got)-1] != mark {
		t.Fatalf("got %d bytes ending in %d, want %d ending in %d",
			len(got), got[len(got)-1], size-lengthBytes, mark)
	}
}

func TestFramesArriveInAnyPieces(t *testing.T) {
	w := newWire(t)
	all := append(framed(20, 1), framed(5000, 2)...)
	all = append(all, framed(300_000, 3)...)
	all = append(all, framed(12, 4)...)
	var parts [][]byte
	for i := 0; len(all) > 0; i++ {
		n := min(len(all), 1+i*i%70_000)
		parts, all = append(parts, all[:n]), all[n:]
	}
	done := w.feed(parts...)
	w.mustRead(t, 20, 1)
	w.mustRead(t, 5000, 2)
	w.mustRead(t, 300_000, 3)
	w.mustRead(t, 12, 4)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestFramesThatComeTogetherAreTakenOneByOne(t *testing.T) {
	w := newWire(t)
	var all []byte
	for i := range 100 {
		all = append(all, framed(100+i, byte(i))...)
	}
	done := w.feed(all)
	for i := range 100 {
		w.mustRead(t, 100+i, byte(i))
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestAnnouncedBytesCostNothingUntilTheyArrive(t *testing.T) {
	w := newWire(t)
	failed := make(chan error, 1)
	go func() {
		_, err := w.read()
		failed <- err
	}()
	// The whole write is taken: the reader has seen it when the next one begins to be taken.
	if err := <-w.feed(framed(100<<20, 0)[:10], make([]byte, 60_000), []byte{0}); err != nil {
		t.Fatal(err)
	}
	w.peer.Close()
	if err := <-failed; err == nil {
		t.Fatal("got no error, want one: the request is not whole")
	}
	if len(w.buf) != pooledBuffer {
		t.Fatalf("got a buffer of %d bytes for 60 KB of an announced 100 MB, want %d",
			len(w.buf), pooledBuffer)
	}
	if w.memory.left != w.limits.RequestMemory {
		t.Fatalf("got %d bytes left, want all %d", w.memory.left, w.limits.RequestMemory)
	}
}

func TestBufferReturnsAfterALargeFrame(t *testing.T) {
	w := newWire(t)
	done := w.feed(framed(3<<20, 1), framed(50, 2), framed(51, 3))
	w.mustRead(t, 3<<20, 1)
	if w.memory.left == w.limits.RequestMemory {
		t.Fatal("got all memory left while a large frame is held, want less")
	}
	w.mustRead(t, 50, 2)
	w.mustRead(t, 51, 3)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.settle()
	if w.memory.left != w.limits.RequestMemory || len(w.buf) != smallBuffer {
		t.Fatalf("got %d bytes left and a buffer of %d, want %d and %d",
			w.memory.left, len(w.buf), w.limits.RequestMemory, smallBuffer)
	}
}

func TestFrameLengthIsBounded(t *testing.T) {
	control := framed(2000, 0)
	control[5] = 3 // Metadata
	for name, b := range map[string][]byte{
		"negative":             {0xff, 0xff, 0xff, 0xff, 0, 0},
		"too short for a head": {0, 0, 0, 7, 0, 0},
		"large produce":        framed(3000, 0),
		"large control":        control,
	} {
		w := newWire(t, func(l *Limits) { l.RequestBytes, l.ControlBytes = 2000, 1000 })
		w.feed(b)
		if _, err := w.read(); !errors.Is(err, errFrameSize) {
			t.Errorf("%s: got %v, want %v", name, err, errFrameSize)
		}
	}
}

func TestFrameThatStallsIsGivenUp(t *testing.T) {
	w := newWire(t, func(l *Limits) { l.FrameTimeout = 50 * time.Millisecond })
	w.feed(framed(2000, 0)[:100])
	if _, err := w.read(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want %v", err, os.ErrDeadlineExceeded)
	}
}

// exhaust takes all of a budget for other requests, one of which goes first.
func exhaust(t *testing.T, b *budget) (giveBack func()) {
	t.Helper()
	other, first := &share{of: b}, &share{of: b}
	if !other.grow(context.Background(), b.left-1) || !first.grow(context.Background(), 2) {
		t.Fatal("got no memory, want some")
	}
	return func() {
		first.shrink(0)
		other.shrink(0)
	}
}

func TestFramesWaitForSharedMemory(t *testing.T) {
	w := newWire(t, func(l *Limits) { l.RequestMemory = 200_000 })
	giveBack := exhaust(t, w.memory)
	w.feed(framed(140_000, 7))
	done := make(chan error, 1)
	go func() {
		_, err := w.read()
		done <- err
	}()
	waitFor(t, func() bool {
		w.memory.mu.Lock()
		defer w.memory.mu.Unlock()
		return w.memory.freed != nil // somebody waits
	})
	giveBack()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestFramesWaitForSharedMemoryNoLongerThanTheirTime(t *testing.T) {
	w := newWire(t, func(l *Limits) {
		l.RequestMemory, l.FrameTimeout = 200_000, 50*time.Millisecond
	})
	exhaust(t, w.memory)
	w.feed(framed(140_000, 8))
	if _, err := w.read(); !errors.Is(err, errNoMemory) && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want %v", err, errNoMemory)
	}
}

// All memory is in the hands of requests that need more of it: one of them goes on, and then the
// next one.
func TestFramesDoNotWaitForEachOthersMemory(t *testing.T) {
	const size = 300_000
	memory := newBudget(400_000)
	errs := make(chan error, 3)
	var wires []*wire
	for range cap(errs) {
		w := newWire(t, func(l *Limits) { l.FrameTimeout = 2 * time.Second })
		w.frames.memory.of = memory
		wires = append(wires, w)
		go func() {
			_, err := w.read()
			errs <- err
		}()
		if err := <-w.feed(framed(size, 0)[:2*pooledBuffer]); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range wires { // each of them holds 128 KiB
		w.feed(make([]byte, size-2*pooledBuffer))
	}
	for range wires {
		if err := <-errs; err != nil {
			t.Errorf("got %v, want all requests one after the other", err)
		}
	}
	for _, w := range wires {
		w.close()
	}
	same(t, "memory left", memory.left, int64(400_000))
}

func TestFirstRequestTakesNoMoreThanItsOwn(t *testing.T) {
	w := newWire(t, func(l *Limits) { l.RequestMemory = 100_000 })
	w.feed(append(framed(200_000, 1), framed(100, 2)...))
	w.mustRead(t, 200_000, 1)
	if w.memory.left != 100_000 || w.memory.first != nil {
		t.Fatalf("got %d bytes left, first %v; want all 100000 for others", w.memory.left, w.memory.first)
	}
	w.mustRead(t, 100, 2)
}

func TestFramesStopWhenDraining(t *testing.T) {
	w := newWire(t)
	close(w.drain)
	if _, err := w.read(); !errors.Is(err, errDraining) {
		t.Fatalf("got %v, want %v", err, errDraining)
	}
}

func TestBufferClassesFit(t *testing.T) {
	for _, size := range []int{1, 64 << 10, 64<<10 + 1, 1 << 20, 4 << 20, 4<<20 + 1, 100 << 20} {
		b := takeBuffer(size)
		if len(b) < size || size <= 4<<20 && len(b) >= 2*max(size, pooledBuffer) {
			t.Errorf("got a buffer of %d bytes for %d", len(b), size)
		}
		giveBuffer(b)
	}
}
