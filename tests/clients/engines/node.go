package engines

import (
	"errors"
	"fmt"
	"os/exec"

	"github.com/tidings-io/tidings/tests/clients/child"
)

// recipe is how one kind of engine is run.
type recipe struct {
	// name is what -need and .ci/run call it.
	name string
	// missing says what the machine does not have.
	missing func() error
	// ports is how many it listens on.
	ports int
	// servant is whether it refuses to work for root.
	servant bool
	// prepare writes what it wants to find in its place, and returns the command that makes its first
	// data there. Both may be nil.
	prepare func(*place) (*exec.Cmd, error)
	// programs are its processes, in the order of their start.
	programs func(*place) []program
}

// program is one process of an engine, ready when it has printed some words.
type program struct {
	cmd   *exec.Cmd
	ready string
}

// node is an engine that stays where it is over restarts.
type node struct {
	recipe recipe
	place  *place
	runs   []*run // in the order of their start; none when it was killed
	said   child.Tail
}

// newNode prepares an engine, which does not run yet.
func newNode(r recipe) (*node, error) {
	p, err := newPlace(r)
	if err != nil {
		return nil, fmt.Errorf("a place for %s: %w", r.name, err)
	}
	n := &node{recipe: r, place: p}
	if err := n.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare %s: %w\n%s", r.name, err, n.said.String()), p.remove())
	}
	return n, nil
}

func (n *node) prepare() error {
	if n.recipe.prepare == nil {
		return nil
	}
	cmd, err := n.recipe.prepare(n.place)
	if cmd == nil || err != nil {
		return err
	}
	r, err := launch(program{cmd: cmd}, &n.said)
	if err != nil {
		return err
	}
	return r.awaitEnd()
}

// start starts each program when the one before is ready, and returns when all are.
func (n *node) start() error {
	if len(n.runs) > 0 {
		return fmt.Errorf("%s was not killed", n.recipe.name)
	}
	for _, p := range n.recipe.programs(n.place) {
		r, err := launch(p, &n.said)
		if err == nil {
			n.runs = append(n.runs, r)
			err = r.awaitReady()
		}
		if err != nil {
			return errors.Join(fmt.Errorf("start %s: %w", n.recipe.name, err), n.kill())
		}
	}
	return nil
}

// running reports whether all processes are there.
func (n *node) running() bool {
	for _, r := range n.runs {
		if r.hasEnded() {
			return false
		}
	}
	return len(n.runs) > 0
}

// kill ends the processes that are there, and returns when they are gone.
func (n *node) kill() (err error) {
	for _, r := range n.runs {
		err = errors.Join(err, r.kill())
	}
	n.runs = nil
	if err != nil {
		return fmt.Errorf("kill %s: %w", n.recipe.name, err)
	}
	return nil
}

// remove ends the engine and removes its data.
func (n *node) remove() error { return errors.Join(n.kill(), n.place.remove()) }
