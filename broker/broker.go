package broker

import (
	"context"
	crand "crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings/storage"
	"github.com/tidings-io/tidings/storage/vfs"
)

// Config says how a broker is opened. The zero value is the default.
type Config struct {
	// FS holds the data; default: the directory given to Open.
	FS vfs.FS
	// Storage sets the sync policy and sizes. Its Now and Logger default to the
	// ones here, its Owner to the name and pid of this program.
	Storage storage.Config
	Limits  Limits
	// Props read the properties of a record of a queue, by format, for exchanges that
	// route by them; without, such a record has none.
	Props map[PropsFormat]PropsReader
	// FromTopic is what a record of a topic is to the queues and exchanges that it is linked
	// to; nil: its value, without headers. key is the routing key in place of the record's,
	// which is then told otherwise; nil: there is none. The record keeps its memory.
	FromTopic func(rec *Record, key *string) QueueRecord
	// Relays make the types of exchange that protocol faces bring; Open calls each once,
	// when all that was on disk is there. See Relay.
	Relays map[string]func(*Broker) Relay
	// Observer hears what happens; nil costs nothing. See Observer.
	Observer Observer
	// Now is the wall clock; default time.Now.
	Now func() time.Time
	// Logger receives what an operator should know; default: nothing is logged.
	Logger *slog.Logger
	// RetentionInterval is the time between two looks at what has outlived its
	// topic's retention; default 1 minute, at least 1 ms.
	RetentionInterval time.Duration
	// ProducerExpiry is how long an idempotent producer is remembered by a
	// partition after its last append; default 7 days.
	ProducerExpiry time.Duration
}

// Defaults of Config.
const (
	defaultRetentionInterval = time.Minute
	defaultProducerExpiry    = 7 * 24 * time.Hour
)

func (c Config) withDefaults(dir string) (Config, error) {
	var err error
	if c.Limits, err = c.Limits.withDefaults(); err != nil {
		return c, err
	}
	if c.RetentionInterval < 0 || c.ProducerExpiry < 0 {
		return c, errors.New("retention interval and producer expiry must not be negative")
	}
	if c.RetentionInterval == 0 {
		c.RetentionInterval = defaultRetentionInterval
	}
	c.RetentionInterval = max(c.RetentionInterval, time.Millisecond)
	if c.ProducerExpiry == 0 {
		c.ProducerExpiry = defaultProducerExpiry
	}
	if c.FS == nil {
		c.FS = vfs.OS(dir)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Storage.Now == nil {
		c.Storage.Now = c.Now
	}
	if c.Storage.Owner == "" {
		c.Storage.Owner = fmt.Sprintf("%s (pid %d)", filepath.Base(os.Args[0]), os.Getpid())
	}
	if c.Storage.Logger == nil {
		c.Storage.Logger = c.Logger
	}
	return c, nil
}

// Broker is the engine on one data directory. All methods are safe for
// concurrent use.
type Broker struct {
	store  *storage.Store
	config Config
	id     ID
	cat    catalog
	facts  factBook
	relays map[string]Relay // by type of exchange
	rounds relayRounds
	access atomic.Uint64 // see AccessGeneration
	feed   *feed         // nil without an observer

	links links

	rules atomic.Pointer[ruleBook] // the policies; replaced under the catalog's mutex

	start   uint64 // random: tells a transient record of an earlier start
	deliver *deliverLoop
	timers  *timers[*Queue]
	// schedules are those in which a record may be due.
	schedules *timers[*schedule]
	exchanges atomic.Uint64 // made since Open: the order of their locks

	producerIDs producerIDs
	following   atomic.Int64 // bytes that followers keep between two rounds
	work        sync.Pool    // of *work: batches and buffers between two appends
	txs         sync.Pool    // of *Tx that were released
	companions  companions

	life     context.Context // ends with Close
	end      context.CancelFunc
	loops    sync.WaitGroup // the retention, deliver, timer and schedule loops, links
	closing  sync.Once
	closed   atomic.Bool // the logs must not be read any more
	closeErr error       // what Close returned
}

// Open opens the broker in dir, or creates it there, and dir where it is missing.
// One process at a time may hold a directory: the second gets an error that wraps
// vfs.ErrLocked and names the first. No listener is opened.
//
// Kinds: Invalid (configuration), Storage (the directory cannot be used), Corrupt
// (acknowledged data is damaged), Unsupported (written by a newer version).
func Open(dir string, c Config) (*Broker, error) {
	const op = "open broker"
	own := c.FS == nil
	c, err := c.withDefaults(dir)
	if err != nil {
		return nil, &Error{Kind: Invalid, Op: op, Name: dir, Err: err}
	}
	if own {
		if err := c.FS.MkdirAll("."); err != nil {
			return nil, storeError(op, dir, err)
		}
	}
	store, err := storage.Open(c.FS, c.Storage)
	if err != nil {
		return nil, storeError(op, dir, err)
	}
	b := &Broker{store: store, config: c, deliver: newDeliverLoop(), timers: newTimers[*Queue](),
		schedules: newTimers[*schedule](), start: rand.Uint64()}
	b.life, b.end = context.WithCancel(context.Background())
	b.work.New = func() any { return new(work) }
	if err := b.load(); err != nil {
		b.end()
		if also := store.Close(); also != nil {
			c.Logger.Error("close after a failed open", "error", also)
		}
		return nil, storeError(op, dir, err)
	}
	b.relays = map[string]Relay{}
	for kind, build := range c.Relays {
		b.relays[kind] = build(b)
	}
	if c.Observer != nil {
		b.feed = newFeed(c.Observer, store)
		go b.feed.run()
	}
	b.sweepQueues()
	b.loops.Go(b.retentionLoop)
	b.loops.Go(b.runDeliverLoop)
	b.loops.Go(func() { runTimers(b, b.timers, (*Queue).timeout) })
	b.loops.Go(func() { runTimers(b, b.schedules, (*schedule).turn) })
	if err := b.startLinks(); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Close ends the broker: it refuses what comes from now on with kind Closed, stops
// the retention loop, waits until all that was submitted is on disk, tells the
// observer the rest and gives the directory free. Every Confirm is settled then.
// A second Close returns what the first did.
func (b *Broker) Close() error {
	b.closing.Do(func() {
		b.closed.Store(true)
		b.end()
		b.loops.Wait()
		b.drain()
		b.closeErr = storeError("close broker", "", b.store.Close())
		if b.feed != nil {
			b.feed.close()
		}
	})
	return b.closeErr
}

// drainTime bounds drain: on a full disk nothing more gets there.
const drainTime = 5 * time.Second

// drain waits until what was submitted is on disk, while the store still runs at
// full speed. Where that fails, the store's own Close says why.
func (b *Broker) drain() {
	var batch storage.Batch
	batch.Delete([]byte{familyTrash}) // there is no such key: it only comes last
	if seq, err := b.store.Submit(&batch); err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		_ = b.store.Await(ctx, seq) // the store's Close answers the same error
	}
}

// ID is the identity of this data directory, made when it was created and never
// changed. Kafka calls it the cluster id.
func (b *Broker) ID() ID { return b.id }

// Err returns the failure of the disk that ended this broker's life, of kind
// Storage, or nil.
func (b *Broker) Err() error { return storeError("write", "", b.store.Err()) }

// Failed is closed when the disk has failed; Err says why.
func (b *Broker) Failed() <-chan struct{} { return b.store.Failed() }

// Closing is closed when Close begins: for those who wait for what a closed broker never tells.
func (b *Broker) Closing() <-chan struct{} { return b.life.Done() }

// Limits returns the limits in force, defaults filled in.
func (b *Broker) Limits() Limits { return b.config.Limits }

// Storage returns a snapshot of the store's counters.
func (b *Broker) Storage() storage.Stats { return b.store.Stats() }

// Backup writes a consistent copy of all durable data into dst, which must be
// empty, while the broker goes on working.
func (b *Broker) Backup(ctx context.Context, dst vfs.FS) error {
	return storeError("backup", "", b.store.Backup(ctx, dst))
}

// usable returns why nothing can be changed any more: for changes that begin in
// memory.
func (b *Broker) usable() error {
	if b.closed.Load() {
		return storage.ErrClosed
	}
	return b.store.Err()
}

func (b *Broker) nowMillis() int64 { return b.config.Now().UnixMilli() }

// settle waits until a change is on disk; where the context ends first the
// change still happens.
func (b *Broker) settle(ctx context.Context, op, name string, seq storage.Seq) error {
	return storeError(op, name, b.store.Await(ctx, seq))
}

// work is what one append or transaction needs for its duration.
type work struct {
	batch      storage.Batch
	scratch    []byte // records on their way into a batch
	key, value []byte // on their way into the storage batch
}

func (b *Broker) takeWork() *work { return b.work.Get().(*work) }

// maxScratch is the largest buffer worth keeping, in bytes.
const maxScratch = 1 << 20

func (b *Broker) putWork(w *work) {
	if cap(w.scratch) > maxScratch {
		w.scratch = nil
	}
	w.batch.Reset()
	b.work.Put(w)
}

// ID is a random UUID (version 4) in binary.
type ID [16]byte

func newID() ID {
	var id ID
	crand.Read(id[:]) // never fails: crypto/rand ends the program instead
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// String returns the canonical text: 8-4-4-4-12 lower-case hexadecimal digits.
func (id ID) String() string {
	h := hex.EncodeToString(id[:])
	return fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
}

// Confirm is the promise that a change is on disk. The zero value is of a change
// that needed nothing and is kept already.
type Confirm struct {
	store *storage.Store
	seq   storage.Seq
}

// Wait returns nil once the change is on disk. It returns an error of kind
// Storage if the disk failed first, and the context's error if that ended first:
// then the change may still become durable.
func (c Confirm) Wait(ctx context.Context) error {
	if c.Done() {
		return nil
	}
	return storeError("confirm", "", c.store.Await(ctx, c.seq))
}

// Done reports whether the change is on disk already.
func (c Confirm) Done() bool { return c.store == nil || c.store.Durable() >= c.seq }

// Notify sends once to ch, without blocking, when the change is on disk or the
// disk has failed: Done and Err tell which. Give ch a capacity of 1.
func (c Confirm) Notify(ch chan<- struct{}) {
	if c.store != nil {
		c.store.Notify(ch, c.seq)
		return
	}
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Err returns an error of kind Storage if the disk failed before the change was
// on it; nil if it is on disk or may still get there.
func (c Confirm) Err() error {
	if c.Done() {
		return nil
	}
	return storeError("confirm", "", c.store.Err())
}

// later returns the one of two confirms of a broker that comes later.
func (c Confirm) later(d Confirm) Confirm {
	if c.store == nil || d.store != nil && d.seq > c.seq {
		return d
	}
	return c
}
