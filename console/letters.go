package console

import (
	"strconv"
	"strings"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// The library puts what a group of it could not handle into another queue, and says so in attributes
// of CloudEvents: package tidings has their names. By these headers they cross from every protocol.
const (
	letterGroup    = "ce_dlqgroup"
	letterTopic    = "ce_dlqtopic"
	letterReason   = "ce_dlqreason"
	letterAttempts = "ce_dlqattempts"
	letterAt       = "ce_dlqat"
	letterKey      = "ce_partitionkey"
)

// failed is the reason of such a death; others are the broker's.
const failed = "failed"

// deaths are the ways in which a record left queues without being accepted, newest first. The
// library publishes a dead letter: the broker's own deaths come after that.
func (s *Server) deaths(r *broker.QueueRecord) (all []Death) {
	for i := range r.Deaths {
		d := &r.Deaths[i]
		all = append(all, Death{Reason: d.Reason.String(), Queue: d.Queue, Count: d.Count,
			Time: d.Time.UTC(), Exchange: d.Exchange, Keys: d.Keys})
	}
	if letter := s.letter(r); letter != nil {
		all = append(all, *letter)
	}
	return all
}

// letter is how a dead letter of the library died, nil for another record.
func (s *Server) letter(r *broker.QueueRecord) *Death {
	headers := s.b.Crossing(r)
	group, _, _ := headers.Text(letterGroup)
	if group == "" {
		return nil
	}
	text := func(name string) string {
		value, _, _ := headers.Text(name) // what is no text says nothing
		return value
	}
	d := &Death{Reason: failed, Queue: group, Exchange: text(letterTopic), Error: text(letterReason)}
	d.Count, _ = strconv.ParseInt(text(letterAttempts), 10, 64)
	d.Time, _ = time.Parse(time.RFC3339Nano, text(letterAt))
	if d.Exchange == "" {
		d.Keys = []string{group}
	} else if key := text(letterKey); key != "" {
		d.Keys = []string{key}
	}
	return d
}

// groupQueue is where a group of the library gets what is for it alone, by the names that transports
// give it unless they are told others.
func (s *Server) groupQueue(group string, letters *broker.Queue) *broker.Queue {
	aws := strings.ReplaceAll(group, ".", "_")
	for _, name := range []string{group, aws, aws + ".fifo"} {
		if q, err := s.b.Queue("", name); err == nil && q != letters {
			return q
		}
	}
	return nil
}
