package vfs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const lockHolderEnv = "TIDINGS_VFS_TEST_LOCK_IN"

// TestMain lets a test start this program again as the other process.
func TestMain(m *testing.M) {
	if dir := os.Getenv(lockHolderEnv); dir != "" {
		holdLock(dir)
		return
	}
	os.Exit(m.Run())
}

// holdLock keeps the lock until its standard input ends.
func holdLock(dir string) {
	_, err := OS(dir).Lock("LOCK", "the other process")
	fmt.Println("locked:", err)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestLockEndsWithTheProcess(t *testing.T) {
	dir := t.TempDir()
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), lockHolderEnv+"="+dir)
	stdin, err := other.StdinPipe()
	must(t, err)
	defer stdin.Close()
	stdout, err := other.StdoutPipe()
	must(t, err)
	must(t, other.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "locked: <nil>" {
		t.Errorf("the other process said %q, %v", line, err)
	}
	_, held := OS(dir).Lock("LOCK", "this process")
	must(t, other.Process.Kill())
	_ = other.Wait() // It was killed, so this is an error.
	if !errors.Is(held, ErrLocked) || !strings.Contains(held.Error(), "the other process") {
		t.Errorf("while the other process runs: got %v, want %v naming it", held, ErrLocked)
	}
	lock, err := OS(dir).Lock("LOCK", "this process")
	must(t, err)
	must(t, lock.Close())
	if _, err := os.Stat(filepath.Join(dir, "LOCK")); err != nil {
		t.Errorf("the lock file is gone: %v", err)
	}
}

func TestMkdirAllMakesTheRoot(t *testing.T) {
	f := OS(filepath.Join(t.TempDir(), "a", "b"))
	must(t, f.MkdirAll("."))
	equalNames(t, f, ".")
}

func TestKindIsAddedOnce(t *testing.T) {
	once := kindOf(syscall.EINVAL, true)
	if twice := kindOf(once, true); twice != once || strings.Count(once.Error(), "supported") != 1 {
		t.Errorf("got %v, then %v", once, twice)
	}
}

func TestErrorsOfTheSystemGetAKind(t *testing.T) {
	at := func(err error) error { return &os.PathError{Op: "write", Path: "/data/x", Err: err} }
	for _, c := range []struct {
		err      error
		optional bool
		want     error
	}{
		{at(syscall.EINVAL), true, ErrUnsupported},
		{at(syscall.EINVAL), false, syscall.EINVAL},
		{at(syscall.EIO), true, syscall.EIO},
		{at(io.ErrShortWrite), true, io.ErrShortWrite},
	} {
		got := kindOf(c.err, c.optional)
		if !errors.Is(got, c.want) || !strings.Contains(got.Error(), "/data/x") {
			t.Errorf("%v is %v, want %v", c.err, got, c.want)
		}
		if c.want != ErrUnsupported && got != c.err {
			t.Errorf("%v became %v", c.err, got)
		}
	}
}
