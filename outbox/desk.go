package outbox

import (
	"context"
	"time"

	"github.com/tidings-io/tidings"
)

// Desk is a table as an operator sees it.
type Desk interface {
	// List returns up to max rows in a state that come behind a Seq, in their order.
	List(ctx context.Context, state State, after int64, max int) ([]Entry, error)
	// Retry lets parked events be published, by their ids. Events of their keys have gone on: order is
	// not what it was. n is how many were parked.
	Retry(ctx context.Context, ids ...string) (n int, err error)
	// Discard deletes parked events, by their ids. n is how many were parked.
	Discard(ctx context.Context, ids ...string) (n int, err error)
}

// State is what has become of a row.
type State uint8

const (
	// Waiting rows will be published, now, at their time, or when they are tried again.
	Waiting State = iota
	// Published rows are kept for a while, where the table keeps any.
	Published
	// Parked rows were refused for good.
	Parked
)

// String is "waiting", "published" or "parked".
func (s State) String() string {
	switch s {
	case Published:
		return "published"
	case Parked:
		return "parked"
	default:
		return "waiting"
	}
}

// Entry is a row with what is known of it.
type Entry struct {
	Row
	State State
	// Since is when it was inserted, or the time at which it is to be published.
	Since time.Time
	// Again is when it is tried next, zero for at once.
	Again time.Time
	// Reason is the error of its last attempt.
	Reason string
}

// Status counts the rows of a table. It reads an index of everything that waits: ask for it every few
// seconds, not with every request.
type Status struct {
	Waiting   int           // to be published now, failed ones included
	Failing   int           // among them, those that failed and are tried again
	Scheduled int           // to be published later
	Parked    int           // refused for good
	Oldest    time.Duration // how long the oldest of Waiting has waited: the lag
}

// topicKey is what keeps its order.
type topicKey struct {
	kind       tidings.Kind
	topic, key string
}

// lane is the order that a row belongs to; false for an event without a key, which has none.
func (r *Row) lane() (topicKey, bool) {
	return topicKey{r.Event.Kind, r.Event.Topic, r.Event.Key}, r.Event.Key != ""
}
