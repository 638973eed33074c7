package server

import (
	"bufio"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidings-io/tidings/tests/clients/child"
)

// readyWithin is how long a start may take before the test fails. The figures
// that are promised are judged by the tests themselves.
const readyWithin = 30 * time.Second

// stopWithin is how long an orderly stop may take.
const stopWithin = 20 * time.Second

// Server is one tidings process after the other, on the same data and ports.
// Its methods fail the test when the process does not do as told. They are for
// one goroutine.
type Server struct {
	// Kafka and Admin are host:port.
	Kafka, Admin string
	// AMQP and Management are URLs with the credentials of the default user; their ports stay the
	// same over a Restart as well.
	AMQP, Management string
	// SQS is the endpoint for AWS SDKs, a URL; its port stays the same over Restart.
	SQS string
	// Data is the data directory.
	Data string

	t    testing.TB
	args []string
	p    *process
}

// Start runs `tidings dev` with free ports and a data directory of its own. Further
// arguments are added to the command line.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := &Server{t: t, Data: t.TempDir(), args: args}
	t.Cleanup(s.end)
	s.Restart()
	return s
}

// Restart runs the program again after Stop, Kill or a crash, and returns the
// time from the start of the process until it said that it is ready.
func (s *Server) Restart() time.Duration {
	s.t.Helper()
	began := time.Now()
	s.Launch()
	s.AwaitReady()
	return time.Since(began)
}

// Launch starts the process and does not wait until it is ready.
func (s *Server) Launch() {
	s.t.Helper()
	if s.p != nil && !s.p.ended() {
		s.t.Fatal("the server runs already")
	}
	p, err := spawn(exec.Command(binary, s.commandLine()...))
	if err != nil {
		s.t.Fatalf("start tidings: %v", err)
	}
	s.p = p
}

// commandLine asks for free ports the first time, and then for the same again.
func (s *Server) commandLine() []string {
	args := []string{"dev", "--data", s.Data}
	if s.Kafka == "" {
		args = append(args, "--ports", "auto")
	} else {
		args = append(args, "--kafka", s.Kafka, "--admin", s.Admin, "--amqp", hostOf(s.AMQP),
			"--management", hostOf(s.Management), "--aws", hostOf(s.SQS))
	}
	return append(args, s.args...)
}

// hostOf is the host:port of a URL.
func hostOf(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	return u.Host
}

// AwaitReady waits until the launched process says where it listens.
func (s *Server) AwaitReady() {
	s.t.Helper()
	select {
	case <-s.p.ready:
		s.Kafka, s.Admin = s.p.kafka, s.p.admin
		s.AMQP, s.Management, s.SQS = s.p.amqp, s.p.management, s.p.sqs
	case <-s.p.done:
		s.t.Fatalf("tidings ended instead of serving: %v\n%s", s.p.err, s.p.stderr.String())
	case <-time.After(readyWithin):
		s.t.Fatalf("tidings was not ready within %v\n%s", readyWithin, s.p.stderr.String())
	}
}

// Kill sends SIGKILL and waits until the process is gone.
func (s *Server) Kill() {
	s.t.Helper()
	if s.p.ended() {
		s.t.Fatalf("tidings ended by itself: %v\n%s", s.p.err, s.p.stderr.String())
	}
	_ = s.p.cmd.Process.Kill()
	<-s.p.done
}

// Stop sends SIGTERM, waits for exit code 0 and returns how long that took.
func (s *Server) Stop() time.Duration {
	s.t.Helper()
	began := time.Now()
	if err := s.p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatalf("SIGTERM: %v\n%s", err, s.p.stderr.String())
	}
	select {
	case <-s.p.done:
	case <-time.After(stopWithin):
		s.t.Fatalf("tidings did not stop within %v of SIGTERM\n%s", stopWithin, s.p.stderr.String())
	}
	if s.p.err != nil {
		s.t.Fatalf("tidings ended with %v after SIGTERM\n%s", s.p.err, s.p.stderr.String())
	}
	return time.Since(began)
}

// Running reports whether the process is there.
func (s *Server) Running() bool { return !s.p.ended() }

// Pid is the id of the process.
func (s *Server) Pid() int { return s.p.cmd.Process.Pid }

// end kills what is left, and shows what the server said if the test failed.
func (s *Server) end() {
	if s.p == nil {
		return
	}
	_ = s.p.cmd.Process.Kill()
	<-s.p.done
	if said := s.p.stderr.String(); s.t.Failed() && said != "" {
		s.t.Logf("tidings said:\n%s", said)
	}
}

// process is one run of the program.
type process struct {
	cmd    *exec.Cmd
	ready  chan struct{} // closed when kafka and admin are known
	done   chan struct{} // closed when the process is gone; then err is set
	err    error
	stderr child.Tail

	kafka, admin, amqp, management, sqs string
}

func spawn(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, ready: make(chan struct{}), done: make(chan struct{})}
	cmd.Stderr = &p.stderr
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "LC_ALL=C")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := child.Start(cmd); err != nil {
		return nil, err
	}
	go func() {
		p.listen(out)
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// listen reads the greeting and whatever follows, to the end.
func (p *process) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		word := strings.Fields(lines.Text())
		switch {
		case len(word) == 2 && word[0] == "Kafka":
			p.kafka = word[1]
		case len(word) > 1 && word[0] == "AMQP":
			p.amqp = word[1]
		case len(word) > 1 && (word[0] == "SQS" || word[0] == "AWS"):
			p.sqs = word[1]
		case len(word) > 1 && word[0] == "management":
			p.management = word[1]
		case len(word) > 1 && word[0] == "admin":
			p.admin = strings.TrimSuffix(strings.TrimPrefix(word[1], "http://"), "/api/v1")
		case len(word) > 0 && word[0] == "next:":
			close(p.ready)
		}
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
