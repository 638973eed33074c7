package tidings

// queue is a ring of items that grows, at most to the window of its dispatcher.
type queue struct {
	ring []*item // a power of two
	head int     // of the first
	n    int
}

func (q *queue) len() int { return q.n }

func (q *queue) push(it *item) {
	q.grow()
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = it
	q.n++
}

func (q *queue) pushFront(it *item) {
	q.grow()
	q.head = (q.head - 1) & (len(q.ring) - 1)
	q.ring[q.head] = it
	q.n++
}

func (q *queue) pop() *item {
	it := q.ring[q.head]
	q.ring[q.head] = nil
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	return it
}

func (q *queue) grow() {
	if q.n < len(q.ring) {
		return
	}
	ring := make([]*item, max(16, 2*len(q.ring)))
	for i := range q.n {
		ring[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
	}
	q.ring, q.head = ring, 0
}

// handList is a list of the items in hand, oldest first.
type handList struct {
	first, last *item
	len         int
}

func (l *handList) push(it *item) {
	it.prev = l.last
	if l.last == nil {
		l.first = it
	} else {
		l.last.succ = it
	}
	l.last = it
	l.len++
}

func (l *handList) remove(it *item) {
	if it.prev == nil {
		l.first = it.succ
	} else {
		it.prev.succ = it.succ
	}
	if it.succ == nil {
		l.last = it.prev
	} else {
		it.succ.prev = it.prev
	}
	it.prev, it.succ = nil, nil
	l.len--
}
