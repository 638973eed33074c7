package tidingstest

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"

	"github.com/tidings-io/tidings"
)

// topic is what is published to one name: lanes by key.
type topic struct {
	lanes  []*lane
	spread int // of events without a key, which take turns
}

// lane is a log in the order of its offsets.
type lane struct {
	name    string
	first   int64 // the offset of entries[0]
	entries []entry
}

// entry is an event as it is kept.
type entry struct {
	event    tidings.Event
	sequence int64 // its place among the events of all lanes
	attempts int   // that were counted before it came to this lane
	told     int   // those of them that its publisher has told
}

func newTopic(name string, lanes int) *topic {
	t := &topic{}
	for i := range lanes {
		t.lanes = append(t.lanes, &lane{name: fmt.Sprintf("%s/%d", name, i)})
	}
	return t
}

// end is the offset of the next entry.
func (l *lane) end() int64 { return l.first + int64(len(l.entries)) }

func (l *lane) at(offset int64) *entry { return &l.entries[offset-l.first] }

func (t *Transport) appendLocked(to *topic, en entry) {
	t.sequence++
	en.sequence = t.sequence
	l := to.lane(en.event.Key)
	l.entries = append(l.entries, en)
}

func (to *topic) lane(key string) *lane {
	if key == "" {
		to.spread++
		return to.lanes[to.spread%len(to.lanes)]
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // never fails: hash.Hash
	return to.lanes[h.Sum32()%uint32(len(to.lanes))]
}

// makeRoomLocked says whether one more event may be kept. Where that is too many it lets go of what
// all groups are done with.
func (t *Transport) makeRoomLocked(to *topic) bool {
	if to.kept() < t.keep {
		return true
	}
	for _, l := range to.lanes {
		done := l.end()
		for _, g := range t.groups {
			if p := g.placeLocked(l); p != nil {
				done = min(done, p.done())
			}
		}
		l.entries = slices.Delete(l.entries, 0, int(done-l.first))
		l.first = done
	}
	return to.kept() < t.keep
}

func (to *topic) kept() (n int) {
	for _, l := range to.lanes {
		n += len(l.entries)
	}
	return n
}

// arriving is a published event as it is kept: what came through an address for the sake of one
// group is an event of its topic again.
func arriving(e tidings.Event) (entry, error) {
	en := entry{event: e}
	if count, ok := e.Extensions[tidings.ExtAttempt]; ok && e.Kind != tidings.KindEvent {
		n, err := strconv.Atoi(count)
		if err != nil || n < 0 {
			return en, fmt.Errorf("extension %s: %q is not a count", tidings.ExtAttempt, count)
		}
		en.attempts, en.told = n, n
	}
	if origin, ok := e.Extensions[tidings.ExtOriginTopic]; ok && e.Kind == tidings.KindCommand {
		en.event.Kind, en.event.Topic = tidings.KindEvent, origin
	}
	en.event = clone(en.event)
	delete(en.event.Extensions, tidings.ExtAttempt)
	delete(en.event.Extensions, tidings.ExtOriginTopic)
	if len(en.event.Extensions) == 0 {
		en.event.Extensions = nil
	}
	return en, nil
}

// clone shares nothing that could be changed.
func clone(e tidings.Event) tidings.Event {
	e.Payload = slices.Clone(e.Payload)
	e.Extensions = maps.Clone(e.Extensions)
	return e
}
