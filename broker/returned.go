package broker

// returned is the records that a queue took back, a min-heap by offset: they go
// out again before anything newer, in their old order.
type returned []returnedRecord

// returnedRecord is 16 bytes for each record that was delivered and given back.
type returnedRecord struct {
	off Offset
	// deliveries is how often it was handed out; 0 for one that was assigned to a
	// subscription and never taken.
	deliveries uint32
	size       bodySize
}

func (h returned) top() returnedRecord { return h[0] }

func (h *returned) push(r returnedRecord) {
	*h = append(*h, r)
	s := *h
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if s[up].off <= s[i].off {
			return
		}
		s[up], s[i] = s[i], s[up]
		i = up
	}
}

// remove takes a record out by its offset, if it is there. What lies below a greater one is
// passed over: so it is cheap for those in front.
func (h *returned) remove(off Offset) (r returnedRecord, ok bool) {
	i := h.find(off, 0)
	if i < 0 {
		return r, false
	}
	r = (*h)[i]
	h.removeAt(i)
	return r, true
}

func (h returned) find(off Offset, i int) int {
	for ; i < len(h) && h[i].off <= off; i = 2*i + 2 {
		if h[i].off == off {
			return i
		}
		if at := h.find(off, 2*i+1); at >= 0 {
			return at
		}
	}
	return -1
}

func (h *returned) pop() returnedRecord {
	top := (*h)[0]
	h.removeAt(0)
	return top
}

// removeAt moves the last to the place of one, and from there up or down to its own.
func (h *returned) removeAt(i int) {
	s := *h
	last := len(s) - 1
	s[i] = s[last]
	s = s[:last]
	*h = s
	for ; i > 0 && i < last && s[i].off < s[(i-1)/2].off; i = (i - 1) / 2 {
		s[i], s[(i-1)/2] = s[(i-1)/2], s[i]
	}
	for {
		child := 2*i + 1
		if child >= last {
			break
		}
		if right := child + 1; right < last && s[right].off < s[child].off {
			child = right
		}
		if s[i].off <= s[child].off {
			break
		}
		s[i], s[child] = s[child], s[i]
		i = child
	}
	if last == 0 {
		*h = nil // a burst of requeues must not hold memory for ever
	}
}
