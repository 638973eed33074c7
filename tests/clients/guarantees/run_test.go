package guarantees

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tidings-io/tidings/tests/clients/guarantees/worker"
)

// patience is how long is waited for what should come soon.
const patience = 60 * time.Second

// brokerEvery is after how many workers the broker is killed again.
const brokerEvery = 20

// run is what is done in one place.
type run struct {
	t       *testing.T
	place   place
	host    host
	notes   *notes
	rng     *rand.Rand
	members []*member
	dbs     [2]string // of the sender, of receivers
	history history
}

// play runs services in a place, kills them and the broker, and returns what became of everything.
func play(t *testing.T, p place) *history {
	r := &run{t: t, place: p, host: p.open(t), notes: newNotes(),
		rng: rand.New(rand.NewPCG(*seed, uint64(len(p.name)))), history: history{place: p}}
	for i, side := range []string{"sender", "receiver"} {
		r.dbs[i] = r.host.database(side)
		migrate(t, r.dbs[i])
	}
	r.hire()
	for i := range *kills {
		if i%brokerEvery == min(*kills, brokerEvery)/2 && r.host.kill != nil {
			r.fell()
		}
		r.strike()
	}
	r.finish()
	r.history.read(t, r.notes, r.dbs)
	return &r.history
}

// hire starts the workers: receivers first, since some brokers keep nothing for those who are not
// there yet.
func (r *run) hire() {
	r.t.Helper()
	crews := map[string][]worker.Role{
		"receiver": {worker.Receive, worker.InOrder, worker.Hands}, "second": {worker.Receive, worker.InOrder},
		"trips": {worker.Trips}, "sender": {worker.Send}}
	if r.place.inside {
		crews = map[string][]worker.Role{
			"all": {worker.Receive, worker.InOrder, worker.Hands, worker.Trips, worker.Send}}
	}
	for i, name := range []string{"all", "receiver", "second", "trips", "sender"} {
		if crews[name] == nil {
			continue
		}
		m := &member{t: r.t, name: name, notes: r.notes, plan: worker.Plan{
			Roles: crews[name], Address: r.host.address, Dir: r.t.TempDir(),
			Sender: r.dbs[0], Receiver: r.dbs[1], Seed: *seed<<8 + uint64(i)<<32}}
		r.members = append(r.members, m)
		r.t.Cleanup(m.end)
		m.start()
		m.awaitReady()
	}
}

// fell kills the broker, while everybody works.
func (r *run) fell() {
	r.t.Helper()
	for _, m := range r.members {
		m.awaitReady()
		r.history.emptied(m) // what it had in hand goes with the broker
	}
	if r.history.before == nil {
		r.history.before = r.notes.counts("effect " + worker.AtMostOnce)
	}
	r.host.kill()
	r.history.falls++
}

// strike lets the workers get on, kills one at some moment and starts it again. Every third is killed
// once more before it is ready.
func (r *run) strike() {
	r.t.Helper()
	r.progress(20 + r.rng.IntN(200))
	// The moment of the kill must not depend on anything that the program does.
	time.Sleep(time.Duration(r.rng.IntN(20)) * time.Millisecond)
	m := r.members[r.rng.IntN(len(r.members))]
	r.slay(m)
	if r.rng.IntN(3) == 0 {
		time.Sleep(time.Duration(r.rng.IntN(200)) * time.Millisecond)
		r.slay(m)
	}
}

func (r *run) slay(m *member) {
	r.t.Helper()
	m.kill()
	r.history.kills++
	r.history.emptied(m)
	m.start()
}

// progress waits for so many notes more.
func (r *run) progress(n int) {
	r.t.Helper()
	from := r.notes.len()
	r.await(fmt.Sprintf("%d notes", n), func() bool { return len(r.notes.lines) >= from+n })
}

func (r *run) await(what string, cond func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	if !r.notes.await(ctx, cond) {
		r.t.Errorf("no %s within %v", what, patience)
	}
}

// finish lets everything be handled, and ends the workers in order.
func (r *run) finish() {
	r.t.Helper()
	for _, m := range r.members {
		m.enough()
	}
	n := r.notes
	r.await("empty outbox", func() bool { return n.said[""]["sent"] > 0 })
	r.await("end of sagas", func() bool { return n.said[""]["tripped"] > 0 })
	r.await("end of news", func() bool {
		return n.covered("ack", "done least", "dead least") && n.covered("dead least", "done letters") &&
			n.covered("dead ordered", "done letters") && (!r.place.positions || n.covered("ack", "done places"))
	})
	committed := r.history.readOrders(r.t, r.dbs[0])
	r.await("end of orders", func() bool {
		for _, o := range committed {
			if n.said["done once"][o.id] == 0 || n.said["done ordered"][o.id]+n.said["done letters"][o.id] == 0 {
				return false
			}
		}
		return true
	})
	for _, m := range r.members {
		m.stop()
	}
}
