package postgres

import (
	"cmp"
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/outbox"
	"github.com/tidings-io/tidings/projection"
	"github.com/tidings-io/tidings/store/internal/relational"
)

// EventsConfig is how an event store works; its zero value is good.
type EventsConfig struct {
	// Source is the CloudEvents source of events that neither they nor a handler's context name; ""
	// is "eventstore".
	Source string
	// Poll above 0 has Follow look at an interval; otherwise each Follow takes a connection of its
	// own and the database tells it of appends.
	Poll time.Duration
}

// Events is the store as an event store. Transactions that append take turns, from the append to
// their end, which is what keeps positions without gaps: append last, and commit soon. See the
// package for what it costs.
func (s *Store) Events(conf EventsConfig) eventstore.Table[pgx.Tx] {
	c := relational.EventsConfig{Source: cmp.Or(conf.Source, "eventstore"), Poll: conf.Poll}
	if conf.Poll <= 0 {
		c.Wake = func(ctx context.Context) (outbox.Waker, error) {
			return s.listenTo(ctx, s.events)
		}
	}
	return s.core.Events(c)
}

// Keys are the keys of subjects, for an eventstore.Shredder. The secret of an erased one leaves the
// files of the database with the next vacuum of its table, and the write-ahead log as that is
// recycled.
func (s *Store) Keys() eventstore.Keys { return s.core.Keys() }

// Checkpoints keep how far projections have come whose tables are in this database.
func (s *Store) Checkpoints() projection.Checkpoints[pgx.Tx] { return s.core.Checkpoints() }
