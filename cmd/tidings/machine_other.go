//go:build !linux && !darwin && !windows

package main

// machineMemory is how many bytes of memory the machine has; 0: not known.
func machineMemory() int64 { return 0 }
