package broker

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// Once asks for a record to be published only if no other one with its key was within the
// time that QueueSettings.Once names. Where there was, nothing is published, and Routed
// tells of the original.
type Once struct {
	Key  [16]byte // of what is the same
	Note [16]byte // kept with the key, for those who come again: an id
}

// Original is the record that a duplicate is one of.
type Original struct {
	// Offset is where a queue put it; -1: it was to be ready later. Of an exchange it is a number that
	// grows with each record that was published to it once.
	Offset Offset
	Time   time.Time // of its publish
	Note   [16]byte
}

// ledger remembers what was published once, for a time that begins with the first publish.
// Whether the record is there still does not matter. On disk it is a log beside those of
// its queue, appended to in the batch of the record itself:
//
//	trimmed    first, kept[0]                      end
//	  | old ... | key note at off | ... within time |
//
// An exchange has one by itself. In memory it is all of that: an entry takes 48 bytes and its
// place in the map, and a duplicate reads nothing. Open reads nothing either: who publishes
// first does.
type ledger struct {
	log     *storage.Log // empty where the queue lives in memory: then its number counts
	durable bool
	time    time.Duration
	most    int

	mu      sync.Mutex // in the order of logs
	dead    bool
	loaded  bool
	places  map[[16]byte]Offset
	kept    []onceEntry
	first   Offset // in the log, of kept[0]
	peak    int    // of kept since it was made
	trimmed Offset
	lastSeq storage.Seq // of the newest entry
}

// onceEntry is one record that was published.
type onceEntry struct {
	Once
	at  int64  // ms; 0: it is damaged, and nobody's
	off Offset // in the log of the queue; noOffset
}

const noOffset = -1

// newLedger makes an empty one. The number of its log is greater than those of the logs of
// its queue: it comes behind them in the order of locks.
func (b *Broker) newLedger(batch *storage.Batch, durable bool, d time.Duration) *ledger {
	g := b.ledgerOf(b.store.NewLog(batch, storage.LogOptions{Volatile: !durable}), d)
	g.durable, g.loaded = durable, true
	return g
}

func (b *Broker) ledgerOf(log *storage.Log, d time.Duration) *ledger {
	return &ledger{log: log, durable: true, time: d, most: b.config.Limits.Once}
}

// decodeLedger finds one again; it is read when somebody publishes.
func (b *Broker) decodeLedger(d *decoder, t time.Duration) (*ledger, error) {
	id := storage.LogID(d.uvarint())
	log := b.store.Log(id)
	if log == nil {
		return nil, fmt.Errorf("there is no log %d, which is a ledger: %w", id, storage.ErrDamaged)
	}
	return b.ledgerOf(log, t), nil
}

// within says whether an entry of a time counts now. One of the future does not, unless it
// is near: the clock was set back, and nobody is to wait until it is there again.
func (g *ledger) within(at, now int64) bool {
	d := g.time.Milliseconds()
	return at > 0 && now-at < d && at-now < d
}

// findLocked is the original of a key; nil: there is none.
func (g *ledger) findLocked(key [16]byte, now int64) *onceEntry {
	off, ok := g.places[key]
	if !ok {
		return nil
	}
	if e := &g.kept[off-g.first]; g.within(e.at, now) {
		return e
	}
	return nil
}

// nextLocked is the offset in the log of what is added next.
func (g *ledger) nextLocked() Offset { return g.first + Offset(len(g.kept)) }

// addLocked notes a record on its way to an offset.
func (g *ledger) addLocked(batch *storage.Batch, o *Once, off Offset, now int64) {
	e := onceEntry{Once: *o, at: now, off: off}
	if g.durable {
		batch.Append(g.log, storage.Entry{Count: 1, Time: now, Bytes: e.append(nil)})
	}
	g.keepLocked(e)
	g.ageLocked(now)
	g.trimLocked(batch, trimEvery)
}

func (g *ledger) keepLocked(e onceEntry) {
	if g.places == nil {
		g.places = map[[16]byte]Offset{}
	}
	if e.at > 0 {
		g.places[e.Key] = g.nextLocked()
	}
	g.kept = append(g.kept, e)
	g.peak = max(g.peak, len(g.kept))
}

// ageLocked forgets what is too old, and gives back the memory of a burst.
func (g *ledger) ageLocked(now int64) {
	n := 0
	for n < len(g.kept) && !g.within(g.kept[n].at, now) {
		if e := &g.kept[n]; g.places[e.Key] == g.first+Offset(n) {
			delete(g.places, e.Key)
		}
		n++
	}
	g.kept, g.first = g.kept[n:], g.first+Offset(n)
	if n > 0 && len(g.kept) <= g.peak/4 {
		g.shrinkLocked()
	}
}

func (g *ledger) shrinkLocked() {
	kept := g.kept
	g.kept, g.places, g.peak = nil, nil, 0
	for _, e := range kept {
		g.keepLocked(e)
	}
}

// trimLocked lets the log go of what is forgotten, once that is some entries.
func (g *ledger) trimLocked(batch *storage.Batch, least Offset) {
	if g.durable && g.first-g.trimmed >= least {
		batch.Trim(g.log, g.first)
		g.trimmed = g.first
	}
}

// confirmLocked covers an entry that somebody added before.
func (g *ledger) confirmLocked(store *storage.Store) Confirm {
	if !g.durable || store.Durable() >= g.lastSeq {
		return Confirm{}
	}
	return Confirm{store, g.lastSeq}
}

// load reads the ledger that a restart left. Called without a lock: several may do it.
func (g *ledger) load() error {
	g.mu.Lock()
	loaded := g.loaded
	g.mu.Unlock()
	if loaded {
		return nil
	}
	kept, first, err := g.read()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.loaded || g.dead { // meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	g.first, g.trimmed, g.loaded = first, first, true
	for _, e := range kept {
		g.keepLocked(e)
	}
	return nil
}

// ledgerReadBytes is how much of a ledger is read at once.
const ledgerReadBytes = 1 << 20

func (g *ledger) read() (kept []onceEntry, first Offset, err error) {
	first, end, _ := g.log.Bounds()
	var buf storage.Buffer
	defer buf.Release()
	for at := first; at < end; {
		if err := g.log.Read(&buf, at, ledgerReadBytes); err != nil {
			if start, _, _ := g.log.Bounds(); start > at { // what is old was trimmed meanwhile
				kept, first, at = nil, start, start
				continue
			}
			return nil, 0, err
		}
		next := end
		for i := range buf.Entries {
			e, err := decodeOnce(buf.Entries[i].Bytes, buf.Entries[i].Time)
			if err != nil {
				return nil, 0, err
			}
			next = buf.Entries[i].Base + 1
			kept = append(append(kept, make([]onceEntry, next-1-at)...), e) // without what a repair gave up
			at = next
		}
		at = next
	}
	return append(kept, make([]onceEntry, end-first-Offset(len(kept)))...), first, nil
}

// tidy lets go of what is too old, in memory and on disk.
func (g *ledger) tidy(store *storage.Store, now int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dead {
		return nil
	}
	if g.loaded {
		g.ageLocked(now)
	} else {
		g.first = g.log.Expired(now-g.time.Milliseconds()+1, -1)
		g.trimmed, _, _ = g.log.Bounds()
	}
	var batch storage.Batch
	g.trimLocked(&batch, 1)
	if batch.Empty() {
		return nil
	}
	_, err := store.Submit(&batch)
	return err
}

// trimLedgers does that for exchanges; those of queues are trimmed with them.
func (b *Broker) trimLedgers() error {
	b.cat.mu.RLock()
	var all []*ledger
	for _, x := range b.cat.exchanges {
		if x.ledger != nil {
			all = append(all, x.ledger)
		}
	}
	b.cat.mu.RUnlock()
	for _, g := range all {
		if err := g.tidy(b.store, b.nowMillis()); err != nil {
			return err
		}
	}
	return nil
}

// drop ends the ledger; the caller submits that. The lock of its queue is held.
func (g *ledger) drop(r *removal) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dead, g.kept, g.places = true, nil, nil
	r.batch.Drop(g.log)
}

// forgetLocked has every record be new that was published once.
func (g *ledger) forgetLocked(batch *storage.Batch) {
	g.kept, g.places, g.peak, g.loaded = nil, nil, 0, true
	_, _, end := g.log.Bounds()
	g.first, g.trimmed = end, end
	batch.Trim(g.log, end)
}

// An entry of a ledger, see docs/format-broker.md. Its time is that of the store's entry.
//
//	format 1, key 16, note 16, offset varint

func (e *onceEntry) append(dst []byte) []byte {
	dst = append(append(append(dst, valueVersion), e.Key[:]...), e.Note[:]...)
	return binary.AppendVarint(dst, int64(e.off))
}

// onceBytes is at least what an entry takes.
const onceBytes = 48 + appendOverhead

func decodeOnce(entry []byte, at int64) (e onceEntry, err error) {
	d := newDecoder(entry)
	copy(e.Key[:], d.take(len(e.Key)))
	copy(e.Note[:], d.take(len(e.Note)))
	e.at, e.off = at, Offset(d.varint())
	return e, d.end("ledger entry")
}

func (e *onceEntry) original() *Original {
	return &Original{Offset: e.off, Time: timeOf(e.at), Note: e.Note}
}
