package history

import (
	"errors"
	"slices"
	"testing"
)

var orders = Partition{"orders", 0}

// trueHistory is a run in which all went well: two producers send ten records each to one
// partition, the last of each without acknowledgement and only one of these is there; a
// consumer reads and commits; a topic is made and another deleted.
func trueHistory() (*History, Final) {
	h := New()
	h.Producer("once", Once)
	h.Producer("plain", AtLeastOnce)
	var log []Entry
	for range 9 {
		for _, p := range []string{"once", "plain"} {
			n, offset := h.Sent(p, orders), int64(len(log))
			log = append(log, Entry{offset, ID{p, n}})
			h.Acked(p, orders, n, offset)
			h.Read(orders, offset, ID{p, n})
		}
	}
	log = append(log, Entry{int64(len(log)), ID{"once", h.Sent("once", orders)}})
	h.Sent("plain", orders)
	h.Committed("readers", Commits{orders: 5})
	h.Committed("readers", Commits{orders: 9})
	h.Fetched("readers", h.Commits("readers"), Commits{orders: 9})
	h.TopicMade("orders", 1)
	h.TopicMade("made", 3)
	h.TopicDeleted("deleted")
	h.TopicUncertain("perhaps")
	return h, Final{
		Topics: map[string]int{"orders": 1, "made": 3},
		Logs:   map[Partition][]Entry{orders: log},
	}
}

func TestATrueHistoryBreaksNoRule(t *testing.T) {
	h, f := trueHistory()
	if got := h.Check(f); len(got) != 0 {
		t.Fatalf("got %v, want none", got)
	}
}

// TestTheCheckerFindsEachSabotage spoils the true history in one way at a time.
func TestTheCheckerFindsEachSabotage(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*History, []Entry) []Entry
		want  []Kind
	}{
		{"drop an acknowledged record nobody read", func(h *History, log []Entry) []Entry {
			h.reads[orders][4] = ID{}
			return slices.Delete(log, 4, 5)
		}, []Kind{Lost}},
		{"swap two records of a producer", func(_ *History, log []Entry) []Entry {
			log[2].ID, log[4].ID = log[4].ID, log[2].ID
			return log
		}, []Kind{Altered, Reordered}},
		{"swap two records and their acknowledgements", func(h *History, log []Entry) []Entry {
			log[2].ID, log[4].ID = log[4].ID, log[2].ID
			acks := *h.streams[stream{"once", orders}]
			acks[1], acks[2] = acks[2], acks[1]
			clear(h.reads)
			return log
		}, []Kind{Reordered}},
		{"put an unacknowledged record before its elders", func(h *History, log []Entry) []Entry {
			clear(h.reads)
			for i := range log {
				log[i].Offset++
			}
			for _, s := range h.streams {
				for n := range *s {
					if (*s)[n] != unacked {
						(*s)[n]++
					}
				}
			}
			log[len(log)-1].Offset = 0
			return log
		}, []Kind{Reordered}},
		{"repeat a record of an idempotent producer", func(_ *History, log []Entry) []Entry {
			return append(log, Entry{int64(len(log)), ID{"once", 3}})
		}, []Kind{Duplicated}},
		{"invent a record number", func(_ *History, log []Entry) []Entry {
			return append(log, Entry{int64(len(log)), ID{"once", 10}})
		}, []Kind{Phantom}},
		{"invent a producer", func(_ *History, log []Entry) []Entry {
			return append(log, Entry{int64(len(log)), ID{"nobody", 0}})
		}, []Kind{Phantom}},
		{"let a consumer get what was never sent", func(h *History, log []Entry) []Entry {
			h.Read(orders, 100, ID{"nobody", 0})
			return log
		}, []Kind{Phantom}},
		{"let a consumer get bytes that are no record", func(h *History, log []Entry) []Entry {
			h.Phantom(orders, 3, errors.New("not a record"))
			return log
		}, []Kind{Phantom}},
		{"show a consumer what is taken back", func(h *History, log []Entry) []Entry {
			h.Read(orders, 19, ID{"plain", 9})
			return log
		}, []Kind{Lost}},
		{"show two consumers different records", func(h *History, log []Entry) []Entry {
			h.Read(orders, 4, ID{"plain", 9})
			return log
		}, []Kind{Altered}},
		{"acknowledge a wrong offset", func(h *History, log []Entry) []Entry {
			h.Acked("once", orders, 9, 30)
			return log
		}, []Kind{Altered}},
		{"forget a commit", func(h *History, log []Entry) []Entry {
			h.Fetched("readers", h.Commits("readers"), Commits{})
			return log
		}, []Kind{CommitForgotten}},
		{"set a commit back", func(h *History, log []Entry) []Entry {
			h.Fetched("readers", h.Commits("readers"), Commits{orders: 8})
			return log
		}, []Kind{CommitForgotten}},
		{"forget a topic", func(h *History, log []Entry) []Entry {
			h.TopicMade("another", 1)
			return log
		}, []Kind{TopicForgotten}},
		{"forget a partition", func(h *History, log []Entry) []Entry {
			h.TopicMade("made", 4)
			return log
		}, []Kind{TopicForgotten}},
		{"keep a deleted topic", func(h *History, log []Entry) []Entry {
			h.TopicDeleted("made")
			return log
		}, []Kind{TopicRevived}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, f := trueHistory()
			f.Logs[orders] = c.spoil(h, f.Logs[orders])
			got := kinds(h.Check(f))
			if !slices.Equal(got, c.want) {
				t.Fatalf("got %q (%v), want %q", got, h.Check(f), c.want)
			}
		})
	}
}

// TestAPlainProducerMayRepeat: that is what at least once means.
func TestAPlainProducerMayRepeat(t *testing.T) {
	h, f := trueHistory()
	f.Logs[orders] = append(f.Logs[orders], Entry{int64(len(f.Logs[orders])), ID{"plain", 3}})
	if got := h.Check(f); len(got) != 0 {
		t.Fatalf("got %v, want none", got)
	}
}

// TestTotalsCount counts what the true history tells.
func TestTotalsCount(t *testing.T) {
	h, _ := trueHistory()
	if got, want := h.Totals(), (Totals{Sent: 20, Acked: 18, Read: 18}); got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}

func kinds(found []Violation) []Kind {
	var all []Kind
	for _, v := range found {
		all = append(all, v.Kind)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
