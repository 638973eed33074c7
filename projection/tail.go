package projection

import (
	"context"
	"errors"
	"iter"

	"github.com/tidings-io/tidings/eventstore"
)

// tail waits for what is appended by following the store, once for a whole run where it keeps up:
// with some stores each Follow takes a connection. It gives every event that the run reads from
// the store once more, so one that is far behind is ended, and begun again when there is need.
type tail struct {
	store eventstore.Store
	next  func() (eventstore.Recorded, error, bool) // nil: it follows nothing
	stop  func()
	seen  int64 // position up to which it has come
}

// maxBehind is how many events a tail passes over rather than begin again.
const maxBehind = 1000

// await returns when there is an event behind a position.
func (t *tail) await(ctx context.Context, position int64) error {
	t.passed(position)
	if t.next == nil {
		t.next, t.stop = iter.Pull2(t.store.Follow(ctx, position+1))
		t.seen = position
	}
	for {
		e, err, ok := t.next()
		if !ok {
			err = errors.Join(err, errors.New("the store follows no more"))
		}
		if err != nil {
			t.end()
			return err
		}
		if t.seen = e.Position; e.Position > position {
			return nil
		}
	}
}

// passed says that events up to a position have been read.
func (t *tail) passed(position int64) {
	if position-t.seen > maxBehind {
		t.end()
	}
}

func (t *tail) end() {
	if t.next != nil {
		t.stop()
		t.next = nil
	}
}
