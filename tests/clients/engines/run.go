package engines

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/tidings-io/tidings/tests/clients/child"
)

const (
	// readyWithin is how long a program may take until it is ready.
	readyWithin = time.Minute
	// goneWithin is how long what a killed process had started may outlive it.
	goneWithin = 20 * time.Second
)

// run is one process, from its start to its end.
type run struct {
	cmd    *exec.Cmd
	output *os.File      // what it says; its end is the end of all processes that have the other side
	ready  chan struct{} // closed when it has said that it is ready
	ended  chan struct{} // closed after the end of its output
	err    error         // why it ended, once ended is closed
}

// launch starts a program, which leads a group of processes and ends with this one.
func launch(p program, log io.Writer) (*run, error) {
	output, input, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer input.Close()
	p.cmd.Stdout, p.cmd.Stderr = input, input
	leadGroup(p.cmd)
	if err := child.Start(p.cmd); err != nil {
		return nil, errors.Join(err, output.Close())
	}
	r := &run{cmd: p.cmd, output: output, ready: make(chan struct{}), ended: make(chan struct{})}
	go r.listen(io.MultiWriter(log, &watch{words: []byte(p.ready), seen: r.ready}))
	return r, nil
}

// listen runs until the end of the output. Until then the id of the process belongs to nobody else.
func (r *run) listen(to io.Writer) {
	_, _ = io.Copy(to, r.output)
	r.err = r.cmd.Wait()
	_ = r.output.Close()
	close(r.ended)
}

func (r *run) awaitReady() error {
	late := time.NewTimer(readyWithin)
	defer late.Stop()
	select {
	case <-r.ready:
		return nil
	case <-r.ended:
		return fmt.Errorf("%s ended instead of serving: %w", r.cmd.Path, r.err)
	case <-late.C:
		return fmt.Errorf("%s was not ready within %v", r.cmd.Path, readyWithin)
	}
}

// awaitEnd waits for a program that does not serve.
func (r *run) awaitEnd() error {
	late := time.NewTimer(readyWithin)
	defer late.Stop()
	select {
	case <-r.ended:
		return r.err
	case <-late.C:
		return errors.Join(fmt.Errorf("%s did not end within %v", r.cmd.Path, readyWithin), r.kill())
	}
}

func (r *run) hasEnded() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

// kill ends the process and all that it started. It is no error if they ended before.
func (r *run) kill() error {
	if !r.hasEnded() {
		killFamily(r.cmd.Process.Pid)
	}
	late := time.NewTimer(goneWithin)
	defer late.Stop()
	select {
	case <-r.ended:
		return nil
	case <-late.C:
		_ = r.output.Close() // for listen
		return fmt.Errorf("%s has started processes that outlive it by %v", r.cmd.Path, goneWithin)
	}
}

// watch closes a channel when it has been written some words. They may come in pieces.
type watch struct {
	words []byte
	seen  chan struct{} // nil once it is closed
	last  []byte        // the end of what was written, shorter than words
}

func (w *watch) Write(p []byte) (int, error) {
	if w.seen == nil {
		return len(p), nil
	}
	w.last = append(w.last, p...)
	if bytes.Contains(w.last, w.words) {
		close(w.seen)
		w.seen, w.last = nil, nil
		return len(p), nil
	}
	w.last = bytes.Clone(w.last[max(0, len(w.last)-len(w.words)+1):])
	return len(p), nil
}
