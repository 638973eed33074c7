package main

import (
	"errors"
	"net"
	"os"
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
	if !errors.As(listenFailure(err, "serve", "kafka", addr), &f) || f.exit != exitConflict {
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

func TestOtherErrorsOfListenStayAsTheyAre(t *testing.T) {
	want := errors.New("permission denied")
	if got := listenFailure(want, "dev", "kafka", "127.0.0.1:80"); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
