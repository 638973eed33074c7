package engines

import (
	"os"
	"testing"
)

// TestSharedEnginesAreStartedOnce also shows that nobody kills them under the others.
func TestSharedEnginesAreStartedOnce(t *testing.T) {
	first := SharedPostgres(t)
	t.Run("by another test", func(t *testing.T) {
		if second := SharedPostgres(t); second.DSN != first.DSN {
			t.Errorf("got %s, want %s", second.DSN, first.DSN)
		}
	})
	v := judge(t, func(tb testing.TB) {
		e := *first
		e.t = tb
		e.Kill()
	})
	if !v.failed || !first.node.running() {
		t.Errorf("a test that kills a shared engine: failed %v, engine runs %v", v.failed, first.node.running())
	}
}

// TestAnEngineIsNotSharedOutsideOfMain since nobody would end it.
func TestAnEngineIsNotSharedOutsideOfMain(t *testing.T) {
	sharing.mu.Lock()
	sharing.open = false
	sharing.mu.Unlock()
	defer func() {
		sharing.mu.Lock()
		sharing.open = true
		sharing.mu.Unlock()
	}()
	if _, err := sharedNode(postgres); err == nil {
		t.Error("an engine is shared that nobody ends")
	}
}

// TestAnEngineThatDoesNotStartSaysWhy names the program, and shows what it printed.
func TestAnEngineThatDoesNotStartSaysWhy(t *testing.T) {
	n, err := startNode(recipe{name: "broken", ports: 1, programs: func(p *place) []program {
		return []program{{p.command(nil, "/bin/sh", "-c", "echo the disk is full; exit 3"), "ready"}}
	}})
	const want = "start broken: /bin/sh ended instead of serving: exit status 3\nthe disk is full\n"
	if n != nil || err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

// TestReadinessIsHeardInPieces since output comes in any.
func TestReadinessIsHeardInPieces(t *testing.T) {
	seen := make(chan struct{})
	w := &watch{words: []byte("is ready"), seen: seen}
	for _, piece := range []string{"it is rea", "", "it is", " r", "eady", " is ready"} {
		_, _ = w.Write([]byte(piece))
	}
	select {
	case <-seen:
	default:
		t.Error("the words were not seen")
	}
}

// TestNothingOfAnEngineIsLeft after its test, neither processes nor files.
func TestNothingOfAnEngineIsLeft(t *testing.T) {
	for _, r := range recipes {
		t.Run(r.name, func(t *testing.T) {
			var dir string
			var pids []int
			t.Run("runs", func(t *testing.T) {
				e := fresh(t, r)
				dir, pids = e.node.place.dir, family(e.node)
			})
			if _, err := os.Stat(dir); dir != "" && !os.IsNotExist(err) {
				t.Errorf("%s is there: %v", dir, err)
			}
			awaitGone(t, pids)
		})
	}
}
