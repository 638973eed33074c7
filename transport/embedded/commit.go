package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/transport/internal/lane"
)

// CommitWith commits a transaction that also acknowledges deliveries: what it changes, what Enlist
// has added to it and that they are handled is one step, which happens or not. The acknowledgement
// is on disk with the Confirm. The Tx is spent, whatever the outcome; with an error the deliveries
// are in hand as before. The commit must not take longer than Config.Lease where one of them came by
// the group's address.
//
// Errors are those of broker.Tx.Commit, tidings.ErrLost (a delivery is settled, or its consumer is
// closed), tidings.ErrUnsupported (a delivery is not of this package, as where a middleware has
// replaced its Settler), and one that says that a group has more in hand of a partition than its
// position has room for: settle some first.
func (t *Transport) CommitWith(ctx context.Context, tx *broker.Tx, ds ...*tidings.Delivery) (
	broker.Confirm, error) {
	w, err := sortOut(ds)
	if err != nil {
		return broker.Confirm{}, err
	}
	for i, g := range w.groups {
		if err := g.takeTurn(ctx); err != nil {
			w.giveTurns(i)
			return broker.Confirm{}, err
		}
	}
	defer w.giveTurns(len(w.groups))
	if err := w.add(tx); err != nil {
		w.restore()
		return broker.Confirm{}, err
	}
	confirm, err := tx.Commit(ctx)
	if err != nil {
		w.restore()
		return broker.Confirm{}, failure(err)
	}
	w.settle(confirm)
	return confirm, nil
}

// withTx is deliveries that a transaction settles.
type withTx struct {
	groups  []*group // of deliveries, by name
	events  []*delivery
	letters []*letter
	taken   int // letters that are out of their consumers' hands
	written []*part
}

func sortOut(ds []*tidings.Delivery) (*withTx, error) {
	w := &withTx{}
	for _, d := range ds {
		switch s := d.Settler.(type) {
		case *delivery:
			w.events = append(w.events, s)
			if g := s.c.g; !slices.Contains(w.groups, g) {
				w.groups = append(w.groups, g)
			}
		case *letter:
			w.letters = append(w.letters, s)
		default:
			return nil, fmt.Errorf("%w: %s is no delivery of this transport", tidings.ErrUnsupported, d.ID)
		}
	}
	slices.SortFunc(w.groups, func(a, b *group) int { return cmp.Compare(a.name, b.name) })
	return w, nil
}

func (w *withTx) giveTurns(n int) {
	for _, g := range w.groups[:n] {
		g.giveTurn()
	}
}

// add adds the acknowledgements to a Tx.
func (w *withTx) add(tx *broker.Tx) error {
	for _, x := range w.letters {
		if err := x.lease(x.c.t.c.Lease); err != nil { // somebody else may have it: not twice
			return err
		}
		if err := x.end(); err != nil {
			return err
		}
		w.taken++
		tx.Discard(x.c.letters.q, x.id)
	}
	for _, g := range w.groups {
		if err := w.addGroup(tx, g); err != nil {
			return err
		}
	}
	return nil
}

func (w *withTx) addGroup(tx *broker.Tx, g *group) error {
	settled := map[*part][]int64{}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, d := range w.events {
		if d.c.g != g {
			continue
		}
		if d.settled || d.c.ended {
			return lost(&d.Delivery)
		}
		d.part.soilLocked()
		settled[d.part] = append(settled[d.part], d.Offset)
	}
	w.written = append(w.written, g.gatherLocked(tx, settled)...)
	for x, offs := range settled {
		if told := positionOf(x.saved.cursor()); !g.temporary && !tells(told, offs) {
			return errRoom
		}
	}
	return nil
}

// errRoom is of a settlement that the text beside a cursor has no room for.
var errRoom = errors.New("the group has too much in hand to write that this is settled")

// tells says whether a position has it that offsets are settled.
func tells(p lane.Position, offs []int64) bool {
	return !slices.ContainsFunc(offs, func(off int64) bool {
		_, held := slices.BinarySearch(p.Held, off)
		return held || off >= p.Until
	})
}

// restore says that nothing was settled.
func (w *withTx) restore() {
	for _, x := range w.letters[:w.taken] {
		x.restore()
	}
	for _, x := range w.written {
		x.g.soil([]*part{x})
	}
}

// restore puts a letter back into its consumer's hands.
func (x *letter) restore() {
	x.c.g.mu.Lock()
	defer x.c.g.mu.Unlock()
	if x.c.letters.inHand == nil { // it was closed
		_ = x.c.letters.q.Extend(x.id, 0) // else its lease ends
		return
	}
	x.c.letters.inHand[x] = struct{}{}
	x.c.inHand++
}

func (w *withTx) settle(confirm broker.Confirm) {
	for _, x := range w.letters {
		x.c.g.mu.Lock()
		x.c.letters.settledLocked(confirm)
		x.c.g.mu.Unlock()
	}
	for _, g := range w.groups {
		g.last = confirm
	}
	for _, d := range w.events {
		d.settle()
	}
}

// settle ends a delivery whose end is written already.
func (d *delivery) settle() {
	d.c.g.mu.Lock()
	defer d.c.g.mu.Unlock()
	if d.endLocked() == nil {
		d.part.lane.Settle(d.Offset)
		delete(d.part.attempts, d.Offset)
		d.part.settleMoveLocked()
	}
}
