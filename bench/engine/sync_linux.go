package main

import (
	"os"
	"syscall"
)

// syncData has a file's bytes on disk, without what is not needed to read them.
func syncData(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
