package guarantees

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/tests/clients/guarantees/worker"
)

// kept is what became of an event store.
type kept struct {
	// appended are ids by stream and version, as writers were told; seen are those that readers saw, by position.
	appended map[string]string
	seen     map[int64]string // stream version id
	wrong    []string         // what workers found to be wrong
	head     int64
	counted  int64 // up to which position the last audit found the counts right
	kills    int
	lines    int // that were read
}

// storeClaims are the claims about event stores.
var storeClaims = []struct {
	words string
	judge func(*kept) faults
}{
	{"Every reader of an event store sees the same events at the same positions, without a gap.", withoutGap},
	{"The rows of a projection are the fold of all events up to its checkpoint.", foldOfPrefix},
}

// eventStores are the stores of events, and what a Plan has for them.
var eventStores = map[string]func(testing.TB) string{
	"embedded":   func(testing.TB) string { return "embedded" },
	"SQLite":     func(t testing.TB) string { return files(t)("events") },
	"PostgreSQL": func(t testing.TB) string { return postgres(t)("events") },
}

func TestEventStores(t *testing.T) {
	for name, open := range eventStores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := open(t)
			if name != "embedded" {
				migrate(t, store)
			}
			k := playStore(t, store)
			t.Logf("%d kills; %d events, %d appends answered", k.kills, k.head, len(k.appended))
			for _, c := range storeClaims {
				t.Run(c.words, func(t *testing.T) { report(t, c.judge(k)) })
			}
		})
	}
}

// playStore runs writers and readers of a store in one process, and kills it.
func playStore(t *testing.T, store string) *kept {
	n, rng := newNotes(), rand.New(rand.NewPCG(*seed, 2))
	m := &member{t: t, name: "keeper", notes: n,
		plan: worker.Plan{Roles: []worker.Role{worker.Keep}, Dir: t.TempDir(), Store: store, Seed: *seed << 8}}
	t.Cleanup(m.end)
	m.start()
	await := func(what string, cond func() bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if !n.await(ctx, cond) {
			t.Errorf("no %s within %v", what, patience)
		}
	}
	k := &kept{appended: map[string]string{}, seen: map[int64]string{}}
	for ; k.kills < 5**kills; k.kills++ {
		from, more := n.len(), k.again(n)+30+rng.IntN(150)
		await("progress", func() bool { return len(n.lines) >= from+more })
		time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
		m.kill()
		m.start()
	}
	m.enough()
	await("end of events", func() bool {
		k.read(n)
		return k.head > 0 && k.counted == k.head && k.seen[k.head] != "" && len(k.seen) == int(k.head)
	})
	m.stop()
	return k
}

// again is how many events the next life sees again.
func (k *kept) again(n *notes) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	k.read(n)
	return int(k.head)
}

// read takes in what notes have come. The caller has their lock, or is alone.
func (k *kept) read(n *notes) {
	from := k.lines
	k.lines = len(n.lines)
	for _, line := range n.lines[from:] {
		words := strings.Fields(line)
		switch words[0] {
		case "appended":
			version, _ := strconv.ParseInt(words[2], 10, 64)
			ids := strings.Split(words[3], ",")
			for i, id := range ids {
				k.appended[fmt.Sprint(words[1], " ", version-int64(len(ids)-1-i))] = id
			}
		case "saw":
			p, _ := strconv.ParseInt(words[1], 10, 64)
			what := strings.Join(words[2:], " ")
			if before := k.seen[p]; before != "" && before != what {
				k.wrong = append(k.wrong, fmt.Sprintf("at %d one reader saw %s, another %s", p, before, what))
			}
			k.seen[p], k.head = what, max(k.head, p)
		case "audited":
			k.counted, _ = strconv.ParseInt(words[1], 10, 64)
		case "wrong":
			k.wrong = append(k.wrong, strings.TrimPrefix(line, "wrong "))
		}
	}
}

// withoutGap: positions and versions have no gap, and what was answered is there.
func withoutGap(k *kept) (f faults) {
	for _, wrong := range k.wrong {
		if !strings.Contains(wrong, "counts") {
			f.add("%s", wrong)
		}
	}
	versions, ids := map[string]int64{}, map[string]string{}
	for p := int64(1); p <= k.head; p++ {
		words := strings.Fields(k.seen[p])
		if len(words) != 3 {
			f.add("nobody saw position %d of %d", p, k.head)
			continue
		}
		versions[words[0]]++
		if words[1] != fmt.Sprint(versions[words[0]]) {
			f.add("%s at position %d, want version %d", k.seen[p], p, versions[words[0]])
		}
		ids[words[0]+" "+words[1]] = words[2]
	}
	for place, id := range k.appended {
		if ids[place] != id {
			f.add("%s was appended as %s, and is %s", id, place, ids[place])
		}
	}
	return f
}

// foldOfPrefix: no audit found a difference, and the last one was of everything.
func foldOfPrefix(k *kept) (f faults) {
	for _, wrong := range k.wrong {
		if strings.Contains(wrong, "counts") {
			f.add("%s", wrong)
		}
	}
	if k.counted != k.head || k.head == 0 {
		f.add("the last audit was at %d of %d", k.counted, k.head)
	}
	return f
}
