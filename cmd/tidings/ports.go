package main

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// holder is the process that listens on a port.
type holder struct {
	pid  int
	name string
}

// face is one of the addresses that a broker listens on.
type face struct{ name, addr string }

func (s *settings) faces() []face {
	var faces []face
	if s.AWS.Listen != off {
		faces = append(faces, face{"aws", s.AWS.Listen})
	}
	faces = append(faces, face{"kafka", s.Kafka.Listen})
	if s.AMQP.Listen != off {
		faces = append(faces, face{"amqp", s.AMQP.Listen})
	}
	if s.manages() {
		faces = append(faces, face{"management", s.AMQP.Management})
	}
	return append(faces, face{"admin", s.Admin.Listen})
}

// manages says whether RabbitMQ's management API is served.
func (s *settings) manages() bool { return s.AMQP.Listen != off && s.AMQP.Management != off }

// checkPorts finds out whether all addresses can be listened on, and lets go
// of them again.
func (s *settings) checkPorts() error {
	for _, f := range s.faces() {
		if err := probe(f.addr); err != nil {
			return s.listenFailure(fmt.Errorf("%s: %w", f.name, err), f.name)
		}
	}
	return nil
}

func probe(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err == nil {
		ln.Close()
	}
	return err
}

// listenFailure says who has taken the port of a face, and what to type instead.
// It looks at the faces after it too: who avoids one taken port must not run
// into the next.
func (s *settings) listenFailure(err error, name string) error {
	if err == nil || !addressInUse(err) {
		return err
	}
	var taken, instead []string
	failed := false
	used := s.ports()
	for _, f := range s.faces() {
		failed = failed || f.name == name
		port := portOf(f.addr)
		switch {
		case failed && (f.name == name || addressInUse(probe(f.addr))):
			taken = append(taken, portInUse(f.addr))
			instead = append(instead, fmt.Sprintf("--%s %s", f.name, freeNear(f.addr, used)))
		case s.portGiven[f.name]:
			instead = append(instead, fmt.Sprintf("--%s %s:%d", f.name, shownHost(f.addr), port))
		}
	}
	again := strings.Join(append([]string{"tidings " + s.command}, s.given...), " ")
	return conflict("%s", strings.Join(taken, ", and ")).
		hint("use another", again+" "+strings.Join(instead, " ")+
			"      or all free ports: "+again+" --ports auto")
}

// ports are those of all faces.
func (s *settings) ports() map[int]bool {
	all := map[int]bool{}
	for _, f := range s.faces() {
		all[portOf(f.addr)] = true
	}
	return all
}

func portInUse(addr string) string {
	port := portOf(addr)
	return fmt.Sprintf("port %d is in use%s", port, describeHolder(portHolder(port), port))
}

func portOf(addr string) int {
	_, port, _ := net.SplitHostPort(addr)
	number, _ := strconv.Atoi(port)
	return number
}

// shownHost leaves out the host that a bare port means.
func shownHost(addr string) string {
	if host := hostOf(addr); host != "127.0.0.1" {
		return strings.TrimSuffix(net.JoinHostPort(host, ""), ":")
	}
	return ""
}

// freeNear is an address like addr with a port that is free now, if one of the
// first few is, and not used for another face. It is used from then on.
func freeNear(addr string, used map[int]bool) string {
	port := alternative(portOf(addr))
	for i := 0; i < 20 && (used[port] || probe(net.JoinHostPort(hostOf(addr), strconv.Itoa(port))) != nil); i++ {
		port = alternative(max(port, 10000))
	}
	used[port] = true
	return fmt.Sprintf("%s:%d", shownHost(addr), port)
}

// addressInUse also knows Windows' own code, WSAEADDRINUSE.
func addressInUse(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) ||
		runtime.GOOS == "windows" && errors.Is(err, syscall.Errno(10048))
}

// alternative is the port one would think of: 19092 for 9092.
func alternative(port int) int {
	switch {
	case port < 10000:
		return port + 10000
	case port < 65535:
		return port + 1
	}
	return port - 1
}

func describeHolder(h holder, port int) string {
	if h.pid == 0 {
		return " by another program"
	}
	who := fmt.Sprintf(" by %s (pid %d)", h.name, h.pid)
	switch {
	case strings.HasPrefix(h.name, "java") && port == 9092:
		return who + ", probably Apache Kafka"
	case strings.HasPrefix(h.name, "redpanda"):
		return who + ", a Redpanda broker"
	case h.name == "tidings":
		return who + ": another tidings"
	}
	return who
}
