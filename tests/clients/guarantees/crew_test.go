package guarantees

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/tidings-io/tidings/tests/clients/child"
	"github.com/tidings-io/tidings/tests/clients/guarantees/worker"
)

// stopWithin is how long an orderly end of a worker may take.
const stopWithin = 30 * time.Second

// member is one worker after the other, of one plan. It is for one goroutine.
type member struct {
	t     testing.TB
	name  string
	plan  worker.Plan
	notes *notes
	lives int

	cmd   *exec.Cmd
	stdin io.WriteCloser
	ready chan struct{} // closed when it says so
	done  chan struct{} // closed when the process is gone and all that it said is noted
	err   error         // set then
	said  child.Tail
}

// start starts the process again, or for the first time.
func (m *member) start() {
	m.t.Helper()
	m.lives++
	m.plan.Seed++
	plan, err := json.Marshal(m.plan)
	if err != nil {
		m.t.Fatal(err)
	}
	m.cmd = exec.Command(os.Args[0])
	m.cmd.Env = append(os.Environ(), worker.Variable+"="+string(plan))
	m.cmd.Stderr = &m.said
	out, err := m.cmd.StdoutPipe()
	if err == nil {
		m.stdin, err = m.cmd.StdinPipe()
	}
	if err == nil {
		err = child.Start(m.cmd)
	}
	if err != nil {
		m.t.Fatalf("start %s: %v", m.name, err)
	}
	m.ready, m.done = make(chan struct{}), make(chan struct{})
	go m.listen(out)
}

func (m *member) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == "ready" {
			close(m.ready)
			continue
		}
		m.notes.add(lines.Text())
	}
	m.err = m.cmd.Wait()
	close(m.done)
}

// awaitReady waits until the process has subscribed to everything.
func (m *member) awaitReady() {
	m.t.Helper()
	select {
	case <-m.ready:
	case <-m.done:
		m.t.Fatalf("%s ended: %v\n%s", m.name, m.err, m.said.String())
	case <-time.After(patience):
		m.t.Fatalf("%s was not ready within %v\n%s", m.name, patience, m.said.String())
	}
}

// kill sends SIGKILL and waits until the process is gone.
func (m *member) kill() {
	m.t.Helper()
	select {
	case <-m.done:
		m.t.Fatalf("%s ended by itself: %v\n%s", m.name, m.err, m.said.String())
	default:
	}
	_ = m.cmd.Process.Kill()
	<-m.done
}

// enough tells the process to begin nothing more.
func (m *member) enough() { fmt.Fprintln(m.stdin, "enough") }

// stop has the process end in order.
func (m *member) stop() {
	m.t.Helper()
	_ = m.stdin.Close()
	select {
	case <-m.done:
		if m.err != nil {
			m.t.Errorf("%s ended with %v\n%s", m.name, m.err, m.said.String())
		}
	case <-time.After(stopWithin):
		m.t.Errorf("%s did not end within %v\n%s", m.name, stopWithin, m.said.String())
	}
}

// end kills what is left.
func (m *member) end() {
	if m.cmd == nil || m.cmd.Process == nil {
		return
	}
	_ = m.cmd.Process.Kill()
	<-m.done
	if m.t.Failed() && m.said.String() != "" {
		m.t.Logf("%s said:\n%s", m.name, m.said.String())
	}
}
