package shop

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/examples/shop"
	"github.com/tidings-io/tidings/tests/clients/child"
	"github.com/tidings-io/tidings/tests/clients/engines"
	"github.com/tidings-io/tidings/tests/clients/server"
)

// patience bounds the time from the first order until the books are closed.
const patience = 3 * time.Minute

// Killing any service at any moment loses no order and charges none twice; the books balance at
// the end. The shop is the same on every broker.
func TestTheBooksBalanceWhateverIsKilled(t *testing.T) {
	for _, b := range []struct {
		name    string
		address func(*testing.T) string
	}{
		{"Tidings by Kafka", func(t *testing.T) string { return "kafka://" + server.Start(t).Kafka }},
		{"Tidings by AMQP", func(t *testing.T) string { return server.Start(t).AMQP }},
		{"Tidings by AWS", func(t *testing.T) string { return server.Start(t).SQS }},
		{"Apache Kafka", func(t *testing.T) string { return "kafka://" + engines.SharedKafka(t).Addr }},
		{"RabbitMQ", func(t *testing.T) string { return engines.SharedRabbitMQ(t).URL }},
	} {
		t.Run(b.name, func(t *testing.T) { open(t, b.address(t)).run() })
	}
}

// The broker inside the program is killed with all services in it.
func TestTheBooksBalanceWhenEverythingIsKilled(t *testing.T) {
	data := t.TempDir()
	random := rand.New(rand.NewPCG(*seed, 2))
	for range *kills {
		p := start(t, "-service", "all", "-data", data, "-orders", fmt.Sprint(*orders), "-every", "5ms", "-seed", fmt.Sprint(*seed))
		time.Sleep(time.Duration(200+random.IntN(600)) * time.Millisecond)
		p.kill()
	}
	p := start(t, "-service", "all", "-data", data, "-orders", fmt.Sprint(*orders), "-every", "1ms", "-seed", fmt.Sprint(*seed))
	p.closes(fmt.Sprintf("the books balance: %d orders", *orders))
}

// market is a shop whose services are processes.
type market struct {
	t        *testing.T
	address  string
	data     string
	random   *rand.Rand
	services map[string]*process
}

func open(t *testing.T, address string) *market {
	m := &market{t: t, address: address, data: t.TempDir(), random: rand.New(rand.NewPCG(*seed, 1)),
		services: map[string]*process{}}
	for _, name := range shop.Names {
		m.start(name)
	}
	return m
}

func (m *market) start(name string) {
	m.t.Helper()
	m.services[name] = start(m.t, "-service", name, "-broker", m.address, "-data", m.data)
}

// run has customers buy while services are killed, and waits until the books are closed.
func (m *market) run() {
	m.t.Helper()
	buyer := start(m.t, "-service", "buyer", "-broker", m.address, "-orders", fmt.Sprint(*orders), "-every", "20ms",
		"-seed", fmt.Sprint(*seed))
	for range *kills {
		time.Sleep(time.Duration(200+m.random.IntN(1500)) * time.Millisecond)
		name := shop.Names[m.random.IntN(len(shop.Names))]
		m.services[name].kill()
		m.start(name)
	}
	buyer.closes(fmt.Sprintf("the books balance: %d orders", *orders))
}

// process is a run of the program.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	said child.Tail
	done chan struct{}
	err  error
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: args[1], cmd: exec.Command(binary, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	if err := child.Start(p.cmd); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(p.end)
	return p
}

// kill sends SIGKILL to a process that must still run.
func (p *process) kill() {
	p.t.Helper()
	select {
	case <-p.done:
		p.t.Fatalf("%s ended by itself: %v\n%s", p.name, p.err, p.said.String())
	default:
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

// end kills what is left, and shows what it said if the test failed.
func (p *process) end() {
	_ = p.cmd.Process.Kill()
	<-p.done
	if said := p.said.String(); p.t.Failed() && said != "" {
		p.t.Logf("%s said:\n%s", p.name, said)
	}
}

// closes waits until the process ends as it should, with these words.
func (p *process) closes(words string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	select {
	case <-p.done:
	case <-ctx.Done():
		p.t.Fatalf("%s has not ended within %v", p.name, patience)
	}
	last := bytes.TrimSpace([]byte(p.said.String()))
	last = last[bytes.LastIndexByte(last, '\n')+1:]
	if p.err != nil || !strings.HasPrefix(string(last), words) {
		p.t.Fatalf("%s ended with %v and %q, want %q", p.name, p.err, last, words)
	}
	p.t.Log(string(last))
}
