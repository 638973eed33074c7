package broker

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// scheduleSeeds is how many histories TestSchedulesAreTheirModel plays;
// TIDINGS_SCHEDULE_SEEDS="first count" plays others.
const scheduleSeeds = 100

// TestSchedulesAreTheirModel plays random histories of a schedule: publishes with delays
// from a millisecond to minutes, time that passes, restarts, killed processes and power cuts.
//
// While the power stays on, the queue has exactly what was due, in the order of times and
// then of publishes. After a restart every persistent record that was not published is
// published once, at its time or at once; no transient one is. After a power cut every
// confirmed one is, once, and no other one twice.
func TestSchedulesAreTheirModel(t *testing.T) {
	all := seeds(t, "TIDINGS_SCHEDULE_SEEDS", scheduleSeeds)
	playHistories(t, all, func(t *testing.T, seed uint64) []string {
		w := &scheduleWorld{planner: planner{t: t, fs: vfs.NewMem(), durable: true}, d: seeded(seed)}
		w.open()
		w.play()
		return w.done
	})
}

// scheduleWorld is a planner and what its schedule and queue must be.
type scheduleWorld struct {
	planner
	d      *rand.Rand
	serial int
	wait   []plan // that are not due
	came   []plan // that are in the queue, in its order
	done   []string
}

// plan is a record that was published.
type plan struct {
	id        int
	due       int64
	transient bool
	confirm   Confirm
	refused   bool
}

func (w *scheduleWorld) note(format string, args ...any) {
	w.done = append(w.done, fmt.Sprintf(format, args...))
}

func (w *scheduleWorld) play() {
	for range 3 {
		for range 5 + w.d.IntN(30) {
			w.publishSome(true)
			w.let(w.duration())
			if w.check(); w.t.Failed() {
				return
			}
		}
		switch w.d.IntN(4) {
		case 0:
			w.restart("close", func() { w.end() })
		case 1:
			w.restart("kill", func() { fs := w.fs.Kill(); w.end(); w.fs = fs })
		default:
			w.powerCut()
		}
		if w.check(); w.t.Failed() {
			return
		}
	}
	w.let(5 * time.Minute)
	w.check()
	w.end()
}

func (w *scheduleWorld) end() {
	if err := w.b.Close(); err != nil {
		w.t.Error(err)
	}
}

// duration is of any length up to two minutes, short ones as often as long ones.
func (w *scheduleWorld) duration() time.Duration {
	return time.Duration(w.d.IntN(1<<(1+w.d.IntN(17)))) * time.Millisecond
}

// publishSome publishes some records in one Tx, and waits for the disk.
func (w *scheduleWorld) publishSome(wait bool) error {
	tx, now := w.b.Begin(), time.Now()
	var plans []plan
	for range 1 + w.d.IntN(5) {
		p := plan{id: w.serial, transient: w.d.IntN(5) == 0}
		w.serial++
		delay := w.duration()
		rec := delayed(fmt.Sprint(p.id), int(delay.Milliseconds()))
		rec.Transient = p.transient
		if w.d.IntN(4) == 0 {
			delay -= time.Second
			tx.PublishAt(w.x, rec, now.Add(delay))
		} else {
			tx.Publish(w.x, rec)
		}
		p.due = now.Add(max(delay, 0)).UnixMilli()
		plans = append(plans, p)
		w.note("publish %d in %v, transient %v", p.id, delay, p.transient)
	}
	confirm, err := tx.Commit(ctx)
	if err == nil && wait {
		err = confirm.Wait(ctx)
	}
	for _, p := range plans {
		p.confirm, p.refused = confirm, err != nil
		w.wait = append(w.wait, p)
	}
	if err != nil && wait {
		w.t.Error(err)
	}
	w.arrive()
	return err
}

// arrive has what is due come into the queue.
func (w *scheduleWorld) arrive() {
	now := time.Now().UnixMilli()
	slices.SortStableFunc(w.wait, func(a, b plan) int { return cmp.Compare(a.due, b.due) })
	for len(w.wait) > 0 && w.wait[0].due <= now {
		w.came = append(w.came, w.wait[0])
		w.wait = w.wait[1:]
	}
}

func (w *scheduleWorld) let(d time.Duration) {
	w.note("%v pass", d)
	time.Sleep(d)
	synctest.Wait()
	w.arrive()
}

// check compares what can be seen.
func (w *scheduleWorld) check() {
	synctest.Wait()
	var ids []string
	for _, p := range w.came {
		ids = append(ids, fmt.Sprint(p.id))
	}
	w.want("now", strings.Join(ids, " "), int64(len(w.wait)))
}

// restart goes on with what a broker leaves, a while later.
func (w *scheduleWorld) restart(how string, end func()) {
	down := w.duration()
	w.note("%s and open after %v", how, down)
	end()
	time.Sleep(down)
	w.open()
	gone := func(p plan) bool { return p.transient }
	w.wait, w.came = slices.DeleteFunc(w.wait, gone), slices.DeleteFunc(w.came, gone)
	w.arrive()
	w.let(5 * time.Minute) // transient ones count until their time
}

// powerCut lets the power go while much is under way that nobody waits for. Then all that
// is left comes.
func (w *scheduleWorld) powerCut() {
	w.note("power cut")
	w.fs.CutAfter(1 + w.d.IntN(40))
	for range 2 + w.d.IntN(20) {
		if w.publishSome(false) != nil {
			break
		}
		if w.d.IntN(2) == 0 {
			time.Sleep((w.duration() / 64).Truncate(ms))
		}
	}
	if w.d.IntN(2) == 0 {
		synctest.Wait()
	}
	all := slices.Concat(w.came, w.wait)
	sure := map[string]bool{}
	for _, p := range all {
		sure[fmt.Sprint(p.id)] = !p.transient && !p.refused && p.confirm.Done()
	}
	_ = w.b.Close() // it cannot do so in order
	w.fs = w.fs.Crash(w.d)
	w.open()
	time.Sleep(5 * time.Minute)
	synctest.Wait()
	seen := map[string]bool{}
	for _, id := range strings.Fields(browsed(w.t, w.q)) {
		if _, known := sure[id]; !known || seen[id] {
			w.t.Errorf("record %s came: known %v, twice %v", id, known, seen[id])
		}
		seen[id] = true
	}
	for id, must := range sure {
		if must && !seen[id] {
			w.t.Errorf("record %s was confirmed, and is lost", id)
		}
	}
	if _, err := w.q.Purge(ctx, nil); err != nil {
		w.t.Error(err)
	}
	w.wait, w.came = nil, nil
}
