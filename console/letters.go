package console

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// The library puts what a group of it could not handle into another queue, and says so in attributes
// of CloudEvents: package tidings has their names.
const (
	letterGroup    = "dlqgroup"
	letterTopic    = "dlqtopic"
	letterReason   = "dlqreason"
	letterAttempts = "dlqattempts"
	letterAt       = "dlqat"
	letterKey      = "partitionkey"
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
	text := s.attributes(r)
	group := text(letterGroup)
	if group == "" {
		return nil
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

// attributes looks up those of CloudEvents: by the headers under which they cross from every protocol,
// or in the document that the record is, as over SQS. What is no text says nothing.
func (s *Server) attributes(r *broker.QueueRecord) func(name string) string {
	headers := s.b.Crossing(r)
	kind, _, _ := headers.Text("content-type")
	if strings.HasPrefix(kind, "application/cloudevents+json") {
		return documentAttributes(r.Body)
	}
	return func(name string) string {
		value, _, _ := headers.Text("ce_" + name)
		return value
	}
}

// documentAttributes reads the document of an event (CloudEvents JSON format 1.0) where it can be that
// of a dead letter.
func documentAttributes(document []byte) func(name string) string {
	var all map[string]json.RawMessage
	if bytes.Contains(document, []byte(letterGroup)) {
		_ = json.Unmarshal(document, &all) // what cannot be read is no letter
	}
	return func(name string) string {
		var value string
		_ = json.Unmarshal(all[name], &value)
		return value
	}
}

// groupQueue is where a group of the library gets what is for it alone, by the names that transports
// give it unless they are told others.
func (s *Server) groupQueue(group string, letters *broker.Queue) *broker.Queue {
	aws := strings.ReplaceAll(group, ".", "_")
	names := []string{group, aws}
	if strings.HasSuffix(letters.Name().Name, ".fifo") {
		names = []string{aws + ".fifo"} // beside which there may be the same services over standard queues
	}
	for _, name := range names {
		if q, err := s.b.Queue("", name); err == nil && q != letters {
			return q
		}
	}
	return nil
}
