package engines

import (
	"testing"
	"time"

	"github.com/tidings-io/tidings/tests/clients/need"
)

// Engine is what all engines do. Its methods fail the test when the engine does not do as told.
// They are for one goroutine.
type Engine struct {
	t      testing.TB
	node   *node
	shared bool
}

// fresh starts an engine that ends with the test.
func fresh(t testing.TB, r recipe) Engine {
	t.Helper()
	wanted(t, r)
	n, err := newNode(r)
	if err != nil {
		t.Fatal(err)
	}
	e := Engine{t: t, node: n}
	t.Cleanup(e.end)
	e.Restart()
	return e
}

// wanted ends the test if the machine does not have the engine.
func wanted(t testing.TB, r recipe) {
	t.Helper()
	if err := r.missing(); err != nil {
		need.Without(t, r.name, err.Error()+"; `make engines` installs it")
	}
}

// Kill sends SIGKILL to all processes of the engine and waits until they are gone. What the engine
// has not acknowledged may be lost. It is not for shared engines.
func (e Engine) Kill() {
	e.t.Helper()
	if e.shared {
		e.t.Fatalf("others use this %s: kill one that was started for this test", e.node.recipe.name)
	}
	if !e.node.running() {
		e.t.Fatalf("%s ended before it was killed", e.node.recipe.name)
	}
	if err := e.node.kill(); err != nil {
		e.t.Fatal(err)
	}
}

// Restart starts the engine again after a Kill, with its data and at its address, and returns how
// long it took until it was ready.
func (e Engine) Restart() time.Duration {
	e.t.Helper()
	began := time.Now()
	if err := e.node.start(); err != nil {
		e.t.Fatal(err)
	}
	return time.Since(began)
}

// end is the cleanup of an engine that was started for a test.
func (e Engine) end() {
	if err := e.node.remove(); err != nil {
		e.t.Error(err)
	}
	e.tell()
}

// tell shows what the engine said if the test failed.
func (e Engine) tell() {
	if e.t.Failed() {
		e.t.Logf("%s said:\n%s", e.node.recipe.name, e.node.said.String())
	}
}
