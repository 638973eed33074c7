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

func (h *returned) pop() returnedRecord {
	s := *h
	top := s[0]
	last := len(s) - 1
	s[0] = s[last]
	s = s[:last]
	*h = s
	for i := 0; ; {
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
	return top
}
