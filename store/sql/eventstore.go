package sqlstore

import (
	"cmp"
	"database/sql"
	"time"

	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/projection"
	"github.com/tidings-io/tidings/store/internal/relational"
)

// EventsConfig is how an event store works; its zero value is good.
type EventsConfig struct {
	// Source is the CloudEvents source of events that neither they nor a handler's context name; ""
	// is "eventstore".
	Source string
	// Poll is how often Follow looks for what other processes and the user's transactions have
	// appended; 0 or below is DefaultPoll. What this store appends it sees at once.
	Poll time.Duration
}

// Events is the store as an event store. Transactions that append take turns, from the append to
// their end: append last, and commit soon. Appends that wait for each other in this Store share a
// transaction.
func (s *Store) Events(conf EventsConfig) eventstore.Table[*sql.Tx] {
	return s.core.Events(relational.EventsConfig{Source: cmp.Or(conf.Source, "eventstore"),
		Poll: cmp.Or(max(conf.Poll, 0), DefaultPoll)})
}

// Keys are the keys of subjects, for an eventstore.Shredder. The secret of an erased one leaves the
// files of the database when that reuses their space: with SQLite when its write-ahead log
// has been copied and where the pragma secure_delete is on, with PostgreSQL after a vacuum.
func (s *Store) Keys() eventstore.Keys { return s.core.Keys() }

// Checkpoints keep how far projections have come whose tables are in this database.
func (s *Store) Checkpoints() projection.Checkpoints[*sql.Tx] { return s.core.Checkpoints() }
