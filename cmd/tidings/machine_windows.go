package main

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// memoryStatus is MEMORYSTATUSEX of Windows.
type memoryStatus struct {
	length               uint32
	load                 uint32
	totalPhys, availPhys uint64
	totalPage, availPage uint64
	totalVirt, availVirt uint64
	availExtendedVirtual uint64
}

var globalMemoryStatus = windows.NewLazySystemDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx")

// machineMemory is how many bytes of memory the machine has; 0: not known.
func machineMemory() int64 {
	s := memoryStatus{}
	s.length = uint32(unsafe.Sizeof(s))
	if ok, _, _ := globalMemoryStatus.Call(uintptr(unsafe.Pointer(&s))); ok == 0 {
		return 0
	}
	return int64(s.totalPhys)
}
