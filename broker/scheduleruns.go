package broker

// run is records that lie side by side in the log of a class, and whose due times do
// not decrease: only that of the first is kept.
type run struct {
	due      int64 // ms
	from, to Offset
}

func (r run) before(s run) bool { return r.due < s.due || r.due == s.due && r.from < s.from }

// runs is the records of a class that were found by the cursor and are not published: a
// min-heap, and beside it the run that the cursor makes longer.
type runs struct {
	heap []run
	open run   // empty: none
	last int64 // due time of the last record in open
}

// add takes the record that the cursor has found.
func (h *runs) add(off Offset, due int64) {
	if h.open.from < h.open.to && h.open.to == off && h.last <= due {
		h.open.to, h.last = off+1, due
		return
	}
	h.close()
	h.open, h.last = run{due, off, off + 1}, due
}

// close ends the open run.
func (h *runs) close() {
	h.push(h.open)
	h.open = run{}
}

// first is the run whose first record is due first.
func (h *runs) first() (r run, ok bool) {
	open := h.open.from < h.open.to
	if len(h.heap) == 0 {
		return h.open, open
	}
	if open && h.open.before(h.heap[0]) {
		return h.open, true
	}
	return h.heap[0], true
}

// pop takes the first run out; there is one.
func (h *runs) pop() run {
	if r, _ := h.first(); r == h.open {
		h.open = run{}
		return r
	}
	s := h.heap
	top := s[0]
	last := len(s) - 1
	s[0] = s[last]
	h.heap = s[:last]
	h.down()
	if last < cap(s)/4 { // a burst must not hold memory for ever
		h.heap = append([]run(nil), h.heap...)
	}
	return top
}

func (h *runs) push(r run) {
	if r.from == r.to {
		return
	}
	h.heap = append(h.heap, r)
	s := h.heap
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if !s[i].before(s[up]) {
			return
		}
		s[up], s[i] = s[i], s[up]
		i = up
	}
}

func (h *runs) down() {
	s := h.heap
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(s) {
			return
		}
		if right := child + 1; right < len(s) && s[right].before(s[child]) {
			child = right
		}
		if !s[child].before(s[i]) {
			return
		}
		s[i], s[child] = s[child], s[i]
		i = child
	}
}
