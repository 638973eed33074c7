package relational

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidings-io/tidings/inbox"
)

// pruneStep is how many rows one statement deletes: locks stay short, and few.
const pruneStep = 1000

// Inbox is an inbox.Store.
type Inbox[Tx any] struct {
	core                 *Core[Tx]
	once, advance, prune string
}

// Inbox is the database as an inbox.
func (c *Core[Tx]) Inbox() *Inbox[Tx] {
	return &Inbox[Tx]{
		core: c,
		once: c.sql(`insert into {p}inbox (group_name, id) values ($1, $2) on conflict do nothing`),
		advance: c.sql(`insert into {p}inbox_position (group_name, lane, position) values ($1, $2, $3)
			on conflict (group_name, lane) do update set position = excluded.position
			where {p}inbox_position.position < excluded.position`),
		prune: c.sql(`delete from {p}inbox where (group_name, id) in (
			select group_name, id from {p}inbox where handled < {ago $1}
			order by handled limit $2 {skip})`),
	}
}

// Once is that of inbox.Store.
func (in *Inbox[Tx]) Once(ctx context.Context, group, id string,
	fn func(ctx context.Context, tx Tx) error) (already bool, err error) {
	if err := inbox.Check(group, id); err != nil {
		return false, err
	}
	return in.first(ctx, fn, in.once, group, id)
}

// Advance is that of inbox.Store.
func (in *Inbox[Tx]) Advance(ctx context.Context, group, lane string, offset int64,
	fn func(ctx context.Context, tx Tx) error) (already bool, err error) {
	if err := inbox.CheckPosition(group, lane, offset); err != nil {
		return false, err
	}
	return in.first(ctx, fn, in.advance, group, lane, offset)
}

// errAlready rolls a transaction back in which there is nothing to do.
var errAlready = errors.New("already")

// first runs a statement that changes a row the first time only, and then fn.
func (in *Inbox[Tx]) first(ctx context.Context, fn func(ctx context.Context, tx Tx) error,
	statement string, args ...any) (already bool, err error) {
	err = in.core.transact(ctx, func(tx Tx) error {
		n, err := in.core.db.In(tx).Exec(ctx, statement, args...)
		if err != nil {
			return fmt.Errorf("inbox: %w", err)
		}
		if n == 0 {
			already = true
			return errAlready
		}
		return fn(ctx, tx)
	})
	if already {
		return true, nil
	}
	if err == nil {
		in.core.Committed()
	}
	return false, err
}

// Prune is that of inbox.Store.
func (in *Inbox[Tx]) Prune(ctx context.Context, olderThan time.Duration) (n int, err error) {
	if olderThan <= 0 {
		return 0, fmt.Errorf("inbox: prune of what is older than %v: it needs an age above 0", olderThan)
	}
	for {
		step, err := in.core.db.Exec(ctx, in.prune, olderThan.Milliseconds(), pruneStep)
		if err != nil {
			return n, fmt.Errorf("inbox: prune: %w", err)
		}
		n += int(step)
		if step < pruneStep {
			return n, nil
		}
	}
}
