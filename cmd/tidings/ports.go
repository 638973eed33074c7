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

// listenFailure says who has a taken port, and what to type instead.
func listenFailure(err error, command, face, addr string) error {
	if err == nil || !addressInUse(err) {
		return err
	}
	_, port, _ := net.SplitHostPort(addr)
	number, _ := strconv.Atoi(port)
	return conflict("port %s is in use%s", port, describeHolder(portHolder(number), number)).
		hint("use another", fmt.Sprintf("tidings %s --%s :%d"+
			"      or all free ports: tidings %[1]s --ports auto",
			command, face, alternative(number)))
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
