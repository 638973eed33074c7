package broker

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"github.com/tidings-io/tidings/storage"
)

// A queue keeps nothing for a record that waits, so only one that is bounded by bytes
// counts them: a body is added when it is published or comes back, and taken off when
// the record is read or buried, which is when its size is known. What waited before
// the count began, because the broker has just been opened or a policy brings the
// bound, is read once.
//
// What subscriptions have and did not take counts as ready. Where that matters their
// sizes are read too.

// sizing is the count; guarded by the queue's mutex.
type sizing struct {
	on    bool
	ready int64 // bytes of what counts
	// coming is how many of these are on their way to the disk: nothing is dropped for
	// them yet.
	coming int64
	// turn tells one count from the next: who has taken records and comes back with
	// them in another turn knows that they do not count.
	turn  uint64
	loose bool // something that was returned or assigned may not count yet
}

// bodySize is whether the body of a record counts, and its length where that is known.
type bodySize uint32

const (
	uncounted bodySize = iota
	counted            // with a length that is not known here
	firstKnown
)

func knownSize(body int64) bodySize { return bodySize(min(body, math.MaxUint32-2)) + firstKnown }

func (s bodySize) length() (body int64, known bool) {
	return int64(s) - int64(firstKnown), s >= firstKnown
}

// sizeAt is whether a record that was never handed out counts. Those between sized and
// sizedTo are still to be read.
func (l *lane) sizeAt(off Offset) bodySize {
	if l.sized <= off && off < l.sizedTo {
		return uncounted
	}
	return counted
}

// followSizesLocked begins or ends to count, as the settings ask for.
func (q *Queue) followSizesLocked(s *QueueSettings) {
	switch on := s.MaxLengthBytes != nil; {
	case on && !q.sizes.on:
		q.recountLocked()
	case !on && q.sizes.on:
		q.sizes = sizing{turn: q.sizes.turn + 1}
	}
}

// recountLocked begins a count: nothing that is there counts yet.
func (q *Queue) recountLocked() {
	q.sizes = sizing{on: true, turn: q.sizes.turn + 1, loose: true}
	for _, l := range q.lanes {
		l.sized, l.sizedTo, l.coming = l.next, l.end, nil
		for i := range l.back {
			l.back[i].size = uncounted
		}
	}
	for _, s := range q.subs {
		for i := range s.assigned.items {
			s.assigned.items[i].size = uncounted
		}
	}
}

// emptySizesLocked begins a count when nothing is ready.
func (q *Queue) emptySizesLocked() {
	q.sizes = sizing{on: q.sizes.on, turn: q.sizes.turn + 1}
	for _, l := range q.lanes {
		l.sized, l.sizedTo, l.coming = 0, 0, nil
	}
}

// publishedSizeLocked counts a body that is on its way to the end of a lane.
func (q *Queue) publishedSizeLocked(l *lane, off Offset, body int64) {
	if !q.sizes.on {
		return
	}
	q.landedLocked(l)
	q.sizes.ready += body
	q.sizes.coming += body
	l.coming = append(l.coming, bodyLength{off, body})
}

// landedLocked forgets that records were on their way which are on disk.
func (q *Queue) landedLocked(l *lane) {
	durable := l.durableEnd()
	for len(l.coming) > 0 && l.coming[0].off < durable {
		q.sizes.coming -= l.coming[0].body
		l.coming = l.coming[1:]
	}
}

// assignedSizeLocked notes that a record was taken from its lane.
func (q *Queue) assignedSizeLocked(size bodySize) bodySize {
	q.sizes.loose = q.sizes.loose || size == uncounted
	return size
}

// handedLocked takes what was read off the count.
func (q *Queue) handedLocked(as []assignment, turn uint64) {
	if !q.sizes.on || turn != q.sizes.turn {
		return
	}
	for i := range as {
		n, known := as[i].size.length()
		switch {
		case as[i].size == uncounted:
		case known:
			q.sizes.ready -= n
		default: // it is damaged: nobody knows any more what it counted for
			q.recountLocked()
			return
		}
	}
}

// staleLocked has records that come back in another turn not count yet.
func (q *Queue) staleLocked(as []assignment, turn uint64) {
	if turn == q.sizes.turn {
		return
	}
	for i := range as {
		as[i].size = uncounted
	}
	q.sizes.loose = q.sizes.loose || len(as) > 0
}

// returnLocked gives a record back to its lane. body is the length of its body;
// negative: it is not known.
func (q *Queue) returnLocked(l *lane, r returnedRecord, body int64) {
	switch {
	case l.dropDiscarded(r.off):
		l.letGo(r.off)
		return
	case body < 0:
		q.sizes.loose = true
	case q.sizes.on:
		q.sizes.ready += body
		r.size = knownSize(body)
	}
	l.giveBack(r)
}

// uncountLocked takes what is discarded unread off the count.
func (q *Queue) uncountLocked(size bodySize) {
	n, known := size.length()
	switch {
	case !q.sizes.on || size == uncounted:
	case known:
		q.sizes.ready -= n
	default:
		q.recountLocked()
	}
}

// bytesWaitLocked is how many bytes wait on disk that no subscription has. It is not sure
// while the size of some that one has is not known.
func (q *Queue) bytesWaitLocked() (n int64, sure bool) {
	for _, l := range q.lanes {
		q.landedLocked(l)
	}
	n = q.sizes.ready - q.sizes.coming
	for _, s := range q.subs {
		for _, a := range s.assigned.items[s.assigned.first:] {
			body, known := a.size.length()
			if !known {
				return 0, false
			}
			n -= body
		}
	}
	return n, true
}

// measure reads the sizes of what does not count yet, as far as it is on disk. Several
// may do it at the same time.
func (q *Queue) measure() {
	var r bodyReader
	defer r.buf.Release()
	for _, l := range q.lanes {
		for q.measureLane(l, &r) {
		}
	}
	q.measureLoose(&r)
}

// measureLane counts some of what was never handed out.
func (q *Queue) measureLane(l *lane, r *bodyReader) (more bool) {
	q.mu.Lock()
	l.sized = max(l.sized, min(l.next, l.sizedTo)) // what was handed out is measured as such
	from, to, turn := l.sized, min(l.sizedTo, l.durableEnd()), q.sizes.turn
	done := q.dead || !q.sizes.on || from >= to
	q.mu.Unlock()
	if done {
		return false
	}
	all, end := r.readOn(q, l, from, to)
	q.mu.Lock()
	defer q.mu.Unlock()
	if turn != q.sizes.turn || l.sized != from {
		return true // somebody else did it
	}
	for _, x := range all {
		if x.off >= l.next {
			q.sizes.ready += x.body
		}
	}
	l.sized = end
	return true
}

func (l *lane) durableEnd() Offset {
	_, durable, _ := l.log.Bounds()
	return durable
}

// place is a record, in one lane of a queue.
type place struct {
	lane *lane
	off  Offset
}

// measureLoose reads the sizes of what was returned, if it does not count yet, and of
// all that subscriptions have.
func (q *Queue) measureLoose(r *bodyReader) {
	all, turn := q.looseOnes()
	if len(all) == 0 {
		return
	}
	slices.SortFunc(all, func(a, b place) int { return cmp.Compare(a.off, b.off) })
	sizes := make(map[place]int64, len(all))
	for _, p := range all {
		sizes[p] = r.length(q, p.lane, p.off)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if turn != q.sizes.turn {
		return
	}
	q.sizes.loose = false
	q.eachLooseLocked(func(p place, size *bodySize) {
		body, ok := sizes[p]
		switch {
		case !ok:
			q.sizes.loose = q.sizes.loose || *size == uncounted
			return
		case *size == uncounted:
			q.sizes.ready += body
		}
		*size = knownSize(body)
	})
}

func (q *Queue) looseOnes() (all []place, turn uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.dead && q.sizes.on {
		q.eachLooseLocked(func(p place, _ *bodySize) { all = append(all, p) })
		q.sizes.loose = len(all) > 0
	}
	return all, q.sizes.turn
}

func (q *Queue) eachLooseLocked(do func(place, *bodySize)) {
	for _, l := range q.lanes {
		for i := range l.back {
			if r := &l.back[i]; r.size == uncounted {
				do(place{l, r.off}, &r.size)
			}
		}
	}
	for _, s := range q.subs {
		for i := s.assigned.first; i < len(s.assigned.items); i++ {
			if a := &s.assigned.items[i]; a.size < firstKnown {
				do(place{a.lane, a.off}, &a.size)
			}
		}
	}
}

// measuredLocked says that all that is on disk counts.
func (q *Queue) measuredLocked() bool {
	for _, l := range q.lanes {
		if max(l.sized, l.next) < min(l.sizedTo, l.durableEnd()) {
			return false
		}
	}
	return !q.sizes.loose
}

// measureIfRefuses measures before a publish that the queue may refuse.
func (q *Queue) measureIfRefuses() {
	if s := q.settings.Load(); s.MaxLengthBytes == nil || s.Overflow == DropHead {
		return
	}
	q.mu.Lock()
	measured := q.measuredLocked()
	q.mu.Unlock()
	if !measured {
		q.measure()
	}
}

// tooLarge takes what is beyond the queue's length or bytes, from its head, as far as
// the sizes were read: nothing is in its hands while it reads.
func (q *Queue) tooLarge() []lost {
	var r bodyReader
	defer r.buf.Release()
	for {
		gone, l, off, sure := q.takeSurplus(&r)
		switch {
		case len(gone) > 0:
			return gone
		case !sure:
			q.measure()
		case l == nil:
			return nil
		default:
			r.read(q, l, off)
		}
	}
}

// takeSurplus takes what is too much and was read; the lane and offset are of the next.
func (q *Queue) takeSurplus(r *bodyReader) (gone []lost, l *lane, off Offset, sure bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(gone) < tidyBatch {
		l, off, sure = q.surplusLocked()
		body, ok := r.find(l, off)
		if l == nil || !ok {
			break
		}
		x := q.loseLocked(l, MaxLength, max(body, 0))
		x.hole = body == hole
		gone = append(gone, x)
	}
	return gone, l, off, sure
}

// surplusLocked is the record at the head, if it is too much; no lane: it is not. It is
// not sure where something must be measured first.
func (q *Queue) surplusLocked() (l *lane, off Offset, sure bool) {
	s := q.settings.Load()
	if q.dead || !q.sizes.on || s.Overflow != DropHead {
		return nil, 0, true
	}
	if l = q.headLocked(); l == nil {
		return nil, 0, true
	}
	off, _ = q.peekLocked(l)
	if s.MaxLength != nil && q.waitingLocked() > *s.MaxLength {
		return l, off, true
	}
	if !q.measuredLocked() {
		return nil, 0, false
	}
	if q.sizes.ready <= *s.MaxLengthBytes {
		return nil, 0, true
	}
	n, sure := q.bytesWaitLocked()
	if n <= *s.MaxLengthBytes {
		return nil, 0, sure
	}
	return l, off, true
}

// bodyOf is the length of the body of a record in someone's hands.
func (q *Queue) bodyOf(id DeliveryID) int64 {
	l := q.laneOf(id.Log)
	if l == nil {
		return 0
	}
	var r bodyReader
	defer r.buf.Release()
	return r.length(q, l, id.Offset)
}

// bodyReader reads the lengths of bodies, those that lie side by side at once.
type bodyReader struct {
	buf  storage.Buffer
	lane *lane
	all  []bodyLength // of this lane, in order
}

type bodyLength struct {
	off  Offset
	body int64
}

// hole stands for the length of what a repair gave up.
const hole = -1

// readAhead is about how many records are read for one length.
const readAhead = 64

// length is that of one body; 0 where there is none, or nobody can read it.
func (r *bodyReader) length(q *Queue, l *lane, off Offset) int64 {
	body, ok := r.find(l, off)
	if !ok {
		r.read(q, l, off)
		body, _ = r.find(l, off)
	}
	return max(body, 0)
}

// find is what was read.
func (r *bodyReader) find(l *lane, off Offset) (body int64, ok bool) {
	if l == nil || r.lane != l {
		return 0, false
	}
	i := sort.Search(len(r.all), func(i int) bool { return r.all[i].off >= off })
	if i == len(r.all) || r.all[i].off != off {
		return 0, false
	}
	return r.all[i].body, true
}

func (r *bodyReader) read(q *Queue, l *lane, off Offset) {
	r.lane = l
	if err := l.log.Read(&r.buf, off, l.expect(readAhead)); err != nil {
		r.all = append(r.all[:0], bodyLength{off: off})
		return
	}
	r.all = r.all[:0]
	if holeEnd(r.buf.Entries, 0) != off {
		r.all = append(r.all, bodyLength{off, hole})
	}
	r.all = r.lengths(r.all, q.b.start)
}

// readOn reads some from an offset on; end is how far. A damaged one has none.
func (r *bodyReader) readOn(q *Queue, l *lane, from, to Offset) (all []bodyLength, end Offset) {
	if err := l.log.Read(&r.buf, from, takeBytes); err != nil {
		return nil, from + 1
	}
	r.lane = nil
	r.all = r.lengths(r.all[:0], q.b.start)
	n := len(r.all)
	if n == 0 || r.all[n-1].off >= to {
		i := sort.Search(n, func(i int) bool { return r.all[i].off >= to })
		return r.all[:i], to // the rest was given up by a repair, or counts
	}
	return r.all, r.all[n-1].off + 1
}

// lengths appends what is in the buffer.
func (r *bodyReader) lengths(all []bodyLength, start uint64) []bodyLength {
	for _, e := range r.buf.Entries {
		all = append(all, bodyLength{e.Base, bodyOf(e.Bytes, start)})
	}
	return all
}

// bodyOf is the length of a body. What a restart took has none.
func bodyOf(entry []byte, start uint64) int64 {
	rec, old, err := decodeQueueRecord(entry, start)
	if old || err != nil {
		return 0
	}
	return int64(len(rec.Body))
}
