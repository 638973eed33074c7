package aws

import (
	"context"
	"sync"
	"time"

	"github.com/tidings-io/tidings"
)

const (
	// gatherTime is how long a settlement waits for others to share its request.
	gatherTime = 20 * time.Millisecond
	// mostWaiting bounds the settlements that wait for their request; more block who settles.
	mostWaiting = 10 * mostEntries
	// firstPause and lastPause are between tries of a request that failed.
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// change is what is to be done with a message that was received.
type change struct {
	receipt string
	seconds int32     // until it is visible, where that is what changes
	until   time.Time // when trying again makes no sense any more
	// done is told what became of it, once; it must not wait. For a change without a receipt it is
	// called when all before it have been done, which are sent at once then.
	done func(error)
}

// batcher sends changes in requests of ten: when ten are there, when the first has waited for
// gatherTime, or when somebody waits for all of them. One goroutine does, one request at a time.
type batcher struct {
	send  func(ctx context.Context, batch []change) ([]error, error)
	in    chan change
	stop  context.CancelFunc
	ended chan struct{}
}

func newBatcher(send func(context.Context, []change) ([]error, error)) *batcher {
	ctx, stop := context.WithCancel(context.Background())
	b := &batcher{send: send, stop: stop,
		in: make(chan change, mostWaiting), ended: make(chan struct{})}
	go b.run(ctx)
	return b
}

// close ends it and waits until it has. A request under way is broken off, and what waits is never
// sent: flush before.
func (b *batcher) close() {
	b.stop()
	<-b.ended
}

// put hands a change over.
func (b *batcher) put(ctx context.Context, c change) error {
	select {
	case b.in <- c:
		return nil
	case <-b.ended:
		return tidings.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask hands a change over and waits for what becomes of it.
func (b *batcher) ask(ctx context.Context, c change) error {
	answer := make(chan error, 1)
	c.done = func(err error) { answer <- err }
	if err := b.put(ctx, c); err != nil {
		return err
	}
	select {
	case err := <-answer:
		return err
	case <-b.ended:
		return tidings.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flush waits until all that was put before has been done.
func (b *batcher) flush(ctx context.Context) error { return b.ask(ctx, change{}) }

func (b *batcher) run(ctx context.Context) {
	defer close(b.ended)
	for {
		batch, waiter := b.gather(ctx)
		b.deliver(ctx, batch)
		if waiter != nil {
			waiter(nil)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// gather waits for a batch. It ends with a change that waits for those before it, whose done is
// returned.
func (b *batcher) gather(ctx context.Context) (batch []change, waiter func(error)) {
	var full <-chan time.Time
	for len(batch) < mostEntries {
		select {
		case c := <-b.in:
			if c.receipt == "" {
				return batch, c.done
			}
			batch = append(batch, c)
			if full == nil {
				timer := time.NewTimer(gatherTime)
				defer timer.Stop()
				full = timer.C
			}
		case <-full:
			return batch, nil
		case <-ctx.Done():
			return batch, nil
		}
	}
	return batch, nil
}

// deliver sends a batch, and what failed for the moment again, as long as it makes sense.
func (b *batcher) deliver(ctx context.Context, batch []change) {
	for pause := firstPause; len(batch) > 0; pause = min(2*pause, lastPause) {
		failed := b.try(ctx, batch)
		var again []change
		for i, c := range batch {
			if failed[i] != nil && passes(failed[i]) && ctx.Err() == nil && time.Now().Before(c.until) {
				again = append(again, c)
				continue
			}
			c.done(failed[i])
		}
		if batch = again; len(batch) > 0 {
			sleep(ctx, pause)
		}
	}
}

// try sends a batch once.
func (b *batcher) try(ctx context.Context, batch []change) []error {
	failed, err := b.send(ctx, batch)
	if err != nil {
		failed = make([]error, len(batch))
	}
	for i := range failed {
		switch {
		case ctx.Err() != nil && (err != nil || failed[i] != nil):
			failed[i] = tidings.ErrClosed
		case err != nil:
			failed[i] = settled(err)
		case failed[i] != nil:
			failed[i] = settled(failed[i])
		}
	}
	return failed
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// losses are settlements that failed for good. A Commit tells of them; so does every other one
// within lossTime, since whose settlement it was is not known.
type losses struct {
	mu    sync.Mutex
	first error
	count int
	last  time.Time
	told  bool
}

const lossTime = time.Second

func (l *losses) add(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told && time.Since(l.last) > lossTime {
		l.first, l.count = nil, 0
	}
	if l.first == nil {
		l.first = err
	}
	l.count++
	l.last, l.told = time.Now(), false
}

func (l *losses) tell() (count int, first error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told && time.Since(l.last) > lossTime {
		l.first, l.count = nil, 0
	}
	l.told = true
	return l.count, l.first
}
