package clients

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings/tests/clients/child"
)

// patience bounds the wait for anything a group does: a session may have to
// time out first, on a machine that is busy.
const patience = 60 * time.Second

// crew is the members of a consumer group, as the test sees them.
type crew struct {
	t *testing.T
	d driver
	o memberOptions

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when a member tells something
	members []*member
}

// member is a process that is a member of the group. What it told is guarded by its crew.
type member struct {
	memberProcess
	crew  *crew
	label string
	stdin io.WriteCloser
	said  lockedBuffer
	done  chan struct{}

	assigned  []int32
	moves     int  // how often assigned was told
	dismissed bool // it was told to end
	read      []record
	failed    error
}

func newCrew(t *testing.T, d driver, o memberOptions) *crew {
	return &crew{t: t, d: d, o: o, changed: make(chan struct{})}
}

// join starts a member.
func (c *crew) join(label string) *member {
	c.t.Helper()
	return c.joinAs(label, c.o)
}

// joinAs starts a member with options of its own.
func (c *crew) joinAs(label string, o memberOptions) *member {
	c.t.Helper()
	p, err := c.d.member(o)
	if err != nil {
		c.t.Fatalf("member %s: %v", label, err)
	}
	m := &member{memberProcess: p, crew: c, label: label, done: make(chan struct{})}
	if err := m.start(); err != nil {
		c.t.Fatalf("member %s: %v", label, err)
	}
	c.t.Cleanup(m.end)
	c.mu.Lock()
	c.members = append(c.members, m)
	c.mu.Unlock()
	return m
}

func (m *member) start() error {
	stderr, err := m.cmd.StderrPipe()
	if err != nil {
		return err
	}
	stdout, err := m.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if m.stdin, err = m.cmd.StdinPipe(); err != nil {
		return err
	}
	if m.out == nil {
		m.out = eventLine
	}
	if err := child.Start(m.cmd); err != nil {
		return err
	}
	go m.listen(stdout, stderr)
	return nil
}

// eventLine reads an event of a member that speaks our JSON.
func eventLine(line string) (e memberEvent) {
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		e.Error = fmt.Sprintf("not an event: %q", line)
	}
	return e
}

// listen takes events until the process closes its outputs.
func (m *member) listen(stdout, stderr io.Reader) {
	var both sync.WaitGroup
	both.Go(func() { eachLine(stdout, func(line string) { m.take(m.out(line)) }) })
	both.Go(func() {
		eachLine(stderr, func(line string) {
			_, _ = fmt.Fprintln(&m.said, line)
			if m.err != nil {
				m.take(m.err(line))
			}
		})
	})
	both.Wait()
	_ = m.cmd.Wait()
	close(m.done)
	m.take(memberEvent{})
}

func eachLine(from io.Reader, f func(string)) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		f(lines.Text())
	}
}

func (m *member) take(e memberEvent) {
	c := m.crew
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case e.Assigned != nil:
		m.assigned = *e.Assigned
		m.moves++
	case e.Record != nil:
		m.read = append(m.read, *e.Record)
	case e.Error != "":
		m.failed = errors.New(e.Error)
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// end kills the process if it is there still, and shows what it said if the test failed.
func (m *member) end() {
	m.kill()
	if said := m.said.String(); m.crew.t.Failed() && said != "" {
		m.crew.t.Logf("member %s said:\n%s", m.label, said)
	}
}

// kill ends the process as a crash would: without a word to the broker.
func (m *member) kill() {
	m.dismiss()
	_ = m.cmd.Process.Kill()
	<-m.done
}

// leave lets the member leave its group, and waits until the process has ended.
func (m *member) leave() {
	m.crew.t.Helper()
	m.dismiss()
	if m.leaveOn != nil {
		_ = m.cmd.Process.Signal(m.leaveOn)
	}
	_ = m.stdin.Close()
	select {
	case <-m.done:
	case <-time.After(patience):
		m.crew.t.Fatalf("member %s did not leave", m.label)
	}
	if !m.cmd.ProcessState.Success() {
		m.crew.t.Fatalf("member %s ended with %v: %v", m.label, m.cmd.ProcessState, m.failed)
	}
}

func (m *member) dismiss() {
	m.crew.mu.Lock()
	m.dismissed = true
	m.crew.mu.Unlock()
}

// state says whether the process runs, or how it ended.
func (m *member) state() string {
	select {
	case <-m.done:
		return m.cmd.ProcessState.String()
	default:
		return "running"
	}
}

// deserterLocked is a member that has ended without being told to.
func (c *crew) deserterLocked() *member {
	for _, m := range c.members {
		select {
		case <-m.done:
			if !m.dismissed && !m.endsWithBroker {
				return m
			}
		default:
		}
	}
	return nil
}

// await waits until the condition holds. It is checked under the lock of the
// crew, each time a member tells something.
func (c *crew) await(what string, holds func() bool) {
	c.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		c.mu.Lock()
		held, next, deserter := holds(), c.changed, c.deserterLocked()
		c.mu.Unlock()
		if held {
			return
		}
		if deserter != nil {
			c.t.Fatalf("%s: member %s ended: %s\n%s", what, deserter.label, deserter.state(),
				c.describe())
		}
		select {
		case <-next:
		case <-limit.C:
			c.t.Fatalf("%s: not within %v\n%s", what, patience, c.describe())
		}
	}
}

// awaitShared waits until the members share all partitions, each with at least one.
func (c *crew) awaitShared(what string, partitions int, members ...*member) {
	c.t.Helper()
	c.await(what, func() bool {
		var all []int32
		for _, m := range members {
			if len(m.assigned) == 0 {
				return false
			}
			all = append(all, m.assigned...)
		}
		slices.Sort(all)
		return len(all) == partitions && len(slices.Compact(all)) == partitions
	})
}

// awaitValues waits until the members have read all these values, however often.
func (c *crew) awaitValues(what string, want []record) {
	c.t.Helper()
	c.await(what, func() bool {
		seen := make(map[string]bool)
		for _, m := range c.members {
			for _, r := range m.read {
				seen[string(r.Value)] = true
			}
		}
		return !slices.ContainsFunc(want, func(r record) bool { return !seen[string(r.Value)] })
	})
}

// told is what the member has read, and how often it heard what it is assigned.
func (m *member) told() (read []record, moves int) {
	m.crew.mu.Lock()
	defer m.crew.mu.Unlock()
	return slices.Clone(m.read), m.moves
}

// describe shows what the members have.
func (c *crew) describe() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := ""
	for _, m := range c.members {
		s += fmt.Sprintf("  %s: assigned %v, read %d, error %v, %s\n",
			m.label, m.assigned, len(m.read), m.failed, m.state())
	}
	return s
}

// lockedBuffer keeps the beginning of what a process says.
type lockedBuffer struct {
	mu  sync.Mutex
	buf []byte
}

const saidBytes = 64 << 10

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf = append(b.buf, p[:min(len(p), saidBytes-len(b.buf))]...)
	return len(p), nil
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.buf)
}
