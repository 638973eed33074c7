package notify

import (
	"crypto/rand"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// buryPause is how long a message waits where the queue for dead letters takes no more, or the disk is full.
const buryPause = time.Minute

// bury moves a message to the dead letter queue of its subscription, in one step with its end here, or drops
// it. Confirmations are dropped.
func (s *subscriber) bury(m *broker.Delivery, l *Letter) {
	to, rec := s.deadLetter(l)
	tx := s.d.b.Begin()
	tx.Discard(s.q, m.ID)
	if to != nil {
		tx.Move(to, rec)
	}
	_, err := tx.Commit(s.d.posts)
	switch broker.KindOf(err) {
	case 0:
		if err == nil {
			s.tell(l, to)
		}
		return // else the deliverer is closing: the lease will end
	case broker.NotFound:
		if s.done(m) {
			s.tell(l, nil)
		}
		return
	}
	s.d.config.Logger.Error("a dead letter cannot be moved, and waits", "queue", s.q.String(), "error", err)
	s.giveBack(m, buryPause)
}

func (s *subscriber) deadLetter(l *Letter) (to *broker.Queue, rec broker.QueueRecord) {
	if l.Post.Type != Message || l.Subscription.DeadLetters == "" || s.d.config.DeadLetter == nil {
		return nil, rec
	}
	return s.d.config.DeadLetter(l)
}

// tell counts and logs a message that was not delivered, and will not be.
func (s *subscriber) tell(l *Letter, to *broker.Queue) {
	now := &l.Subscription
	log := s.d.config.Logger.With("subscription", now.ARN, "endpoint", now.Endpoint.String(),
		"message", l.Post.MessageID, "reason", l.Failure.Reason)
	if to == nil {
		s.d.counts.dropped.Add(1)
		log.Warn("a message is not delivered, and dropped")
		return
	}
	s.d.counts.deadLettered.Add(1)
	log.Warn("a message is not delivered, and moved", "queue", to.String())
}

// Attributes are those of the message in the dead letter queue: what was raw keeps its own. RequestID is a
// new one; ErrorCode is the status of the last answer, 0 where there was none.
func (l *Letter) Attributes() map[string]Attribute {
	as := map[string]Attribute{}
	maps.Copy(as, l.Post.Attributes)
	as["RequestID"] = Attribute{"String", newRequestID()}
	as["ErrorCode"] = Attribute{"Number", strconv.Itoa(l.Failure.Status)}
	as["ErrorMessage"] = Attribute{"String", l.Failure.Reason}
	return as
}

func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0F|0x40, b[8]&0x3F|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
