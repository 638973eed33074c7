package broker

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// What a lane with groups does where another one has its cursor and what was returned: see
// grouping. Marks on disk run ahead of what is handed out, not of what is sorted.

// groupedKey says that a durable queue has begun to let groups take turns.
func groupedKey(log storage.LogID) []byte {
	return binary.BigEndian.AppendUint64([]byte{familyGrouped}, uint64(log))
}

// groupedLocked says whether the queue has groups: then it has one lane.
func (q *Queue) groupedLocked() bool { return len(q.lanes) > 0 && q.lanes[0].groups != nil }

// recoverGroups begins with nothing sorted.
func (q *Queue) recoverGroups() {
	for _, l := range q.lanes {
		_, begun := q.b.store.Get(groupedKey(l.log.ID()))
		switch q.spec.Settings.Groups {
		case OrderedGroups:
			l.makeGroups(true)
		case FairGroups:
			if begun {
				l.makeGroups(false)
			}
		}
	}
}

// makeGroups begins with nothing sorted; what is leased now is looked for first.
func (l *lane) makeGroups(ordered bool) {
	l.groups = newGrouping(ordered)
	for off, r := range l.received {
		if r.index != notLeased {
			l.groups.blind = append(l.groups.blind, off)
		}
	}
	slices.Sort(l.groups.blind)
}

// followGroupsLocked does what other settings ask for.
func (q *Queue) followGroupsLocked(old, s *QueueSettings) {
	for _, l := range q.lanes {
		switch {
		case l.groups == nil:
		case l.groups.ordered && (old == nil || old.Delay != s.Delay):
			q.delayGroupsLocked(l, s.Delay)
		case !l.groups.ordered && !s.fair():
			q.endGroupsLocked(l)
		}
	}
}

// endGroupsLocked has records handed out in the order of publishes again. The cursor has run
// ahead of the marks: what is settled before it must not be found unsettled by a restart.
func (q *Queue) endGroupsLocked(l *lane) {
	l.unsortLocked()
	if l.groups = nil; l.durable && l.next > l.marking {
		q.markAhead(l, l.next)
	}
}

// fair says whether groups may take turns. Where bytes count that is not so: how many wait
// in groups would not be known.
func (s *QueueSettings) fair() bool { return s.Groups == FairGroups && s.MaxLengthBytes == nil }

// publishedGroupLocked notes the group of a record that is on its way to the end of a lane.
func (q *Queue) publishedGroupLocked(batch *storage.Batch, l *lane, rec *QueueRecord) {
	if l.groups == nil {
		if rec.Group == "" || !q.settings.Load().fair() {
			return
		}
		l.makeGroups(false)
		if l.durable {
			batch.Put(groupedKey(l.log.ID()), []byte{valueVersion})
		}
	}
	g := l.groups
	if len(l.back) == 0 && l.next+Offset(len(g.coming)) == l.end &&
		g.waiting+len(g.coming) < q.b.config.Limits.GroupWindow {
		g.coming = append(g.coming, g.nameOf(rec.Group))
	}
	if d := q.settings.Load().Delay; g.ordered && d > 0 && g.dueAt == never {
		g.due, g.dueAt = l.end, rec.Time.Add(d).UnixMilli()
		q.alarmLocked(timeOf(g.dueAt))
	}
}

// sortComingLocked sorts what was published a moment ago, and is on disk now.
func (l *lane) sortComingLocked() {
	g := l.groups
	if len(g.coming) == 0 || len(l.back)+len(g.blind) > 0 {
		return // what lies before it comes first
	}
	for to := min(l.durableEnd(), g.due); len(g.coming) > 0 && l.next < to; {
		off, gr := l.next, g.group(g.coming[0])
		l.passNextLocked()
		g.add(off, gr)
	}
}

// passNextLocked moves the cursor over a record.
func (l *lane) passNextLocked() {
	l.next++
	if g := l.groups; len(g.coming) > 0 {
		g.coming[0] = ""
		if g.coming = g.coming[1:]; len(g.coming) == 0 {
			g.coming = nil
		}
	}
	l.skipLocked()
}

// groupReadyLocked says whether there is a record to hand out.
func (q *Queue) groupReadyLocked(l *lane) bool {
	l.sortComingLocked()
	gr := l.groups.first()
	return gr != nil && !l.unsortedBefore(gr.head) && q.mayHandLocked(l, gr.head)
}

// unsortedBefore says that records which came back before a restart, or could not leave,
// have to be sorted before one is handed out.
func (l *lane) unsortedBefore(off Offset) bool {
	return len(l.back) > 0 && l.back.top().off < off
}

// mayHandLocked says whether it is noted on disk that a record may have been handed out.
func (q *Queue) mayHandLocked(l *lane, off Offset) bool {
	if !l.durable {
		return true
	}
	if to := min(l.end, off+1+stride/2); to > l.marking {
		q.markAhead(l, to)
	}
	if l.marking > l.marked && q.b.store.Durable() >= l.markSeq {
		l.marked = l.marking
	}
	return off < l.marked
}

// markComesLocked says that a record waits for that alone.
func (l *lane) markComesLocked() bool {
	gr := l.groups.first()
	return gr != nil && !l.unsortedBefore(gr.head) && l.durable && gr.head >= l.marked
}

// takeFollowingLocked takes for a receiver what comes behind the record that it has just
// taken, in the same group.
func (q *Queue) takeFollowingLocked(l *lane, room int) (r returnedRecord, ok bool) {
	if l.groups == nil || room <= 0 {
		return r, false
	}
	off, ok := l.groups.following()
	if !ok || l.unsortedBefore(off) || !q.mayHandLocked(l, off) {
		return r, false
	}
	return l.groups.takeHead(l.groups.last), true
}

// oldestLocked is the first record that waits, whether it may be handed out or not.
func (l *lane) oldestLocked() (off Offset, ok bool) {
	l.sortComingLocked()
	gr := l.groups.oldest.top()
	switch {
	case gr != nil && (len(l.back) == 0 || gr.head < l.back.top().off):
		return gr.head, true
	case len(l.back) > 0:
		return l.back.top().off, true
	}
	return l.next, l.next < l.durableEnd()
}

// takeOldest takes a record that is to leave by itself.
func (l *lane) takeOldest() returnedRecord {
	if l.groups == nil {
		return l.take()
	}
	gr := l.groups.oldest.top()
	if gr != nil && (len(l.back) == 0 || gr.head < l.back.top().off) {
		return l.groups.takeHead(gr)
	}
	return l.takeUnsorted()
}

// takeUnsorted takes the first record that is not sorted.
func (l *lane) takeUnsorted() returnedRecord {
	if len(l.back) > 0 {
		return l.back.pop()
	}
	off := l.next
	l.passNextLocked()
	return returnedRecord{off: off, size: counted}
}

// giveBack takes a record back from whoever had it.
func (l *lane) giveBack(r returnedRecord) {
	if l.groups == nil || !l.groups.giveBack(r) {
		l.back.push(r)
	}
}

// letGo is told of every record that nobody has any more, and that is settled.
func (l *lane) letGo(off Offset) {
	if l.groups != nil {
		l.groups.letGo(off)
	}
}

// passOver lets the group of a record go on that nobody can read.
func (q *Queue) passOver(l *lane, off Offset) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l.groups != nil && l.groups.inFlight(off) {
		l.groups.letGo(off)
		q.dispatchLocked()
	}
}

// unsortLocked takes what waits out of its groups.
func (l *lane) unsortLocked() {
	if l.groups == nil {
		return
	}
	all := append(l.groups.drain(), l.back...)
	slices.SortFunc(all, func(a, b returnedRecord) int { return int(a.off - b.off) })
	l.back = all // a heap, since it is in order
}

// markAllLocked notes that everything may have been handed out.
func (l *lane) markAllLocked(batch *storage.Batch) {
	if l.durable && l.end > l.marking {
		l.marked, l.marking = l.end, l.end
		batch.Put(handedKey(l.log.ID()), handedValue(l.end))
	}
}

// groupedWaitingLocked lists what waits, in the order of publishes.
func (l *lane) groupedWaitingLocked(most int, now int64) (as []assignment) {
	g := l.groups
	all := append(g.sorted(), l.back...)
	slices.SortFunc(all, func(a, b returnedRecord) int { return int(a.off - b.off) })
	for _, r := range all {
		if len(as) < most && r.off < g.due {
			as = append(as, assignment{lane: l, off: r.off, deliveries: r.deliveries, at: now})
		}
	}
	to := min(l.durableEnd(), g.due)
	for o := l.settled.Next(l.next); o < to && len(as) < most; o = l.settled.Next(o + 1) {
		as = append(as, assignment{lane: l, off: o, at: now})
	}
	return as
}

// The delay of an ordered queue holds records back where they are: what is sorted ends at
// the first whose time has not come. That is found by the times in the log.

// delayGroupsLocked puts another delay in force, for all that waits.
func (q *Queue) delayGroupsLocked(l *lane, d time.Duration) {
	g := l.groups
	g.due, g.dueAt = math.MaxInt64, never
	if d == 0 {
		return
	}
	l.unsortLocked()
	if g.due = l.end; len(l.back)+len(g.homes)+len(g.blind) > 0 || l.next < l.end {
		g.due, g.dueAt = 0, 1 // it is long past, so that somebody looks
	}
	q.setTimerLocked()
}

// delayedLocked is how many records are held back.
func (q *Queue) delayedLocked() (n int64) {
	if !q.groupedLocked() {
		return 0
	}
	l := q.lanes[0]
	due := l.groups.due
	if due == math.MaxInt64 {
		return 0
	}
	for _, r := range l.back {
		if r.off >= due {
			n++
		}
	}
	return n + int64(max(l.end-max(l.next, due), 0))
}

// dueLocked is when a delay ends next; zero: none does.
func (q *Queue) dueLocked() (at time.Time) {
	if q.groupedLocked() {
		if ms := q.lanes[0].groups.dueAt; ms > 0 && ms < never {
			at = timeOf(ms)
		}
	}
	return at
}

// passDelaysLocked has the deliver loop look for those that have ended.
func (q *Queue) passDelaysLocked(now int64) {
	if !q.groupedLocked() {
		return
	}
	if g := q.lanes[0].groups; g.dueAt > 0 && g.dueAt <= now {
		g.dueAt = 0
		q.announceLocked(0)
	}
}
