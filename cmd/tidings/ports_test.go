package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestTakenPortNamesItsHolder(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().String()
	_, err = net.Listen("tcp", addr)
	var f *failure
	s := serveDefaults()
	s.Kafka.Listen, s.AMQP.Listen, s.AWS.Listen, s.Admin.Listen = addr, off, off, "127.0.0.1:0"
	if !errors.As(s.listenFailure(err, "kafka"), &f) || f.exit != exitConflict {
		t.Fatalf("got %v, want a conflict", err)
	}
	want := "is in use by another program"
	if runtime.GOOS == "linux" {
		want = "(pid " + plain(os.Getpid()) + ")"
	}
	if !strings.Contains(f.msg, want) {
		t.Errorf("got %q, want it to say %q", f.msg, want)
	}
	if got := f.hints[0].text; !strings.HasPrefix(got, "tidings serve --kafka :") ||
		!strings.HasSuffix(got, "tidings serve --ports auto") {
		t.Errorf("got the hint %q", got)
	}
}

func TestFailedStartNamesBothPortsAndLeavesNothing(t *testing.T) {
	var taken []string
	for range 2 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		taken = append(taken, ln.Addr().String())
	}
	data := filepath.Join(t.TempDir(), "my data")
	cmd := start(t, quietRuntime, "dev", "--data", data, "--kafka", taken[0],
		"--amqp", off, "--aws", off, "--admin", taken[1])
	if got := cmd.wait(t); got != exitConflict {
		t.Errorf("got exit code %d, want %d", got, exitConflict)
	}
	for _, want := range []string{
		fmt.Sprintf("port %d is in use", portOf(taken[0])),
		fmt.Sprintf(", and port %d is in use", portOf(taken[1])),
		"tidings dev --amqp off --aws off --data '" + data + "' --kafka :", " --admin :",
		"tidings dev --amqp off --aws off --data '" + data + "' --ports auto",
	} {
		if !strings.Contains(cmd.errOut.String(), want) {
			t.Errorf("got\n%s\nwant it to say %s", cmd.errOut, want)
		}
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("the failed start left %s: %v", data, err)
	}
	n := startTestNode(t, devDefaults())
	cmd = start(t, quietRuntime, "dev", "--data", n.s.Data, "--kafka", taken[0],
		"--amqp", off, "--aws", off)
	if got := cmd.wait(t); got != exitConflict || !strings.Contains(cmd.errOut.String(),
		"is in use by tidings dev (pid") {
		t.Errorf("data in use: got %d, %s, want to hear who holds it", got, cmd.errOut)
	}
}

func TestOtherDirectoriesAreNoDataDirectories(t *testing.T) {
	for names, want := range map[string]string{
		"notes.txt":           `it holds "notes.txt"`,
		"LOCK a b":            `it holds "a" and 1 more`,
		"seg":                 `it holds "seg"`, // a file
		"":                    "",
		"lost+found/ LOCK":    "",
		"journal/ seg/ LOCK":  "",
		"MANIFEST-000001":     "",
		"CURRENT mine.txt a/": "", // it is ours already
	} {
		s := devDefaults()
		s.Data = t.TempDir()
		for _, name := range strings.Fields(names) {
			if dir, ok := strings.CutSuffix(name, "/"); ok {
				if err := os.Mkdir(filepath.Join(s.Data, dir), 0o755); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if err := os.WriteFile(filepath.Join(s.Data, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s = withFreePorts(s)
		err := s.prepareData()
		var f *failure
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: got %v, want it taken", names, err)
		case want != "" && (!errors.As(err, &f) || f.exit != exitConflict ||
			!strings.Contains(f.msg, want)):
			t.Errorf("%q: got %v, want a conflict that says %s", names, err, want)
		}
	}
}

func TestWellKnownHoldersAreRecognised(t *testing.T) {
	for h, want := range map[holder]string{
		{pid: 4121, name: "java"}:  " by java (pid 4121), probably Apache Kafka",
		{pid: 7, name: "redpanda"}: " by redpanda (pid 7), a Redpanda broker",
		{pid: 8, name: "tidings"}:  " by tidings (pid 8): another tidings",
		{pid: 9, name: "postgres"}: " by postgres (pid 9)",
		{}:                         " by another program",
	} {
		if got := describeHolder(h, 9092); got != want {
			t.Errorf("%+v: got %q, want %q", h, got, want)
		}
	}
}

func TestAlternativePortIsAPort(t *testing.T) {
	for port, want := range map[int]int{9092: 19092, 7070: 17070, 55536: 55537, 65535: 65534} {
		if got := alternative(port); got != want {
			t.Errorf("%d: got %d, want %d", port, got, want)
		}
	}
}

// AMQP's alternative would be the port of the management API, and theirs the same one.
func TestNoTwoFacesAreToldTheSamePort(t *testing.T) {
	used := map[int]bool{5672: true, 15672: true}
	told := map[string]bool{"127.0.0.1:15672": true, ":15672": true}
	for _, addr := range []string{"127.0.0.1:5672", "127.0.0.1:15672", "127.0.0.1:5672"} {
		got := freeNear(addr, used)
		if told[got] {
			t.Errorf("%s: told %s, which another has", addr, got)
		}
		told[got] = true
	}
}

func TestOtherErrorsOfListenStayAsTheyAre(t *testing.T) {
	want := errors.New("permission denied")
	s := devDefaults()
	if got := s.listenFailure(want, "kafka"); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
