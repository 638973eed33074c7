package guarantees

import (
	"slices"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/tests/clients/guarantees/worker"
)

// history is what became of everything in one place.
type history struct {
	place place
	// kills of workers and of the broker, and how often a receiver lost by one or the other what it
	// had in hand.
	kills, falls, losses int

	// News, by id: tried to publish once, acknowledged, handled by the group that acknowledges first (also
	// before the broker was killed), done and put among the dead letters by the one that acknowledges last, read
	// from there, and rows written by the one with positions.
	tried, acked, most, before, done, dead, letters map[string]int
	positions                                       map[string]int

	// Orders: those whose transaction committed, those that were rolled back, and rows in the order
	// in which they were written, of the group by id and of the one whose order is looked at; what that
	// put aside; attempts of either.
	committed     []order
	undone        map[string]int
	once, ordered []order
	aside         map[string]int
	attempts      map[string]int

	// Sagas: how each ended, and the steps that were done, in their order.
	trips map[string]string
	steps map[string][]string
}

// order is a row: an event, its key, and its place among those of the key.
type order struct {
	id, key string
	seq     int64
}

// emptied counts that a worker lost what it had in hand.
func (h *history) emptied(m *member) {
	if slices.Contains(m.plan.Roles, worker.Receive) {
		h.losses++
	}
}

// read fills the history from what was said and what is in the databases.
func (h *history) read(t testing.TB, n *notes, dbs [2]string) {
	t.Helper()
	h.tried, h.acked = n.counts("try"), n.counts("ack")
	h.most = n.counts("effect " + worker.AtMostOnce)
	h.done, h.dead = n.counts("done "+worker.AtLeastOnce), n.counts("dead "+worker.AtLeastOnce)
	h.letters = n.counts("done " + worker.Letters)
	h.undone, h.aside = n.counts("undo"), n.counts("dead "+worker.Ordered)
	h.attempts = n.counts("attempt " + worker.Once)
	h.committed = h.readOrders(t, dbs[0])
	h.trips = map[string]string{}
	for _, line := range n.lines {
		if words := strings.Fields(line); words[0] == "trip" {
			h.trips[words[1]] = words[2]
		}
	}
	db := openDatabase(t, dbs[1])
	h.once = db.rows(`select id, key, seq from effects where grp = '` + worker.Once + `' order by n`)
	h.ordered = db.rows(`select id, key, seq from effects where grp = '` + worker.Ordered + `' order by n`)
	h.positions = map[string]int{}
	for _, o := range db.rows(`select id, key, seq from effects where grp = '` + worker.Positions + `'`) {
		h.positions[o.id]++
	}
	h.steps = map[string][]string{}
	for _, o := range db.rows(`select trip, step, n from steps order by n`) {
		h.steps[o.id] = append(h.steps[o.id], o.key)
	}
}

// readOrders are the orders whose transactions committed, in the order of the place in their keys.
func (h *history) readOrders(t testing.TB, db string) []order {
	t.Helper()
	return openDatabase(t, db).rows(`select id, key, seq from orders order by key, seq`)
}

// database is one that a test reads.
type database struct {
	t testing.TB
	*worker.Database
}

func openDatabase(t testing.TB, name string) database {
	t.Helper()
	db, err := worker.OpenDatabase(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return database{t, db}
}

// migrate makes the tables, before workers do it at once.
func migrate(t testing.TB, name string) {
	t.Helper()
	if err := openDatabase(t, name).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (d database) rows(query string) (out []order) {
	d.t.Helper()
	rows, err := d.QueryContext(d.t.Context(), query)
	if err != nil {
		d.t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // Err says what went wrong
	for rows.Next() {
		var o order
		if err := rows.Scan(&o.id, &o.key, &o.seq); err != nil {
			d.t.Fatal(err)
		}
		out = append(out, o)
	}
	if err := rows.Err(); err != nil {
		d.t.Fatal(err)
	}
	return out
}
