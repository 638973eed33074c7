package worker

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/inbox"
	"github.com/tidings-io/tidings/outbox"
	"github.com/tidings-io/tidings/saga"
	store "github.com/tidings-io/tidings/store/embedded"
	sqlstore "github.com/tidings-io/tidings/store/sql"
	"github.com/tidings-io/tidings/transport/embedded"
)

// Trip is the state of a saga, and the data of all its commands and answers.
type Trip struct {
	ID   string `json:"id"`
	Step string `json:"step"`
}

// MaxTrips bounds how many sagas are begun.
const MaxTrips = 60

var (
	task = tidings.DefineCommand("hands", "guarantees.task.v1",
		tidings.KeyBy(func(t Trip) string { return t.ID }))
	answers = map[string]*tidings.Type[Trip]{}
)

func init() {
	for _, step := range []string{"flight", "hotel", "car", "nocar", "unflight", "unhotel"} {
		answers[step] = tidings.Define("answers", "guarantees."+step+".v1",
			tidings.KeyBy(func(t Trip) string { return t.ID }))
	}
}

// Refused says whether a trip cannot be completed.
func Refused(id string) bool { return hash(id)%3 == 0 }

// trip is the saga: a flight, a hotel and a car, which is refused for some.
func trip() *saga.Definition[Trip] {
	do := func(step string) func(Trip) tidings.Event {
		return func(t Trip) tidings.Event { return task.New(Trip{t.ID, step}) }
	}
	d := saga.New[Trip]("trip", 1)
	d.Step("flight", do("flight")).Done(answers["flight"]).Undo(do("unflight"), answers["unflight"])
	d.Step("hotel", do("hotel")).Done(answers["hotel"]).Undo(do("unhotel"), answers["unhotel"])
	d.Step("car", do("car")).Done(answers["car"]).Fails(answers["nocar"])
	return d
}

// trips runs sagas, begins some, and says what became of them when none runs any more.
func (w *worker) trips(ctx context.Context, arrived func()) error {
	st, relay, end, err := w.sagas(ctx)
	if err != nil {
		return err
	}
	defer closing(end) //nolint:errcheck // the next one opens what was closed or killed alike
	d := trip()
	var all sync.WaitGroup
	defer all.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var failed error
	if relay != nil {
		all.Go(func() {
			defer stop()
			failed = relay.Run(ctx)
		})
	}
	all.Go(func() { w.begin(ctx, d, st) })
	s := w.service("trips").Subscribe(often("trips"), saga.Routes(st, d)...)
	return errors.Join(serve(ctx, s, arrived), failed)
}

// sagas is a store on the broker inside of this program: that of the transport, or one with an outbox
// to it.
func (w *worker) sagas(ctx context.Context) (saga.Store, *tidings.Service, func(context.Context) error, error) {
	none := func(context.Context) error { return nil }
	if t, ok := w.transport.(*embedded.Transport); ok {
		st, err := store.Open(ctx, w.broker, store.Config{Name: "trips", Publisher: t})
		if err != nil {
			return nil, nil, nil, err
		}
		return st.Sagas(), nil, none, nil
	}
	b, t, end, err := openEmbedded(filepath.Join(w.Dir, "trips"), w.log)
	if err != nil {
		return nil, nil, nil, err
	}
	out := store.NewOutbox(t, "out")
	st, err := store.Open(ctx, b, store.Config{Name: "trips", Publisher: out})
	if err != nil {
		return nil, nil, nil, errors.Join(err, closing(end))
	}
	return st.Sagas(), out.Relay(w.transport, tidings.WithLogger(quiet)), end, nil
}

// begin begins trips until there is enough. Those of an earlier life are there already.
func (w *worker) begin(ctx context.Context, d *saga.Definition[Trip], st saga.Store) {
	w.ready.Wait() // or the first commands would find nobody, on brokers that keep nothing for later
	tick := time.NewTicker(20 * pace)
	defer tick.Stop()
	for i := range MaxTrips {
		id := fmt.Sprintf("trip-%d-%d", w.Seed>>32, i)
		begun, err := d.Start(ctx, st, id, Trip{ID: id})
		if err != nil || begun && !w.more(ctx, tick) {
			break
		}
	}
	w.ended(ctx, st, tick)
}

// ended waits until there is enough and no saga runs, and says what became of each.
func (w *worker) ended(ctx context.Context, st saga.Store, tick *time.Ticker) {
	select {
	case <-w.enough:
	case <-ctx.Done():
	}
	running := saga.Filter{Status: []saga.Status{saga.Running, saga.Compensating}}
	for n := 1; n > 0; {
		n = 0
		for _, err := range st.List(ctx, running) {
			if err != nil {
				return
			}
			n++
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	for rec, err := range st.List(ctx, saga.Filter{}) {
		if err != nil {
			return
		}
		w.note("trip", rec.ID, rec.Status, what(rec))
	}
	w.note("tripped")
}

// what is what happened in a saga, as one word.
func what(rec saga.Record) string {
	var words []string
	for _, t := range rec.History {
		words = append(words, strings.ReplaceAll(t.What, " ", "-")+":"+t.Step)
	}
	return strings.Join(words, ",")
}

// hands does the steps of sagas: a row for each, and the answer, in one transaction.
func (w *worker) hands(ctx context.Context, arrived func()) error {
	db, err := OpenDatabase(w.Receiver)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // everything is committed
	out := db.Store.Outbox(sqlstore.OutboxConfig{Poll: 20 * time.Millisecond})
	relay := outbox.NewRelay(out, w.transport, outbox.WithLease(time.Second), outbox.WithLogger(quiet),
		outbox.WithPauses(20*time.Millisecond, time.Second))
	var all sync.WaitGroup
	defer all.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	all.Go(func() { _ = relay.Run(ctx) }) // is nil
	s := w.service("hands").Subscribe(often("hands"), inbox.Handle(db.Store.Inbox(), task,
		func(ctx context.Context, tx *sql.Tx, m tidings.Msg[Trip]) error {
			answer := m.Data.Step
			if answer == "car" && Refused(m.Data.ID) {
				answer = "nocar"
			}
			err := db.exec(ctx, tx, `insert into steps (trip, step) values (?, ?)`, m.Data.ID, answer)
			if err == nil {
				err = out.In(tx).Publish(ctx, answers[answer].New(m.Data))
			}
			if err != nil {
				return err
			}
			return w.flaky(20)
		}))
	return serve(ctx, s, arrived)
}
