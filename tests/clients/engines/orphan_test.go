package engines

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/tidings-io/tidings/tests/clients/child"
)

// TestAnEngineEndsWithAProcessThatIsKilled starts each in a process that cannot clean up.
func TestAnEngineEndsWithAProcessThatIsKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends processes with their parent")
	}
	for _, r := range recipes {
		t.Run(r.name, func(t *testing.T) {
			wanted(t, r)
			it := killedParent(t, r)
			awaitGone(t, it.PIDs)
			if err := os.RemoveAll(it.Dir); err != nil {
				t.Error(err)
			}
		})
	}
}

// killedParent starts an engine in another process and kills that.
func killedParent(t *testing.T, r recipe) (it orphan) {
	t.Helper()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), orphanEnv+"="+r.name)
	parent.Stderr = os.Stderr
	out, err := parent.StdoutPipe()
	if err == nil {
		err = child.Start(parent)
	}
	if err != nil {
		t.Fatal(err)
	}
	heard := json.NewDecoder(out).Decode(&it)
	_ = parent.Process.Kill()
	_ = parent.Wait()
	if heard != nil || len(it.PIDs) == 0 {
		t.Fatalf("%s has processes %v, error %v", r.name, it.PIDs, heard)
	}
	return it
}

// orphan is an engine whose process is about to be killed.
type orphan struct {
	Dir  string
	PIDs []int
}

// abandon starts an engine, tells its processes, and stays until it is killed.
func abandon(name string) int {
	i := slices.IndexFunc(recipes, func(r recipe) bool { return r.name == name })
	n, err := startNode(recipes[i])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(orphan{n.place.dir, family(n)})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	select {}
}

// family is the ids of all processes of an engine.
func family(n *node) (pids []int) {
	for _, r := range n.runs {
		pids = append(append(pids, r.cmd.Process.Pid), descendants(r.cmd.Process.Pid)...)
	}
	return pids
}

// awaitGone waits until no process has any of the ids. Nothing tells when the child of another process
// ends, so it looks again and again.
func awaitGone(t *testing.T, pids []int) {
	t.Helper()
	limit := time.Now().Add(goneWithin)
	for _, pid := range pids {
		for runs(pid) {
			if time.Now().After(limit) {
				t.Fatalf("process %d of %v is there after %v", pid, pids, goneWithin)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// runs reports whether a process is there, and not just waiting to be reaped.
func runs(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err == nil && !bytes.Contains(text, []byte(") Z "))
}
