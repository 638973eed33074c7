//go:build !unix

package engines

import (
	"os"
	"os/exec"
	"os/user"
)

// leadGroup does nothing here: there are no groups.
func leadGroup(*exec.Cmd) {}

// runAs does nothing here: nobody is root.
func runAs(*exec.Cmd, *user.User) {}

// killFamily kills the process alone.
func killFamily(leader int) {
	if p, err := os.FindProcess(leader); err == nil {
		_ = p.Kill()
	}
}

// descendants are not known here.
func descendants(int) []int { return nil }
