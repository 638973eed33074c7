package engines

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

// sharing are the engines that all tests of the process use.
var sharing struct {
	mu    sync.Mutex
	open  bool // Main runs
	nodes map[string]func() (*node, error)
}

// Main runs the tests and ends the engines that they shared. It returns the exit code.
func Main(run func() int) int {
	sharing.mu.Lock()
	sharing.open = true
	sharing.mu.Unlock()
	code := run()
	if err := endShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

func endShared() (err error) {
	sharing.mu.Lock()
	nodes := sharing.nodes
	sharing.nodes, sharing.open = nil, false
	sharing.mu.Unlock()
	for _, started := range nodes {
		if n, failed := started(); failed == nil {
			err = errors.Join(err, n.remove())
		}
	}
	return err
}

// share is the engine that all tests use. The first that asks starts it; if that fails it fails for
// the others too.
func share(t testing.TB, r recipe) Engine {
	t.Helper()
	wanted(t, r)
	n, err := sharedNode(r)
	if err != nil {
		t.Fatal(err)
	}
	e := Engine{t: t, node: n, shared: true}
	t.Cleanup(e.tell)
	return e
}

func sharedNode(r recipe) (*node, error) {
	sharing.mu.Lock()
	if !sharing.open {
		sharing.mu.Unlock()
		return nil, errors.New("engines are shared by tests that run in engines.Main only")
	}
	started, ok := sharing.nodes[r.name]
	if !ok {
		started = sync.OnceValues(func() (*node, error) { return startNode(r) })
		if sharing.nodes == nil {
			sharing.nodes = map[string]func() (*node, error){}
		}
		sharing.nodes[r.name] = started
	}
	sharing.mu.Unlock()
	return started()
}

// startNode starts an engine that belongs to no test.
func startNode(r recipe) (*node, error) {
	n, err := newNode(r)
	if err != nil {
		return nil, err
	}
	if err := n.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, n.said.String()), n.remove())
	}
	return n, nil
}
