package saga

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/tidings-io/tidings"
)

// Status of an instance.
type Status string

const (
	Running      Status = "running"
	Compensating Status = "compensating"
	Completed    Status = "completed"
	Compensated  Status = "compensated"
	// Stuck needs somebody who decides, see Resolve, or the answer that was waited for. Nothing is
	// dropped.
	Stuck Status = "stuck"
)

// Ended says whether nothing will happen any more.
func (s Status) Ended() bool { return s == Completed || s == Compensated }

// Record is an instance as it is stored. One without a version is not there yet.
type Record struct {
	Saga    string
	ID      string
	Version int
	Status  Status
	// Step is the one whose answer is waited for, "" when the instance has ended.
	Step string
	// Attempt counts how often the command of Step was sent, Failed how often it was answered by a
	// failure: after that it is a new command.
	Attempt int
	Failed  int
	// Wait counts the waits, each for an answer or a pause. Its timer ends this one and no other.
	Wait int
	// Done are the steps that were completed, Undo those yet to be compensated, the next one last.
	Done []string
	Undo []string
	// StuckIn is what the instance was before it was stuck, Reason why it is compensating or stuck,
	// Cause why it is, or was, compensating, whatever else happens.
	StuckIn Status
	Reason  string
	Cause   string
	State   json.RawMessage
	// History has at most MaxHistory transitions, the latest ones; Forgotten counts the others.
	History   []Transition
	Forgotten int
	Started   time.Time
	Updated   time.Time
	// Correlation is the conversation of everything that the instance sends.
	Correlation string
}

// MaxHistory bounds the transitions that an instance keeps.
const MaxHistory = 500

// Transition is a line of an instance's history.
type Transition struct {
	At   time.Time
	Step string
	From Status
	To   Status
	// What happened: "started", "sent", "done", "failed", "deadline", "compensating", "undo sent",
	// "undone", "stuck", "halted" (stuck for want of a definition), "resumed", "ended".
	What  string
	Event string // id of the event that made it happen, "" for a person or a program
	// Source is that of the event.
	Source string
	Err    string // at most MaxReason bytes
}

// MaxReason bounds the texts of errors that an instance keeps, in bytes.
const MaxReason = 1000

// movedBy says whether an event has made a transition before, as far as the history goes.
func (rec *Record) movedBy(e tidings.Event) bool {
	return slices.ContainsFunc(rec.History, func(t Transition) bool {
		return t.Event == e.ID && t.Source == e.Source && t.What != halted
	})
}

// halted is what happened where an event moved nothing and comes again.
const halted = "halted"

// note enters a transition into the history, and makes the record what it says.
func (rec *Record) note(t Transition, err error) {
	t.Step, t.From, t.Err = rec.Step, rec.Status, reason(err)
	rec.Status = t.To
	rec.History = append(rec.History, t)
	if more := len(rec.History) - MaxHistory; more > 0 {
		rec.History = slices.Clone(rec.History[more:])
		rec.Forgotten += more
	}
}

// halt makes an instance stuck without its definition.
func (rec *Record) halt(e tidings.Event, cause error) {
	if rec.Status == Stuck {
		return
	}
	now := time.Now().UTC()
	rec.StuckIn, rec.Reason, rec.Updated = rec.Status, reason(cause), now
	rec.note(Transition{At: now, To: Stuck, What: halted, Event: e.ID, Source: e.Source}, cause)
}

// gaveUp says that an instance is stuck because its retries are over. One that was halted has a
// definition again when something moves it, and goes on with whatever comes.
func (rec *Record) gaveUp() bool {
	last := len(rec.History) - 1
	return rec.Status == Stuck && !(last >= 0 && rec.History[last].What == halted)
}

func reason(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	return strings.ToValidUTF8(text[:min(MaxReason, len(text))], "")
}

// Outgoing is an event that a transition sends, at once or at a time.
type Outgoing struct {
	Event tidings.Event
	At    time.Time // zero for at once
}

// ErrNotFound: there is no such instance.
var ErrNotFound = errors.New("no such saga instance")

// Store keeps instances. Its suite of tests is in package storetest.
type Store interface {
	// Update runs fn on an instance, or on a record with nothing but Saga and ID where there is
	// none, and commits the record and what fn sends in one transaction. Updates of one instance
	// come one after the other; fn may be called again when a transaction has to be. With an
	// error of fn, and where fn leaves Version 0, nothing is changed.
	Update(ctx context.Context, saga, id string, fn func(*Record) ([]Outgoing, error)) error
	// Load is one instance, or ErrNotFound.
	Load(ctx context.Context, saga, id string) (Record, error)
	// List ranges over instances, those that changed last first. What changes meanwhile may be
	// passed over.
	List(ctx context.Context, f Filter) iter.Seq2[Record, error]
	// Prune deletes instances that ended before a time, and returns how many. An event that starts
	// an instance starts it anew when it comes again after that.
	Prune(ctx context.Context, before time.Time) (int, error)
}

// Table is a Store in the user's database. Tx is its transaction, such as pgx.Tx or *sql.Tx.
type Table[Tx any] interface {
	Store
	// In is the same store in a transaction of the user's: what Update does there, begin an
	// instance for example, is done when tx is committed, with everything that it sends. A
	// transaction that the database cannot serialise fails, and is the user's to run again.
	In(tx Tx) Store
}

// Filter selects instances; the zero value all of them.
type Filter struct {
	Saga   string    // "" any
	Status []Status  // none: any
	Before time.Time // last changed before; zero: any
	Limit  int       // 0 is none
}

// Takes says whether a record is among those that the filter selects, its limit aside.
func (f Filter) Takes(rec *Record) bool {
	if f.Saga != "" && f.Saga != rec.Saga || !f.Before.IsZero() && !rec.Updated.Before(f.Before) {
		return false
	}
	for _, s := range f.Status {
		if s == rec.Status {
			return true
		}
	}
	return len(f.Status) == 0
}

// First puts records that the filter takes into the order of List, and leaves as many as its limit
// allows.
func (f Filter) First(taken []Record) []Record {
	slices.SortFunc(taken, func(a, b Record) int { return b.Updated.Compare(a.Updated) })
	if f.Limit > 0 && len(taken) > f.Limit {
		taken = taken[:f.Limit]
	}
	return taken
}
