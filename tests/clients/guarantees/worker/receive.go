package worker

import (
	"context"
	"database/sql"
	"errors"
	"hash/fnv"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/inbox"
)

// The groups. Window bounds what a kill may cost the one that acknowledges first.
const (
	AtMostOnce  = "most"    // of news, acknowledged before they are handled
	AtLeastOnce = "least"   // of news, some of which fail for good, or until they are given up
	Letters     = "letters" // what least and ordered have put aside
	Positions   = "places"  // of news, by position
	Once        = "once"    // of orders, by id
	Ordered     = "ordered" // of orders, by id, some of which fail for good

	Window = 32
)

// aside is how long events step aside.
const aside = 200 * time.Millisecond

// Doomed says whether an event fails whatever is tried.
func Doomed(id string) bool { return hash(id)%12 == 0 }

func hash(id string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	return h.Sum32()
}

// often is a policy that gives up nothing within the time of a test.
func often(group string) tidings.Policy {
	p := tidings.Policy{Group: group, Concurrency: 8, Window: Window, Immediate: 1}
	for range 500 {
		p.Delays = append(p.Delays, 20*time.Millisecond)
	}
	return p
}

// receive runs the groups in which order is not looked at.
func (w *worker) receive(ctx context.Context, arrived func()) error {
	db, err := OpenDatabase(w.Receiver)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // everything is committed
	s := w.service("receiver")
	s.Subscribe(tidings.Policy{Group: AtMostOnce, Concurrency: 8, Window: Window, Ack: tidings.BeforeHandle},
		tidings.On(news, func(ctx context.Context, m tidings.Msg[Order]) error {
			w.note("effect", AtMostOnce, m.ID)
			return w.flaky(10)
		}))
	s.Subscribe(tidings.Policy{Group: AtLeastOnce, DeadLetter: Letters, Concurrency: 8, Window: Window,
		Immediate: 1, Delays: []time.Duration{aside, aside}, StepAside: true},
		tidings.On(news, w.atLeastOnce))
	s.Subscribe(often(Letters), tidings.Route{Kind: tidings.KindCommand, Topic: Letters,
		Handler: tidings.HandlerFunc(func(context.Context, *tidings.Delivery) error { return w.flaky(20) })})
	s.Subscribe(often(Once), inbox.On(db.Store.Inbox(), orders, w.write(db, false)))
	if w.transport.Capabilities().Positions {
		s.Subscribe(often(Positions), inbox.OnPosition(db.Store.Inbox(), news, w.write(db, false)))
	}
	return serve(ctx, s, arrived)
}

// inOrder runs the group in which order is looked at.
func (w *worker) inOrder(ctx context.Context, arrived func()) error {
	db, err := OpenDatabase(w.Receiver)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // everything is committed
	s := w.service("orderly")
	p := often(Ordered)
	p.DeadLetter = Letters
	s.Subscribe(p, inbox.On(db.Store.Inbox(), orders, w.write(db, true)))
	return serve(ctx, s, arrived)
}

// atLeastOnce fails now and then, and always for some: at once, or after all attempts.
func (w *worker) atLeastOnce(_ context.Context, m tidings.Msg[Order]) error {
	switch {
	case Doomed(m.ID) && hash(m.ID)%24 == 0:
		return tidings.Permanent(errors.New("it always fails"))
	case Doomed(m.ID):
		return errors.New("it always fails")
	}
	return w.flaky(20)
}

// write is a handler whose effect is a row; 30 of 100 attempts fail when they have written it.
func (w *worker) write(db *Database, doom bool) func(context.Context, *sql.Tx, tidings.Msg[Order]) error {
	return func(ctx context.Context, tx *sql.Tx, m tidings.Msg[Order]) error {
		group := tidings.Group(ctx)
		err := db.exec(ctx, tx, `insert into effects (grp, id, key, seq) values (?, ?, ?, ?)`,
			group, m.ID, m.Data.Key, m.Data.Seq)
		if err != nil {
			return err
		}
		w.note("attempt", group, m.ID)
		if doom && Doomed(m.ID) {
			return tidings.Permanent(errors.New("it always fails"))
		}
		return w.flaky(30)
	}
}
