package projection

import (
	"context"
	"time"
)

// Checkpoints keep how far projections have come, in the database of their tables. store/embedded,
// store/postgres and store/sql have them; package storetest has their suite.
type Checkpoints[Tx any] interface {
	// Step calls fn in a transaction, with the position up to which all is handled, and saves the
	// one that fn returns in the same transaction; the same one saves nothing. Of several that run
	// for one ID, each begins where the other has committed. An error of fn rolls back and is
	// returned. fn may be called again where the database asks for it.
	Step(ctx context.Context, id ID,
		fn func(ctx context.Context, tx Tx, from int64) (to int64, err error)) error
	// Skip records, in a transaction of Step, that an event is passed over.
	Skip(ctx context.Context, tx Tx, id ID, s Skipped) error
	// Load is how far a projection has come; the zero value for one that has not begun.
	Load(ctx context.Context, id ID) (Checkpoint, error)
	// Skipped are the events that were passed over, from a position on, at most max.
	Skipped(ctx context.Context, id ID, from int64, max int) ([]Skipped, error)
	// Active is the version that readers use, 0 for none.
	Active(ctx context.Context, name string) (version int, err error)
	// Activate makes a version the one that readers use, durably on return.
	Activate(ctx context.Context, id ID) error
	// Forget removes what is kept of a projection that is not active. Its rows are the caller's.
	Forget(ctx context.Context, id ID) error
}

// Checkpoint is how far a projection has come.
type Checkpoint struct {
	Position int64     // of the last event handled, 0 for none
	Skipped  int64     // events passed over so far
	Saved    time.Time // when
}

// Skipped is an event that was passed over.
type Skipped struct {
	Position int64
	Stream   string
	Event    string // id
	Reason   string // at most MaxReason bytes
	At       time.Time
}

// MaxReason bounds what is kept of an error.
const MaxReason = 1000
