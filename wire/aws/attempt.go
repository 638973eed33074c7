package aws

import (
	"errors"
	"sync"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// attempts are the receives from FIFO queues that can be tried again: the client named them with a
// ReceiveRequestAttemptId, and may not have got the answer.
type attempts struct {
	most int

	mu   sync.Mutex
	all  map[attemptKey]*attempt
	line []*attempt // the oldest first, those included that are forgotten
}

type attemptKey struct {
	queue broker.ID
	id    string
}

// attempt is one that got messages.
type attempt struct {
	key attemptKey
	ids []broker.DeliveryID
	at  time.Time
}

// attemptTime is for how long a receive can be tried again.
const attemptTime = 5 * time.Minute

func newAttempts(most int) *attempts {
	return &attempts{most: most, all: map[attemptKey]*attempt{}}
}

// keep remembers an attempt, and forgets those that are too old or too many.
func (a *attempts) keep(x *attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all[x.key] = x
	a.line = append(a.line, x)
	for len(a.line) > a.most || x.at.Sub(a.line[0].at) >= attemptTime {
		if old := a.line[0]; a.all[old.key] == old {
			delete(a.all, old.key)
		}
		a.line[0] = nil
		a.line = a.line[1:]
	}
}

func (a *attempts) find(key attemptKey, now time.Time) *attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	if x := a.all[key]; x != nil && now.Sub(x.at) < attemptTime {
		return x
	}
	return nil
}

func (a *attempts) forget(key attemptKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.all, key)
}

// attemptOf is the attempt that a receive is; nil: it cannot be tried again.
func attemptOf(q *broker.Queue, in *receiveMessageInput) (*attempt, *Error) {
	id := in.ReceiveRequestAttemptId
	switch {
	case id == "" || !isFIFO(q.Name().Name): // SQS looks at it for FIFO queues only
		return nil, nil
	case !groupID.MatchString(id):
		return nil, wrong(short(id), "ReceiveRequestAttemptId", "ReceiveRequestAttemptId"+idForm)
	}
	return &attempt{key: attemptKey{q.ID(), id}}, nil
}

// receiveOnce receives for an attempt what it got before, or something new.
func (s *Server) receiveOnce(c *call, q *broker.Queue, x *attempt, o broker.ReceiveOptions) (
	[]broker.Delivery, error) {
	before := s.attempts.find(x.key, s.config.Now())
	if before == nil {
		got, err := s.receive(c, q, o)
		x.ids, x.at = idsOf(got), s.config.Now()
		if len(got) > 0 {
			s.attempts.keep(x)
		}
		return got, err
	}
	*x = *before
	got, err := q.ReceiveAgain(x.ids, o.Lease)
	if errors.Is(err, broker.ErrNotLeased) {
		return nil, wrong(x.key.id, "ReceiveRequestAttemptId", "The receiveRequestAttemptId is not valid anymore "+
			"since the receive call is not retryable.")
	}
	return got, err
}
