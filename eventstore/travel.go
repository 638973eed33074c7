package eventstore

import (
	"context"
	"iter"
	"time"
)

// LoadOption bounds a Load.
type LoadOption func(*loading)

type loading struct {
	version *int64
	at      *time.Time
}

// AtVersion loads the state as of a version; 0 is before the first event. Where the stream is
// shorter it is the state at its end, whose version Load returns.
func AtVersion(version int64) LoadOption { return func(l *loading) { l.version = &version } }

// AsOf loads the state as of a time, that time included: of all events from the first on whose Time
// is not later. It ends before the first that is later, also where the times of a stream go back.
func AsOf(at time.Time) LoadOption { return func(l *loading) { l.at = &at } }

// past says whether an event lies beyond the bounds.
func (l *loading) past(r Recorded) bool {
	return l.version != nil && r.Version > *l.version || l.at != nil && r.Time.After(*l.at)
}

// covers says whether the bounds let all events of a snapshot through.
func (l *loading) covers(s Snapshot) bool {
	return (l.version == nil || s.Version <= *l.version) && (l.at == nil || !s.Latest.After(*l.at))
}

// Moment is an event and the state that it led to.
type Moment[S any] struct {
	Recorded
	// State shares maps, slices and pointers with the next moment's: what is kept must be copied
	// where S has some.
	State S
}

// History ranges over all that a stream has been, event by event, from the first. An error is the
// last pair.
func (a *Aggregate[S]) History(ctx context.Context, in Streams, id string) iter.Seq2[
	Moment[S], error] {
	return func(yield func(Moment[S], error) bool) {
		var f fold[S]
		for r, err := range in.Read(ctx, a.Stream(id), 1) {
			if err == nil {
				err = a.step(&f, r)
			}
			if !yield(Moment[S]{r, f.state}, err) || err != nil {
				return
			}
		}
	}
}
