package outbox

import (
	"context"
	"errors"
	"time"

	"github.com/tidings-io/tidings"
)

// ErrTaken: an id is that of another event in the table, of another topic or type.
var ErrTaken = errors.New("the id is that of another event")

// Publisher publishes into a transaction, at once or at a time.
type Publisher interface {
	tidings.Publisher
	tidings.Scheduler
}

// Table is an outbox in the user's database. Tx is its transaction, such as pgx.Tx or *sql.Tx.
// Package storetest has its suite of tests.
type Table[Tx any] interface {
	// In is a publisher whose events exist if and only if tx commits. Its nil says that the rows are
	// inserted, no more. Where one event is refused none is inserted. Use it after the statement
	// that takes the lock of the aggregate, see the package's words on order.
	In(tx Tx) Publisher
	// Committed tells a relay of this process that a transaction with events has been committed, so
	// that it looks at once where the database cannot tell it. Nothing depends on it but time.
	Committed()
	Source
	Desk
}

// Source is a table as a relay sees it.
type Source interface {
	// Lead makes a relay the one that works, or keeps it so, for the time of a lease; false means
	// that the lease is another's.
	Lead(ctx context.Context, relay string, lease time.Duration) (bool, error)
	// Resign gives a lease back.
	Resign(ctx context.Context, relay string) error
	// Claim returns up to max rows, and fewer where events are large, that are committed, due and neither published nor parked, in the
	// order in which they were inserted, without those that come behind one of their topic and key
	// that failed and is not to be tried yet.
	Claim(ctx context.Context, max int) (Claim, error)
	// Done marks rows as published.
	Done(ctx context.Context, seqs ...int64) error
	// Fail notes that rows were not published. It changes nothing for one that is published.
	Fail(ctx context.Context, failures ...Failure) error
	// Wake begins to listen for commits.
	Wake(ctx context.Context) (Waker, error)
	// Prune deletes published rows that have been kept for long enough, a bounded number of them;
	// more says that there are others.
	Prune(ctx context.Context) (more bool, err error)
	// Status counts.
	Status(ctx context.Context) (Status, error)
}

// Claim is what there is to publish.
type Claim struct {
	Rows []Row
	// Next is how long it takes until another row is due, 0 for nothing that is known. It is set
	// where Rows is empty.
	Next time.Duration
}

// Row is an event that waits to be published.
type Row struct {
	Seq      int64 // in the order of inserts
	Event    tidings.Event
	Attempts int   // that failed
	Err      error // why Event could not be read
}

// Failure says what becomes of a row that was not published.
type Failure struct {
	Seq    int64
	Reason string
	// Again is when it is tried again, from now. Until then it holds back its topic and key.
	Again time.Duration
	// Park puts it aside for good.
	Park bool
}

// Waker waits for commits. It belongs to one goroutine.
type Waker interface {
	// Wait returns nil when something may have been committed or a time has passed, and an error
	// when ctx ends or listening cannot go on.
	Wait(ctx context.Context, atMost time.Duration) error
	// Close ends listening.
	Close() error
}
