package server

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// binary is the program under test, set by Main.
var binary string

// Binary is the path of the program under test.
func Binary() string { return binary }

// Main builds the program, runs the tests of m and removes what was built. It
// returns the exit code. TIDINGS_BINARY names a program that is there already.
func Main(m *testing.M) int {
	if path := os.Getenv("TIDINGS_BINARY"); path != "" {
		binary = path
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "tidings-clients-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if binary, err = Build(dir, "./cmd/tidings"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Build compiles a program of the product, such as ./cmd/tidings, in its own module, so that the
// versions which the clients need do not reach the product. It returns the path of the binary.
func Build(dir, program string) (string, error) {
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("where is the source?")
	}
	name := filepath.Base(program)
	path := filepath.Join(dir, name)
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	cmd := exec.Command("go", "build", "-o", path, program)
	cmd.Dir = filepath.Join(filepath.Dir(here), "..", "..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return path, nil
}
