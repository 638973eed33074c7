package measure

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Program is a broker that can be started: it keeps its data in a directory.
type Program struct {
	Name string
	Path string
	Args func(Place) []string
	Env  func(Place) []string // added to the environment; may be nil
	// Answers returns nil when the broker serves at Place.Addr. Without it, the broker chooses its
	// address, and prints a line "  Kafka  host:port" on its standard output when it listens.
	Answers  func(ctx context.Context, addr string) error
	Profiled bool // it shows Go's profiles at the first of Place.Spare
}

// Place is where one process of a program works.
type Place struct {
	Dir   string    // for its data, empty
	Addr  string    // host:port that was free a moment ago, on loopback
	Spare [2]string // further ones
}

// Server is a broker in a process of its own, which leads a process group.
type Server struct {
	Name  string
	Addr  string // host:port of its listener
	PID   int
	Ready time.Duration // from its start until it could be used

	place    Place
	profiled bool
	cmd      *exec.Cmd
	said     bytes.Buffer  // standard error; complete when cmd has been waited for
	ended    chan struct{} // closed when its output has ended
}

const (
	startTimeout = time.Minute
	stopTimeout  = 20 * time.Second
	retryEvery   = 2 * time.Millisecond // of Program.Answers
	addressLine  = "  Kafka  "
)

// Start runs p on an empty data directory below parent and waits until it listens. The directory
// stays when the server stops: while thousands of files are being deleted, ext4 looks at each of
// them for every file that is made, which the next server would pay for.
func Start(ctx context.Context, p Program, parent string) (*Server, error) {
	place, err := newPlace(parent)
	if err != nil {
		return nil, err
	}
	s := &Server{Name: p.Name, place: place, profiled: p.Profiled, ended: make(chan struct{})}
	s.cmd = s.command(ctx, p)
	out, err := s.cmd.StdoutPipe()
	began := time.Now()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	s.PID = s.cmd.Process.Pid
	if s.Addr, err = s.awaitReady(ctx, p, out); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", p.Name, err), s.Stop())
	}
	s.Ready = time.Since(began)
	return s, nil
}

func newPlace(parent string) (p Place, err error) {
	if p.Dir, err = os.MkdirTemp(parent, "server-"); err != nil {
		return p, err
	}
	for _, addr := range []*string{&p.Addr, &p.Spare[0], &p.Spare[1]} {
		if *addr, err = freeAddr(); err != nil {
			return p, err
		}
	}
	return p, nil
}

// freeAddr is an address of loopback where nobody listens: for programs that cannot choose one.
// Linux gives ports to those who dial from the other half of its range, so it most likely stays
// free until it is used.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s *Server) command(ctx context.Context, p Program) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.Path, p.Args(s.place)...)
	cmd.Env = os.Environ()
	if p.Env != nil {
		cmd.Env = append(cmd.Env, p.Env(s.place)...)
	}
	cmd.Stderr = &s.said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return s.signal(syscall.SIGKILL) }
	cmd.WaitDelay = stopTimeout
	return cmd
}

// awaitReady returns the address where the server can be used.
func (s *Server) awaitReady(ctx context.Context, p Program, out io.Reader) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	found := s.readOutput(out)
	if p.Answers != nil {
		return s.place.Addr, s.awaitAnswer(ctx, p)
	}
	select {
	case addr := <-found:
		return addr, nil
	case <-s.ended:
		return "", errEnded
	case <-ctx.Done():
		return "", errLate
	}
}

var (
	errEnded = errors.New("it ended before it listened")
	errLate  = errors.New("it did not listen in time")
)

func (s *Server) awaitAnswer(ctx context.Context, p Program) error {
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for p.Answers(ctx, s.place.Addr) != nil {
		select {
		case <-retry.C:
		case <-s.ended:
			return errEnded
		case <-ctx.Done():
			return errLate
		}
	}
	return nil
}

// readOutput reads the output to its end, in a goroutine that ends with the process. What it
// returns gets the address that the first line with one tells.
func (s *Server) readOutput(out io.Reader) <-chan string {
	found := make(chan string, 1)
	go func() {
		defer close(s.ended)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if addr, ok := strings.CutPrefix(lines.Text(), addressLine); ok {
				found <- strings.TrimSpace(addr)
				break
			}
		}
		_, _ = io.Copy(io.Discard, out) // so that the process can go on printing
	}()
	return found
}

// Stop ends the process with its group, by force if it takes long.
func (s *Server) Stop() error {
	signal := s.signal(syscall.SIGTERM)
	force := time.AfterFunc(stopTimeout, func() { _ = s.signal(syscall.SIGKILL) })
	<-s.ended
	err := s.cmd.Wait()
	force.Stop()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == -1 && signal == nil {
		err = nil // it died of our signal
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, s.said.Bytes())
	}
	return err
}

func (s *Server) signal(what syscall.Signal) error { return syscall.Kill(-s.PID, what) }
