package measure

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Program is a broker that can be started: it keeps its data in a directory, and prints a line
// "  Kafka  host:port" on its standard output when it listens.
type Program struct {
	Name string
	Path string
	Args func(dir string) []string
	Env  []string // added to the environment
}

// Server is a broker in a process of its own.
type Server struct {
	Name string
	Addr string // host:port of its Kafka listener
	PID  int

	cmd   *exec.Cmd
	said  bytes.Buffer  // standard error; complete when cmd has been waited for
	ended chan struct{} // closed when its output has ended
}

const (
	startTimeout = 20 * time.Second
	stopTimeout  = 20 * time.Second
	addressLine  = "  Kafka  "
)

// Start runs p on an empty data directory below parent and waits until it listens. The directory
// stays when the server stops: while thousands of files are being deleted, ext4 looks at each of
// them for every file that is made, which the next server would pay for.
func Start(ctx context.Context, p Program, parent string) (*Server, error) {
	dir, err := os.MkdirTemp(parent, "server-")
	if err != nil {
		return nil, err
	}
	s := &Server{Name: p.Name, ended: make(chan struct{})}
	s.cmd = exec.CommandContext(ctx, p.Path, p.Args(dir)...)
	s.cmd.Env = append(os.Environ(), p.Env...)
	s.cmd.Stderr = &s.said
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	s.PID = s.cmd.Process.Pid
	if s.Addr, err = s.awaitAddress(out); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", p.Name, err), s.Stop())
	}
	return s, nil
}

// awaitAddress reads the output up to the line with the address, and leaves the rest of it to a
// goroutine that ends with the process.
func (s *Server) awaitAddress(out io.Reader) (string, error) {
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
	select {
	case addr := <-found:
		return addr, nil
	case <-s.ended:
		return "", errors.New("it ended before it listened")
	case <-time.After(startTimeout):
		return "", errors.New("it did not listen in time")
	}
}

// Stop ends the process, by force if it takes long.
func (s *Server) Stop() error {
	signal := s.cmd.Process.Signal(syscall.SIGTERM)
	force := time.AfterFunc(stopTimeout, func() { _ = s.cmd.Process.Kill() })
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
