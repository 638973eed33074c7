//go:build unix

package main

import "golang.org/x/sys/unix"

// openFileLimit is the soft limit of open files. Go raises it to the hard one
// at start.
func openFileLimit() (uint64, bool) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, false
	}
	return uint64(l.Cur), true
}
