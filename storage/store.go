package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tidings-io/tidings/storage/vfs"
)

// Names below the data directory.
const (
	lockName    = "LOCK"
	currentName = "CURRENT"
	journalDir  = "journal"
	segmentDir  = "seg"
	spillDir    = "spill"
)

// Seq numbers journal frames from 1; it is the promise a caller waits for:
// Durable() >= seq means that the batch is on disk.
type Seq uint64

// Offset is the place of a record in its log, from 0.
type Offset int64

// LogID and SetID are never used twice in a data directory.
type (
	LogID uint64
	SetID uint64
)

// Store is one data directory, open. See the package comment for the ideas and
// ARCHITECTURE.md for goroutines and lock order.
type Store struct {
	fs   vfs.FS
	cfg  Config
	lock io.Closer

	// mu guards the queue of frames and every log's end: the whole of what
	// Submit changes. It is never held while waiting.
	mu      sync.Mutex
	queue   []*frame // the last one is open
	lastSeq Seq      // given to the newest frame
	closing bool

	// state guards what is durable: the committer writes it, once per frame.
	// Order: state, then a log's mu.
	state sync.RWMutex
	keys  map[string][]byte
	logs  map[LogID]*Log
	sets  map[SetID]*Set
	// goneSets are the manifest's pages of sets dropped since the last checkpoint.
	goneSets map[SetID][]int64
	dirty    dirtyState // since the last checkpoint

	nextLog, nextSet atomic.Uint64
	durable          atomic.Uint64 // last Seq known durable
	pending          atomic.Int64  // bytes submitted and not durable
	volatileBytes    atomic.Int64  // in the tails of volatile logs

	planned  []*Log // room for planExtents
	ring     *ring
	journal  *journal
	manifest *manifest
	files    *fileCache
	indexes  indexCache
	madeDirs sync.Map // segment directories that exist
	waiters  seqWaiters
	space    spaceState
	counts   counters

	recovered Seq // the last frame that Open found

	ckpt      sync.Mutex    // one checkpoint at a time
	wake      chan struct{} // capacity 1: a frame waits
	flushWake chan struct{} // capacity 1: the flusher has work
	ckptWake  chan struct{} // capacity 1: a checkpoint is wanted
	stallWake chan struct{} // capacity 1: the committer began to wait for room
	roomMade  chan struct{} // capacity 1: the flusher made room
	stalled   atomic.Bool   // the committer waits for room

	volatileRoom chan struct{} // capacity 1: volatile logs take more again

	quit       chan struct{} // closed by Close: the committer finishes its queue
	committed  chan struct{} // closed by the committer at its end, before the others go
	failed     chan struct{} // closed by poison
	failOnce   sync.Once
	failure    atomic.Pointer[error]
	goroutines sync.WaitGroup
	users      sync.WaitGroup // callers within Checkpoint, Scrub or Backup
}

// dirtyState is what the next checkpoint must write.
type dirtyState struct {
	keys map[string]struct{} // guarded by Store.state
	sets map[SetID]struct{}  // guarded by Store.state

	mu      sync.Mutex
	logs    map[LogID]struct{}    // changed since the manifest
	segs    map[*segment]struct{} // written and not synced
	dirs    map[string]struct{}   // with files created and not synced
	gone    []*segment            // to delete once the manifest has forgotten them
	spilled []*segment            // of volatile logs, to delete

	holders int        // backups under way
	kept    []*segment // to delete once there is none
}

func (d *dirtyState) log(id LogID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.logs[id] = struct{}{}
}

func (d *dirtyState) wrote(g *segment) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.segs[g] = struct{}{}
	d.logs[g.log] = struct{}{}
}

// created notes a new file in a segment directory, which may be new as well.
func (d *dirtyState) created(dir string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dirs[dir] = struct{}{}
	d.dirs[segmentDir] = struct{}{}
}

// discard hands segments that no log refers to any more to the next checkpoint,
// which deletes their files once the manifest has forgotten them; those of
// volatile logs, which it never knew, to the flusher.
func (d *dirtyState) discard(segs []*segment) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, g := range segs {
		if g.volatile() {
			d.spilled = append(d.spilled, g)
			continue
		}
		d.gone = append(d.gone, g)
		delete(d.segs, g)
	}
}

func (d *dirtyState) takeSpilled() []*segment {
	d.mu.Lock()
	defer d.mu.Unlock()
	gone := d.spilled
	d.spilled = nil
	return gone
}

func (d *dirtyState) hasGone() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.gone) > 0
}

// revive keeps a file that a replayed trim gave up and a later extent is in.
func (d *dirtyState) revive(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = slices.DeleteFunc(d.gone, func(g *segment) bool { return g.name == name })
}

func newStore(fs vfs.FS, c Config) *Store {
	s := &Store{
		fs: fs, cfg: c,
		keys:      map[string][]byte{},
		logs:      map[LogID]*Log{},
		sets:      map[SetID]*Set{},
		goneSets:  map[SetID][]int64{},
		wake:      make(chan struct{}, 1),
		flushWake: make(chan struct{}, 1),
		ckptWake:  make(chan struct{}, 1),
		stallWake: make(chan struct{}, 1),
		roomMade:  make(chan struct{}, 1),

		volatileRoom: make(chan struct{}, 1),

		quit:      make(chan struct{}),
		committed: make(chan struct{}),
		failed:    make(chan struct{}),
	}
	s.dirty = dirtyState{keys: map[string]struct{}{}, logs: map[LogID]struct{}{},
		sets: map[SetID]struct{}{}, segs: map[*segment]struct{}{}, dirs: map[string]struct{}{}}
	s.ring = newRing(c.TailBytes)
	s.files = newFileCache(fs, c.OpenFiles)
	return s
}

// Open opens the store in fs, which is rooted at its data directory, or begins
// a new one. It replays the journal: when it returns, everything that was
// acknowledged is readable. Errors: vfs.ErrLocked (naming the holder),
// ErrFormat, ErrDamaged (a *Damage; nothing was changed), and those of the disk.
func Open(fs vfs.FS, c Config) (*Store, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	lock, err := fs.Lock(lockName, c.Owner)
	if err != nil {
		return nil, err // which names the file
	}
	s := newStore(fs, c)
	s.lock = lock
	if err := s.recover(); err != nil {
		s.closeFiles()
		return nil, errors.Join(err, lock.Close())
	}
	if !c.manual {
		s.goroutines.Go(s.commitLoop)
		s.goroutines.Go(s.flushLoop)
		s.goroutines.Go(s.checkpointLoop)
	}
	return s, nil
}

// Close commits what was submitted, writes a checkpoint and releases the data
// directory. The store's logs must no longer be used.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return ErrClosed
	}
	s.closing = true
	s.mu.Unlock()
	close(s.quit)
	s.goroutines.Wait()
	s.users.Wait()
	err := s.settle()
	s.waiters.wakeAll()
	s.closeFiles()
	return errors.Join(err, s.lock.Close())
}

// use makes Close wait until done is called; ErrClosed once Close has begun.
func (s *Store) use() (done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, ErrClosed
	}
	s.users.Add(1)
	return s.users.Done, nil
}

// settle is the last work of a store whose goroutines have ended.
func (s *Store) settle() error {
	s.cfg.manual = true // from here on this goroutine does everyone's work
	if err := s.commitAll(); err != nil {
		return err
	}
	if err := s.checkpoint(true); err != nil {
		return s.poison(err)
	}
	return s.writeMarker()
}

func (s *Store) closeFiles() {
	s.files.closeAll()
	if s.journal != nil {
		s.journal.close()
	}
	if s.manifest != nil {
		s.manifest.close()
	}
}

// Durable is the last sequence known to be durable.
func (s *Store) Durable() Seq { return Seq(s.durable.Load()) }

// Err is nil, or why the store accepts nothing more; it wraps ErrPoisoned.
func (s *Store) Err() error {
	if p := s.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// Failed is closed when the store is poisoned.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// poison makes an error sticky and wakes everyone.
func (s *Store) poison(err error) error {
	s.failOnce.Do(func() {
		wrapped := fmt.Errorf("%w: %w", ErrPoisoned, err)
		s.failure.Store(&wrapped)
		close(s.failed)
		s.waiters.wakeAll()
		s.cfg.Logger.Error("storage failed: nothing more is accepted", "err", err)
	})
	return s.Err()
}

// Get returns a key's durable value, which must not be changed.
func (s *Store) Get(key []byte) ([]byte, bool) {
	s.state.RLock()
	defer s.state.RUnlock()
	v, ok := s.keys[string(key)]
	return v, ok
}

// Scan goes over the durable keys with a prefix, in order. It costs a look at
// every key of the store: it is for start-up, not for the hot path.
func (s *Store) Scan(prefix []byte) iter.Seq2[[]byte, []byte] {
	s.state.RLock()
	var found []string
	for k := range s.keys {
		if len(k) >= len(prefix) && k[:len(prefix)] == string(prefix) {
			found = append(found, k)
		}
	}
	s.state.RUnlock()
	slices.Sort(found)
	return func(yield func(k, v []byte) bool) {
		for _, k := range found {
			v, ok := s.Get([]byte(k))
			if ok && !yield([]byte(k), v) {
				return
			}
		}
	}
}

// Log returns a durable log, or nil.
func (s *Store) Log(id LogID) *Log {
	s.state.RLock()
	defer s.state.RUnlock()
	return s.logs[id]
}

// Set returns a durable set, or nil.
func (s *Store) Set(id SetID) *Set {
	s.state.RLock()
	defer s.state.RUnlock()
	return s.sets[id]
}

// Await waits until q is durable. The error is ctx's, or Err's.
func (s *Store) Await(ctx context.Context, q Seq) error {
	if s.Durable() >= q {
		return nil
	}
	ch := make(chan struct{}, 1)
	s.Notify(ch, q)
	select {
	case <-ch:
		if s.Durable() >= q {
			return nil
		}
		if err := s.Err(); err != nil {
			return err
		}
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Notify sends on ch once, without blocking, when q is durable or the store
// has failed or closed (then Durable() < q). Give ch a capacity of 1.
func (s *Store) Notify(ch chan<- struct{}, q Seq) {
	if !s.waiters.add(ch, q) || s.Durable() >= q {
		send(ch)
	}
}

func (s *Store) now(last int64) int64 { return max(s.cfg.Now().UnixMilli(), last) }
