package broker

import (
	"context"
	"slices"

	"github.com/tidings-io/tidings/storage"
)

// What was not sorted into groups when it was published, because the queue had too many
// already or the broker has just been opened, is read for that: as far as it takes to find
// a record that may be handed out, or to fill the window. One at a time reads, under no
// lock, whoever it was that found nothing to take; for those that wait it is the deliver
// loop, which reads a piece each time it comes.

// gatherStep is one piece of that.
type gatherStep struct {
	l    *lane
	g    *grouping
	what gatherPart
	from Offset
	to   Offset // of what is on disk
	// Of a look at the delays: the first that has not ended.
	delay, now int64 // ms
	off        Offset
	at         int64 // ms; 0: there is none
}

type gatherPart uint8

const (
	nothing  gatherPart = iota
	byDelay             // looks up to where delays have ended
	ofLeased            // finds the groups of what is leased
	unsorted            // sorts
)

// gather reads a piece of what is not sorted, or waits for who does. again says that there
// may be something to take now: it is false where nothing is to be read either.
func (q *Queue) gather(ctx context.Context) (again bool, err error) {
	s, busy, again := q.startGather()
	switch {
	case busy != nil:
		select {
		case <-busy:
		case <-ctx.Done():
			return false, ctx.Err()
		}
		return true, nil
	case s == nil:
		return again, nil
	}
	return true, q.gatherPiece(s)
}

func (q *Queue) startGather() (s *gatherStep, busy chan struct{}, again bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead || !q.groupedLocked() {
		return nil, nil, false
	}
	l := q.lanes[0]
	if q.groupReadyLocked(l) {
		return nil, nil, true
	}
	if l.groups.gathering != nil {
		return nil, l.groups.gathering, true
	}
	return q.stepLocked(l), nil, false
}

// toGatherLocked says whether gather has something to do.
func (q *Queue) toGatherLocked() bool {
	if !q.groupedLocked() {
		return false
	}
	l := q.lanes[0]
	return l.groups.gathering != nil || q.nextPartLocked(l) != nothing
}

// gatherSoonLocked has the deliver loop read on, where somebody waits, and look when delays
// have ended.
func (q *Queue) gatherSoonLocked(l *lane) {
	if l.groups.gathering == nil && q.forOthersLocked(l) {
		q.announceLocked(0)
	}
}

func (q *Queue) forOthersLocked(l *lane) bool {
	if len(q.line)+len(q.subs) == 0 || q.groupReadyLocked(l) {
		return q.nextPartLocked(l) == byDelay
	}
	return q.nextPartLocked(l) != nothing
}

// gatherForOthers reads a piece for those that wait; when it is done it asks for its next
// turn itself.
func (q *Queue) gatherForOthers() {
	if s := q.startForOthers(); s != nil {
		if err := q.gatherPiece(s); err != nil {
			q.b.config.Logger.Error("records are not handed out", "queue", q.String(), "error", err)
		}
	}
}

func (q *Queue) startForOthers() *gatherStep {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead || !q.groupedLocked() || q.lanes[0].groups.gathering != nil {
		return nil
	}
	if l := q.lanes[0]; q.forOthersLocked(l) {
		return q.stepLocked(l)
	}
	return nil
}

// nextPartLocked is what there is to read.
func (q *Queue) nextPartLocked(l *lane) gatherPart {
	g, durable := l.groups, l.durableEnd()
	from := l.unsortedFrom()
	switch gr := g.first(); {
	case g.dueAt <= q.b.nowMillis() && g.due < durable:
		return byDelay
	case len(g.blind) > 0:
		return ofLeased
	case gr != nil && !l.unsortedBefore(gr.head): // it waits for a mark
		return nothing
	case from < min(durable, g.due) && q.roomLocked(l, from):
		return unsorted
	}
	return nothing
}

// unsortedFrom is the first record that is not sorted.
func (l *lane) unsortedFrom() Offset {
	if len(l.back) > 0 {
		return l.back.top().off
	}
	return l.next
}

// roomLocked says whether the window has room for a record. One that is older than what is to
// be handed out next has some: else they might wait for each other.
func (q *Queue) roomLocked(l *lane, off Offset) bool {
	gr := l.groups.first()
	if gr == nil {
		gr = l.groups.oldest.top()
	}
	return l.groups.waiting < q.b.config.Limits.GroupWindow || gr != nil && off < gr.head
}

func (q *Queue) stepLocked(l *lane) *gatherStep {
	s := &gatherStep{l: l, g: l.groups, what: q.nextPartLocked(l), to: l.durableEnd()}
	switch s.what {
	case nothing:
		return nil
	case byDelay:
		s.delay, s.now = q.settings.Load().Delay.Milliseconds(), q.b.nowMillis()
	case ofLeased:
		s.from = l.groups.blind[0]
	case unsorted:
		s.from = l.unsortedFrom()
	}
	l.groups.gathering = make(chan struct{})
	return s
}

// gatherPiece reads, and sorts what it has read. Kind Corrupt: something is damaged, and
// passed over; it stays leased, for an operator to see.
func (q *Queue) gatherPiece(s *gatherStep) error {
	var buf storage.Buffer
	defer buf.Release()
	var err error
	if s.what == byDelay {
		err = s.look(&buf)
	} else {
		err = s.l.log.Read(&buf, s.from, takeBytes)
	}
	gone, err := q.endGather(s, buf.Entries, err)
	if late := q.bury(gone); err == nil {
		err = late
	}
	return err
}

// look finds the first record whose delay has not ended.
func (s *gatherStep) look(buf *storage.Buffer) error {
	off, found, err := s.l.log.Find(s.now - s.delay + 1)
	if err != nil || !found {
		return err
	}
	if err := s.l.log.Read(buf, off, 1); err != nil || len(buf.Entries) == 0 {
		return err
	}
	s.off, s.at = buf.Entries[0].Base, buf.Entries[0].Time
	return nil
}

func (q *Queue) endGather(s *gatherStep, read []storage.View, err error) (gone []lost, _ error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	close(s.g.gathering)
	s.g.gathering = nil
	if q.dead || s.l.groups != s.g {
		return nil, nil
	}
	switch kind := storeKind(err); {
	case s.what == byDelay:
		q.endLookLocked(s, err)
	case s.what == ofLeased:
		q.sortLeasedLocked(s, read)
	case err == nil:
		gone, err = q.sortLocked(s, read)
		defer q.dispatchLocked()
		return gone, err
	case kind == OutOfRange: // it was discarded meanwhile
		s.l.passGoneLocked()
	case kind == Corrupt:
		q.passDamageLocked(s.l, s.from, min(beyond(err, s.from), s.to))
		defer q.dispatchLocked()
		return nil, storeError("sort", q.String(), err)
	default:
		q.nextExpiry = q.b.config.Now().Add(retryAfter) // for those that wait
		q.setTimerLocked()
		return nil, storeError("sort", q.String(), err)
	}
	q.dispatchLocked()
	return nil, nil
}

// passGoneLocked passes over what the log does not have any more.
func (l *lane) passGoneLocked() {
	start, _, _ := l.log.Bounds()
	for l.unsortedFrom() < start {
		l.takeUnsorted()
	}
}

// endLookLocked takes what a look has found, unless the delay has changed.
func (q *Queue) endLookLocked(s *gatherStep, err error) {
	g, l := s.g, s.l
	if s.delay != q.settings.Load().Delay.Milliseconds() {
		return
	}
	switch {
	case err != nil && storeKind(err) != Corrupt:
		g.dueAt = s.now + retryAfter.Milliseconds()
	case s.at > 0:
		g.due, g.dueAt = max(g.due, s.off), s.at+s.delay
	default: // or nobody can say: rather too early than never
		if g.due, g.dueAt = max(g.due, s.to), never; g.due < l.end {
			g.dueAt = 0 // when that is on disk
		}
	}
	q.setTimerLocked()
}

// sortLeasedLocked puts what is leased still into its groups. What cannot be read has none.
func (q *Queue) sortLeasedLocked(s *gatherStep, read []storage.View) {
	g, l := s.g, s.l
	for i := range read {
		e := &read[i]
		if _, ok := slices.BinarySearch(g.blind, e.Base); !ok || !l.leased(e.Base) {
			continue
		}
		if name, lost, err := groupOf(e.Bytes, q.b.start); err == nil && !lost {
			g.hold(e.Base, g.groupOf(name))
		}
	}
	end := s.from + 1
	if n := len(read); n > 0 {
		end = max(end, read[n-1].Base+1)
	}
	n, _ := slices.BinarySearch(g.blind, end)
	for n < len(g.blind) && !l.leased(g.blind[n]) {
		n++
	}
	if g.blind = g.blind[n:]; len(g.blind) == 0 {
		g.blind = nil
	}
}

// leased says whether a record is, to a receiver.
func (l *lane) leased(off Offset) bool {
	r := l.received[off]
	return r != nil && r.index != notLeased
}

// sortLocked sorts what was read, as far as the window and delays allow. What a restart or
// a repair took is gone.
func (q *Queue) sortLocked(s *gatherStep, read []storage.View) (gone []lost, err error) {
	l := s.l
	for i := range read {
		e := &read[i]
		if !q.passHolesLocked(s, e.Base, &gone) || e.Base >= s.g.due || !q.roomLocked(l, e.Base) {
			return gone, err
		}
		r, back := returnedRecord{off: e.Base, size: counted}, false
		switch {
		case len(l.back) > 0 && l.back.top().off == e.Base:
			r, back = l.back.pop(), true
		case e.Base == l.next:
			l.passNextLocked()
		default:
			continue // it is settled, or in somebody's hands
		}
		name, old, damaged := groupOf(e.Bytes, q.b.start)
		switch {
		case damaged != nil:
			q.leased++ // it is passed over
			err = storeError("sort", q.String(), damaged)
		case old:
			q.leased++
			gone = append(gone, lost{id: DeliveryID{l.log.ID(), r.off, r.deliveries + 1}})
		case back:
			s.g.addBack(r, s.g.groupOf(name))
		default:
			s.g.add(r.off, s.g.groupOf(name))
		}
	}
	if len(read) == 0 {
		q.passHolesLocked(s, s.to, &gone)
	}
	return gone, err
}

// passHolesLocked takes what a repair gave up, before an offset at which the log goes on.
// It is false where that is too much for now.
func (q *Queue) passHolesLocked(s *gatherStep, to Offset, gone *[]lost) bool {
	l := s.l
	for off := l.unsortedFrom(); off >= s.from && off < to; off = l.unsortedFrom() {
		if len(*gone) == tidyBatch {
			return false
		}
		r := l.takeUnsorted()
		if l.settled.Has(r.off) {
			continue
		}
		q.leased++
		*gone = append(*gone, lost{id: DeliveryID{l.log.ID(), r.off, r.deliveries + 1}, hole: true})
	}
	return l.unsortedFrom() >= s.from
}

// passDamageLocked passes over what cannot be read.
func (q *Queue) passDamageLocked(l *lane, from, to Offset) {
	for off := l.unsortedFrom(); off >= from && off < to; off = l.unsortedFrom() {
		l.takeUnsorted()
		q.leased++
	}
}
