//go:build !linux

package server

import "os/exec"

// endWithParent does nothing here: processes end with their test.
func endWithParent(*exec.Cmd) {}
