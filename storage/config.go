package storage

import (
	"fmt"
	"log/slog"
	"time"
)

// SyncPolicy says when a commit counts as durable.
type SyncPolicy int

const (
	// SyncAlways (the default): durable means synced to the device.
	SyncAlways SyncPolicy = iota
	// SyncInterval: durable means written; the journal is synced every
	// Config.SyncInterval. A power cut loses that much; kill -9 loses nothing.
	SyncInterval
	// SyncNever: durable means written; the journal is synced only at
	// checkpoints. For data that may be thrown away.
	SyncNever
)

func (p SyncPolicy) String() string {
	return [...]string{"always", "interval", "never"}[p]
}

// Limits that are not settings.
const (
	// MaxBatchBytes bounds one batch, entries with their 44-byte headers included.
	MaxBatchBytes = 256 << 20
	// MaxKeyBytes and MaxValueBytes bound one Put.
	MaxKeyBytes   = 4 << 10
	MaxValueBytes = 1 << 20

	minTailBytes    = 64 << 10
	minSegmentBytes = 4 << 10
	maxSegmentBytes = 1 << 30
)

// Config: the zero value is the default.
type Config struct {
	Sync         SyncPolicy
	SyncInterval time.Duration // for SyncInterval; default 100 ms
	// Owner is written into the lock file, so that a second process can say who
	// holds the data directory.
	Owner string
	// Now is the wall clock; default time.Now.
	Now func() time.Time
	// Logger hears of recovery, checkpoints that fail and disk pressure.
	Logger *slog.Logger
	// SegmentBytes is how long a segment file grows before the next is begun;
	// 4 KiB to 1 GiB, default 64 MiB.
	SegmentBytes int64
	// JournalBytes bounds all journal files together; appends stall when they are
	// full. The first file has 4 MiB at most, later ones up to a quarter of this.
	// On a small disk a sixteenth of it is used, if that is less. At least twice
	// TailBytes; default 256 MiB.
	JournalBytes int64
	// TailBytes is the memory for what is durable in the journal and not yet in a
	// segment file. A quarter of it bounds a frame. Default 16 MiB.
	TailBytes int
	// PendingBytes is how much may wait for the disk before Admit makes callers
	// wait. Default 8 MiB.
	PendingBytes int64
	// CarryBytes is the tail below which a checkpoint copies a log's records into
	// the next journal file instead of beginning a segment file. Default 16 KiB.
	CarryBytes int
	// OpenFiles bounds the segment files held open. Default 4096.
	OpenFiles int
	// ScrubBytes is how much Scrub reads in a second. Default 64 MiB.
	ScrubBytes int64
	// Idle is how long the journal must be quiet before a marker frame is written,
	// which lets recovery tell a damaged last frame from a torn one. Default 50 ms.
	Idle time.Duration

	// extentBytes is how much one log must have in a frame for its entries to go
	// straight to its segment file. Less is cheaper to write twice (journal, then
	// segment) than to sync on its own; more halves what is written.
	extentBytes int
	// firstJournal is the size of the first journal file.
	firstJournal int64
	// manual starts no goroutines: tests call commitAll and flushRound themselves.
	manual bool
	// repair makes recovery go on over damage.
	repair *repairer
}

func (c Config) withDefaults() Config {
	orInt(&c.SegmentBytes, 64<<20)
	orInt(&c.JournalBytes, 256<<20)
	orInt(&c.TailBytes, 16<<20)
	orInt(&c.PendingBytes, 8<<20)
	orInt(&c.CarryBytes, 16<<10)
	orInt(&c.extentBytes, 128<<10)
	orInt(&c.firstJournal, min(4<<20, c.JournalBytes/4&^(blockSize-1)))
	orInt(&c.OpenFiles, 4096)
	orInt(&c.SyncInterval, 100*time.Millisecond)
	orInt(&c.ScrubBytes, 64<<20)
	orInt(&c.Idle, 50*time.Millisecond)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func orInt[T int | int64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

func (c Config) check() error {
	switch {
	case c.Sync < SyncAlways || c.Sync > SyncNever:
		return fmt.Errorf("storage: unknown sync policy %d", int(c.Sync))
	case c.SegmentBytes < minSegmentBytes || c.SegmentBytes > maxSegmentBytes:
		return fmt.Errorf("storage: SegmentBytes %d is not within 4 KiB to 1 GiB", c.SegmentBytes)
	case c.TailBytes < minTailBytes || c.TailBytes%blockSize != 0:
		return fmt.Errorf("storage: TailBytes %d is not a multiple of 4 KiB from 64 KiB", c.TailBytes)
	case c.JournalBytes < 2*max(int64(c.TailBytes), c.firstJournal):
		return fmt.Errorf("storage: JournalBytes %d is below twice TailBytes", c.JournalBytes)
	case c.CarryBytes > c.TailBytes/8:
		return fmt.Errorf("storage: CarryBytes %d is above an eighth of TailBytes", c.CarryBytes)
	}
	return nil
}

// frameBytes bounds the body of a frame: two fit into any journal file.
func (c Config) frameBytes() int { return min(c.TailBytes/4, int(c.firstJournal/2)) - 2*blockSize }

// longestFrame bounds the body of a frame whose extents found no room. It fits into
// an empty journal file, and into the ring beside the quarter that the flusher
// leaves in it, also where the ring's end cannot take it.
func (c Config) longestFrame() int { return c.frameBytes() * 3 / 2 }
