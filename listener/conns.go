package listener

import (
	"errors"
	"net"
	"sync"
	"time"
)

// acceptPause lets the process recover from a lack of file descriptors.
const acceptPause = 50 * time.Millisecond

// Accept hands connections to admit until the listener is closed. Other errors are told to
// failed, and tried again after a pause unless stop is closed.
func Accept(l net.Listener, stop <-chan struct{}, admit func(net.Conn), failed func(error)) {
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			admit(nc)
			continue
		case errors.Is(err, net.ErrClosed):
			return
		}
		t := time.NewTimer(acceptPause)
		select {
		case <-t.C:
			failed(err)
		case <-stop:
			t.Stop()
			return
		}
	}
}

// Conns is the open connections of a server, at most so many. The zero value is empty.
type Conns[C comparable] struct {
	mu  sync.Mutex
	all map[C]struct{}
}

// Add adds a connection, unless there are as many as limit.
func (s *Conns[C]) Add(c C, limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= limit {
		return false
	}
	if s.all == nil {
		s.all = map[C]struct{}{}
	}
	s.all[c] = struct{}{}
	return true
}

// Remove forgets a connection.
func (s *Conns[C]) Remove(c C) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, c)
}

// Len is how many there are.
func (s *Conns[C]) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// All lists them, in no order.
func (s *Conns[C]) All() []C {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]C, 0, len(s.all))
	for c := range s.all {
		all = append(all, c)
	}
	return all
}
