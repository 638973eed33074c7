package inbox

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tidings-io/tidings"
)

// Store remembers what has been handled, in the database that handlers write to. Tx is its
// transaction, such as pgx.Tx or *sql.Tx. Package storetest has its suite of tests.
type Store[Tx any] interface {
	// Once calls fn in a transaction in which group and id have just been inserted, and commits.
	// Where they are there already it returns true, and fn is not called. An error of fn, or its
	// panic, rolls everything back and is returned as it is. What Check refuses is a permanent error.
	Once(ctx context.Context, group, id string, fn func(ctx context.Context, tx Tx) error) (
		already bool, err error)

	// Advance calls fn in a transaction in which the position of a group in a lane has just been
	// moved up to an offset from 0, and commits. Where it has been there, or further, Advance returns true,
	// and fn is not called. Who calls it keeps the order of each lane: what a position has passed is
	// never handled.
	Advance(ctx context.Context, group, lane string, offset int64,
		fn func(ctx context.Context, tx Tx) error) (already bool, err error)

	// Prune forgets ids that were inserted longer ago than an age above 0, in steps of a bounded
	// number of rows, each a transaction of its own; n is how many, also with an error. Positions
	// stay.
	Prune(ctx context.Context, olderThan time.Duration) (n int, err error)
}

// ID is what an event is remembered by: its source and its id, which CloudEvents makes unique
// together, with a space between them. One of more than MaxName bytes is a hash of these.
func ID(e *tidings.Event) string {
	source := strings.ReplaceAll(e.Source, " ", "%20") // as in a URI: the first space ends it
	id := source + " " + e.ID
	if len(id) > MaxName {
		id = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(id)))
	}
	return id
}

// On is tidings.On for a handler whose writes in tx happen once for each event.
func On[Tx, T any](s Store[Tx], t *tidings.Type[T],
	fn func(ctx context.Context, tx Tx, m tidings.Msg[T]) error) tidings.Route {
	return tidings.On(t, func(ctx context.Context, m tidings.Msg[T]) error {
		return once(ctx, s, m, fn)
	})
}

// Handle is tidings.Handle for a handler whose writes in tx happen once for each command.
func Handle[Tx, T any](s Store[Tx], c *tidings.Command[T],
	fn func(ctx context.Context, tx Tx, m tidings.Msg[T]) error) tidings.Route {
	return tidings.Handle(c, func(ctx context.Context, m tidings.Msg[T]) error {
		return once(ctx, s, m, fn)
	})
}

func once[Tx, T any](ctx context.Context, s Store[Tx], m tidings.Msg[T],
	fn func(ctx context.Context, tx Tx, m tidings.Msg[T]) error) error {
	group, err := groupOf(ctx)
	if err != nil {
		return err
	}
	_, err = s.Once(ctx, group, ID(&m.Event), func(ctx context.Context, tx Tx) error {
		return fn(ctx, tx, m)
	})
	return err
}

func groupOf(ctx context.Context) (string, error) {
	if group := tidings.Group(ctx); group != "" {
		return group, nil
	}
	return "", errors.New("inbox: no group handles this event: the context is not of tidings.Handling")
}
