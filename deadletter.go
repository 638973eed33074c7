package tidings

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// maxReason bounds dlqreason, so that a long error does not make an event too large.
const maxReason = 1000

// letterTime bounds a publish to dead letters: a broker whose answer is lost is asked again.
const letterTime = 30 * time.Second

// deadLetter publishes a copy of an event to the dead letters, and settles it when they have it.
// As long as they have not, the event and its key are held.
func (s *subscription) deadLetter(it *item) step {
	letter := it.letter(s.name, time.Now())
	letter.Topic = s.deadLetters()
	ctx, cancel := context.WithTimeout(s.base, letterTime)
	err := s.service.transport.Publish(ctx, letter)
	cancel()
	if err != nil {
		s.troubled("publish to dead letters "+letter.Topic, it.d, err)
		it.refused++
		return step{stays: true, delay: backoff(it.refused)}
	}
	s.log.Error("event put among the dead letters", "dlq", letter.Topic, "id", it.d.ID,
		"type", it.d.Type, "key", it.d.Key, "attempts", it.attempts(), "err", it.dead)
	s.service.observer.deadLettered(s.name, it.d, letter.Topic, it.dead)
	s.replyFailure(it, it.dead)
	s.ack(it)
	return step{how: deadLettered}
}

// backoff is 1 s, 2 s, 4 s and so on up to 32 s.
func backoff(times int) time.Duration { return time.Second << min(times-1, 5) }

// attempts is how often the event was tried.
func (it *item) attempts() int { return it.first - 1 + it.tries }

// letter is the copy for the dead letters. One of a dead letter, which some group reads to look after
// those, keeps under longer names what that tells of itself.
func (it *item) letter(group string, at time.Time) Event {
	e := it.d.Event
	e.Extensions = make(map[string]string, len(it.d.Extensions)+5)
	for name, value := range it.d.Extensions {
		if strings.HasPrefix(name, deadPrefix) {
			name = deadPrefix + name
		}
		e.Extensions[name] = value
	}
	e.Extensions[ExtDeadReason] = cut(it.dead.Error(), maxReason)
	e.Extensions[ExtDeadAttempts] = strconv.Itoa(it.attempts())
	e.Extensions[ExtDeadAt] = at.UTC().Format(time.RFC3339Nano)
	e.Extensions[ExtDeadGroup] = group
	if e.Kind == KindEvent {
		e.Extensions[ExtDeadTopic] = e.Topic
	}
	if e.Type == "" {
		e.Type = ForeignType
	}
	e.Kind = KindCommand
	return e
}

// restore makes a dead letter what it was, once it has come back to the address of the group that
// could not handle it: by Redrive, or by what a broker has of its own for moving messages.
func (g *group) restore(e *Event) {
	if e.Kind != KindCommand || e.Topic != g.name || e.Extensions[ExtDeadGroup] != g.name {
		return
	}
	if topic := e.Extensions[ExtDeadTopic]; topic != "" {
		e.Kind, e.Topic = KindEvent, topic
	}
	var were map[string]string
	for name, value := range e.Extensions {
		name, dead := strings.CutPrefix(name, deadPrefix)
		if dead && !strings.HasPrefix(name, deadPrefix) {
			continue
		}
		if were == nil {
			were = make(map[string]string, len(e.Extensions))
		}
		were[name] = value
	}
	e.Extensions = were
	if e.Type == ForeignType && were[ExtDeadGroup] == "" { // which a letter needs
		e.Type = ""
	}
}

// cut shortens a text to some bytes of valid UTF-8.
func cut(text string, bytes int) string {
	return strings.ToValidUTF8(text[:min(bytes, len(text))], "")
}
